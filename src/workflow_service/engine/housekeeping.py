"""What is done again and again beside the drives: sweeping, forgetting, measuring."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from workflow_service.domain.errors import StoreUnavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every `period` seconds, the first time at once."""

    name: str
    period: float
    do: Callable[[], Awaitable[object]]


class Housekeeping:
    """Runs the chores until it is stopped; a chore that fails is tried again in its next turn."""

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._chores = chores
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(_repeat(chore), name=chore.name) for chore in self._chores]

    async def stop(self) -> None:
        """End, in the middle of a chore too: each is safe to be cut."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _repeat(chore: Chore) -> None:
    while True:
        try:
            await chore.do()
        except StoreUnavailable as error:
            log.warning("chore waits for the database", chore=chore.name, error=str(error))
        except Exception:
            # The boundary of a background task: one broken chore must not end the others, nor itself for ever.
            log.exception("chore failed", chore=chore.name)
        await asyncio.sleep(chore.period)
