"""Forgetting: run detail after a while, everything about a workflow much later. Nothing that is not over is touched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.store.database import Database
from workflow_service.store.tables import alerts, deliveries, executions, journal, metadata, workflows

BATCH = 500  # rows at once: short transactions beside a running service
# Every table whose rows belong to a workflow, those that refer to others of them first.
BELONGING = tuple(
    table
    for table in reversed(metadata.sorted_tables)
    if any(key.column.table is workflows for key in table.foreign_keys)
)


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

    async def some(connection: AsyncConnection) -> int:
        ids = (await connection.execute(old)).scalars().all()
        await connection.execute(sa.delete(journal).where(journal.c.execution_id.in_(ids)))
        return len(ids)

    return await _in_batches(database, some)


async def forget_workflows(database: Database, *, ended_before: datetime) -> int:
    """Delete workflows whose newest execution ended before, with all that belongs to them; how many.

    Alerts and deliveries as old as that go with them, unless a workflow that stays was made from them.

    Raises:
        StoreUnavailable: the database is away.
    """
    count = await _in_batches(database, lambda connection: _some_workflows(connection, ended_before))
    used = sa.exists().where(workflows.c.alert_id == alerts.c.id)
    decided = alerts.c.outcome.is_not(None) & (alerts.c.received_at < ended_before)
    gone = sa.select(alerts.c.id).where(decided, ~used).limit(BATCH)
    await _in_batches(database, lambda connection: _some(connection, alerts, gone))
    empty = ~sa.exists().where(alerts.c.delivery_id == deliveries.c.id)
    gone = sa.select(deliveries.c.id).where(deliveries.c.received_at < ended_before, empty).limit(BATCH)
    await _in_batches(database, lambda connection: _some(connection, deliveries, gone))
    return count


async def _some_workflows(connection: AsyncConnection, ended_before: datetime) -> int:
    old = (
        sa.select(workflows.c.id)
        .join(executions, executions.c.id == workflows.c.execution_id)
        .where(executions.c.ended_at < ended_before)
        .limit(BATCH)
    )
    ids = (await connection.execute(old)).scalars().all()
    runs = sa.select(executions.c.id).where(executions.c.workflow_id.in_(ids))
    await connection.execute(sa.delete(journal).where(journal.c.execution_id.in_(runs)))
    for table in BELONGING:
        await connection.execute(sa.delete(table).where(table.c.workflow_id.in_(ids)))
    await connection.execute(sa.delete(workflows).where(workflows.c.id.in_(ids)))
    return len(ids)


async def _some(connection: AsyncConnection, table: sa.Table, chosen: sa.Select[str]) -> int:
    ids = (await connection.execute(chosen)).scalars().all()
    await connection.execute(sa.delete(table).where(table.c.id.in_(ids)))
    return len(ids)


async def _in_batches(database: Database, some: Callable[[AsyncConnection], Awaitable[int]]) -> int:
    """All of them, in transactions that hold nobody up for long."""
    total = 0
    while True:
        async with database.write() as connection:
            count = await some(connection)
        total += count
        if count < BATCH:
            return total
