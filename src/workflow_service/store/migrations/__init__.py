"""The schema's history (Alembic), and the one call that brings a database up to date."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from workflow_service.store.database import Database

VERSION_TABLE = "workflow_service_version"
LOCK = 0x776F726B666C6F77  # "workflow": any constant that all replicas share


async def upgrade(database: Database) -> None:
    """Bring the schema to the newest revision; replicas that start together take turns.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.write() as connection:
        if not database.sqlite:  # SQLite: the data directory's lock admits one process only
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        await connection.run_sync(_upgrade)


def revisions() -> frozenset[str]:
    """Every schema that this version can bring up to date, its own included."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _upgrade(connection: sa.Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
