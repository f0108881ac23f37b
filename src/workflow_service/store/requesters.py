"""Who has asked for what a workflow does: who brought its alert or made it, started, retried or rolled it back."""

from __future__ import annotations

import sqlalchemy as sa

from workflow_service.domain.permissions import REQUESTS
from workflow_service.store.database import Database
from workflow_service.store.tables import alerts, commands, deliveries, workflows

_MADE = (
    sa.select(deliveries.c.source)
    .select_from(workflows.join(alerts, alerts.c.id == workflows.c.alert_id).join(deliveries))
    .where(workflows.c.id == sa.bindparam("workflow_id"))
)
_COMMANDED = sa.select(commands.c.actor).where(
    commands.c.workflow_id == sa.bindparam("workflow_id"), commands.c.verb.in_(sorted(REQUESTS))
)


async def requesters(database: Database, workflow_id: str) -> frozenset[str]:
    """Their names; none for a workflow that does not exist.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        found = await connection.execute(_MADE.union(_COMMANDED), {"workflow_id": workflow_id})
        return frozenset(name for name in found.scalars() if name)


async def maker(database: Database, workflow_id: str) -> str:
    """Who brought its alert or made it; empty: nobody said.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        return str(await connection.scalar(_MADE, {"workflow_id": workflow_id}) or "")
