"""Alerts that a workflow seems to have caused: noted with the alerts, kept until its owner hears, and as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.run_state import Caused
from workflow_service.store.database import Database
from workflow_service.store.tables import Moment, caused_alerts, executions, workflows

_IDS: sa.BindParameter[Sequence[str]] = sa.bindparam("ids", expanding=True)
_NAMES: sa.BindParameter[Sequence[str]] = sa.bindparam("names", expanding=True)
_NOW = sa.bindparam("now", type_=Moment)
_NEWEST = sa.select(workflows.c.execution_id).where(workflows.c.id.in_(_IDS))
_MARK = (
    sa.update(executions).where(executions.c.id.in_(_NEWEST), executions.c.ended_at.is_(None)).values(caused_at=_NOW)
)
_FIRING = sa.select(caused_alerts).where(caused_alerts.c.fingerprint.in_(_NAMES), caused_alerts.c.over_at.is_(None))
_ONE = sa.update(caused_alerts).where(
    caused_alerts.c.workflow_id == sa.bindparam("b_workflow_id"),
    caused_alerts.c.fingerprint == sa.bindparam("b_fingerprint"),
)
_OVER = _ONE.values(over_at=sa.bindparam("now", type_=Moment))
_SAME = sa.or_(caused_alerts.c.own.is_(None), caused_alerts.c.own == sa.bindparam("b_own"))
_AGAIN = _ONE.where(_SAME).values(over_at=None, starts_at=sa.bindparam("b_starts_at", type_=Moment))
_HEARD = (
    sa.update(executions)
    .where(executions.c.id == sa.bindparam("b_id"), executions.c.caused_at == sa.bindparam("seen", type_=Moment))
    .values(caused_at=None)
)
_OF = (
    sa.select(caused_alerts)
    .where(caused_alerts.c.workflow_id == sa.bindparam("workflow_id"))
    .order_by(caused_alerts.c.noted_at, caused_alerts.c.fingerprint)
)
_AGAIN_BY = ("workflow_id", "fingerprint", "own", "starts_at")


@dataclass(frozen=True, slots=True)
class Note:
    """One alert that speaks against a workflow."""

    workflow_id: str
    fingerprint: str
    own: str  # with cluster and namespace: a sender chooses its fingerprints
    alert_id: str
    name: str
    severity: str
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Over:
    """One alert that has resolved."""

    fingerprint: str
    own: str
    at: datetime | None  # its end, else its start; None: it says neither

    def ends(self, row: sa.Row[Any]) -> bool:
        """Whether it is about that row; an end before its start is that of an older episode."""
        same = row.fingerprint == self.fingerprint and row.own in (None, self.own)
        return same and (self.at is None or self.at >= row.starts_at)


async def note(connection: AsyncConnection, found: Sequence[Note], now: datetime) -> None:
    """Keep them; the owners of their workflows' executions are to hear of it."""
    insert = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    rows = [{name: getattr(one, name) for name in Note.__dataclass_fields__} for one in found]
    ids = sorted({one.workflow_id for one in found})
    rows.sort(key=lambda row: (row["workflow_id"], row["fingerprint"]))
    await connection.execute(insert(caused_alerts).on_conflict_do_nothing(), [{**row, "noted_at": now} for row in rows])
    await connection.execute(_AGAIN, [{f"b_{name}": row[name] for name in _AGAIN_BY} for row in rows])
    await connection.execute(_MARK, {"ids": ids, "now": now})


async def over(connection: AsyncConnection, resolved: Sequence[Over], now: datetime) -> bool:
    """Alerts have resolved; whether anybody is to hear of that."""
    names = sorted({one.fingerprint for one in resolved})
    firing = (await connection.execute(_FIRING, {"names": names})).all()
    found = [row for row in firing if any(one.ends(row) for one in resolved)]
    if found:
        keys = [{"b_workflow_id": row.workflow_id, "b_fingerprint": row.fingerprint, "now": now} for row in found]
        await connection.execute(_OVER, keys)
        await connection.execute(_MARK, {"ids": sorted({row.workflow_id for row in found}), "now": now})
    return bool(found)


async def heard(connection: AsyncConnection, execution_id: str, seen: datetime) -> None:
    """The owner has heard of what was there at the mark that it has seen."""
    await connection.execute(_HEARD, {"b_id": execution_id, "seen": seen})


async def of(database: Database, workflow_id: str) -> Sequence[Caused]:
    """What speaks against a workflow, as its owner hears it.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        found = (await connection.execute(_OF, {"workflow_id": workflow_id})).all()
    return [Caused(row.fingerprint, row.name, row.severity, row.starts_at, row.over_at is not None) for row in found]


async def evidence(connection: AsyncConnection, workflow_id: str) -> Sequence[Mapping[str, Any]]:
    """The same as evidence about the workflow: {kind, event, observed, at}."""
    return [
        {
            "kind": "caused_alert",
            "event": row.alert_id,
            "observed": {
                "name": row.name,
                "severity": row.severity,
                "fingerprint": row.fingerprint,
                "starts_at": row.starts_at,
                "over_at": row.over_at,
            },
            "at": row.noted_at,
        }
        for row in await connection.execute(_OF, {"workflow_id": workflow_id})
    ]
