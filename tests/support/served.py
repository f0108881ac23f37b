"""A replica inside the test's process behind the product's own connections, and a reader of its event streams."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import uvicorn
from starlette.types import Receive, Scope, Send

from workflow_service.api.connection import GuardedConnection, Limits
from workflow_service.app import Replica

DEADLINE = 20.0  # seconds until a reader gives up waiting


@asynccontextmanager
async def served(parts: Replica) -> AsyncIterator[str]:
    """The replica's application on a free port; its lifespan is somebody else's."""
    limits = Limits()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await parts.app(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)  # who takes nothing is noticed soon
        connection = type("Connection", (GuardedConnection,), {"limits": limits})
        config = uvicorn.Config(app, http=connection, ws="none", lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            parts.feed.drain()
            server.should_exit = True
            await serving


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it came."""

    name: str
    data: dict[str, Any]
    id: str | None
    retry: str | None

    @property
    def kind(self) -> str:
        """What has happened; empty for an event about the stream."""
        return str(self.data.get("event", {}).get("kind", ""))


class Reader:
    """Reads one stream; `events` is all that came, `comments` how often it was said to be alive."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self.events: list[Event] = []
        self.comments = 0
        self._lines = answer.aiter_lines()

    async def until(self, name: str) -> Event:
        """The next event of that name or kind."""
        async with asyncio.timeout(DEADLINE):
            while True:
                found = await self.next()
                assert found is not None, f"the stream ended before {name}: {self.events}"
                if name in {found.name, found.kind}:
                    return found

    async def next(self) -> Event | None:
        """The next event; None when the stream is over."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                data = json.loads(fields["data"])
                found = Event(fields.get("event", "message"), data, fields.get("id"), fields.get("retry"))
                self.events.append(found)
                return found
        return None


@asynccontextmanager
async def reading(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Reader]:
    """A stream, once it has said welcome."""
    async with (
        httpx2.AsyncClient(timeout=DEADLINE) as http,
        http.stream("GET", url, headers=dict(headers or {})) as answer,
    ):
        if answer.status_code != 200:
            await answer.aread()
            raise AssertionError(f"{answer.status_code}: {answer.text}")
        yield Reader(answer)
