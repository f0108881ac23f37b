"""By what workflows about the same thing know each other, found out after they were admitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from workflow_service.store.database import Database
from workflow_service.store.tables import active_identities, alerts, identities


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is known by an identity already."""

    identity: str
    workflow_id: str


async def hold(database: Database, workflow_id: str, names: Sequence[str]) -> Holder | None:
    """Let the workflow be known by these identities too; or who runs that is known by one of them already.

    Then its alerts are attached to that one: they share what becomes of it.

    Raises:
        StoreUnavailable: the database is away.
    """
    insert = sqlite_insert if database.sqlite else postgresql_insert
    rows = [{"identity": name, "workflow_id": workflow_id} for name in sorted(names)]
    async with database.write() as connection:
        # First the insert: of two at once the second waits for the first, and then sees it.
        await connection.execute(insert(active_identities).on_conflict_do_nothing(), rows)
        query = (
            sa.select(active_identities)
            .where(active_identities.c.identity.in_(names), active_identities.c.workflow_id != workflow_id)
            .order_by(active_identities.c.identity)
            .limit(1)
        )
        found = (await connection.execute(query)).one_or_none()
        if found is None:
            await connection.execute(insert(identities).on_conflict_do_nothing(), rows)
            return None
        why = f"workflow {workflow_id} turned out to be about the same thing ({found.identity})"
        mine = sa.update(alerts).where(alerts.c.workflow_id == workflow_id)
        await connection.execute(mine.values(outcome="attached", outcome_reason=why, workflow_id=found.workflow_id))
    return Holder(found.identity, found.workflow_id)
