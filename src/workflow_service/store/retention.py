"""Forgetting: run detail after a while, everything about a workflow much later. Nothing that is not over is touched."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from workflow_service.store.database import Database
from workflow_service.store.tables import alerts, deliveries, executions, identities, journal, plans, workflows

BATCH = 500  # executions at once: short transactions beside a running service


async def forget_detail(database: Database, *, ended_before: datetime) -> int:
    """Delete journals of executions that ended before; how many executions lost theirs.

    Raises:
        StoreUnavailable: the database is away.
    """
    old = (
        sa.select(executions.c.id)
        .where(executions.c.ended_at < ended_before)
        .where(sa.exists().where(journal.c.execution_id == executions.c.id))
        .limit(BATCH)
    )
    async with database.write() as connection:
        ids = (await connection.execute(old)).scalars().all()
        await connection.execute(sa.delete(journal).where(journal.c.execution_id.in_(ids)))
    return len(ids)


async def forget_workflows(database: Database, *, ended_before: datetime) -> int:
    """Delete workflows whose newest execution ended before, with all that belongs to them; how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    old = (
        sa.select(workflows.c.id, workflows.c.alert_id)
        .join(executions, executions.c.id == workflows.c.execution_id)
        .where(executions.c.ended_at < ended_before)
        .limit(BATCH)
    )
    async with database.write() as connection:
        rows = (await connection.execute(old)).all()
        ids = [row.id for row in rows]
        runs = sa.select(executions.c.id).where(executions.c.workflow_id.in_(ids))
        await connection.execute(sa.delete(journal).where(journal.c.execution_id.in_(runs)))
        for table in (plans, executions, identities):
            await connection.execute(sa.delete(table).where(table.c.workflow_id.in_(ids)))
        await connection.execute(sa.delete(workflows).where(workflows.c.id.in_(ids)))
        gone = alerts.c.outcome.is_not(None) & (alerts.c.received_at < ended_before)
        used = sa.exists().where(workflows.c.alert_id == alerts.c.id)
        await connection.execute(sa.delete(alerts).where(gone, ~used))
        empty = ~sa.exists().where(alerts.c.delivery_id == deliveries.c.id)
        await connection.execute(sa.delete(deliveries).where(deliveries.c.received_at < ended_before, empty))
    return len(ids)
