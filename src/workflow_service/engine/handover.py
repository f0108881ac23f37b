"""Giving an execution its next drive: the raised `enqueued` and the durable queue entry, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.events import Event, Inherited
from workflow_service.domain.queueing import turn
from workflow_service.ports import Drive, Engine
from workflow_service.store.locks import Wake
from workflow_service.store.tables import executions

PLANNING, RUNNING = "planning", "executions"  # the queues of what is to be done
MANUAL = "manual"  # the same for what people ask for, with slots of its own: no storm of alerts is before it
CONTROL = "control"  # for a look at the commands given to what waits; it takes nobody's slot
LANES = frozenset({RUNNING, MANUAL})  # where a drive may do everything


def lane(events: Sequence[Event]) -> str:
    """The queue in which an execution with this journal does its work: a retry or a later rollback is by hand."""
    return MANUAL if events and isinstance(events[0], Inherited) else RUNNING


async def enqueue_next(
    connection: AsyncConnection, engine: Engine, *, execution_id: str, after: int, queue: str | None, now: datetime
) -> bool:
    """Enqueue drive `after + 1`, unless somebody did already or the execution is over. `queue` None keeps its queue.

    Until that drive has looked, it does not count as standing still. Its turn counts from the execution's creation:
    whoever is taken over or handed on has not lost its place.
    """
    update = (
        sa.update(executions)
        .where(executions.c.id == execution_id, executions.c.enqueued == after, executions.c.ended_at.is_(None))
        .values(enqueued=after + 1, enqueued_at=now, owner=None, wake_at=None, **({"queue": queue} if queue else {}))
        .returning(executions.c.queue, executions.c.priority, executions.c.created_at)
    )
    row = (await connection.execute(update)).one_or_none()
    if row is None:
        return False
    place = turn(row.priority, row.created_at)
    await engine.enqueue(connection, Drive(execution_id, after + 1), queue=row.queue, priority=place)
    return True


def waker(engine: Engine, clock: Callable[[], datetime], *, queue: str | None = None) -> Wake:
    """How those go on that nobody drives: in the lane that they came from, unless another is named."""

    async def wake(connection: AsyncConnection, execution_id: str, enqueued: int) -> bool:
        return await enqueue_next(
            connection, engine, execution_id=execution_id, after=enqueued, queue=queue, now=clock()
        )

    return wake


async def release(connection: AsyncConnection, execution_id: str) -> None:
    """The execution stands still and is nobody's: a command or its bound brings the next drive."""
    await connection.execute(sa.update(executions).where(executions.c.id == execution_id).values(owner=None))
