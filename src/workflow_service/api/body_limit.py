"""The cap on request bodies, as pure ASGI middleware: 413 before the application holds more than it may."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workflow_service.api.early_answers import problem

DEFAULT_LIMIT = 1024 * 1024  # bytes
# What a client still sends after our 413 is read and thrown away up to here: closing a connection with unread bytes
# makes the kernel reset it, and the client would lose the answer.
_DISCARD_LIMIT = 8 * DEFAULT_LIMIT
_DISCARD_SECONDS = 5.0


class BodyLimit:
    """Answers 413 when a body is larger than `limit` bytes, or than `per_path` says for the exact path.

    A Content-Length over the limit is refused unread, a chunked body as soon as it grows over it. Put it outside
    everything that reads bodies.
    """

    def __init__(self, app: ASGIApp, *, limit: int = DEFAULT_LIMIT, per_path: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._limit = limit
        self._per_path = dict(per_path or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application behind the cap."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._per_path.get(scope["path"], self._limit)
        exchange = _Exchange(scope, receive, send, limit)
        length = _content_length(scope)
        if length is not None and length > limit:
            await exchange.refuse(f"{length} bytes announced")
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            if not exchange.refused:  # after our 413 the application only saw its client vanish
                raise


class _Exchange:
    """One request and response; turns into a refusal at most once."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limit = limit
        self._read = 0
        self._started = False
        self.refused = False

    async def receive(self) -> Message:
        """What the application reads; a vanished client once the body is over the limit."""
        if self.refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read <= self._limit or self._started:
            return message
        await self.refuse(f"more than {self._limit} bytes sent")
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """What the application answers; nothing of it passes after a refusal."""
        if not self.refused:
            self._started = True
            await self._send(message)

    async def refuse(self, fact: str) -> None:
        """Answer 413 and read the rest away, so that the answer arrives."""
        self.refused = True
        detail = f"body: {fact}, must be at most {self._limit} bytes"
        headers, body = problem(413, detail, instance=self._scope["path"])
        await self._send({"type": "http.response.start", "status": 413, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                await self._discard()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _discard(self) -> None:
        if any(name == b"expect" for name, _ in self._scope["headers"]):
            return  # the client waits for our word before it sends anything
        discarded = 0
        while discarded <= _DISCARD_LIMIT:
            message = await self._receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            discarded += len(message.get("body", b""))


def _content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None
