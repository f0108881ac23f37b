"""What a drive needs to know before it starts: the execution, its alert, its plan and its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.errors import NotFound, TooNew
from workflow_service.domain.events import Event
from workflow_service.domain.formats import FORMAT
from workflow_service.domain.plan import Plan
from workflow_service.domain.stored_events import event_from_json
from workflow_service.domain.stored_plan import plan_from_json
from workflow_service.domain.trace import Trace, trace_of
from workflow_service.store.database import Database
from workflow_service.store.tables import alerts, executions, journal, plans, workflows

_WHOLE = (
    sa.select(
        executions,
        alerts.c.document.label("alert"),
        alerts.c.waits_for_start,
        alerts.c.traceparent,
        alerts.c.tracestate,
        alerts.c.ordered,
        workflows.c.severity,
        plans.c.document.label("plan"),
    )
    .join(workflows, workflows.c.id == executions.c.workflow_id)
    .join(alerts, alerts.c.id == workflows.c.alert_id)
    .outerjoin(plans, sa.and_(plans.c.workflow_id == executions.c.workflow_id, plans.c.hash == executions.c.plan_hash))
    .where(executions.c.id == sa.bindparam("execution_id"))
)
_EVENTS = (
    sa.select(journal.c.seq, journal.c.kind, journal.c.at, journal.c.data)
    .where(journal.c.execution_id == sa.bindparam("execution_id"))
    .order_by(journal.c.seq)
)


@dataclass(frozen=True, slots=True)
class Record:
    """One execution as it stands in the database."""

    execution_id: str
    workflow_id: str
    alert: Mapping[str, Any]
    severity: str
    queue: str
    priority: int
    created_at: datetime
    seq: int
    plan: Plan | None
    events: Sequence[Event]
    ordered: Mapping[str, Any] | None = None  # the template that is to be run, and its parameters
    waits_for_start: bool = False  # its plan is held back until somebody starts it
    trace: Trace | None = None  # the span in which its alert came


def version(execution_id: str, seq: int, unanswered: int) -> str:
    """The name of an execution as it stands after that journal entry, with so many commands that wait for an answer."""
    return f"{execution_id}.{seq}.{unanswered}"


async def load(database: Database, execution_id: str) -> Record:
    """Everything about one execution, as of one moment.

    Raises:
        NotFound: there is no such execution.
        TooNew: a newer version has driven it.
        StoreUnavailable: the database is away.
    """
    async with database.snapshot() as connection:
        return await load_from(connection, execution_id)


async def load_from(connection: AsyncConnection, execution_id: str) -> Record:
    """Everything about one execution, as `connection` sees it.

    Raises:
        NotFound: there is no such execution.
        TooNew: a newer version has driven it.
    """
    row = (await connection.execute(_WHOLE, {"execution_id": execution_id})).one_or_none()
    entries = (await connection.execute(_EVENTS, {"execution_id": execution_id})).all()
    if row is None:
        raise NotFound(f"no execution {execution_id}")
    if row.format > FORMAT:
        raise TooNew(f"execution {execution_id} was driven by a newer version (format {row.format}, here {FORMAT})")
    return replace(
        _bare(row),
        seq=entries[-1].seq if entries else 0,
        plan=plan_from_json(row.plan) if row.plan is not None else None,
        events=[event_from_json(entry.kind, entry.at, entry.data) for entry in entries],
        waits_for_start=bool(row.waits_for_start),
        trace=trace_from(row),
        ordered=row.ordered,
    )


def trace_from(row: Any) -> Trace | None:
    """The span that an alert's row names."""
    return trace_of([row.traceparent], [row.tracestate or ""]) if row.traceparent else None


async def last_generation(database: Database, execution_id: str) -> int:
    """The newest drive that has written anything into the journal; 0 when none has.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(sa.func.max(journal.c.generation)).where(journal.c.execution_id == execution_id)
    async with database.read() as connection:
        return await connection.scalar(query) or 0


async def load_bare(database: Database, execution_id: str) -> Record:
    """An execution without plan and events, for when those cannot be read.

    Raises:
        NotFound: there is no such execution.
        StoreUnavailable: the database is away.
    """
    query = (
        sa.select(executions, alerts.c.document.label("alert"), workflows.c.severity)
        .join(workflows, workflows.c.id == executions.c.workflow_id)
        .join(alerts, alerts.c.id == workflows.c.alert_id)
        .where(executions.c.id == execution_id)
    )
    async with database.read() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"no execution {execution_id}")
    return _bare(row)


def _bare(row: Any) -> Record:
    return Record(
        execution_id=row.id,
        workflow_id=row.workflow_id,
        alert=row.alert,
        severity=row.severity,
        queue=row.queue,
        priority=row.priority,
        created_at=row.created_at,
        seq=row.seq,
        plan=None,
        events=(),
    )


def plan_row(workflow_id: str, document: Mapping[str, Any], plan_hash: str, at: datetime) -> dict[str, Any]:
    """The row in which a plan's stored form is kept."""
    return {
        "workflow_id": workflow_id,
        "hash": plan_hash,
        "revision": document["revision"],
        "created_at": at,
        "document": document,
    }


async def prioritise(connection: AsyncConnection, execution_id: str, *, priority: int) -> None:
    """Another place in line from its next drive on, and for the executions that come after it."""
    await connection.execute(sa.update(executions).where(executions.c.id == execution_id).values(priority=priority))
