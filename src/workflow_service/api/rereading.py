"""A body that was read before its route, for the route to read again."""

from __future__ import annotations

from starlette.types import Message, Receive


def again(body: bytes, receive: Receive) -> Receive:
    """What gives the body as one message, and afterwards what `receive` gives."""
    given = False

    async def reread() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return reread
