"""The rows of reports to advisors: one for each run whose plan was answered about, made and told by one replica."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from workflow_service.store.database import Database
from workflow_service.store.tables import advice_reports, executions, plans

MOST = 200  # runs or reports that are looked at in one go
_RUN = [executions.c[name] for name in ("id", "workflow_id", "status", "reason", "rollback", "ended_at")]
_ONE = (
    advice_reports.c.execution_id == sa.bindparam("b_id"),
    advice_reports.c.tries == sa.bindparam("b_tries"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """One report that somebody is to be told."""

    execution_id: str
    document: Mapping[str, Any]
    tries: int


async def ended(database: Database, *, since: datetime) -> Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Runs that have ended since, oldest first, each with its plan; those without an advisor's answer may be left out.

    Raises:
        StoreUnavailable: the database is away.
    """
    answered = sa.cast(plans.c.document, sa.Text).like('%"ai_provider"%"confidence"%')
    query = (
        sa.select(*_RUN, plans.c.document)
        .join(plans, sa.and_(plans.c.workflow_id == executions.c.workflow_id, plans.c.hash == executions.c.plan_hash))
        .where(executions.c.ended_at > since, executions.c.kind == "run", answered)
        .order_by(executions.c.ended_at, executions.c.id)
        .limit(MOST)
    )
    async with database.read() as connection:
        rows = (await connection.execute(query)).mappings().all()
    return [(dict(row), row["document"]) for row in rows]


async def note(
    database: Database, execution_id: str, document: Mapping[str, Any], now: datetime, *, tell: bool
) -> bool:
    """Keep a report; False: it was kept before, here or by another replica.

    Raises:
        StoreUnavailable: the database is away.
    """
    insert = sqlite_insert if database.sqlite else postgresql_insert
    row = {"execution_id": execution_id, "at": now, "document": document, "tries": 0, "due_at": now if tell else None}
    async with database.write() as connection:
        return bool((await connection.execute(insert(advice_reports).values(**row).on_conflict_do_nothing())).rowcount)


async def due(database: Database, now: datetime) -> Sequence[Report]:
    """The reports whose next try is due, oldest first.

    Raises:
        StoreUnavailable: the database is away.
    """
    columns = [advice_reports.c[name] for name in Report.__dataclass_fields__]
    query = sa.select(*columns).where(advice_reports.c.due_at <= now).order_by(advice_reports.c.at).limit(MOST)
    async with database.read() as connection:
        return [Report(*row) for row in await connection.execute(query)]


async def claim(database: Database, report: Report, *, again_at: datetime | None) -> bool:
    """Whether this try is ours; unless it succeeds, the next one is due then (None: it is the last).

    Raises:
        StoreUnavailable: the database is away.
    """
    update = sa.update(advice_reports).where(*_ONE).values(tries=report.tries + 1, due_at=again_at)
    async with database.write() as connection:
        done = await connection.execute(update, {"b_id": report.execution_id, "b_tries": report.tries})
        return bool(done.rowcount)


async def settle(database: Database, report: Report, *, trouble: str | None) -> None:
    """How our try has ended; `trouble` None: it has arrived.

    Raises:
        StoreUnavailable: the database is away.
    """
    update = sa.update(advice_reports).where(*_ONE)
    update = update.values(due_at=None, trouble=None) if trouble is None else update.values(trouble=trouble)
    async with database.write() as connection:
        await connection.execute(update, {"b_id": report.execution_id, "b_tries": report.tries + 1})


async def forget(database: Database, *, before: datetime) -> None:
    """Drop what is older than that, told or not.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.write() as connection:
        await connection.execute(sa.delete(advice_reports).where(advice_reports.c.at < before))
