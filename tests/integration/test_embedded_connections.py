"""Connections to the embedded database end, also when their ends meet."""

import asyncio
from pathlib import Path
from types import ModuleType

import pytest

from executor_service.ledger import embedded as ledger
from workflow_service.store import embedded as store

pytestmark = pytest.mark.parametrize("embedded", [store, ledger], ids=["workflow-service", "executor-service"])


async def test_a_closing_that_was_cut_off_ends_too(tmp_path: Path, embedded: ModuleType) -> None:
    """Whoever gives up on a closing stops the connection; the closing does not wait for a thread that is gone."""
    connection = await embedded.connect(str(tmp_path / "test.sqlite"))
    closing = asyncio.create_task(connection.close())
    await asyncio.sleep(0)  # it has asked its thread to close
    stopped = connection.stop()
    await asyncio.wait_for(closing, timeout=10)
    await asyncio.wait_for(stopped, timeout=10)  # its thread must not outlive this test's loop


async def test_closing_twice_at_once_ends(tmp_path: Path, embedded: ModuleType) -> None:
    """Both closings are over, and the connection is closed."""
    connection = await embedded.connect(str(tmp_path / "test.sqlite"))
    await asyncio.wait_for(asyncio.gather(connection.close(), connection.close()), timeout=10)


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
