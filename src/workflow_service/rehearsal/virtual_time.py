"""Time that jumps: an event loop on which sleeping takes no time, and the clock that goes with it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

BEGINNING = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)
_Result = TypeVar("_Result")


class StandsStill(RuntimeError):
    """Everybody waits for something that will never come."""


class Clock:
    """The time of a rehearsal. While somebody `outside` it is waited for, it stands still and waits really."""

    def __init__(self, beginning: datetime = BEGINNING) -> None:
        self.beginning, self.seconds, self.outside = beginning, 0.0, 0

    def now(self) -> datetime:
        """The moment that it is."""
        return self.beginning + timedelta(seconds=self.seconds)


class _Jumping(selectors.SelectSelector):
    """Whoever would wait for some seconds is told at once that they are over."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        """What is ready now."""
        ready = super().select(0)
        if ready:
            return ready
        if self._clock.outside and timeout != 0:
            return super().select(None)
        if timeout is None:
            raise StandsStill("nothing is under way, and no time is waited for")
        self._clock.seconds += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        super().__init__(_Jumping(clock))
        self._clock_of_rehearsal = clock

    def time(self) -> float:
        """The seconds of the rehearsal's clock."""
        return self._clock_of_rehearsal.seconds


def run(work: Coroutine[Any, Any, _Result], clock: Clock) -> _Result:
    """What the work gives, on a loop whose time is that of the clock.

    Raises:
        StandsStill: it would have waited for ever.
    """
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        return runner.run(work)
