"""Deliveries as they are read: newest first, one whole, and what is needed to decide one again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workflow_service.domain.errors import NotFound
from workflow_service.domain.permissions import Sight
from workflow_service.store.database import Database
from workflow_service.store.kept_alerts import HIDDEN
from workflow_service.store.keyset import behind
from workflow_service.store.tables import alerts, deliveries, workflows

_QUARANTINED = sa.func.coalesce(deliveries.c.quarantined, 0)
_KEPT = sa.func.length(deliveries.c.body)
_SUMMARY = (
    deliveries.c.id,
    deliveries.c.received_at,
    deliveries.c.route,
    deliveries.c.form,
    deliveries.c.source,
    deliveries.c.request_id,
    deliveries.c.origin,
    sa.func.coalesce(deliveries.c.size, _KEPT).label("size"),
    _KEPT.label("kept"),
    _QUARANTINED.label("quarantined"),
)

Summary = Mapping[str, Any]


async def summaries(
    database: Database,
    *,
    quarantined: bool | None,
    before: tuple[datetime, str] | None,
    limit: int,
    sight: Sight | None = None,
) -> Sequence[Summary]:
    """Newest first, those older than `before` (received_at, id); `quarantined`: only with something there, or nothing.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(*_SUMMARY)
    if sight is not None:
        query = query.where(_of(sight))
    if before is not None:
        query = query.where(behind(before, deliveries.c.received_at, deliveries.c.id))
    if quarantined is not None:
        query = query.where(deliveries.c.quarantined > 0 if quarantined else _QUARANTINED == 0)
    query = query.order_by(deliveries.c.received_at.desc(), deliveries.c.id.desc()).limit(limit)
    async with database.read() as connection:
        found = [dict(row) for row in (await connection.execute(query)).mappings()]
        numbers = sa.select(alerts.c.delivery_id, sa.func.count()).group_by(alerts.c.delivery_id)
        numbers = numbers.where(alerts.c.delivery_id.in_([one["id"] for one in found]))
        counts = {row[0]: row[1] for row in await connection.execute(numbers)}
    return [{**one, "alerts": counts.get(one["id"], 0)} for one in found]


async def in_sight(database: Database, delivery_id: str, sight: Sight) -> bool:
    """Whether that delivery is one of theirs.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(deliveries.c.id).where(deliveries.c.id == delivery_id, _of(sight))
    async with database.read() as connection:
        return await connection.scalar(query) is not None


def _of(sight: Sight) -> sa.ColumnElement[bool]:
    """All that is in it is about their namespaces, or it was they who sent it: its bytes are shown whole."""
    theirs = alerts.c.delivery_id == deliveries.c.id
    beyond = sa.func.coalesce(alerts.c.namespace, "").not_in(sight.namespaces)
    clean = sa.and_(_QUARANTINED == 0, sa.exists().where(theirs), ~sa.exists().where(theirs, beyond))
    return sa.or_(deliveries.c.source == sight.name, clean)


async def whole(
    database: Database, delivery_id: str, *, shown: int, sight: Sight | None = None
) -> tuple[Summary, Sequence[Summary]]:
    """A delivery with the first `shown` bytes of its body, and its alerts in the order in which they were stored.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    begins = sa.func.substr(deliveries.c.body, 1, shown, type_=sa.LargeBinary).label("begins")
    query = sa.select(*_SUMMARY, deliveries.c.flaws, begins).where(deliveries.c.id == delivery_id)
    columns = (alerts.c.id, alerts.c.fingerprint, alerts.c.outcome, alerts.c.outcome_reason, alerts.c.workflow_id)
    joined = alerts.outerjoin(workflows, workflows.c.id == alerts.c.workflow_id)
    theirs = sa.select(*columns, alerts.c.decided_at, workflows.c.namespace.label("of")).select_from(joined)
    theirs = theirs.where(alerts.c.delivery_id == delivery_id)
    async with database.snapshot() as connection:
        row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"no delivery {delivery_id}")
        found = [_outcome(one, sight) for one in (await connection.execute(theirs)).mappings()]
    return {**row, "alerts": len(found)}, found


def _outcome(row: Mapping[Any, Any], sight: Sight | None) -> Summary:
    """What became of one alert, without the workflow that is out of sight."""
    found = {str(name): value for name, value in row.items()}
    hidden = found["workflow_id"]
    if sight is None or hidden is None or found["of"] in sight.namespaces:
        return found
    return {**found, "workflow_id": None, "outcome_reason": (found["outcome_reason"] or "").replace(hidden, HIDDEN)}


async def to_repeat(database: Database, delivery_id: str) -> Summary:
    """What is needed to decide a delivery again; `waits`: its workflows were to wait for a start.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    waits = sa.exists().where(alerts.c.delivery_id == deliveries.c.id, alerts.c.waits_for_start).label("waits")
    query = sa.select(deliveries, waits).where(deliveries.c.id == delivery_id)
    async with database.read() as connection:
        row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no delivery {delivery_id}")
    return dict(row)
