"""Bringing a drive to every active execution that has none: dead, frozen, lost claim, failed body: one mechanism.

What a newer version has driven is left to replicas of that version: they look, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from workflow_service.domain.errors import StoreUnavailable
from workflow_service.domain.formats import FORMAT
from workflow_service.engine.handover import enqueue_next, waker
from workflow_service.engine.housekeeping import Chore, Housekeeping
from workflow_service.engine.lease import Lease
from workflow_service.ports import Drive, Engine
from workflow_service.store import locks
from workflow_service.store.database import Database
from workflow_service.store.tables import commands, executions, replicas

CLAIM_GRACE = timedelta(seconds=5)  # how long a claimed drive may take to raise the generation
LOOK = 200  # queued drives that one sweep asks about: a long queue must not keep the replica busy with asking
LONG_GONE = 3600.0  # seconds without a heartbeat after which a replica is struck off the list

log = structlog.get_logger(__name__)


class Reconciler:
    """Looks for orphans of dead replicas six times per lease, and at what waits every `interval` seconds."""

    def __init__(
        self, database: Database, engine: Engine, lease: Lease, *, driving: Callable[[str], bool], interval: float
    ) -> None:
        self._database, self._engine, self._lease = database, engine, lease
        self._driving = driving
        self._asked_up_to = ""  # where the next sweep goes on
        self._claimed: set[Drive] = set()  # found claimed in this round of sweeps
        self._suspects: set[Drive] = set()  # and in the round before
        self._looks = Housekeeping(
            [
                Chore("adopt", lease.ttl / 6, self.adopt),
                Chore("sweep", min(interval, CLAIM_GRACE.total_seconds()), self.sweep),
                Chore("unlock", min(interval, CLAIM_GRACE.total_seconds()), self.unlock),
                Chore("bury", interval, self.bury),
            ]
        )

    async def start(self) -> None:
        """Begin to look."""
        await self._looks.start()

    async def stop(self) -> None:
        """Look no more."""
        await self._looks.stop()

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
                .where(executions.c.ended_at.is_(None), executions.c.owner.is_not(None), executions.c.format <= FORMAT)
                .where(sa.or_(stale, executions.c.owner == self._lease.replica))
            )
            orphans = [row for row in rows if row.owner != self._lease.replica or not self._driving(row.id)]
        return await self._redrive(orphans, "its replica is gone")

    async def sweep(self) -> int:
        """Give a new drive to executions whose queued drive was lost between the queue and us.

        What is parked needs none, unless a command or its bound has brought it one. Asks about the next `LOOK` of those
        that wait; once it has asked about all, a new round begins.

        Raises:
            StoreUnavailable: the database is away.
        """
        if not self._lease.may_judge:
            return 0
        awaited = sa.exists().where(commands.c.execution_id == executions.c.id, commands.c.outcome.is_(None))
        parked_no_more = sa.or_(executions.c.wake_at.is_(None), executions.c.wake_at < datetime.now(UTC))
        woken = executions.c.enqueued_at >= executions.c.must_end_by  # by the reaper
        async with self._database.read() as connection:
            query = (
                sa.select(executions.c.id, executions.c.enqueued)
                .where(
                    executions.c.ended_at.is_(None),
                    executions.c.owner.is_(None),
                    executions.c.format <= FORMAT,
                    executions.c.enqueued_at < datetime.now(UTC) - CLAIM_GRACE,
                    sa.or_(parked_no_more, awaited, woken),
                    executions.c.id > self._asked_up_to,
                )
                .order_by(executions.c.id)
                .limit(LOOK)
            )
            rows = (await connection.execute(query)).all()
        lost = [row for row in rows if await self._is_lost(Drive(row.id, row.enqueued))]
        self._asked_up_to = rows[-1].id if len(rows) == LOOK else ""
        if not self._asked_up_to:
            self._suspects, self._claimed = self._claimed, set()
        return await self._redrive(lost, "its drive was lost")

    async def unlock(self) -> int:
        """Free targets that were left behind, and wake those whose turn it is all the same; how many were freed.

        Raises:
            StoreUnavailable: the database is away.
        """
        if not self._lease.may_judge:
            return 0
        freed = await locks.put_right(self._database, waker(self._engine, lambda: datetime.now(UTC)))
        if freed:
            log.warning("targets were left locked by executions that are over", count=freed)
        return freed

    async def bury(self) -> int:
        """Strike off replicas that have been gone for long: to `adopt` a vanished one is as dead as a stale one.

        Raises:
            StoreUnavailable: the database is away.
        """
        if not self._lease.may_judge:
            return 0
        async with self._database.write() as connection:
            gone = replicas.c.heartbeat < self._database.clock() - LONG_GONE
            return (await connection.execute(sa.delete(replicas).where(gone))).rowcount

    async def _is_lost(self, drive: Drive) -> bool:
        fate = await self._engine.fate(drive)
        if fate == "waiting" or self._driving(drive.execution_id):
            return False
        self._claimed.add(drive)
        return fate != "claimed" or drive in self._suspects  # claimed twice in a row: not merely on its way

    async def _redrive(self, rows: Sequence[sa.Row[*tuple[Any, ...]]], why: str) -> int:
        count = 0
        for row in rows:
            try:
                count += await self._enqueue(row, why)
            except StoreUnavailable:
                raise
            except Exception:
                # One execution that cannot be enqueued must not keep the others from it.
                log.exception("execution gets no new drive", execution_id=row.id, why=why)
        return count

    async def _enqueue(self, row: sa.Row[*tuple[Any, ...]], why: str) -> bool:
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
            log.info("execution gets a new drive", execution_id=row.id, generation=row.enqueued + 1, why=why)
        return enqueued
