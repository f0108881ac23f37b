"""What an alert is, how it is read from JSON without surprises, and how it is told apart from others."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from workflow_service.domain.errors import InvalidAlert, Violation

MAX_LABELS = 100
MAX_LABEL_NAME = 256
MAX_LABEL_VALUE = 4096
MAX_TEXT = 16384  # summary, description and each annotation
MAX_DEPTH = 32  # of the fields we do not know
MAX_FINGERPRINT = 256  # a longer one is hashed: fingerprints are keys, and keys of a database are short
MAX_FLAWS = 100  # of those, how many are named: an answer must stay shorter than the question

# How long each text field may be, in characters.
_LONGEST: Mapping[str, int] = {
    "id": 256,
    "name": 256,
    "severity": 64,
    "status": 64,
    "namespace": 253,
    "resource": 512,
    "summary": MAX_TEXT,
    "description": MAX_TEXT,
}
_KNOWN = frozenset(_LONGEST) | {"labels", "annotations", "starts_at", "ends_at", "updated_at"}
# Go's zero time: what its encoder sends for a time that was never set.
_NEVER = datetime(1, 1, 1, tzinfo=UTC)
RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_RANKS: Mapping[str, int] = {"critical": 1, "high": 3, "error": 3, "medium": 5, "warning": 5, "low": 7, "info": 7}


@dataclass(frozen=True, slots=True)
class Alert:
    """One signal about one thing. Empty strings and Go's zero values have become None or the default."""

    name: str
    severity: str = "unknown"  # free text, lower case
    namespace: str | None = None
    resource: str | None = None  # `kind/name` as a rule
    status: str = "firing"  # firing | resolved
    summary: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None  # all times in UTC
    ends_at: datetime | None = None
    updated_at: datetime | None = None
    id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)  # fields we do not know, kept as they came

    @property
    def speaks_of(self) -> datetime | None:
        """The moment that it tells about: its start; once it has resolved its end, or its start when it says no end."""
        return (self.ends_at if self.status == "resolved" else None) or self.starts_at


def alert_from_json(document: object) -> Alert:
    """Read one alert in the specification's shape, as Go's JSON encoder writes it.

    What is empty where Alertmanager says it in labels or annotations is taken from there: name (`alertname`), severity,
    namespace, summary, description. Unknown fields are kept in `extra`.

    Raises:
        InvalidAlert: with every broken rule, each naming field, value and rule.
    """
    if not isinstance(document, Mapping):
        raise InvalidAlert("the alert cannot be read", [Violation("alert", shown(document), "must be a JSON object")])
    reading = _Reading(document)
    alert = reading.alert()
    if reading.violations:
        raise InvalidAlert("the alert cannot be read", reading.violations)
    return alert


def alert_to_json(alert: Alert) -> dict[str, Any]:
    """The alert under the specification's field names; reading it back gives the same alert."""
    texts = {name: getattr(alert, name) for name in _LONGEST}
    times = {name: getattr(alert, name) for name in ("starts_at", "ends_at", "updated_at")}
    return {
        **alert.extra,
        **{name: text for name, text in texts.items() if text},
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        **{name: time.isoformat().replace("+00:00", "Z") for name, time in times.items() if time},
    }


def fingerprint(alert: Alert) -> str:
    """The same word for every repetition of the same alert: Alertmanager's own when it sent one, else a hash."""
    given = alert.extra.get("fingerprint")
    if isinstance(given, str) and given.strip():
        word = given.strip()
        return word if len(word) <= MAX_FINGERPRINT else hashlib.sha256(word.encode()).hexdigest()
    body = [alert.name, alert.namespace, alert.resource, sorted(alert.labels.items())]
    return hashlib.sha256(json.dumps(body, separators=(",", ":")).encode()).hexdigest()[:16]


def fits_as_label(key: str, text: str) -> bool:
    """Whether an alert that has this label can be read; some labels are also read as a field, such as `severity`."""
    longest = min(_LONGEST.get("name" if key == "alertname" else key, MAX_LABEL_VALUE), MAX_LABEL_VALUE)
    return _text_flaw(key, MAX_LABEL_NAME) is None and _text_flaw(text, longest) is None


def severity_rank(severity: str) -> int:
    """Priority in a queue, 1 first: critical 1, high or error 3, medium or warning 5, unknown 6, low or info 7."""
    return _RANKS.get(severity.strip().lower(), 6)


def shown(value: object) -> object:
    """`value` in a form that any log, database or JSON answer can carry: short and without broken characters."""
    if isinstance(value, str):
        return value[:80].encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if _number_flaw(value) is None else "a number out of range"
    return "an object" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else type(value).__name__


def _text_flaw(text: str, longest: int) -> str | None:
    if len(text) > longest:
        return f"must be at most {longest} characters, has {len(text)}"
    if "\0" in text:
        return "must not contain the NUL character"
    return "must be Unicode text without lone surrogates" if _SURROGATE.search(text) else None


def _number_flaw(number: float) -> str | None:
    if isinstance(number, int):
        return None if -(2**63) <= number < 2**63 else "must fit into 64 bits"
    return None if math.isfinite(number) else "must be a finite number"


def _utc(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC) if RFC3339.fullmatch(text) else None
    except (ValueError, OverflowError):  # a 13th month, or a year that no longer fits once it is in UTC
        return None


class _Reading:
    """One pass over a document; collects violations instead of stopping at the first."""

    def __init__(self, document: Mapping[Any, Any]) -> None:
        self.document = document
        self.violations: list[Violation] = []
        self.labels = self._mapping("labels", MAX_LABEL_VALUE)
        self.annotations = self._mapping("annotations", MAX_TEXT)

    def alert(self) -> Alert:
        """What was understood; of no use when there are violations."""
        return Alert(
            name=self._name(),
            severity=self._text("severity", "labels", "severity").lower() or "unknown",
            namespace=self._text("namespace", "labels", "namespace") or None,
            resource=self._text("resource") or None,
            status=self._status(),
            summary=self._text("summary", "annotations", "summary"),
            description=self._text("description", "annotations", "description"),
            labels=self.labels,
            annotations=self.annotations,
            starts_at=self._time("starts_at"),
            ends_at=self._time("ends_at"),
            updated_at=self._time("updated_at"),
            id=self._text("id") or None,
            extra=self._extra(),
        )

    def _refuse(self, where: str, value: object, rule: str) -> None:
        self.violations.append(Violation(str(shown(where)), shown(value), rule))

    def _name(self) -> str:
        before = len(self.violations)
        name = self._text("name", "labels", "alertname")
        if not name and len(self.violations) == before:
            self._refuse("name", self.document.get("name"), "must not be empty (nor labels.alertname in its place)")
        return name

    def _status(self) -> str:
        status = self._text("status").lower() or "firing"
        if status not in ("firing", "resolved"):
            self._refuse("status", status, "must be firing or resolved")
        return status

    def _text(self, name: str, source: str | None = None, key: str = "") -> str:
        """The field, else the label or annotation that says the same; "" when there is neither."""
        value, where = self.document.get(name), name
        if source and (value is None or (isinstance(value, str) and not value.strip())):
            value, where = getattr(self, source).get(key), f"{source}.{key}"
        if value is None:
            return ""
        if not isinstance(value, str):
            self._refuse(where, value, "must be a string")
            return ""
        text = value.strip()
        if flaw := _text_flaw(text, _LONGEST[name]):
            self._refuse(where, text, flaw)
        return text

    def _time(self, name: str) -> datetime | None:
        value = self.document.get(name)
        if value is None or value == "":
            return None
        time = _utc(value) if isinstance(value, str) else None
        if time is None:
            self._refuse(name, value, "must be an RFC 3339 time such as 2026-01-31T03:00:00Z")
        return None if time == _NEVER else time

    def _mapping(self, name: str, longest: int) -> dict[str, str]:
        """String to string; null and "" count as absent, which is what they mean to Prometheus too."""
        value = self.document.get(name)
        if value is None or value == "":
            return {}
        if not isinstance(value, Mapping):
            self._refuse(name, value, "must be an object of strings")
            return {}
        if len(value) > MAX_LABELS:
            self._refuse(name, f"{len(value)} entries", f"must have at most {MAX_LABELS} entries")
            return {}
        given = {key: text for key, text in value.items() if text is not None and text != ""}
        return {key: text for key, text in given.items() if self._entry(f"{name}.{key}", key, text, longest=longest)}

    def _entry(self, where: str, key: object, text: object, *, longest: int) -> bool:
        if not isinstance(key, str) or not isinstance(text, str):
            self._refuse(where, text, "must be a string")
            return False
        flaw = _text_flaw(key, MAX_LABEL_NAME) or _text_flaw(text, longest)
        if flaw:
            self._refuse(where, text, flaw)
        return flaw is None

    def _extra(self) -> dict[str, Any]:
        extra = {name: value for name, value in self.document.items() if name not in _KNOWN}
        for where, value, rule in islice(_flaws(extra), MAX_FLAWS):
            self._refuse(where, value, rule)
        return extra


def _flaws(extra: Mapping[Any, Any]) -> Iterator[tuple[str, object, str]]:
    """What the unknown fields hold that no database or answer can carry. No recursion: the sender chooses the depth."""
    waiting: list[tuple[str, object, int]] = [("", extra, 0)]
    while waiting:
        where, value, depth = waiting.pop()
        if isinstance(value, Mapping):
            waiting += ((f"{where}.{key}".lstrip(".")[:200], key, MAX_DEPTH) for key in value)
            waiting += ((f"{where}.{key}".lstrip(".")[:200], item, depth + 1) for key, item in value.items())
        elif isinstance(value, list):
            waiting += ((f"{where}.{index}"[:200], item, depth + 1) for index, item in enumerate(value))
        if rule := _extra_flaw(value, depth):
            yield where, value, rule
            if depth > MAX_DEPTH:
                return


def _extra_flaw(value: object, depth: int) -> str | None:
    if isinstance(value, str):
        return _text_flaw(value, MAX_TEXT)
    if isinstance(value, Mapping | list):
        return f"must not be nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number_flaw(value)
    return None if value is None or isinstance(value, bool) else "must be JSON"
