"""Bodies that are read before anybody has proved anything."""

from __future__ import annotations

import asyncio
import time

import pytest
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from tests.support.signing import standard
from workflow_service.api.signed import SignedBodies
from workflow_service.domain.errors import ProviderAway, Unauthenticated

SECRET = b"s" * 24


def arriving(*parts: bytes, whole: bool = True) -> Receive:
    """A body that comes in parts, whole or cut."""
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if whole:
        messages[-1]["more_body"] = False
    messages.append({"type": "http.disconnect"})
    coming = iter(messages)

    async def receive() -> Message:
        return next(coming)

    return receive


async def test_the_route_gets_the_same_body() -> None:
    """What came in parts is checked whole and given on whole; after it comes what comes."""
    headers = Headers(standard(SECRET, b"onetwo", now=time.time()))
    again = await SignedBodies().proved(headers, arriving(b"one", b"two"), [SECRET])
    assert await again() == {"type": "http.request", "body": b"onetwo", "more_body": False}
    assert await again() == {"type": "http.disconnect"}


async def test_memory_is_bounded_and_given_back() -> None:
    """While too much is being read others are told to try again; whatever came of it, the room is free afterwards."""
    bodies = SignedBodies(most=10)
    headers = Headers(standard(SECRET, b"12345678", now=time.time()))
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> Message:
        if begun.is_set():
            await go_on.wait()
            return {"type": "http.request", "body": b"", "more_body": False}
        begun.set()
        return {"type": "http.request", "body": b"12345678", "more_body": True}

    first = asyncio.create_task(bodies.proved(headers, slow, [SECRET]))
    await begun.wait()
    with pytest.raises(ProviderAway):
        await bodies.proved(headers, arriving(b"12345678"), [SECRET])
    go_on.set()
    await first
    with pytest.raises(ClientDisconnect):
        await bodies.proved(headers, arriving(b"12345678", whole=False), [SECRET])
    with pytest.raises(Unauthenticated):
        await bodies.proved(headers, arriving(b"87654321"), [SECRET])
    await bodies.proved(headers, arriving(b"12345678"), [SECRET])
