"""Reading the alerts that were taken in, and what was decided about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workflow_service.domain.errors import NotFound
from workflow_service.store.database import Database
from workflow_service.store.queries import plain
from workflow_service.store.tables import Moment, alerts

_SHOWN = (
    alerts.c.id.label("alert_id"),
    alerts.c.delivery_id,
    alerts.c.received_at,
    alerts.c.fingerprint,
    alerts.c.outcome,
    alerts.c.outcome_reason.label("reason"),
    alerts.c.workflow_id,
    alerts.c.decided_at,
    alerts.c.reconsider_at,
    sa.func.substr(alerts.c.traceparent, 4, 32).label("trace_id"),
    alerts.c.document.label("alert"),
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which alerts a list shows; None: all."""

    workflow_id: str | None = None
    fingerprint: str | None = None
    outcome: str | None = None  # `undecided` stands for none


async def page(
    database: Database, *, chosen: Filter, before: tuple[datetime, str] | None, limit: int
) -> Sequence[Mapping[str, Any]]:
    """Newest first, those older than `before` (received_at, id).

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(*_SHOWN)
    if before is not None:
        bound = sa.literal(before[0], Moment), sa.literal(before[1])
        query = query.where(sa.tuple_(alerts.c.received_at, alerts.c.id) < sa.tuple_(*bound))
    for column in ("workflow_id", "fingerprint"):
        if (value := getattr(chosen, column)) is not None:
            query = query.where(alerts.c[column] == value)
    if chosen.outcome is not None:
        undecided = chosen.outcome == "undecided"
        query = query.where(alerts.c.outcome.is_(None) if undecided else alerts.c.outcome == chosen.outcome)
    query = query.order_by(alerts.c.received_at.desc(), alerts.c.id.desc()).limit(limit)
    async with database.read() as connection:
        return [plain(row) for row in (await connection.execute(query)).mappings()]


async def explained(database: Database, alert_id: str) -> Mapping[str, Any]:
    """One alert with every rule that was asked about it.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    query = sa.select(*_SHOWN, alerts.c.trace.label("rules")).where(alerts.c.id == alert_id)
    async with database.read() as connection:
        row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no alert {alert_id}")
    return {**plain(row), "rules": row["rules"] or []}
