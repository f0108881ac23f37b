"""The rows by which people command workflows: given, waiting for their execution's owner, answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.controls import Command
from workflow_service.domain.states import Verb
from workflow_service.store.database import Database
from workflow_service.store.tables import Moment, commands, executions

APPLIED, REFUSED = "applied", "refused"
TOO_LATE = "the execution ended first"
_CLOSE = (
    sa.update(commands)
    .where(commands.c.execution_id.in_(sa.bindparam("ids", expanding=True)), commands.c.outcome.is_(None))
    .values(outcome=REFUSED, why=TOO_LATE, answered_at=sa.bindparam("now", type_=Moment))
)


async def keep(
    connection: AsyncConnection, command: Command, *, workflow_id: str, execution_id: str, now: datetime
) -> None:
    """Write a command down for whoever owns the execution."""
    await connection.execute(
        sa.insert(commands).values(
            id=command.id,
            workflow_id=workflow_id,
            execution_id=execution_id,
            verb=command.verb,
            actor=command.actor,
            reason=command.reason,
            arguments=command.arguments,
            created_at=now,
        )
    )


def count_of(execution_id: str) -> sa.ScalarSelect[int]:
    """How many commands wait for this execution's owner."""
    waiting = sa.and_(commands.c.execution_id == execution_id, commands.c.outcome.is_(None))
    return sa.select(sa.func.count()).where(waiting).scalar_subquery()


async def answer(connection: AsyncConnection, command_id: str, *, refused_because: str | None, now: datetime) -> None:
    """Note what became of a command."""
    outcome = APPLIED if refused_because is None else REFUSED
    await connection.execute(
        sa.update(commands)
        .where(commands.c.id == command_id, commands.c.outcome.is_(None))
        .values(outcome=outcome, why=refused_because, answered_at=now)
    )


async def close(connection: AsyncConnection, execution_ids: Sequence[str], *, now: datetime) -> None:
    """Refuse what nobody has answered: these executions are over."""
    await connection.execute(_CLOSE, {"ids": execution_ids, "now": now})


async def unanswered(database: Database, execution_id: str) -> Sequence[Command]:
    """The commands that wait for this execution's owner, oldest first.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = (
        sa.select(commands)
        .where(commands.c.execution_id == execution_id, commands.c.outcome.is_(None))
        .order_by(commands.c.created_at, commands.c.id)
    )
    async with database.read() as connection:
        return [_command(row) for row in await connection.execute(query)]


async def awaited(database: Database, owner: str) -> set[str]:
    """The executions of that replica for which a command waits.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = (
        sa.select(commands.c.execution_id)
        .join(executions, executions.c.id == commands.c.execution_id)
        .where(commands.c.outcome.is_(None), executions.c.owner == owner)
    )
    async with database.read() as connection:
        return set((await connection.execute(query)).scalars())


async def outcome(database: Database, command_id: str) -> tuple[str, str | None] | None:
    """What became of a command, and why; None while nobody has answered it.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(commands.c.outcome, commands.c.why).where(commands.c.id == command_id)
    async with database.read() as connection:
        row = (await connection.execute(query)).one()
    return (row.outcome, row.why) if row.outcome is not None else None


async def outcome_if_any(database: Database, command_id: str) -> str | None:
    """What became of a command, in one word; `waiting` while nobody has answered it, None: it was never given.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(sa.func.coalesce(commands.c.outcome, "waiting")).where(commands.c.id == command_id)
    async with database.read() as connection:
        found: str | None = await connection.scalar(query)
    return found


async def history(database: Database, workflow_id: str) -> Sequence[dict[str, Any]]:
    """Who told this workflow what, and what became of it, oldest first.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(commands).where(commands.c.workflow_id == workflow_id).order_by(commands.c.created_at)
    async with database.read() as connection:
        return [
            {str(name): value for name, value in row.items()} for row in (await connection.execute(query)).mappings()
        ]


def _command(row: Any) -> Command:
    return Command(id=row.id, verb=Verb(row.verb), actor=row.actor, reason=row.reason, arguments=row.arguments)
