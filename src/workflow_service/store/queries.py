"""What the API reads: lists by keyset, one workflow whole, counts for gauges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.errors import NotFound
from workflow_service.store import caused, commands
from workflow_service.store.database import Database
from workflow_service.store.executions import Record, load_from
from workflow_service.store.keyset import behind
from workflow_service.store.tables import Moment, catalogues, caused_alerts, executions, journal, workflows
from workflow_service.store.waiting import stuck_because

_SUMMARY = (
    workflows.c.id.label("workflow_id"),
    workflows.c.execution_id,
    workflows.c.alert_id,
    workflows.c.alert_name,
    workflows.c.severity,
    workflows.c.namespace,
    workflows.c.target,
    workflows.c.created_at,
    executions.c.seq,
    executions.c.status,
    executions.c.reason,
    executions.c.cause,
    executions.c.rollback,
    executions.c.queue,
    executions.c.priority,
    executions.c.actions_total,
    executions.c.actions_ended,
    executions.c.current_action,
    executions.c.updated_at,
    executions.c.started_at,
    executions.c.must_end_by,
    executions.c.ended_at,
)
_JOINED = workflows.join(executions, executions.c.id == workflows.c.execution_id)

_NEWEST = (
    sa.select(executions.c.id, executions.c.ended_at)
    .select_from(_JOINED)
    .where(workflows.c.id == sa.bindparam("workflow_id"))
)

Summary = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which workflows a list shows; None: all."""

    status: str | None = None
    severity: str | None = None
    namespace: str | None = None
    alert_name: str | None = None
    stuck: bool | None = None
    within: frozenset[str] | None = None  # namespaces beyond which nothing is seen


async def summaries(
    database: Database, *, chosen: Filter, before: tuple[datetime, str] | None, limit: int
) -> Sequence[Summary]:
    """Newest first, those older than `before` (created_at, id).

    Raises:
        StoreUnavailable: the database is away.
    """
    query = _summaries(database)
    if before is not None:
        query = query.where(behind(before, workflows.c.created_at, workflows.c.id))
    if chosen.status is not None:
        query = query.where(executions.c.status == chosen.status)
    for column in ("severity", "namespace", "alert_name"):
        if (value := getattr(chosen, column)) is not None:
            query = query.where(workflows.c[column] == value)
    if chosen.within is not None:
        query = query.where(workflows.c.namespace.in_(chosen.within))
    newest_first: sa.ColumnElement[Any] = workflows.c.created_at
    if chosen.stuck is not None:
        stuck = stuck_because(database, datetime.now(UTC))
        query = query.where(stuck.is_not(None) if chosen.stuck else stuck.is_(None))
    if chosen.stuck:
        # From the few that are active to their workflows: along the index of all workflows a month would be read.
        query = query.where(executions.c.ended_at.is_(None), executions.c.workflow_id == workflows.c.id)
        newest_first = sa.func.coalesce(workflows.c.created_at, None)
    query = query.order_by(newest_first.desc(), workflows.c.id.desc()).limit(limit)
    async with database.read() as connection:
        return [plain(row) for row in (await connection.execute(query)).mappings()]


async def summary(database: Database, workflow_id: str) -> Summary:
    """One workflow with where its newest execution stands.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        return await _summary(database, connection, workflow_id)


async def namespace_of(database: Database, workflow_id: str) -> str | None:
    """The namespace that a workflow is about; None: none.

    Raises:
        NotFound: there is no such workflow.
        StoreUnavailable: the database is away.
    """
    query = sa.select(workflows.c.namespace).where(workflows.c.id == workflow_id)
    async with database.read() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"no workflow {workflow_id}")
    found: str | None = row.namespace
    return found


async def newest_execution(database: Database, workflow_id: str) -> tuple[str, bool]:
    """A workflow's newest execution, and whether it is over: the cheapest look there is, for those who wait.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        row = (await connection.execute(_NEWEST, {"workflow_id": workflow_id})).one_or_none()
    if row is None:
        raise NotFound(f"no workflow {workflow_id}")
    return row.id, row.ended_at is not None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a workflow's detail shows besides the row of its execution, as far as it tells that something is new."""

    unanswered: int  # commands
    remembered: bool  # whether anything of its journal is there
    evidence: int  # alerts that speak against it
    evidence_at: datetime | None  # when that was last new


async def surroundings(database: Database, execution_id: str) -> Surroundings:
    """What is around an execution.

    Raises:
        StoreUnavailable: the database is away.
    """
    there = sa.exists().where(journal.c.execution_id == execution_id)
    whose = sa.select(executions.c.workflow_id).where(executions.c.id == execution_id).scalar_subquery()
    against = caused_alerts.c.workflow_id == whose
    query = sa.select(
        commands.count_of(execution_id).label("unanswered"),
        there.label("remembered"),
        sa.select(sa.func.count()).select_from(caused_alerts).where(against).scalar_subquery().label("evidence"),
        sa.select(sa.func.max(sa.func.coalesce(caused_alerts.c.over_at, caused_alerts.c.noted_at), type_=Moment))
        .where(against)
        .scalar_subquery()
        .label("evidence_at"),
    )
    async with database.read() as connection:
        row = (await connection.execute(query)).one()
    return Surroundings(row.unanswered, bool(row.remembered), row.evidence, row.evidence_at)


async def whole(database: Database, workflow_id: str) -> tuple[Summary, Record]:
    """One workflow with its plan, its journal and what speaks against it (`evidence`), as of one moment.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    async with database.snapshot() as connection:
        found = await _summary(database, connection, workflow_id)
        found = {**found, "evidence": await caused.evidence(connection, workflow_id)}
        return found, await load_from(connection, found["execution_id"])


async def active_by_status(database: Database) -> Mapping[str, int]:
    """How many executions are not over, by status.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = (
        sa.select(executions.c.status, sa.func.count().label("number"))
        .where(executions.c.ended_at.is_(None))
        .group_by(executions.c.status)
    )
    async with database.read() as connection:
        return {row.status: row.number for row in await connection.execute(query)}


async def kept_catalogue(database: Database, cluster: str) -> Mapping[str, Any] | None:
    """The last catalogue that the executor of that cluster gave, or None.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        query = sa.select(catalogues.c.document).where(catalogues.c.cluster == cluster)
        found: Mapping[str, Any] | None = await connection.scalar(query)
    return found


async def keep_catalogue(
    database: Database, *, cluster: str, digest: str, document: Mapping[str, Any], now: datetime
) -> None:
    """Keep the catalogue for the time when the executor is away.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.write() as connection:
        insert = sqlite_insert if database.sqlite else postgresql_insert
        row = {"digest": digest, "stored_at": now, "document": document}
        statement = insert(catalogues).values(cluster=cluster, **row)
        await connection.execute(statement.on_conflict_do_update(index_elements=[catalogues.c.cluster], set_=row))


def _summaries(database: Database) -> sa.Select[Any]:
    stuck = stuck_because(database, datetime.now(UTC)).label("stuck_because")
    return sa.select(*_SUMMARY, stuck).select_from(_JOINED)


async def _summary(database: Database, connection: AsyncConnection, workflow_id: str) -> Summary:
    row = (await connection.execute(_summaries(database).where(workflows.c.id == workflow_id))).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no workflow {workflow_id}")
    return plain(row)


def plain(row: sa.RowMapping) -> dict[str, Any]:
    """A row for JSON."""
    return {str(name): value for name, value in row.items()}  # SQLAlchemy's names are not plain strings for JSON
