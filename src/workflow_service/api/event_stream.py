"""Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html) as an answer that lives long.

It ends when its reader leaves, also while nothing is being said; a reader who takes nothing loses the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from workflow_service.api.connection import ABORT

STALLED = 30.0  # seconds after which a reader who takes nothing is given up


def event(
    data: Mapping[str, Any], *, name: str | None = None, key: str | None = None, retry: int | None = None
) -> bytes:
    """One event. `key` is its id; `retry`: milliseconds after which to come again when the stream ends."""
    lines = [f"retry: {retry}"] if retry is not None else []
    lines += [f"id: {key}"] if key is not None else []
    lines += [f"event: {name}"] if name is not None else []
    return "\n".join([*lines, ""]).encode() + b"data: " + orjson.dumps(data) + b"\n\n"


class EventStream(Response):
    """An answer of events. `ended` is called once, with "left", "stalled" or None when all was said."""

    media_type = "text/event-stream"

    def __init__(self, told: AsyncGenerator[bytes, None], ended: Callable[[str | None], None]) -> None:
        self.status_code, self.background = 200, None
        self._told, self._ended = told, ended
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell until there is nothing more to tell, or nobody to tell it to."""
        leaving = asyncio.create_task(_left(receive))
        telling = asyncio.create_task(self._tell(send))
        why: str | None = "left"
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                why = "stalled" if telling.result() else None
            if why == "stalled" and (extension := scope.get("extensions", {}).get(ABORT)):
                extension["now"]()
                await leaving
        finally:
            for task in (telling, leaving):
                task.cancel()
            await asyncio.gather(telling, leaving, return_exceptions=True)
            await self._told.aclose()
            self._ended(why)

    async def _tell(self, send: Send) -> bool:
        """Whether the reader takes nothing any more."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for part in self._told:
                async with asyncio.timeout(STALLED):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            async with asyncio.timeout(STALLED):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return True
        return False


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
