"""Signed webhooks at the gate: the signature is over the whole body, so it is read here and read again by the route."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from workflow_service.domain.errors import Unauthenticated
from workflow_service.domain.permissions import Caller, Grant, Right
from workflow_service.domain.signatures import BadSignature, verify

WEBHOOK = Caller("webhook", (Grant(Right.OPERATOR),))  # let in to what brings alerts only

log = structlog.get_logger(__name__)


async def proved(headers: Headers, receive: Receive, secrets: Sequence[bytes]) -> Receive:
    """Check the signature; what gives the route the same body again.

    Raises:
        Unauthenticated: the signature does not hold.
        ClientDisconnect: the body does not come to its end.
    """
    body = await _read(receive)
    try:
        verify(headers, body, secrets=secrets, now=time.time())
    except BadSignature as error:
        log.info("a signed webhook was refused", why=str(error))
        raise Unauthenticated("the credential is not valid here") from None
    return _again(body, receive)


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
