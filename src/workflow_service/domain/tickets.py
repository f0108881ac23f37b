"""Signed links: what one lets whom do, once, until when; bound to one execution, step and plan. Pure.

A ticket proves itself (HMAC-SHA256 over its content, purpose included), so that nothing has to be kept for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from workflow_service.domain.states import Verb

VERBS = frozenset({Verb.APPROVE, Verb.REJECT, Verb.ROLLBACK})
LONGEST = 2000  # characters of one
_PURPOSE = b"workflow-service.link.1."


@dataclass(frozen=True, slots=True)
class Ticket:
    """What its bearer may say, once, in whose name."""

    workflow_id: str
    execution_id: str
    verb: str
    step: str  # that asks; empty: it is about the whole workflow
    plan_hash: str
    who: str
    letter_id: str  # in which it was sent
    expires: int  # epoch seconds


class BadTicket(Exception):
    """It proves nothing, or not any more; the message is for its bearer."""


def issue(ticket: Ticket, secret: bytes) -> str:
    """The ticket as it stands in a URL's query."""
    content = _text(json.dumps(astuple(ticket), separators=(",", ":")).encode())
    return f"{content}.{_text(_mac(content, secret))}"


def read(text: str, secrets: Sequence[bytes], *, now: float) -> Ticket:
    """What the ticket lets its bearer do; `now` in epoch seconds.

    Raises:
        BadTicket: it is not ours, or too old.
    """
    content, _, signature = text.partition(".")
    given = _bytes(signature)
    if not any(hmac.compare_digest(_mac(content, secret), given) for secret in secrets):
        raise BadTicket("this link is not one of ours")
    ticket = Ticket(*json.loads(_bytes(content)))
    if now >= ticket.expires:
        raise BadTicket("this link has expired")
    return ticket


def name_of(text: str) -> str:
    """What the ticket is called, so that it is used once: its digest, which proves nothing."""
    return hashlib.sha256(text.encode()).hexdigest()


def _mac(content: str, secret: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + content.encode(), hashlib.sha256)


def _text(given: bytes) -> str:
    return base64.urlsafe_b64encode(given).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """What the text stands for; nothing where another text is the one for it: a ticket counts once by its text."""
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    return found if _text(found) == text else b""
