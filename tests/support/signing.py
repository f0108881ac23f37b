"""Signing webhooks as their senders do."""

from __future__ import annotations

import base64
import hashlib
import hmac


def standard(secret: bytes, body: bytes, *, now: float, message_id: str = "msg-1") -> dict[str, str]:
    """The headers of Standard Webhooks."""
    moment = str(int(now))
    digest = hmac.new(secret, f"{message_id}.{moment}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": message_id, "webhook-timestamp": moment, "webhook-signature": signature}


def pagerduty(secret: bytes, body: bytes) -> dict[str, str]:
    """The header of PagerDuty's webhooks V3."""
    return {"x-pagerduty-signature": f"v1={hmac.new(secret, body, hashlib.sha256).hexdigest()}"}
