"""Who goes first on the event loop that intake and drives share: alerts, since somebody waits for their answer.

Nothing on a loop is interrupted. With dozens of drives an alert would wait for a piece of work of each of them at every
step of its way into the database. So a drive gives way before it plans, and before it decides.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 0.025  # seconds for which one piece of work gives way: a storm slows drives down and never stops them


class RightOfWay:
    """One replica's. Belongs to its event loop."""

    def __init__(self, *, longest: float = LONGEST) -> None:
        self._longest = longest
        self._passing = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next: asyncio.Handle | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """For as long as this lasts, others give way."""
        self._passing += 1
        try:
            yield
        finally:
            self._passing -= 1
            self._call_next()

    async def give(self) -> None:
        """Return when nobody has the right of way and those who gave way before have gone on; or after `LONGEST`."""
        if not self._passing and not self._waiting:
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        late = loop.call_later(self._longest, _go, turn)
        try:
            await turn
        finally:
            late.cancel()
            while self._waiting and self._waiting[0].done():
                self._waiting.popleft()

    def _call_next(self) -> None:
        if self._waiting and not self._passing and self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._let_one_go)

    def _let_one_go(self) -> None:
        """One at a time: between two of them the loop hears of whoever comes."""
        self._next = None
        if self._passing:
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        self._call_next()


def _go(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
