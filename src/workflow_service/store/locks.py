"""Target locks: which execution changes an object, who waits for it, and who gets it next.

Taking and giving back are statements of a group commit (`workflow_service.store.group`); what is here runs only when
somebody waits. Every target that is waited for has a row, marked `awaited`; without an execution it is a gate: nobody
has it, and newcomers wait behind those that wait already. So whoever gives a target back learns from the row that he
has to look who is next, and nobody overtakes.

Order of PostgreSQL's locks: rows of targets first, sorted, then the line itself (one advisory lock). Who has the line
waits for nobody: rows that another transaction is writing are passed over, for that one comes to the line as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.queueing import turn
from workflow_service.store.database import Database
from workflow_service.store.tables import executions, target_locks, target_waits

Wake = Callable[[AsyncConnection, str, int], Awaitable[object]]  # an execution, and the newest drive it was given
_LINE = 0x7461726765747321  # "targets!": any constant that all replicas share


@dataclass(frozen=True, slots=True)
class Grip:
    """What an entry of the journal means for the targets of its execution."""

    takes: Collection[str] = ()  # all of them, or the entry is refused
    lets_go: bool = False  # of all that it holds or waits for
    awaits: Collection[str] = ()  # its place in the line for these
    urgent: bool = False  # it is at work and holds others meanwhile: it comes before those that have not begun


NO_GRIP = Grip()


@dataclass(frozen=True, slots=True)
class Freed:
    """What somebody waits for, of all that was given back; and where somebody has left the line."""

    awaited: Collection[str]
    left: Collection[str]


async def change_hands(
    connection: AsyncConnection, freed: Freed, waiting: Mapping[str, Grip], *, sqlite: bool, wake: Wake | None
) -> None:
    """After targets were given back: `waiting` executions stand in line, and who is next gets what is free."""
    if freed.awaited:
        await keep_gates(connection, freed.awaited)
    for execution_id, grip in waiting.items():
        await stand_in_line(connection, execution_id, grip, sqlite=sqlite)
    moved = {*freed.awaited, *freed.left, *(target for grip in waiting.values() for target in grip.awaits)}
    if moved and wake is not None:
        await move_up(connection, moved, sqlite=sqlite, wake=wake)


async def stand_in_line(connection: AsyncConnection, execution_id: str, grip: Grip, *, sqlite: bool) -> None:
    """Write down that the execution waits for its turn at `grip.awaits`."""
    insert = sqlite_insert if sqlite else postgresql_insert
    gates = [{"target": target, "execution_id": None, "awaited": True} for target in sorted(grip.awaits)]
    marked = insert(target_locks).values(gates)
    marked = marked.on_conflict_do_update(index_elements=[target_locks.c.target], set_={"awaited": True})
    await connection.execute(marked)
    rows = [{"execution_id": execution_id, "target": one, "urgent": grip.urgent} for one in sorted(grip.awaits)]
    await connection.execute(insert(target_waits).on_conflict_do_nothing(), rows)


async def keep_gates(connection: AsyncConnection, targets: Collection[str]) -> None:
    """What was just given back and is waited for stays closed to newcomers."""
    gates = [{"target": target, "execution_id": None, "awaited": True} for target in sorted(targets)]
    await connection.execute(sa.insert(target_locks), gates)


async def move_up(connection: AsyncConnection, targets: Collection[str], *, sqlite: bool, wake: Wake) -> None:
    """Give what is free of `targets` to those whose turn it is, and wake them.

    Who waits for several gets all at once or none; who comes after him does not get what he waits for.
    """
    if not sqlite:
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LINE)))
    waiting = await _waiting(connection, targets)
    free = await _gates(connection, {*targets, *(target for one in waiting for target in one.targets)})
    gates = set(free)
    for one in waiting:
        if one.targets <= free:
            await _give(connection, one)
            if one.owner is None:
                await wake(connection, one.execution_id, one.enqueued)
        free -= one.targets
    unwanted = ~sa.exists().where(target_waits.c.target == target_locks.c.target)
    nobodys = target_locks.c.target.in_(gates), target_locks.c.execution_id.is_(None), unwanted
    await connection.execute(sa.delete(target_locks).where(*nobodys))


@dataclass(frozen=True, slots=True)
class _Waiter:
    execution_id: str
    owner: str | None
    enqueued: int
    targets: frozenset[str]


async def _waiting(connection: AsyncConnection, targets: Collection[str]) -> list[_Waiter]:
    """Who waits for any of these, in the order of their turns; without those whose rows are being written."""
    wanting = sa.select(target_waits.c.execution_id).where(target_waits.c.target.in_(targets))
    query = (
        sa.select(target_waits.c.target, target_waits.c.urgent, executions)
        .join(executions, executions.c.id == target_waits.c.execution_id)
        .where(target_waits.c.execution_id.in_(wanting), executions.c.ended_at.is_(None))
        .with_for_update(of=executions, skip_locked=True)
    )
    rows: dict[str, list[sa.Row[Any]]] = {}
    for row in await connection.execute(query):
        rows.setdefault(row.id, []).append(row)
    return [
        _Waiter(found[0].id, found[0].owner, found[0].enqueued, frozenset(row.target for row in found))
        for found in sorted(rows.values(), key=lambda found: _place(found[0]))
    ]


def _place(row: sa.Row[Any]) -> tuple[Any, ...]:
    return not row.urgent, turn(row.priority, row.created_at), row.created_at, row.id


async def _gates(connection: AsyncConnection, targets: Collection[str]) -> set[str]:
    query = (
        sa.select(target_locks.c.target)
        .where(target_locks.c.target.in_(targets), target_locks.c.execution_id.is_(None))
        .with_for_update(skip_locked=True)
    )
    return set((await connection.execute(query)).scalars())


async def _give(connection: AsyncConnection, one: _Waiter) -> None:
    mine = target_locks.c.target.in_(one.targets)
    await connection.execute(sa.update(target_locks).where(mine).values(execution_id=one.execution_id))
    await connection.execute(sa.delete(target_waits).where(target_waits.c.execution_id == one.execution_id))


async def holders(database: Database, targets: Collection[str]) -> Mapping[str, str]:
    """The workflows that change these now; empty where nobody does.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = (
        sa.select(target_locks.c.target, executions.c.workflow_id)
        .join(executions, executions.c.id == target_locks.c.execution_id)
        .where(target_locks.c.target.in_(targets))
    )
    async with database.read() as connection:
        found = {row.target: row.workflow_id for row in await connection.execute(query)}
    return dict.fromkeys(sorted(targets), "") | found


async def put_right(database: Database, wake: Wake) -> int:
    """Free what executions hold that are over, and look once more whose turn it is; how many targets were freed.

    An older version ends executions without giving back what it has never heard of.

    Raises:
        StoreUnavailable: the database is away.
    """
    active = sa.exists().where(executions.c.id == target_locks.c.execution_id, executions.c.ended_at.is_(None))
    left = sa.and_(target_locks.c.execution_id.is_not(None), ~active)
    # What is awaited has a row, and so does what was left behind: without rows there is nothing to put right.
    query = sa.select(target_locks.c.target).where(sa.or_(left, target_locks.c.awaited))
    async with database.read() as connection:
        targets = (await connection.execute(query)).scalars().all()
    if not targets:
        return 0
    async with database.write() as connection:
        gone = sa.delete(target_locks).where(left).returning(target_locks.c.target, target_locks.c.awaited)
        rows = (await connection.execute(gone)).all()
        await _forget_waits(connection)
        if awaited := [row.target for row in rows if row.awaited]:
            await keep_gates(connection, awaited)
        await move_up(connection, targets, sqlite=database.sqlite, wake=wake)
    return len(rows)


async def _forget_waits(connection: AsyncConnection) -> None:
    active: sa.Select[Any] = sa.select(executions.c.id).where(executions.c.ended_at.is_(None))
    await connection.execute(sa.delete(target_waits).where(target_waits.c.execution_id.not_in(active)))
