"""Bringing a drive to every active execution that has none: dead, frozen, lost claim, failed body: one mechanism."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from workflow_service.domain.errors import StoreUnavailable
from workflow_service.engine.handover import enqueue_next
from workflow_service.engine.lease import Lease
from workflow_service.ports import Drive, Engine
from workflow_service.store.database import Database
from workflow_service.store.tables import executions, replicas

CLAIM_GRACE = timedelta(seconds=10)  # how long a claimed drive may take to raise the generation

log = structlog.get_logger(__name__)


class Reconciler:
    """Looks for orphans of dead replicas every third of a lease, and at everything every `interval` seconds."""

    def __init__(
        self, database: Database, engine: Engine, lease: Lease, *, driving: Callable[[str], bool], interval: float
    ) -> None:
        self._database, self._engine, self._lease = database, engine, lease
        self._driving, self._interval = driving, interval
        self._suspects: set[Drive] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._forever(), name="reconciler")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _forever(self) -> None:
        loop = asyncio.get_running_loop()
        whole_at = loop.time()
        while True:
            try:
                await self.adopt()
                if loop.time() >= whole_at:
                    await self.sweep()
                    whole_at = loop.time() + min(self._interval, CLAIM_GRACE.total_seconds())
            except StoreUnavailable as error:
                log.warning("reconciler waits for the database", error=str(error))
            await asyncio.sleep(self._lease.ttl / 3)

    async def adopt(self) -> int:
        """Give a new drive to what stale or vanished replicas own, and to what this one owns but does not drive.

        Raises:
            StoreUnavailable: the database is away.
        """
        if not self._lease.may_judge:
            return 0
        stale = sa.or_(replicas.c.id.is_(None), replicas.c.heartbeat < self._database.clock() - self._lease.ttl)
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(executions.c.id, executions.c.enqueued, executions.c.owner)
                .outerjoin(replicas, replicas.c.id == executions.c.owner)
                .where(executions.c.ended_at.is_(None), executions.c.owner.is_not(None))
                .where(sa.or_(stale, executions.c.owner == self._lease.replica))
            )
            orphans = [row for row in rows if row.owner != self._lease.replica or not self._driving(row.id)]
        return await self._redrive(orphans, "its replica is gone")

    async def sweep(self) -> int:
        """Give a new drive to executions whose queued drive was lost between the queue and us.

        Raises:
            StoreUnavailable: the database is away.
        """
        before = datetime.now(UTC) - CLAIM_GRACE
        async with self._database.read() as connection:
            rows = (
                await connection.execute(
                    sa.select(executions.c.id, executions.c.enqueued, executions.c.owner).where(
                        executions.c.ended_at.is_(None),
                        executions.c.owner.is_(None),
                        executions.c.enqueued_at < before,
                    )
                )
            ).all()
        lost, suspects = [], set()
        for row in rows:
            drive = Drive(row.id, row.enqueued)
            fate = await self._engine.fate(drive)
            if fate == "waiting" or self._driving(row.id):
                continue
            suspects.add(drive)
            if fate != "claimed" or drive in self._suspects:  # claimed twice in a row: not merely on its way
                lost.append(row)
        self._suspects = suspects
        return await self._redrive(lost, "its drive was lost")

    async def _redrive(self, rows: Sequence[sa.Row[Any, Any, Any]], why: str) -> int:
        count = 0
        for row in rows:
            async with self._database.write() as connection:
                enqueued = await enqueue_next(
                    connection,
                    self._engine,
                    execution_id=row.id,
                    after=row.enqueued,
                    queue=None,
                    now=datetime.now(UTC),
                )
            if enqueued:
                count += 1
                log.info("execution gets a new drive", execution_id=row.id, generation=row.enqueued + 1, why=why)
        return count
