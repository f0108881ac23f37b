"""The durable queue in a test's process, and what it keeps as its own tables show it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa

from tests.support.rows import DEADLINE
from workflow_service.engine.on_dbos import DbosEngine, Polled
from workflow_service.ports import Drive
from workflow_service.store.database import Database


class Taken:
    """A body for drives that notes them, and holds each for as long as the test wants."""

    def __init__(self, *, hold: bool = False) -> None:
        self.drives: list[Drive] = []
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.go = asyncio.Event()
        self._came = asyncio.Condition()
        if not hold:
            self.go.set()

    async def body(self, drive: Drive, _queue: str) -> None:
        """Note it."""
        async with self._came:
            self.drives.append(drive)
            self.loops.add(asyncio.get_running_loop())
            self._came.notify_all()
        await self.go.wait()

    async def reach(self, number: int) -> list[Drive]:
        """The drives, once `number` of them have come."""
        async with asyncio.timeout(DEADLINE), self._came:
            await self._came.wait_for(lambda: len(self.drives) >= number)
        return list(self.drives)


@asynccontextmanager
async def queue(
    database: Database,
    body: Callable[[Drive, str], Awaitable[None]],
    *,
    replica: str = "replica-1",
    queues: Mapping[str, int] | None = None,
) -> AsyncIterator[DbosEngine]:
    """An engine that lives as long as the block. It serves `queues` and all that any engine has served here."""
    polled = {name: Polled(slots, every=0.02) for name, slots in (queues or {}).items()}
    engine = DbosEngine(database.url, replica=replica, queues=polled)
    await engine.start(body)
    try:
        yield engine
    finally:
        await asyncio.wait_for(engine.stop(), timeout=DEADLINE)


async def put(database: Database, engine: DbosEngine, *drives: Drive, name: str = "q", priority: int = 5) -> None:
    """Put drives into a queue, in one transaction."""
    async with database.write() as connection:
        for drive in drives:
            await engine.enqueue(connection, drive, queue=name, priority=priority)


def table(database: Database, name: str = "workflow_status") -> str:
    """One of the queue's own tables."""
    return name if database.sqlite else f"dbos.{name}"


async def kept(database: Database) -> dict[str, dict[str, Any]]:
    """The queue's rows, by id."""
    async with database.read() as connection:
        rows = await connection.execute(sa.text(f"SELECT * FROM {table(database)}"))  # noqa: S608 - ours
        return {str(row["workflow_uuid"]): dict(row) for row in rows.mappings()}


async def change(database: Database, drive: Drive, **columns: Any) -> None:
    """Make a row look as a crash or time would."""
    chosen = ", ".join(f"{name} = :{name}" for name in columns)
    async with database.write() as connection:
        statement = f"UPDATE {table(database)} SET {chosen} WHERE workflow_uuid = :id"  # noqa: S608 - ours
        await connection.execute(sa.text(statement), {**columns, "id": drive.id})
