"""Deleting a row of the durable queue behind the product's back, as an operator's mistake would."""

from __future__ import annotations

from random import Random

import sqlalchemy as sa

BUSY = 30  # seconds that SQLite's other writers may take


def delete_one(url: sa.URL, rng: Random) -> str | None:
    """Delete the row of a drive that waits or runs, and return its execution; None when there is none."""
    sqlite = url.get_backend_name() == "sqlite"
    target = url.set(drivername="sqlite" if sqlite else "postgresql+psycopg")
    engine = sa.create_engine(target, connect_args={"timeout": BUSY} if sqlite else {})
    rows = sa.table(
        "workflow_status", sa.column("workflow_uuid"), sa.column("status"), schema=None if sqlite else "dbos"
    )
    try:
        with engine.begin() as connection:
            open_ = sa.select(rows.c.workflow_uuid).where(rows.c.status.in_(["ENQUEUED", "PENDING"]))
            found = sorted(connection.execute(open_).scalars())
            if not found:
                return None
            chosen = rng.choice(found)
            connection.execute(sa.delete(rows).where(rows.c.workflow_uuid == chosen))
            return str(chosen).rpartition(".")[0]
    finally:
        engine.dispose()
