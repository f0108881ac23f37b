"""Forgetting, class by class: run detail soon, the rest much later. Nothing that is not over is touched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.store import changes, declared, outbox
from workflow_service.store.database import Database
from workflow_service.store.tables import (
    alerts,
    commands,
    deliveries,
    executions,
    idempotency_keys,
    journal,
    metadata,
    workflows,
)

BATCH = 100  # rows at once: short transactions beside a running service
KEYS_KEPT = timedelta(days=1)  # for which a request that is sent again gets the answer of the first one
CHANGES_KEPT = timedelta(days=2)  # longer than guardrails look back
UNREADABLE_KEPT = 10_000  # deliveries in which no alert can be told; each is cut to 64 KB
# Every table whose rows belong to a workflow, those that refer to others of them first.
BELONGING = tuple(
    table
    for table in reversed(metadata.sorted_tables)
    if any(key.column.table is workflows for key in table.foreign_keys)
)


# What quotes the bytes goes with them; how much was quarantined stays.
_EMPTY = {"body": b"", "headers": None, "flaws": None}


@dataclass(frozen=True, slots=True)
class Keep:
    """How long what is over is remembered, by class."""

    detail: timedelta  # journals, from the final state
    deliveries: timedelta  # the bytes that came, from their arrival
    outcomes: timedelta  # workflows, plans, alerts and what became of them, from the final state
    audit: timedelta  # who told a workflow what, from the telling


async def forget(database: Database, keep: Keep, *, now: datetime) -> None:
    """Forget all that is older than its class allows.

    A workflow stays for as long as any of its classes: who commanded it is worth nothing without what it was.

    Raises:
        StoreUnavailable: the database is away.
    """
    await forget_detail(database, ended_before=now - keep.detail)
    await forget_bodies(database, received_before=now - keep.deliveries)
    await forget_commands(database, given_before=now - keep.audit)
    await forget_workflows(database, ended_before=now - max(keep.outcomes, keep.detail))
    await forget_alerts(database, received_before=now - keep.outcomes)
    await forget_deliveries(database, received_before=now - keep.deliveries)
    await forget_unreadable(database, keep=UNREADABLE_KEPT)
    await outbox.forget(database, made_before=now - keep.audit)
    await forget_keys(database, begun_before=now - KEYS_KEPT)
    await changes.forget(database, begun_before=now - CHANGES_KEPT)
    await declared.forget_overrides(database, expired_before=now - keep.audit)


async def forget_keys(database: Database, *, begun_before: datetime) -> int:
    """Delete idempotency keys that were first used before; how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    old = sa.delete(idempotency_keys).where(idempotency_keys.c.begun_at < begun_before)
    async with database.write() as connection:
        return (await connection.execute(old)).rowcount


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


async def forget_bodies(database: Database, *, received_before: datetime) -> int:
    """Empty deliveries that came before and whose alerts are decided; how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    undecided = sa.exists().where(alerts.c.delivery_id == deliveries.c.id, alerts.c.outcome.is_(None))
    old = sa.select(deliveries.c.id).where(deliveries.c.received_at < received_before, ~undecided)
    old = old.where(sa.func.length(deliveries.c.body) > 0).limit(BATCH)

    async def some(connection: AsyncConnection) -> int:
        ids = (await connection.execute(old)).scalars().all()
        await connection.execute(sa.update(deliveries).where(deliveries.c.id.in_(ids)).values(_EMPTY))
        return len(ids)

    return await _in_batches(database, some)


async def forget_commands(database: Database, *, given_before: datetime) -> int:
    """Delete answered commands that were given before; how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    old = sa.select(commands.c.id).where(commands.c.created_at < given_before, commands.c.outcome.is_not(None))
    return await _in_batches(database, lambda connection: _some(connection, commands, old.limit(BATCH)))


async def forget_workflows(database: Database, *, ended_before: datetime) -> int:
    """Delete workflows whose newest execution ended before and whose commands are forgotten; how many.

    All that belongs to them goes with them.

    Raises:
        StoreUnavailable: the database is away.
    """
    return await _in_batches(database, lambda connection: _some_workflows(connection, ended_before))


async def forget_alerts(database: Database, *, received_before: datetime) -> int:
    """Delete decided alerts that came before and from which no workflow that is left was made; how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    used = sa.exists().where(workflows.c.alert_id == alerts.c.id)
    decided = alerts.c.outcome.is_not(None) & (alerts.c.received_at < received_before)
    old = sa.select(alerts.c.id).where(decided, ~used).limit(BATCH)
    return await _in_batches(database, lambda connection: _some(connection, alerts, old))


async def forget_deliveries(database: Database, *, received_before: datetime) -> int:
    """Delete deliveries that came before and of which no alert is left; how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    empty = ~sa.exists().where(alerts.c.delivery_id == deliveries.c.id)
    old = sa.select(deliveries.c.id).where(deliveries.c.received_at < received_before, empty).limit(BATCH)
    return await _in_batches(database, lambda connection: _some(connection, deliveries, old))


async def forget_unreadable(database: Database, *, keep: int) -> int:
    """Delete all but the newest of the deliveries in which no alert can be told; how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    unreadable = sa.select(deliveries.c.id).where(deliveries.c.quarantined > 0, deliveries.c.unreadable)
    newest_first = unreadable.order_by(deliveries.c.received_at.desc(), deliveries.c.id.desc())
    old = newest_first.offset(keep).limit(BATCH)
    return await _in_batches(database, lambda connection: _some(connection, deliveries, old))


async def _some_workflows(connection: AsyncConnection, ended_before: datetime) -> int:
    old = (
        sa.select(workflows.c.id)
        .join(executions, executions.c.id == workflows.c.execution_id)
        .where(executions.c.ended_at < ended_before)
        .where(~sa.exists().where(commands.c.workflow_id == workflows.c.id))
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
