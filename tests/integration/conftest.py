"""Databases for integration tests: an empty SQLite file or an empty database of a real PostgreSQL, by parameter."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support import queue
from tests.support.postgres import Postgres, postgres
from workflow_service.store import migrations
from workflow_service.store.database import Database


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for all tests of this process."""
    with postgres() as running:
        yield running


@pytest.fixture
def postgresql_url(server: Postgres) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    found = server.database()
    yield found
    server.drop(found)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once of either kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'workflow-service.db'}"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For either kind the URL of a database that has served before, to be copied: made when first asked for."""
    return {}


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, models: dict[str, str]
) -> AsyncIterator[Database]:
    """A database with our schema, DBOS's, and DBOS's queue `q`; once of either kind."""
    server: Postgres | None = request.getfixturevalue("server") if request.param == "postgresql" else None
    directory = tmp_path_factory.mktemp("database")
    if request.param not in models:
        models[request.param] = server.database() if server else f"sqlite:///{directory / 'model.db'}"
        await asyncio.to_thread(asyncio.run, _serve_once(models[request.param]))
    if server:
        url = server.database(like=models["postgresql"])
    else:
        url = f"sqlite:///{directory / 'workflow-service.db'}"
        shutil.copy(str(Database(models["sqlite"]).url.database), directory / "workflow-service.db")
    found = Database(url)
    yield found
    await found.close()
    if server:
        await asyncio.to_thread(server.drop, url)


@pytest.fixture
async def postgres_database(server: Postgres) -> AsyncIterator[Database]:
    """A PostgreSQL with our schema only, for what SQLite has not: other replicas."""
    url = server.database()
    found = Database(url)
    await migrations.upgrade(found)
    yield found
    await found.close()
    await asyncio.to_thread(server.drop, url)


async def _serve_once(url: str) -> None:
    found = Database(url)
    await migrations.upgrade(found)
    async with queue.queue(found, queue.Taken().body, queues={"q": 5}):
        pass
    await found.close()
