"""The end of what a workflow's alerts are about: found out with the alerts, kept until the execution's owner hears."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.store.database import Database
from workflow_service.store.tables import Moment, alerts, executions, workflows

_IDS: sa.BindParameter[Sequence[str]] = sa.bindparam("ids", expanding=True)
# Those that a storm has grouped, or that came after its end, are about other things.
_ABOUT_IT = ("admitted", "attached", "caused")
_NEWEST = sa.select(workflows.c.execution_id).where(workflows.c.id.in_(_IDS))


def ends(over: sa.FromClause, fired: Any) -> sa.ColumnElement[bool]:
    """Whether a row of `alerts` says that one that fired, or the newest of a group of them, has resolved.

    An end before that one's start is that of an older episode, and counts for nothing. Rows from before `own` was kept,
    and those that nobody has decided about, are told apart by their fingerprints only.
    """
    same = sa.or_(over.c.own.is_(None), fired.own.is_(None), over.c.own == fired.own)
    not_before = sa.or_(over.c.speaks_of.is_(None), fired.speaks_of.is_(None), over.c.speaks_of >= fired.speaks_of)
    return sa.and_(over.c.resolved.is_(True), over.c.fingerprint == fired.fingerprint, same, not_before)


_FIRED = (
    sa.select(
        alerts.c.workflow_id,
        alerts.c.fingerprint,
        alerts.c.own,
        sa.func.max(alerts.c.received_at).label("received_at"),
        sa.func.max(alerts.c.speaks_of).label("speaks_of"),
    )
    .where(alerts.c.workflow_id.in_(_IDS), alerts.c.outcome.in_(_ABOUT_IT), alerts.c.resolved.is_(None))
    .group_by(alerts.c.workflow_id, alerts.c.fingerprint, alerts.c.own)
    .subquery()
)
_over = alerts.alias("over")
_STILL_ON = sa.select(_FIRED.c.workflow_id).where(
    ~sa.exists().where(
        ends(_over, _FIRED.c),
        _over.c.workflow_id == _FIRED.c.workflow_id,
        _over.c.outcome.in_(_ABOUT_IT),
        _over.c.received_at >= _FIRED.c.received_at,
    )
)
_NOTE = (
    sa.update(executions)
    .where(executions.c.id.in_(_NEWEST), executions.c.ended_at.is_(None), executions.c.resolved_at.is_(None))
    .values(resolved_at=sa.bindparam("now", type_=Moment))
    .returning(executions.c.id, executions.c.owner, executions.c.enqueued)
)
_TAKE_BACK = (
    sa.update(executions)
    .where(executions.c.id.in_(_NEWEST), executions.c.resolved_at.is_not(None))
    .values(resolved_at=None)
)
_HEARD = sa.update(executions).where(executions.c.id == sa.bindparam("b_id")).values(resolved_at=None)


_ANYTHING = sa.or_(executions.c.resolved_at.is_not(None), executions.c.caused_at.is_not(None))


async def over(connection: AsyncConnection, workflow_ids: Collection[str]) -> set[str]:
    """Those of these workflows all of whose alerts have resolved, by the last word about each."""
    found = await connection.execute(_STILL_ON, {"ids": sorted(workflow_ids)})
    return set(workflow_ids) - set(found.scalars())


async def note(connection: AsyncConnection, workflow_ids: Collection[str], now: datetime) -> Sequence[Any]:
    """Keep it for the owners of their executions; those that it is new to: id, owner, enqueued."""
    return (await connection.execute(_NOTE, {"ids": sorted(workflow_ids), "now": now})).all()


async def take_back(connection: AsyncConnection, workflow_ids: Collection[str]) -> None:
    """It is on again; where the owner has heard already, that is a matter for the next workflow."""
    await connection.execute(_TAKE_BACK, {"ids": sorted(workflow_ids)})


async def heard(connection: AsyncConnection, execution_id: str) -> None:
    """The owner has heard of it."""
    await connection.execute(_HEARD, {"b_id": execution_id})


@dataclass(frozen=True, slots=True)
class Marks:
    """What the owner of an execution is to hear about its alerts, and since when; None: nothing."""

    workflow_id: str
    resolved_at: datetime | None
    caused_at: datetime | None


async def marks(database: Database, execution_id: str) -> Marks | None:
    """What the owner is to hear of; None: there is no such execution.

    Raises:
        StoreUnavailable: the database is away.
    """
    columns = (executions.c.workflow_id, executions.c.resolved_at, executions.c.caused_at)
    async with database.read() as connection:
        row = (await connection.execute(sa.select(*columns).where(executions.c.id == execution_id))).one_or_none()
    return Marks(*row) if row is not None else None


async def awaited(database: Database, owner: str) -> set[str]:
    """The executions of that replica of which it is to hear.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(executions.c.id).where(executions.c.owner == owner, executions.c.ended_at.is_(None), _ANYTHING)
    async with database.read() as connection:
        return set((await connection.execute(query)).scalars())
