"""The way from time that jumps to what is really there, and for how long anybody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from workflow_service.domain.errors import WorkflowServiceError
from workflow_service.rehearsal.virtual_time import Clock

Found = TypeVar("Found")


class OutOfTime(WorkflowServiceError):
    """The real time that a simulation may take is over."""


class Outside:
    """Asks on the event loop that it was made on. Meanwhile the clock stands still; made anew for each simulation."""

    def __init__(self, clock: Clock, *, patience: float) -> None:
        """`patience`: real seconds for everything together."""
        self._clock, self._loop = clock, asyncio.get_running_loop()
        self._until = self._loop.time() + patience

    async def ask(self, question: Callable[[], Awaitable[Found]]) -> Found:
        """The answer.

        Raises:
            OutOfTime: it did not come in time.
        """
        self._clock.outside += 1
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._in_time(question), self._loop))
        finally:
            self._clock.outside -= 1

    async def _in_time(self, question: Callable[[], Awaitable[Found]]) -> Found:
        try:
            async with asyncio.timeout_at(self._until):
                return await question()
        except TimeoutError:
            raise OutOfTime("the time for the simulation is over") from None
