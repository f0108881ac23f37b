"""Who waits, in which place, and who has waited or been silent for longer than anybody may."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from workflow_service.domain.formats import FORMAT
from workflow_service.domain.queueing import AGEING, AWAITS_TARGET, QUEUE_BOUND
from workflow_service.ports import Drive
from workflow_service.store.database import Database
from workflow_service.store.tables import executions, replicas

TAKEOVER_BOUND = timedelta(minutes=1)  # a dead replica's executions have moved long before
TARGET_BOUND = timedelta(minutes=10)
_ACTIVE = executions.c.ended_at.is_(None)


class Stuck(StrEnum):
    """Why an execution counts as stuck. But for `target_taken` each is a fault of this service."""

    PAST_ITS_BOUND = "past_its_bound"  # `must_end_by` is over
    WAITS_TOO_LONG = "waits_too_long"  # an hour without a journal entry and without a replica, or without a plan
    TARGET_TAKEN = "target_taken"  # it has waited for longer than most runs last; `cause` says for what and for whom
    REPLICA_GONE = "replica_gone"  # its replica has been silent for a minute and nobody has taken it over


async def positions(database: Database, execution_ids: Collection[str]) -> Mapping[str, int]:
    """The places in line, 1 first, of those among the given executions that wait for a drive, each in its queue.

    The order is that in which the queue hands them out: by `domain.queueing.turn`, then by when they were enqueued.

    Raises:
        StoreUnavailable: the database is away.
    """
    place = sa.func.row_number().over(
        partition_by=executions.c.queue, order_by=(_turn(database), executions.c.enqueued_at, executions.c.id)
    )
    line = sa.select(executions.c.id, place.label("position")).where(*_waiting()).subquery()
    async with database.read() as connection:
        rows = await connection.execute(sa.select(line).where(line.c.id.in_(execution_ids)))
        return {row.id: row.position for row in rows}


async def first_in_line(database: Database, queue: str) -> Drive | None:
    """The drive whose turn it is in that queue; None when nobody waits there.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = (
        sa.select(executions.c.id, executions.c.enqueued)
        .where(*_waiting(), executions.c.queue == queue, executions.c.generation < executions.c.enqueued)
        .where(executions.c.format <= FORMAT)
        .order_by(_turn(database), executions.c.enqueued_at, executions.c.id)
        .limit(1)
    )
    async with database.read() as connection:
        row = (await connection.execute(query)).one_or_none()
    return Drive(row.id, row.enqueued) if row is not None else None


async def waiting_by_queue(database: Database) -> Mapping[str, int]:
    """How many executions wait for a drive, by queue; a queue that is empty says 0.

    Raises:
        StoreUnavailable: the database is away.
    """
    number = sa.func.count().label("number")
    query = sa.select(executions.c.queue, number).where(*_waiting()).group_by(executions.c.queue)
    async with database.read() as connection:
        found = {row.queue: row.number for row in await connection.execute(query)}
    return dict.fromkeys(("planning", "executions", "manual", "control"), 0) | found


async def oldest_without_progress(database: Database, now: datetime) -> float:
    """Seconds since the last journal entry (or the creation) of the active execution that has been silent longest.

    What is parked is left out; 0 when there is nothing else.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(sa.func.min(executions.c.updated_at)).where(_ACTIVE, _moves(now))
    async with database.read() as connection:
        silent_since = await connection.scalar(query)
    return max(0.0, (now - silent_since).total_seconds()) if silent_since else 0.0


def stuck_because(database: Database, now: datetime) -> sa.ColumnElement[str | None]:
    """For an execution's row: a word of `Stuck`, or NULL when nothing is wrong with it."""
    gone = database.clock() - TAKEOVER_BOUND.total_seconds()
    living = sa.exists().where(replicas.c.id == executions.c.owner, replicas.c.heartbeat >= gone)
    bound = sa.literal(now - QUEUE_BOUND, executions.c.created_at.type)
    unplanned = executions.c.must_end_by.is_(None) & (executions.c.created_at < bound)
    unheard = executions.c.owner.is_(None) & (executions.c.updated_at < bound)
    locked_out = executions.c.updated_at < sa.literal(now - TARGET_BOUND, executions.c.updated_at.type)
    silent = executions.c.updated_at < sa.literal(now - TAKEOVER_BOUND, executions.c.updated_at.type)
    return sa.case(
        (~_ACTIVE, sa.null()),
        (executions.c.must_end_by < sa.literal(now, executions.c.must_end_by.type), Stuck.PAST_ITS_BOUND),
        (_moves(now) & (unplanned | unheard), Stuck.WAITS_TOO_LONG),
        ((executions.c.reason == AWAITS_TARGET) & locked_out, Stuck.TARGET_TAKEN),
        (executions.c.owner.is_not(None) & silent & ~living, Stuck.REPLICA_GONE),
        else_=sa.null(),
    )


def _moves(now: datetime) -> sa.ColumnElement[bool]:
    """Not parked: nothing was to stand still beyond now."""
    return sa.or_(executions.c.wake_at.is_(None), executions.c.wake_at <= sa.literal(now, executions.c.wake_at.type))


def _waiting() -> tuple[sa.ColumnElement[bool], ...]:
    """For a drive."""
    return _ACTIVE, executions.c.owner.is_(None), _moves(datetime.now(UTC))


def _turn(database: Database) -> sa.ColumnElement[int]:
    """`domain.queueing.turn` up to a constant, in SQL."""
    if database.sqlite:
        since = sa.cast(sa.func.strftime("%s", executions.c.created_at), sa.Integer)
    else:
        since = sa.cast(sa.func.floor(sa.extract("epoch", executions.c.created_at)), sa.BigInteger)
    return since + executions.c.priority * AGEING
