"""The history of rollbacks: every execution that undid something, or tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.states import ExecutionStatus, RollbackStatus, UndoStatus
from workflow_service.store.database import Database
from workflow_service.store.keyset import behind
from workflow_service.store.tables import executions, workflows


@dataclass(frozen=True, slots=True)
class Span:
    """Which rollbacks: of a namespace (None: all), whose execution was created in [since, until)."""

    namespace: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    within: frozenset[str] | None = None  # namespaces beyond which nothing is seen


@dataclass(frozen=True, slots=True)
class Undos:
    """How a rollback went that is over: back to which step (None: all the way), and how many steps ended how."""

    back_to: str | None
    steps: Mapping[UndoStatus, int]


async def keep(connection: AsyncConnection, execution_id: str, undos: Undos) -> None:
    """Keep it for as long as the execution is known, which is longer than its journal."""
    document = {"back_to": undos.back_to, "steps": {status.value: number for status, number in undos.steps.items()}}
    await connection.execute(sa.update(executions).where(executions.c.id == execution_id).values(undos=document))


async def rollbacks(
    database: Database, span: Span, *, before: tuple[datetime, str] | None, limit: int
) -> tuple[Sequence[dict[str, Any]], int, int]:
    """The newest `limit` of them that are older than `before` (created_at, id).

    Then how many are over in all, and how many of those undid everything they could.

    Raises:
        StoreUnavailable: the database is away.
    """
    rolled = sa.or_(
        executions.c.rollback != RollbackStatus.NONE,
        executions.c.kind == "rollback",
        executions.c.status == ExecutionStatus.ROLLING_BACK,
    )
    joined = executions.join(workflows, workflows.c.id == executions.c.workflow_id)
    chosen = [rolled, *_within(span)]
    rows = (
        sa.select(
            executions.c.id.label("rollback_id"),
            executions.c.workflow_id,
            executions.c.kind,
            executions.c.status,
            executions.c.rollback,
            executions.c.reason,
            executions.c.cause,
            executions.c.undos,
            executions.c.created_at,
            executions.c.ended_at,
            workflows.c.namespace,
            workflows.c.alert_name,
        )
        .select_from(joined)
        .where(*chosen)
        .order_by(executions.c.created_at.desc(), executions.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        rows = rows.where(behind(before, executions.c.created_at, executions.c.id))
    done = sa.func.count().filter(executions.c.rollback == RollbackStatus.DONE)
    ended = sa.func.count().filter(executions.c.ended_at.is_not(None))
    counts = sa.select(ended.label("ended"), done.label("done")).select_from(joined).where(*chosen)
    async with database.read() as connection:
        found = [{str(k): v for k, v in row.items()} for row in (await connection.execute(rows)).mappings()]
        total = (await connection.execute(counts)).one()
    return found, total.ended, total.done


def _within(span: Span) -> Sequence[sa.ColumnElement[bool]]:
    bounds: list[sa.ColumnElement[bool]] = []
    if span.namespace is not None:
        bounds.append(workflows.c.namespace == span.namespace)
    if span.within is not None:
        bounds.append(workflows.c.namespace.in_(span.within))
    if span.since is not None:
        bounds.append(executions.c.created_at >= span.since)
    if span.until is not None:
        bounds.append(executions.c.created_at < span.until)
    return bounds
