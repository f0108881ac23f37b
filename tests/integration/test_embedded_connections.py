"""Connections to the embedded database end, also when their ends meet."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from types import ModuleType

import aiosqlite
import pytest

from executor_service.ledger import embedded as ledger
from workflow_service.store import embedded as store

both = pytest.mark.parametrize("embedded", [store, ledger], ids=["workflow-service", "executor-service"])


@both
async def test_a_closing_that_was_cut_off_ends_too(tmp_path: Path, embedded: ModuleType) -> None:
    """Whoever gives up on a closing stops the connection; the closing does not wait for a thread that is gone."""
    connection = await embedded.connect(str(tmp_path / "test.sqlite"))
    ending = asyncio.create_task(connection.close())
    await asyncio.sleep(0)  # it has asked its thread to close
    stopped = connection.stop()
    await asyncio.wait_for(ending, timeout=10)
    await asyncio.wait_for(stopped, timeout=10)  # its thread must not outlive this test's loop


@both
async def test_closing_twice_at_once_ends(tmp_path: Path, embedded: ModuleType) -> None:
    """Both closings are over, and the connection is closed."""
    connection = await embedded.connect(str(tmp_path / "test.sqlite"))
    await asyncio.wait_for(asyncio.gather(connection.close(), connection.close()), timeout=10)


@both
async def test_a_closed_connection_locks_nobody_out(tmp_path: Path, embedded: ModuleType) -> None:
    """A transaction ends with its connection, though a cursor with rows to come is known to somebody."""
    path = str(tmp_path / "test.sqlite")
    connection, other = await embedded.connect(path), await embedded.connect(path, timeout=0)
    await connection.execute("BEGIN IMMEDIATE")
    left = await connection.execute("SELECT 1 UNION SELECT 2")  # more is to be fetched
    await connection.close()
    try:
        await other.execute("BEGIN IMMEDIATE")
    finally:
        await other.close()
    del left


async def test_a_writer_waits_for_the_other_without_stopping_the_loop(tmp_path: Path) -> None:
    """While its beginning waits for another writer's end, everything else goes on: that other writer ends here."""
    path = str(tmp_path / "test.sqlite")
    writer, other = await _autocommitting(path), await _autocommitting(path)
    await other.execute("BEGIN IMMEDIATE")
    beginning = asyncio.create_task((await writer.cursor()).execute("BEGIN IMMEDIATE"))
    await asyncio.sleep(0)  # it has asked for the lock
    await other.commit()
    await asyncio.wait_for(beginning, timeout=10)
    await asyncio.gather(writer.close(), other.close())


async def test_what_a_writer_does_within_its_transaction_asks_no_other_thread(tmp_path: Path) -> None:
    """Statements run where they are awaited; the end, which waits for the disk, elsewhere."""
    writer = await _autocommitting(str(tmp_path / "test.sqlite"))
    where: list[int] = []
    await writer.create_function("noted", 0, lambda: where.append(threading.get_ident()))
    await writer.execute("SELECT noted()")
    await writer.execute("BEGIN IMMEDIATE")
    async with await writer.execute("CREATE TABLE kept (value)"), await writer.cursor() as cursor:
        await cursor.execute("SELECT noted()")
        await cursor.executemany("INSERT INTO kept VALUES (?)", [(1,), (2,)])
    await writer.commit()
    rows = await (await writer.execute("SELECT value FROM kept")).fetchall()
    await writer.close()
    assert [one == threading.get_ident() for one in where] == [False, True]
    assert list(rows) == [(1,), (2,)]


async def test_what_is_cut_off_keeps_its_connection_until_it_is_over(tmp_path: Path) -> None:
    """A commit goes on when nobody waits for it any more: only behind it are cursors and the connection closed."""
    path = str(tmp_path / "test.sqlite")
    writer = await _autocommitting(path)
    begun, go_on = threading.Event(), threading.Event()

    def traced(statement: str) -> None:
        if statement == "COMMIT":
            begun.set()
            go_on.wait(10)

    await writer.set_trace_callback(traced)
    cursor = await writer.cursor()
    await cursor.execute("CREATE TABLE kept (value)")
    await cursor.execute("BEGIN IMMEDIATE")
    await cursor.execute("INSERT INTO kept VALUES (1)")
    committing = asyncio.create_task(writer.commit())
    assert await asyncio.to_thread(begun.wait, 10)
    committing.cancel()
    await asyncio.gather(committing, return_exceptions=True)
    ends = [asyncio.create_task(cursor.close()), asyncio.create_task(writer.close())]
    await asyncio.sleep(0)  # both have been asked for
    assert not any(one.done() for one in ends)
    go_on.set()
    await asyncio.wait_for(asyncio.gather(*ends), timeout=10)
    with closing(sqlite3.connect(path)) as again:
        assert again.execute("SELECT value FROM kept").fetchall() == [(1,)]


async def test_a_statement_that_fails_within_a_transaction_says_so(tmp_path: Path) -> None:
    """The driver's own error comes to who awaits it, and the transaction can be taken back."""
    writer = await _autocommitting(str(tmp_path / "test.sqlite"))
    await writer.execute("BEGIN IMMEDIATE")
    cursor = await writer.cursor()
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await cursor.execute("SELECT 1 FROM nowhere")
    await writer.rollback()
    await writer.close()


async def _autocommitting(path: str) -> aiosqlite.Connection:
    return await store.connect_writer(path, isolation_level=None, check_same_thread=False)
