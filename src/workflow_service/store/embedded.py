"""Connections to the embedded database, which can be closed whatever else happens to them.

The other package has much of this, too: the two share no code.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiosqlite

_ROWS = 64  # fetched at once, as aiosqlite does by default


class _RolledBack(sqlite3.Connection):
    """A connection whose transaction ends with it.

    SQLite keeps a closed connection, with its transaction and its locks, for as long as one of its statements is
    known to somebody. After a cancelled call that is a cursor in a cycle of garbage, and nobody else could write until
    Python looks for garbage.
    """

    def close(self) -> None:
        """Roll back and close; closing again does nothing."""
        with suppress(sqlite3.Error):  # it is closed, or broken and closed now
            self.rollback()
        super().close()


class _StoppedOnce(aiosqlite.Connection):
    """A connection whose worker is told to stop once.

    SQLAlchemy stops a connection whose closing was cancelled, and the closing goes on and stops it as well. Who is
    second would wait for ever for the answer of a thread that is gone (aiosqlite 0.22, SQLAlchemy 2.1), and a service
    that waits for all its tasks would never end.
    """

    _told = False

    def stop(self) -> asyncio.Future[Any] | None:
        """Stop the worker; there is something to wait for only the first time."""
        if self._told:
            return None
        self._told = True
        return super().stop()


class _Writing(_StoppedOnce):
    """A connection whose transactions begin IMMEDIATE: once one has begun, nothing in it waits for anybody.

    Only the beginning, which waits for other writers, and the end, which waits for the disk, are left to the worker.
    What is in between costs less than to ask another thread for it, which is done three or four times a statement.
    """

    _cut_off = False  # what the worker was asked for may be under way still

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        connection = self._connection
        if connection is not None and not self._cut_off and _waits_for_nobody(connection, fn):
            return fn(*args, **kwargs)
        try:
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call] # aiosqlite's own
        except asyncio.CancelledError:
            self._cut_off = True
            raise


def _waits_for_nobody(connection: sqlite3.Connection, fn: Any) -> bool:
    if fn == connection.cursor:
        return True
    return connection.in_transaction and fn not in (connection.commit, connection.rollback, connection.close)


def connect(database: str, **given: Any) -> aiosqlite.Connection:
    """A connection that is to be awaited, for `create_async_engine(connect_args={"async_creator_fn": connect})`."""
    return _made(_StoppedOnce, database, given)


def connect_writer(database: str, **given: Any) -> aiosqlite.Connection:
    """One whose transactions begin IMMEDIATE; statements within block the event loop as long as they take."""
    return _made(_Writing, database, given)


def _made(kind: type[_StoppedOnce], database: str, given: Mapping[str, Any]) -> aiosqlite.Connection:
    connection = kind(lambda: sqlite3.connect(database, factory=_RolledBack, **given), _ROWS)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does with those that it makes itself
    return connection
