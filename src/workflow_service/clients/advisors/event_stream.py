"""Server-sent events, read one by one within bounds. Source: the HTML standard, section 9.2 (event stream format)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import aiohttp

from workflow_service.domain.errors import AdvisorAway

# A stream repeats what tools have found, and at its end the whole conversation: far more than the answer itself.
STREAM_CAP = 8 * 1024 * 1024  # bytes
EVENT_CAP = 2 * 1024 * 1024
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, bytes]]:
    """Each event's name and data.

    Raises:
        AdvisorAway: it is too much.
    """
    waiting, total = bytearray(), 0
    async for chunk in answer.content.iter_any():
        total += len(chunk)
        waiting += chunk
        while end := _END.search(waiting):
            block = bytes(waiting[: end.start()])
            del waiting[: end.end()]
            yield _event(block)
        if total > STREAM_CAP or len(waiting) > EVENT_CAP:
            answer.close()
            raise AdvisorAway("too_large", f"streamed more than {min(total, STREAM_CAP)} bytes")


def _event(block: bytes) -> tuple[str, bytes]:
    name, data = "message", []
    for line in block.splitlines():
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data.append(value)
    return name, b"\n".join(data)
