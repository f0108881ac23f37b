"""Settings of notifications and approvals: who is told, over which channel, how patiently. A part of `tree`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from workflow_service.domain.addressing import Route
from workflow_service.settings import neighbours, rules
from workflow_service.settings.declaring import Show, setting

KINDS = ("slack", "webhook", "email")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_MOST = 20
_ROUTES = "such as slack=critical+high;email=*@shop+billing"
_IDENTITY = re.compile(r"[!-+\--~]{1,200}")  # printable, without spaces and commas
_WORD = re.compile(r"[A-Za-z0-9._-]{1,63}")


def address(text: str) -> str:
    """One e-mail address."""
    if not _ADDRESS.fullmatch(text):
        raise ValueError("must be an e-mail address")
    return text


def addresses(text: str) -> tuple[str, ...]:
    """E-mail addresses with commas between them."""
    found = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    if not 1 <= len(found) <= _MOST or not all(map(_ADDRESS.fullmatch, found)):
        raise ValueError(f"must be e-mail addresses, up to {_MOST}, with commas between them")
    return found


def mail_server(text: str) -> str:
    """The URL of a mail server."""
    rules.url("smtp", "smtps")(text)
    parts = urlsplit(text)
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must be like smtps://user:password@mail.example:465, or smtp:// for STARTTLS")
    return text


def routes(text: str) -> tuple[Route, ...]:
    """Routes `channel=severity+severity@namespace+namespace` with semicolons between them; `*` is any severity."""
    return tuple(_route(part) for part in filter(None, map(str.strip, text.split(";"))))


def _route(part: str) -> Route:
    channel, _, meaning = part.partition("=")
    severities, at, namespaces = meaning.partition("@")
    words, places = severities.lower().split("+"), namespaces.split("+") if at else []
    named = [*(words if words != ["*"] else ()), *places]
    if channel not in KINDS or not severities or not all(map(_WORD.fullmatch, named)):
        raise ValueError(f"must be routes for {', '.join(KINDS)} {_ROUTES}")
    return Route(channel, None if words == ["*"] else frozenset(words), frozenset(places) if at else None)


def kinds(text: str) -> frozenset[str] | None:
    """Kinds of channels with commas between them; empty: all."""
    words = frozenset(filter(None, map(str.strip, text.split(","))))
    if not words <= {*KINDS}:
        raise ValueError(f"must be one or more of {', '.join(KINDS)} with commas between them")
    return words or None


def identities(text: str) -> Mapping[str, str]:
    """Whose a channel is: `slack`, `webhook` or an address, `=`, and the identity of who reads there."""
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, who = part.partition("=")
        if (name not in {"slack", "webhook"} and not _ADDRESS.fullmatch(name)) or not _IDENTITY.fullmatch(who):
            raise ValueError("must be like ana@example.com=oidc:ana,slack=key:oncall, with commas between them")
        found[name if name in {"slack", "webhook"} else f"email:{name}"] = who
    return found


@dataclass(frozen=True, slots=True)
class Notify:
    """Whom this service tells of ends that are not `completed`, of approvals and of escalations."""

    slack_url: str | None = setting("NOTIFY_SLACK_URL", None, neighbours.address, show=Show.MASK)
    webhook_url: str | None = setting("NOTIFY_WEBHOOK_URL", None, neighbours.address, show=Show.MASK)
    webhook_secret: tuple[bytes, ...] | None = setting(
        "NOTIFY_WEBHOOK_SECRET", None, rules.webhook_secrets, show=Show.MASK
    )
    smtp_url: str | None = setting("NOTIFY_SMTP_URL", None, mail_server, show=Show.MASK_PASSWORD)
    email_from: str | None = setting("NOTIFY_EMAIL_FROM", None, address)
    email_to: tuple[str, ...] | None = setting("NOTIFY_EMAIL_TO", None, addresses)
    routes: tuple[Route, ...] = setting("NOTIFY_ROUTES", "", routes)
    try_for: float = setting("NOTIFY_TRY_FOR", "24h", rules.duration("1m", "720h"))
    warn_at: float = setting("APPROVAL_WARNING", "0.8", rules.fraction)  # 1: never
    escalate_after: float = setting("APPROVAL_ESCALATION", "15m", rules.duration("0s", "24h"))  # 0: never
    public_url: str | None = setting("PUBLIC_URL", None, rules.issuer)  # None: messages have no links
    link_secret: tuple[bytes, ...] | None = setting("LINK_SECRET", None, rules.webhook_secrets, show=Show.MASK)
    link_identities: Mapping[str, str] | None = setting("LINK_IDENTITIES", None, identities)
    escalate_to: frozenset[str] | None = setting("NOTIFY_ESCALATION", "", kinds)  # None: whoever was asked
