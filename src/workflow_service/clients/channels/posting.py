"""One POST of a message, and what its answer means."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from workflow_service.clients.session import SharedSession
from workflow_service.domain.errors import NotTold

_TIMEOUT = aiohttp.ClientTimeout(total=10.0, sock_connect=3.0)
_LONGEST_WAIT = 3600.0  # seconds that a server may ask us to wait


async def post(session: SharedSession, url: str, body: bytes, headers: Mapping[str, str], *, name: str) -> None:
    """Post it once; `name` is what the address is called in messages, since it may hold a secret.

    Raises:
        NotTold: nobody has taken it; with `wait` when the server says how long.
    """
    try:
        async with session.get().post(
            url, data=body, headers=dict(headers), timeout=_TIMEOUT, allow_redirects=False
        ) as answer:
            status, after = answer.status, answer.headers.get("Retry-After", "")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NotTold(f"{name} does not answer: {type(error).__name__}") from error
    if not 200 <= status < 300:
        wait = min(float(after), _LONGEST_WAIT) if after.isascii() and after.isdigit() else 0.0
        raise NotTold(f"{name} answered {status}", wait=wait)
