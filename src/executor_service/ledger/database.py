"""Opening the database: one active instance, migrations, and settings that make a commit survive a crash."""

import asyncio
import fcntl
import hashlib
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from executor_service.ledger import embedded

_MIGRATIONS = Path(__file__).parent.parent / "migrations"
_ADVISORY_LOCK = int.from_bytes(hashlib.sha256(b"kubernaut executor-service ledger").digest()[:8], "big", signed=True)

_UNLOCK_PATIENCE_S = 2.0


class LedgerError(RuntimeError):
    """The ledger cannot be opened; the message is fit for an operator and names no secret."""


class LedgerBusyError(LedgerError):
    """Another instance holds the ledger: two at once could act twice."""


class Lock(Protocol):
    """The right to be the one active instance, held until `release` or until the process dies."""

    async def release(self) -> None:
        """Give the right back."""

    async def held(self) -> bool:
        """Whether the right is still ours."""


class FileLock:
    """An exclusive lock on a file beside the SQLite database; the kernel drops it with the process."""

    def __init__(self, database: Path) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        path = database.with_name(database.name + ".lock")
        self._file = path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise LedgerBusyError(f"another executor-service uses the ledger {database}") from None

    async def release(self) -> None:
        """Give the right back."""
        self._file.close()

    async def held(self) -> bool:
        """A file lock cannot be lost while the file is open."""
        return not self._file.closed


class AdvisoryLock:
    """A PostgreSQL session lock on a connection that serves nothing else."""

    def __init__(self, engine: AsyncEngine, connection: AsyncConnection) -> None:
        self._engine = engine
        self._connection = connection

    @classmethod
    async def acquire(cls, engine: AsyncEngine) -> "AdvisoryLock":
        """Take the lock. Raises LedgerBusyError when another session has it."""
        connection = await _locked(engine)
        if connection is None:
            raise LedgerBusyError(f"another executor-service uses the ledger {engine.url.render_as_string()}")
        return cls(engine, connection)

    async def release(self) -> None:
        """Give the right back and end the session.

        Unlocking comes first because PostgreSQL ends a closed session in its own time, and the next instance may
        be asking already. A session that was cut holds nothing any more.
        """
        if self._connection.closed:
            return
        with suppress(TimeoutError, sa.exc.SQLAlchemyError):
            async with asyncio.timeout(_UNLOCK_PATIENCE_S):
                await self._connection.scalar(sa.select(sa.func.pg_advisory_unlock(_ADVISORY_LOCK)))
        await self._connection.invalidate()
        await self._connection.close()

    async def held(self) -> bool:
        """Whether the right is ours. A session that was cut takes the lock again, unless another instance has it.

        While the database is away nobody can take the lock, and without the ledger no effect begins.
        """
        try:
            await self._connection.scalar(sa.select(1))
        except sa.exc.SQLAlchemyError:
            await self.release()
            return await self._take_again()
        return True

    async def _take_again(self) -> bool:
        try:
            connection = await _locked(self._engine)
        except (OSError, sa.exc.SQLAlchemyError):
            return True
        if connection is None:
            return False
        self._connection = connection
        return True


async def _locked(engine: AsyncEngine) -> AsyncConnection | None:
    """A session that holds the lock; None when another session has it."""
    connection = await engine.connect()
    connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
    if await connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_ADVISORY_LOCK))):
        return connection
    await connection.close()
    return None


async def open_database(url: str) -> tuple[AsyncEngine, Lock]:
    """An engine on the migrated schema and the lock. Raises LedgerError, or LedgerBusyError when it is taken."""
    try:
        return await _open(url)
    except (OSError, sa.exc.SQLAlchemyError) as error:
        shown = make_url(url).render_as_string(hide_password=True)
        raise LedgerError(f"cannot open the ledger {shown}: {str(error).splitlines()[0]}") from error


async def _open(url: str) -> tuple[AsyncEngine, Lock]:
    async with AsyncExitStack() as undo:
        lock: Lock
        if make_url(url).get_backend_name() == "sqlite":
            lock = FileLock(Path(make_url(url).database or "executor.sqlite"))
            undo.push_async_callback(lock.release)
            engine = create_async_engine(url, connect_args={"timeout": 30, "async_creator_fn": embedded.connect})
            undo.push_async_callback(engine.dispose)
            sa.event.listen(engine.sync_engine, "connect", _tune_sqlite)
        else:
            engine = create_async_engine(url, pool_pre_ping=True, pool_size=10)
            undo.push_async_callback(engine.dispose)
            lock = await AdvisoryLock.acquire(engine)
            undo.push_async_callback(lock.release)
        async with engine.begin() as connection:
            await connection.run_sync(_migrate)
        undo.pop_all()
    return engine, lock


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
