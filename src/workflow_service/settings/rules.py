"""What a setting's text may be: readers that turn it into a value or raise ValueError with the rule it breaks."""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workflow_service.domain.permissions import Grant, Right
from workflow_service.domain.signatures import ACTIVE, SHORTEST

_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

MODES = ("keys", "jwt", "kubernetes")
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:/-]{0,255}")
_ROLES = "such as sre=operator, leads=operator+approver, shop=operator@shop+shop-staging"

Reader = Callable[[str], Any]


def whole(low: int, high: int) -> Reader:
    """A whole number within bounds, both included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,12}", text) or not low <= int(text) <= high:
            link = " (Kubernetes sets this for a Service of that name: enableServiceLinks: false)"
            raise ValueError(f"must be a whole number from {low} to {high}{link if text.startswith('tcp://') else ''}")
        return int(text)

    return read


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ValueError("must be a number from 0 to 1")
    return value


def duration(low: str = "1ms", high: str = "8760h") -> Reader:
    """A Go duration within bounds, in seconds."""

    def read(text: str) -> float:
        seconds = _seconds(text)
        if seconds is None or not (_seconds(low) or 0) <= seconds <= (_seconds(high) or 0):
            raise ValueError(f"must be a Go duration such as 600s, 1h30m or 500ms, from {low} to {high}")
        return seconds

    return read


def _seconds(text: str) -> float | None:
    # Go's time.ParseDuration: a bare 0, or numbers that each carry a unit.
    parts = list(_DURATION_PART.finditer(text))
    if "".join(part.group() for part in parts) != text or not text:
        return 0.0 if text == "0" else None
    return sum(float(part[1]) * _UNIT_SECONDS[part[2]] for part in parts)


def auto_or_duration(text: str) -> float | None:
    """A Go duration in seconds, or None for `auto`."""
    if text == "auto":
        return None
    try:
        return float(duration("1s")(text))
    except ValueError as error:
        raise ValueError(f"{error}, or auto") from None


def truth(text: str) -> bool:
    """What Go's strconv.ParseBool takes, whatever the case."""
    words = {"true": True, "false": False, "1": True, "0": False, "t": True, "f": False}
    if text.lower() not in words:
        raise ValueError("must be true or false")
    return words[text.lower()]


def one_of(*words: str) -> Reader:
    """One of `words`, whatever the case."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text.lower()

    return read


def modes(text: str) -> frozenset[str]:
    """How callers may prove who they are, several separated by commas; nothing at all for `none`."""
    words = [one.strip().lower() for one in text.split(",")]
    if words == ["none"]:
        return frozenset()
    if not set(words) <= set(MODES):
        raise ValueError(f"must be none, or one or more of {', '.join(MODES)}, separated by commas")
    return frozenset(words)


def roles(text: str) -> Mapping[str, tuple[Grant, ...]]:
    """`name=right`, several rights with `+`, limited with `@namespace` (several with `+`), separated by commas."""
    found: dict[str, tuple[Grant, ...]] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, meaning = part.rpartition("=")
        words, _, where = meaning.partition("@")
        spaces = frozenset(where.split("+")) if "@" in meaning else None
        if (
            not name.strip()
            or not set(words.split("+")) <= set(Right)
            or not all(map(_NAMESPACE.fullmatch, spaces or ()))
        ):
            raise ValueError(f"must be {_ROLES}")
        found[name.strip()] = tuple(Grant(Right(one), spaces) for one in words.split("+"))
    if not found:
        raise ValueError(f"must be {_ROLES}")
    return found


def webhook_secrets(text: str) -> tuple[bytes, ...]:
    """One or two secrets, separated by spaces or commas: text, or bytes as `whsec_<base64>`."""
    words = text.replace(",", " ").split()
    try:
        found = tuple(
            base64.b64decode(one[6:], validate=True) if one.startswith("whsec_") else one.encode() for one in words
        )
    except binascii.Error:
        found = ()
    if not 1 <= len(found) <= ACTIVE or any(len(one) < SHORTEST for one in found):
        raise ValueError(f"must be one or two secrets of {SHORTEST} bytes or more, as text or as whsec_<base64>")
    return found


def algorithms(text: str) -> tuple[str, ...]:
    """JWS algorithms with public keys; one with a shared secret would make a public key a secret."""
    words = tuple(one.strip() for one in text.split(","))
    if not set(words) <= set(ALGORITHMS):
        raise ValueError(f"must be one or more of {', '.join(ALGORITHMS)}, separated by commas")
    return words


def issuer(text: str) -> str:
    """An issuer's URL, kept as it is: `iss` must be equal to the letter. Without TLS on loopback only."""
    url("https", "http")(text)
    if text.startswith("http:") and urlsplit(text).hostname not in {"127.0.0.1", "::1", "localhost"}:
        raise ValueError("must be a URL that begins with https:// (http:// on loopback only)")
    return text


def word(pattern: str, rule: str) -> Reader:
    """A text that matches `pattern` as a whole."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {rule}")
        return text

    return read


def url(*schemes: str) -> Reader:
    """A URL with one of `schemes`; an http URL is a bare base address, returned without a trailing slash."""

    def read(text: str) -> str:
        rule = f"must be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"
        try:
            parts, port = urlsplit(text), urlsplit(text).port
        except ValueError:
            raise ValueError(rule) from None
        if parts.scheme not in schemes or port == 0 or re.search(r"\s", text):
            raise ValueError(rule)
        if not parts.scheme.startswith("http"):
            return text
        if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError(f"{rule}, without user, password, query or fragment")
        return text.rstrip("/")

    return read


def database(text: str) -> str:
    """A SQLite file or a PostgreSQL database; never one in memory, which would lose alerts."""
    found = str(url("sqlite", "postgresql")(text))
    if found.startswith("sqlite") and not re.match(r"sqlite:///[^?:]", found):
        raise ValueError("must name a file: sqlite:///relative.sqlite or sqlite:////absolute.sqlite")
    return found


def file(text: str) -> Path:
    """A file that can be read now."""
    try:
        with Path(text).open("rb"):
            return Path(text)
    except OSError as error:
        raise ValueError(f"must be a readable file ({error.strerror})") from None


def label(text: str) -> str:
    """The name of a label."""
    names = labels(text)
    if len(names) != 1:
        raise ValueError("must be the name of a label")
    return names[0]


def folder(text: str) -> Path:
    """A directory that is there and can be listed."""
    try:
        next(Path(text).iterdir(), None)
    except OSError as error:
        raise ValueError(f"must be a directory that can be read ({error.strerror})") from None
    return Path(text)


def labels(text: str) -> tuple[str, ...]:
    """Names of labels, with commas between them; empty: none."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if any(not LABEL.fullmatch(name) for name in names) or len(names) > 10:
        raise ValueError("must be at most 10 names of labels with commas between them")
    return names


def directory(text: str) -> Path:
    """A directory, which need not exist yet; the two characters that would end a path inside a URL are refused."""
    if "?" in text or "#" in text:
        raise ValueError("must be a directory path without ? and #")
    return Path(text)


def ca_bundle(text: str) -> Path:
    """A PEM file that OpenSSL accepts as trust anchors."""
    path = file(text)
    try:
        ssl.create_default_context(cafile=str(path))
    except (ssl.SSLError, ValueError):
        raise ValueError("must be a PEM file with CA certificates") from None
    return path


def belong_together(chain: Path, key: Path | None) -> bool:
    """Whether OpenSSL takes the two for a certificate and its key."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password=lambda: b"")
    except (OSError, ValueError):
        return False
    return True
