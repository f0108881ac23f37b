"""Giving an execution its next drive: the raised `enqueued` and the durable queue entry, in one transaction."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.ports import Drive, Engine
from workflow_service.store.tables import executions

PLANNING, RUNNING = "planning", "executions"  # the queues of what is to be done
CONTROL = "control"  # for a look at the commands given to what waits; it takes nobody's slot


async def enqueue_next(
    connection: AsyncConnection, engine: Engine, *, execution_id: str, after: int, queue: str | None, now: datetime
) -> bool:
    """Enqueue drive `after + 1`, unless somebody did already or the execution is over. `queue` None keeps its queue."""
    update = (
        sa.update(executions)
        .where(executions.c.id == execution_id, executions.c.enqueued == after, executions.c.ended_at.is_(None))
        .values(enqueued=after + 1, enqueued_at=now, owner=None, **({"queue": queue} if queue else {}))
        .returning(executions.c.queue, executions.c.priority)
    )
    row = (await connection.execute(update)).one_or_none()
    if row is None:
        return False
    await engine.enqueue(connection, Drive(execution_id, after + 1), queue=row.queue, priority=row.priority)
    return True


async def release(connection: AsyncConnection, execution_id: str) -> None:
    """The execution stands still and is nobody's: a command or its bound brings the next drive."""
    await connection.execute(sa.update(executions).where(executions.c.id == execution_id).values(owner=None))
