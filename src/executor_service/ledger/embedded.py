"""Connections to the embedded ledger, which can be closed whatever else happens to them.

The other package has these lines, too: the two share no code.
"""

from __future__ import annotations

import asyncio
import sqlite3
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


def connect(database: str, **given: Any) -> aiosqlite.Connection:
    """A connection that is to be awaited, for `create_async_engine(connect_args={"async_creator_fn": connect})`."""
    connection = _StoppedOnce(lambda: sqlite3.connect(database, factory=_RolledBack, **given), _ROWS)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does with those that it makes itself
    return connection
