"""Signed webhooks at the gate: the signature is over the whole body, so it is read here and read again by the route."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from workflow_service.api.rereading import again
from workflow_service.domain.errors import ProviderAway, Unauthenticated
from workflow_service.domain.permissions import Caller, Grant, Right
from workflow_service.domain.signatures import BadSignature, verify

MOST = 64 * 1024 * 1024  # bytes
WEBHOOK = Caller("webhook", (Grant(Right.OPERATOR),))  # let in to what brings alerts only

log = structlog.get_logger(__name__)


class SignedBodies:
    """Checks signatures, with at most `most` bytes in memory for callers who have not proved anything yet."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._held = most, 0

    async def proved(self, headers: Headers, receive: Receive, secrets: Sequence[bytes]) -> Receive:
        """Check the signature; what gives the route the same body again.

        Raises:
            Unauthenticated: the signature does not hold.
            ProviderAway: too much is being checked at once.
            ClientDisconnect: the body does not come to its end.
        """
        parts: list[bytes] = []
        try:
            await self._read(receive, parts)
            body = b"".join(parts)
            verify(headers, body, secrets=secrets, now=time.time())
        except BadSignature as error:
            log.info("a signed webhook was refused", why=str(error))
            raise Unauthenticated("the credential is not valid here") from None
        finally:
            self._held -= sum(map(len, parts))
        return again(body, receive)

    async def _read(self, receive: Receive, parts: list[bytes]) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part = message.get("body", b"")
            if self._held + len(part) > self._most:
                raise ProviderAway("too many signed bodies are being checked at once")
            self._held += len(part)
            parts.append(part)
            more = message.get("more_body", False)
