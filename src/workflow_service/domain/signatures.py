"""Signed webhooks: Standard Webhooks 1.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`) and PagerDuty V3.

Alertmanager cannot sign; senders that can need no other credential. Two secrets may be active, so that one can follow
the other without a gap; one match is enough.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WINDOW = 300.0  # seconds that a signed time may lie before or after ours
ACTIVE = 2  # secrets at once
SHORTEST = 24  # bytes of a secret, as Standard Webhooks has it
_ID = re.compile(r"[!-~]{1,256}")
_TIME = re.compile(r"\d{1,12}")
_PAGERDUTY = "x-pagerduty-signature"


@dataclass(frozen=True, slots=True)
class Signed:
    """A webhook whose signature holds. `id`: of the message, the same in every repeat; None: the sender gives none."""

    scheme: str  # standard | pagerduty
    id: str | None


class BadSignature(Exception):
    """The webhook proves nothing; the message is for logs, not for its sender."""


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether the headers (by lower-case name) claim a signature."""
    return "webhook-signature" in headers or _PAGERDUTY in headers


def verify(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[bytes], now: float) -> Signed:
    """What the signature proves about these very bytes; `now` in epoch seconds.

    PagerDuty signs no time: its repeats can only be told by the ids of its events.

    Raises:
        BadSignature: it does not hold, is too old or too new, or there is none.
    """
    if "webhook-signature" in headers:
        message_id = _expected(headers, "webhook-id", _ID)
        moment = _expected(headers, "webhook-timestamp", _TIME)
        if abs(now - int(moment)) > WINDOW:
            raise BadSignature(f"webhook-timestamp: must be within {WINDOW:g} s of now")
        given = [_from_base64(one[3:]) for one in headers["webhook-signature"].split() if one.startswith("v1,")]
        _match(given, [message_id.encode() + b"." + moment.encode() + b".", body], secrets)
        return Signed("standard", message_id)
    if _PAGERDUTY in headers:
        words = (one.strip() for one in headers[_PAGERDUTY].split(","))
        _match([_from_hex(one[3:]) for one in words if one.startswith("v1=")], [body], secrets)
        return Signed("pagerduty", None)
    raise BadSignature("there is no signature")


def sign(message_id: str, body: bytes, *, secret: bytes, now: float) -> Mapping[str, str]:
    """The headers of Standard Webhooks 1.0 that prove a body to be ours; `now` in epoch seconds."""
    moment = str(int(now))
    signed = b".".join((message_id.encode(), moment.encode(), body))
    signature = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": moment, "webhook-signature": f"v1,{signature}"}


def _expected(headers: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    found = headers.get(name, "")
    if not form.fullmatch(found):
        raise BadSignature(f"{name}: must match {form.pattern}")
    return found


def _match(given: Iterable[bytes], parts: Sequence[bytes], secrets: Sequence[bytes]) -> None:
    signatures = list(given)[:10]
    right = False
    for secret in secrets:
        mac = hmac.new(secret, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(part)
        for one in signatures:
            right |= hmac.compare_digest(mac.digest(), one)
    if not right:
        raise BadSignature("no signature matches")


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
