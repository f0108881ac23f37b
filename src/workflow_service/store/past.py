"""Alerts that were admitted, with the first plan that was made about each, and how its workflow has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workflow_service.store.database import Database
from workflow_service.store.keyset import behind
from workflow_service.store.tables import alerts, executions, plans, workflows

PAGE = 200  # alerts read at once: no transaction outlasts a moment

_FIRST_PLAN = (
    sa.select(plans.c.document)
    .where(plans.c.workflow_id == workflows.c.id)
    .order_by(plans.c.created_at, plans.c.revision)
    .limit(1)
    .scalar_subquery()
    .label("plan")
)
_ADMITTED = (
    sa.select(
        alerts.c.id,
        alerts.c.received_at,
        alerts.c.document,
        alerts.c.ordered,
        workflows.c.id.label("workflow_id"),
        workflows.c.created_at,
        executions.c.status,
        executions.c.ended_at,
        _FIRST_PLAN,
    )
    .join(workflows, workflows.c.alert_id == alerts.c.id)
    .join(executions, executions.c.id == workflows.c.execution_id)
)


async def admitted(database: Database, *, since: datetime, most: int) -> AsyncIterator[Any]:
    """Those whose workflow was made since, the newest first, `most` of them, page by page.

    Raises:
        StoreUnavailable: the database is away.
    """
    newest = _ADMITTED.where(workflows.c.created_at >= since)
    newest = newest.order_by(workflows.c.created_at.desc(), workflows.c.id.desc())
    query = newest
    while most > 0:
        size = min(PAGE, most)
        async with database.read() as connection:
            rows = (await connection.execute(query.limit(size))).all()
        for row in rows:
            yield row
        if len(rows) < size:
            return
        most -= size
        last = (rows[-1].created_at, rows[-1].workflow_id)
        query = newest.where(behind(last, workflows.c.created_at, workflows.c.id))
