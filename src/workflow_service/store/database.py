"""Reaching the database: a pool for PostgreSQL, readers and one writer for SQLite, the same two verbs for both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from workflow_service.domain.errors import StoreUnavailable
from workflow_service.store import embedded

SQLITE_BUSY = 30_000  # ms that a writer waits for the other one (DBOS writes into the same file)
# A peer that froze inside a transaction keeps its row locks for 5 s, no longer; a network that swallows packets is
# noticed within 10 s instead of TCP's quarter of an hour.
POSTGRESQL_SESSION: Mapping[str, Any] = {
    "options": "-c idle_in_transaction_session_timeout=5000",
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


class Database:
    """The database of one replica.

    SQLite takes one writer at a time, so its writes go through one connection that begins IMMEDIATE; its readers see
    the last commit (WAL). `synchronous=FULL`: an acknowledged commit survives a power cut, there as on PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        if self.sqlite:
            Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True)
            target = self.url.set(drivername="sqlite+aiosqlite")
            self._writer = _sqlite(target, embedded.connect_writer, size=1, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite(target, embedded.connect, size=4, begin="BEGIN")
        else:
            target = self.url.set(drivername="postgresql+psycopg")
            self._writer = self._reader = create_async_engine(
                target, pool_size=8, max_overflow=4, pool_timeout=10, connect_args=dict(POSTGRESQL_SESSION)
            )

    @property
    def pool(self) -> AsyncEngine:
        """Where connections to write with come from."""
        return self._writer

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that is committed on the way out.

        Raises:
            StoreUnavailable: the database is away, or stays locked.
        """
        with translated():
            async with self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with.

        Raises:
            StoreUnavailable: the database is away.
        """
        with translated():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose reads all see one and the same moment.

        Raises:
            StoreUnavailable: the database is away.
        """
        async with self.read() as connection:
            if not self.sqlite:  # where a transaction sees one moment anyway
                await connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    async def ping(self) -> bool:
        """Whether a read succeeds right now; never raises."""
        try:
            async with self.read() as connection:
                await connection.execute(sa.text("SELECT 1"))
        except StoreUnavailable:
            return False
        return True

    def clock(self) -> sa.ColumnElement[float]:
        """The database's own clock in epoch seconds: the one clock that all replicas share."""
        if self.sqlite:
            return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double)
        return sa.literal_column("extract(epoch from clock_timestamp())::double precision", sa.Double)

    async def close(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        await self._reader.dispose()


class translated:  # noqa: N801 - reads as a word at the call site
    """Turn the driver's ways of saying that the database is away into ours."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PoolTimeout | OperationalError | InterfaceError) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        ):
            raise StoreUnavailable(f"the database did not answer: {type(error).__name__}") from error


def _sqlite(url: sa.URL, connect: Callable[..., Any], *, size: int, begin: str) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=size, max_overflow=0, connect_args={"async_creator_fn": connect})

    @sa.event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin by itself
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={SQLITE_BUSY}", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
