"""Schema changes: whoever starts with whomever, one schema, and it is the one that the code means."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from workflow_service.domain.errors import StoreUnavailable
from workflow_service.store import migrations, outbox
from workflow_service.store.database import Database
from workflow_service.store.tables import alarm_messages, metadata

OURS = {*metadata.tables, "workflow_service_version"}


@pytest.fixture
async def empty(url: str) -> AsyncIterator[Database]:
    """An empty database of either kind."""
    found = Database(url)
    yield found
    await found.close()


def _tables(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())


async def test_an_empty_database_gets_the_schema(empty: Database) -> None:
    """All tables are there afterwards, and a second start changes nothing."""
    await migrations.upgrade(empty)
    await migrations.upgrade(empty)
    async with empty.read() as connection:
        assert await connection.run_sync(_tables) >= OURS


async def test_whoever_knows_the_tables_knows_them_all(empty: Database) -> None:
    """Backup and restore go by what store.tables alone has brought together."""
    said = "from workflow_service.store.tables import metadata; print(*metadata.tables)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", said, stdout=asyncio.subprocess.PIPE)
    known = (await process.communicate())[0].decode().split()
    await migrations.upgrade(empty)
    async with empty.read() as connection:
        assert await connection.run_sync(_tables) == {*known, migrations.VERSION_TABLE}


async def test_models_and_migrations_agree(empty: Database) -> None:
    """What the migrations make is what tables.py says: tables, columns, types, keys, indexes."""

    def differences(connection: sa.Connection) -> list[object]:
        ours = {"include_name": lambda name, kind, _parents: kind != "table" or name in metadata.tables}
        context = MigrationContext.configure(connection, opts={"compare_type": True, **ours})
        return list(compare_metadata(context, metadata))

    await migrations.upgrade(empty)
    async with empty.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_messages_about_alarms_move_to_the_outbox(empty: Database) -> None:
    """What had not arrived when the outbox came is told from there, under the same id; nothing else moves."""
    await migrations.upgrade(empty)
    at = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
    body = {"type": "workflow-service.alarm.raised", "data": {"alarm": "dog", "raised": True}}
    row = {"name": "dog", "at": at, "document": body, "tries": 3}
    async with empty.write() as connection:
        await connection.run_sync(_downgrade, "0018")
        rows = [{**row, "number": 1, "id": "told", "due_at": None}, {**row, "number": 2, "id": "waits", "due_at": at}]
        await connection.execute(sa.insert(alarm_messages), rows)
    await migrations.upgrade(empty)
    (moved,) = await outbox.due(empty, at)
    assert (moved.id, moved.channel, moved.kind, moved.tries) == ("waits", "alarm", "alarm.raised", 3)
    assert (moved.line, moved.document) == ("alarm:dog", body["data"])


def _downgrade(connection: sa.Connection, revision: str) -> None:
    config = migrations._config()
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


async def test_replicas_that_start_together_take_turns(postgresql_url: str) -> None:
    """Eight replicas on one empty PostgreSQL: all of them start, and the schema is made once."""
    databases = [Database(postgresql_url) for _ in range(8)]
    await asyncio.gather(*map(migrations.upgrade, databases))
    async with databases[0].read() as connection:
        assert await connection.run_sync(_tables) >= OURS
        versions = await connection.execute(sa.text("SELECT version_num FROM workflow_service_version"))
        assert len(versions.all()) == 1
    for database in databases:
        await database.close()


async def test_a_database_that_is_away() -> None:
    """The start says which of its needs is missing, in our words."""
    database = Database("postgresql://127.0.0.1:1/none")
    with pytest.raises(StoreUnavailable):
        await migrations.upgrade(database)
    await database.close()
