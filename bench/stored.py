"""Workflows as intake leaves them, stored in bulk before a clock starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from workflow_service.store.database import Database
from workflow_service.store.tables import active_identities, alerts, deliveries, identities, workflows

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 500  # workflows per transaction


async def store_workflows(database: Database, ids: Sequence[str], alert: Mapping[str, Any]) -> None:
    """A workflow of each id, whose execution is to have the same one, about one alert, with an identity of its own."""
    delivery = {"id": ids[0], "received_at": NOW, "route": "/bench", "body": b"{}"}
    stored = {
        "id": ids[0],
        "delivery_id": ids[0],
        "received_at": NOW,
        "fingerprint": "bench",
        "document": alert,
        "outcome": "admitted",
    }
    async with database.write() as connection:
        await connection.execute(sa.insert(deliveries).values(delivery))
        await connection.execute(sa.insert(alerts).values(stored))
    shared = {"alert_id": ids[0], "alert_name": "bench", "severity": "critical", "created_at": NOW}
    for start in range(0, len(ids), BATCH):
        some = ids[start : start + BATCH]
        held = [{"identity": f"alert:{one}", "workflow_id": one} for one in some]
        async with database.write() as connection:
            await connection.execute(sa.insert(workflows), [{**shared, "id": one, "execution_id": one} for one in some])
            await connection.execute(sa.insert(identities), held)
            await connection.execute(sa.insert(active_identities), held)
