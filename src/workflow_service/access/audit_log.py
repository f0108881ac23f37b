"""Noting writes for one replica: what comes while a group is being written makes up the next.

What the database does not take is kept in memory and written as soon as it does, up to `CAPACITY` entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Protocol

import structlog

from workflow_service.domain.audit import Entry
from workflow_service.domain.errors import StoreUnavailable

CAPACITY = 10_000  # entries that wait; beyond that they go to the log only
GROUP = 500  # entries written at once
PATIENCE = 2.0  # seconds for which an answer waits to be in the audit log
LINGER = 0.2  # seconds that an entry for which nobody waits may wait for company
PAUSE = 1.0  # seconds between tries while the database is away

log = structlog.get_logger(__name__)


class Append(Protocol):
    """Writes entries; `again`: perhaps they are written already."""

    def __call__(self, entries: Sequence[Entry], *, again: bool) -> Awaitable[None]:
        """Return once they are written; raise StoreUnavailable when nobody knows."""


class AuditLog:
    """The writer. It runs between `start` and `stop`; what is left then is tried once more."""

    def __init__(self, append: Append, *, pause: Callable[[], Awaitable[None]] | None = None) -> None:
        self._append, self._pause = append, pause or _pause
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._news = asyncio.Event()
        self._due: asyncio.TimerHandle | None = None  # when those for which nobody waits are written at last
        self._writer: asyncio.Task[None] | None = None
        self._again = False  # the group at the front may be written already

    async def start(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write())

    async def stop(self) -> None:
        """Write what is left, if the database takes it, and end."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            self._writer = None
            self._again = True
        while self._waiting:
            try:
                await self._write_group()
            except StoreUnavailable:
                self._give_up()

    def note(self, entry: Entry, *, soon: float = LINGER) -> asyncio.Future[None]:
        """Have it written, with what comes within the next `soon` seconds; done once it is."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= CAPACITY:
            log.error("not in the audit log, which takes nothing", **asdict(entry))
            done.set_result(None)
            return done
        self._waiting.append((entry, done))
        if soon <= 0:
            self._news.set()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(soon, self._ring)
        return done

    def _ring(self) -> None:
        self._due = None
        self._news.set()

    async def noted(self, entry: Entry) -> None:
        """Have it written, and wait for that, though not for long: what was done is done."""
        try:
            await asyncio.wait_for(asyncio.shield(self.note(entry, soon=0)), timeout=PATIENCE)
        except TimeoutError:
            log.warning("the audit log is behind", request_id=entry.request_id, waiting=len(self._waiting))

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            left = len(self._waiting)  # what comes meanwhile says itself when it is to be written
            while left > 0:
                try:
                    left -= await self._write_group()
                except StoreUnavailable as error:
                    log.warning("the audit log waits for the database", error=str(error), waiting=len(self._waiting))
                    await self._retry_later()
                except Exception:
                    # The boundary of a background task: nothing may end the writing for good.
                    log.exception("the audit log cannot be written", waiting=len(self._waiting))
                    await self._retry_later()

    async def _write_group(self) -> int:
        group = self._waiting[:GROUP]
        await self._append([entry for entry, _ in group], again=self._again)
        del self._waiting[: len(group)]
        self._again = False
        for _, done in group:
            if not done.done():
                done.set_result(None)
        return len(group)

    async def _retry_later(self) -> None:
        self._again = True
        await self._pause()

    def _give_up(self) -> None:
        for entry, _ in self._waiting:
            log.error("not in the audit log, the database is away", **asdict(entry))
        self._waiting.clear()


async def _pause() -> None:
    await asyncio.sleep(PAUSE)
