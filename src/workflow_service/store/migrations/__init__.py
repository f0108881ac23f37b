"""The schema's history (Alembic), and the one call that brings a database up to date."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from workflow_service.store.database import Database

log = structlog.get_logger(__name__)

VERSION_TABLE = "workflow_service_version"
LOCK = 0x776F726B666C6F77  # "workflow": any constant that all replicas share


async def upgrade(database: Database) -> None:
    """Bring the schema to the newest revision; replicas that start together take turns.

    A schema of a newer version is left as it is: every revision only adds what the version before can do without.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.write() as connection:
        if not database.sqlite:  # SQLite: the data directory's lock admits one process only
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        await connection.run_sync(_upgrade)


async def outdated(database: Database) -> bool:
    """Whether the schema is missing, or older than this version's.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        present = await connection.run_sync(_present)
    return present is None or (present in revisions() and present != _scripts().get_current_head())


def revisions() -> frozenset[str]:
    """Every schema that this version can bring up to date, its own included."""
    return frozenset(script.revision for script in _scripts().walk_revisions())


def _upgrade(connection: sa.Connection) -> None:
    present = _present(connection)
    if present is not None and present not in revisions():
        log.warning("a newer version has been here: its schema is used as it is", revision=present)
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _present(connection: sa.Connection) -> str | None:
    """The revision of the schema; None: there is none."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
