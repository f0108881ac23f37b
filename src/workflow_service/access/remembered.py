"""What was found out about tokens, for a bounded time and number; the tokens themselves are not kept."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from workflow_service.domain.permissions import Caller

MOST = 2048  # tokens; beyond that the oldest half is forgotten


@dataclass(frozen=True, slots=True)
class Finding:
    """Whose token it is (None: nobody's), and for how many seconds that may be believed."""

    caller: Caller | None
    believed: float


class Remembered:
    """Asks `find_out` about a token once, however many want to know, and then not again for as long as it is told."""

    def __init__(
        self, find_out: Callable[[str], Awaitable[Finding]], *, monotonic: Callable[[], float], most: int = MOST
    ) -> None:
        self._find_out, self._monotonic, self._most = find_out, monotonic, most
        self._known: dict[bytes, tuple[Caller | None, float]] = {}
        self._asked: dict[bytes, asyncio.Task[Caller | None]] = {}

    async def caller(self, token: str) -> Caller | None:
        """Whose token it is; None: nobody's.

        Raises:
            ProviderAway: who would know does not answer.
        """
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and known[1] > self._monotonic():
            return known[0]
        if digest not in self._asked:
            self._asked[digest] = asyncio.create_task(self._ask(digest, token))
        return await asyncio.shield(self._asked[digest])  # who hangs up stops nobody's question

    async def _ask(self, digest: bytes, token: str) -> Caller | None:
        try:
            finding = await self._find_out(token)
        finally:
            del self._asked[digest]
        if len(self._known) >= self._most:
            self._known = dict(list(self._known.items())[self._most // 2 :])
        self._known.pop(digest, None)  # what is known anew counts as young
        self._known[digest] = (finding.caller, self._monotonic() + finding.believed)
        return finding.caller
