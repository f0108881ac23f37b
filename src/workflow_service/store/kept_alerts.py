"""Reading the alerts that were taken in, and what was decided about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workflow_service.domain.errors import NotFound
from workflow_service.domain.permissions import Sight
from workflow_service.store.database import Database
from workflow_service.store.keyset import behind
from workflow_service.store.tables import alerts, workflows

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


_JOINED = alerts.outerjoin(workflows, workflows.c.id == alerts.c.workflow_id)
HIDDEN = "(another's)"  # instead of a workflow that is out of sight


@dataclass(frozen=True, slots=True)
class Filter:
    """Which alerts a list shows; None: all."""

    workflow_id: str | None = None
    fingerprint: str | None = None
    outcome: str | None = None  # `undecided` stands for none
    sight: Sight | None = None  # None: everything is seen


async def page(
    database: Database, *, chosen: Filter, before: tuple[datetime, str] | None, limit: int
) -> Sequence[Mapping[str, Any]]:
    """Newest first, those older than `before` (received_at, id).

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(*_SHOWN, workflows.c.namespace.label("of")).select_from(_JOINED)
    if chosen.sight is not None:
        query = query.where(alerts.c.namespace.in_(chosen.sight.namespaces))
    if before is not None:
        query = query.where(behind(before, alerts.c.received_at, alerts.c.id))
    for column in ("workflow_id", "fingerprint"):
        if (value := getattr(chosen, column)) is not None:
            query = query.where(alerts.c[column] == value)
    if chosen.outcome is not None:
        undecided = chosen.outcome == "undecided"
        query = query.where(alerts.c.outcome.is_(None) if undecided else alerts.c.outcome == chosen.outcome)
    query = query.order_by(alerts.c.received_at.desc(), alerts.c.id.desc()).limit(limit)
    async with database.read() as connection:
        return [_seen(row, chosen.sight) for row in (await connection.execute(query)).mappings()]


async def in_sight(database: Database, alert_id: str, sight: Sight) -> bool:
    """Whether that alert is one of theirs.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(alerts.c.namespace).where(alerts.c.id == alert_id)
    async with database.read() as connection:
        return await connection.scalar(query) in sight.namespaces


async def explained(database: Database, alert_id: str, sight: Sight | None = None) -> Mapping[str, Any]:
    """One alert with every rule that was asked about it; what is said of workflows out of sight names none.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    columns = (*_SHOWN, alerts.c.trace.label("rules"), workflows.c.namespace.label("of"))
    query = sa.select(*columns).select_from(_JOINED).where(alerts.c.id == alert_id)
    async with database.read() as connection:
        row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no alert {alert_id}")
    return _seen({**row, "rules": row["rules"] or []}, sight)


def _seen(row: Mapping[Any, Any], sight: Sight | None) -> dict[str, Any]:
    """A row without the workflow that is out of sight, in words too."""
    found = {str(name): value for name, value in row.items() if name != "of"}
    hidden = found["workflow_id"]
    if sight is None or hidden is None or row["of"] in sight.namespaces:
        return found
    found |= {"workflow_id": None, "reason": (found["reason"] or "").replace(hidden, HIDDEN)}
    if "rules" in found:
        found["rules"] = [{**one, "saw": one["saw"].replace(hidden, HIDDEN)} for one in found["rules"]]
    return found
