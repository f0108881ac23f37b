"""A small application behind the product's own server, run as a process: `served_app.py '{"head_seconds": 1}'`.

Prints the port, then a line for each thing that happens to it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from workflow_service.api.body_limit import BodyLimit
from workflow_service.api.connection import Limits
from workflow_service.api.server import Address, CannotServe, serve
from workflow_service.api.tls import Certificate

draining = asyncio.Event()


def say(word: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def ok(request: Request) -> Response:
    """Answer at once."""
    return PlainTextResponse("ok")


async def echo(request: Request) -> Response:
    """Tell how much came."""
    return PlainTextResponse(str(len(await request.body())))


async def stream(request: Request) -> Response:
    """Go on until the server drains, as an event stream does."""

    async def events() -> AsyncIterator[bytes]:
        yield b"begun\n"
        await draining.wait()
        yield b"bye\n"

    return StreamingResponse(events())


async def endless(request: Request) -> Response:
    """Never end."""

    async def events() -> AsyncIterator[bytes]:
        yield b"begun\n"
        await asyncio.Event().wait()

    return StreamingResponse(events())


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Tell when the application is closed."""
    yield
    say("closed")


@asynccontextmanager
async def broken(app: Starlette) -> AsyncIterator[None]:
    """An application that does not come up."""
    await asyncio.wait_for(draining.wait(), timeout=0)
    yield


def drain() -> None:
    """The stop begins."""
    say("draining")
    draining.set()


def main(options: dict[str, Any]) -> None:
    """Serve until told to stop."""
    host, port = "127.0.0.1", int(options.pop("port", 0))
    starts, files = options.pop("starts", 1), options.pop("tls", None)
    tls = Certificate(*map(Path, files)).context if files else None
    routes = [
        Route("/ok", ok),
        Route("/echo", echo, methods=["POST"]),
        Route("/large", echo, methods=["POST"]),
        Route("/tiny", echo, methods=["POST"]),
        Route("/api/v1/alerts", echo, methods=["POST"]),
        Route("/stream", stream),
        Route("/endless", endless),
    ]
    app = BodyLimit(
        Starlette(routes=routes, lifespan=lifespan if starts else broken),
        per_path={"/large": 16 * 1024 * 1024, "/tiny": 10},
    )
    limits = Limits(**options)
    try:
        serve(app, Address(host, port, tls), on_drain=drain, on_listening=lambda found: say(str(found)), limits=limits)
    except CannotServe as error:
        sys.exit(str(error))
    say("returned")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
