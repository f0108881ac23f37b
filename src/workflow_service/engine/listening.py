"""Hearing commands, and the ends of alerts: which of the executions that are driven here has one waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from workflow_service.domain.errors import StoreUnavailable
from workflow_service.engine.orders import TOPIC
from workflow_service.ports import EventBus
from workflow_service.store import commands, resolutions
from workflow_service.store.database import Database

LOOK = 1.0  # seconds between looks of its own, since wake-ups may be lost

log = structlog.get_logger(__name__)


class Listening:
    """One look for all drives of this replica, at every wake-up and every second."""

    def __init__(self, database: Database, bus: EventBus, *, replica: str) -> None:
        self._database, self._bus, self._replica = database, bus, replica
        self._ears: dict[str, asyncio.Event] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._forever(), name="listening")

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @contextmanager
    def ear(self, execution_id: str, *, told: bool) -> Iterator[asyncio.Event]:
        """An event that is set when a command, or the end of its alerts, waits for that execution.

        `told`: set at first, since one may wait already; one that was stored a moment ago has none that a look of its
        own would not find.
        """
        heard = self._ears[execution_id] = asyncio.Event()
        if told:
            heard.set()
        try:
            yield heard
        finally:
            if self._ears.get(execution_id) is heard:
                del self._ears[execution_id]

    async def _forever(self) -> None:
        while True:
            await self._bus.wait(TOPIC, timeout=LOOK)
            if not self._ears:
                continue
            try:
                told = await commands.awaited(self._database, self._replica)
                for execution_id in told | await resolutions.awaited(self._database, self._replica):
                    if (heard := self._ears.get(execution_id)) is not None:
                        heard.set()
            except StoreUnavailable as error:
                log.warning("listening waits for the database", error=str(error))
