"""What the binding relies on DBOS for: each fact that its docstring names, on both databases."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.queue import Taken, change, kept, put, queue, table
from tests.support.rows import DEADLINE, eventually
from workflow_service.domain.errors import StoreUnavailable
from workflow_service.engine.on_dbos import DbosEngine
from workflow_service.ports import Drive
from workflow_service.store.database import Database

pytestmark = [pytest.mark.requirement("BR-WF-001")]


async def _until(database: Database, drive: Drive, status: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        row = (await kept(database))[drive.id]
        return row if row["status"] == status else None

    found = await eventually(look, f"{drive} is {status}")
    assert found
    return found


async def test_drives_run_on_the_loop_that_started_the_engine(database: Database) -> None:
    """The body of every drive runs on our event loop, never on one of DBOS's threads."""
    taken = Taken()
    async with queue(database, taken.body, queues={"q": 5}) as engine:
        await put(database, engine, Drive("a", 1), Drive("b", 1))
        assert set(await taken.reach(2)) == {Drive("a", 1), Drive("b", 1)}
        assert taken.loops == {asyncio.get_running_loop()}
        await _until(database, Drive("a", 1), "SUCCESS")


async def test_only_what_is_committed_is_taken(database: Database) -> None:
    """A drive whose transaction is rolled back never comes."""
    taken = Taken()
    async with queue(database, taken.body, queues={"q": 5}) as engine:
        async with database.write() as connection:
            await engine.enqueue(connection, Drive("never", 1), queue="q", priority=1)
            await connection.rollback()
        await put(database, engine, Drive("always", 1))
        await taken.reach(1)
        assert list(await kept(database)) == [Drive("always", 1).id]


async def test_a_known_drive_is_left_as_it_is(database: Database) -> None:
    """To enqueue a drive again neither doubles it nor wakes it, whether it waits or has ended."""
    taken, drive = Taken(), Drive("a", 1)
    async with queue(database, taken.body, queues={"q": 5}) as engine:
        await put(database, engine, drive, drive)
        await taken.reach(1)
        ended = await _until(database, drive, "SUCCESS")
        await put(database, engine, drive)
        await put(database, engine, Drive("b", 1))
        assert await taken.reach(2) == [drive, Drive("b", 1)]
        assert (await kept(database))[drive.id] == ended


async def test_urgent_drives_go_first_and_slots_are_kept(database: Database) -> None:
    """With one slot drives go one by one, the lowest number first, equals in the order in which they came."""
    taken = Taken(hold=True)
    async with queue(database, taken.body, queues={"q": 1}) as engine:
        await put(database, engine, Drive("first", 1))
        await taken.reach(1)
        for name, priority in (("late", 7), ("urgent", 1), ("later", 7)):
            await put(database, engine, Drive(name, 1), priority=priority)
        assert [row["status"] for row in (await kept(database)).values()].count("PENDING") == 1
        taken.go.set()
        assert [drive.execution_id for drive in await taken.reach(4)] == ["first", "urgent", "late", "later"]


async def test_a_queue_is_one_for_all(database: Database) -> None:
    """A replica serves what others have registered, and the slots of the last one that started hold for all."""
    taken = Taken(hold=True)
    async with queue(database, taken.body, queues={"q": 1}):
        pass
    async with queue(database, taken.body) as engine:
        await put(database, engine, Drive("a", 1), Drive("b", 1), Drive("c", 1))
        assert await taken.reach(1) == [Drive("a", 1)]
        async with database.read() as connection:
            slots = sa.text(f"SELECT worker_concurrency FROM {table(database, 'queues')} WHERE name = 'q'")  # noqa: S608 - ours
            assert await connection.scalar(slots) == 1


async def test_what_is_kept_is_json_of_one_application(database: Database) -> None:
    """Nothing is pickled; version and application are constant, so every replica takes every drive."""
    async with queue(database, Taken().body) as engine:
        await put(database, engine, Drive("a", 3), name="unserved")
        row = (await kept(database))["a.3"]
        async with database.read() as connection:
            inputs = sa.text(f"SELECT inputs FROM {table(database, 'workflow_input')}")  # noqa: S608 - ours
            assert '"args": ["a", 3, "unserved"]' in str(await connection.scalar(inputs))
    assert (row["serialization"], row["application_version"], row["application_name"]) == (
        "json",
        "1",
        "workflow-service",
    )


async def test_a_restart_takes_what_waited_and_recovers_nothing(database: Database) -> None:
    """A new replica gets what still waits; what another one had claimed is left to the reconciler."""
    taken = Taken()
    async with queue(database, taken.body) as engine:
        await put(database, engine, Drive("claimed", 1), Drive("waiting", 1), name="unserved")
        await change(database, Drive("claimed", 1), status="PENDING", executor_id="replica-1", queue_name="q")
        await change(database, Drive("waiting", 1), queue_name="q")
    async with queue(database, taken.body, replica="replica-2", queues={"q": 5}) as engine:
        assert await taken.reach(1) == [Drive("waiting", 1)]
        await put(database, engine, Drive("new", 1))
        assert await taken.reach(2) == [Drive("waiting", 1), Drive("new", 1)]
        assert await engine.fate(Drive("claimed", 1)) == "claimed"


async def test_the_fate_of_a_drive(database: Database) -> None:
    """From waiting to claimed to ended, and unknown for one that never was."""
    taken, drive = Taken(hold=True), Drive("a", 1)
    async with queue(database, taken.body, queues={"q": 1}) as engine:
        assert await engine.fate(drive) == "unknown"
        await put(database, engine, drive, name="unserved")
        assert await engine.fate(drive) == "waiting"
        await put(database, engine, Drive("b", 1))
        await taken.reach(1)
        assert await engine.fate(Drive("b", 1)) == "claimed"
        taken.go.set()
        await _until(database, Drive("b", 1), "SUCCESS")
        assert await engine.fate(Drive("b", 1)) == "ended"


async def test_a_drive_that_raises_has_ended(database: Database) -> None:
    """A body that fails does not come again by itself and does not stop the queue."""
    came: list[Drive] = []

    async def body(drive: Drive, _queue: str) -> None:
        came.append(drive)
        if drive.execution_id == "bad":
            raise ValueError("a bug")

    logging.getLogger("dbos").disabled = True
    try:
        async with queue(database, body, queues={"q": 1}) as engine:
            await put(database, engine, Drive("bad", 1), Drive("good", 1))
            await _until(database, Drive("good", 1), "SUCCESS")
            assert await engine.fate(Drive("bad", 1)) == "ended"
    finally:
        logging.getLogger("dbos").disabled = False
    assert [drive.execution_id for drive in came] == ["bad", "good"]


async def test_finished_and_abandoned_drives_are_forgotten(database: Database) -> None:
    """However many, with all that belongs to them; those that wait, run, or ended lately stay."""
    old = int((datetime.now(UTC) - timedelta(days=3)).timestamp() * 1000)
    async with queue(database, Taken().body) as engine:
        many = [Drive(f"old-{number}", 1) for number in range(1050)]
        await put(
            database,
            engine,
            *many,
            Drive("abandoned", 1),
            Drive("runs", 1),
            Drive("waits", 1),
            Drive("late", 1),
            name="unserved",
        )
        async with database.write() as connection:
            done = f"UPDATE {table(database)} SET status = 'SUCCESS', completed_at = :at"  # noqa: S608 - ours
            await connection.execute(sa.text(f"{done} WHERE workflow_uuid LIKE 'old-%'"), {"at": old})
        await change(database, Drive("abandoned", 1), status="PENDING", executor_id="dead", started_at_epoch_ms=old)
        await change(
            database, Drive("runs", 1), status="PENDING", executor_id="x", started_at_epoch_ms=old + 200_000_000
        )
        await change(database, Drive("late", 1), status="SUCCESS", completed_at=old + 258_000_000)
        assert await engine.forget(older_than=timedelta(hours=1)) == 1051
        assert set(await kept(database)) == {"runs.1", "waits.1", "late.1"}
        async with database.read() as connection:
            left = sa.text(f"SELECT count(*) FROM {table(database, 'workflow_input')}")  # noqa: S608 - ours
            assert await connection.scalar(left) == 3
        assert await engine.forget(older_than=timedelta(hours=1)) == 0


async def test_stopping_lets_go_of_everything(database: Database) -> None:
    """After a stop no thread of the queue is left, and the loop can still use threads; a second start works."""
    others = ("asyncio", "_connection_worker_thread")  # of the loop, and of the test's own SQLite connections

    def alive() -> set[threading.Thread]:
        return {one for one in threading.enumerate() if not any(name in one.name for name in others)}

    before = alive()
    for _ in range(2):
        taken = Taken()
        async with queue(database, taken.body, queues={"q": 2}) as engine:
            await put(database, engine, Drive(f"a-{id(taken)}", 1))
            await taken.reach(1)
        assert await asyncio.to_thread(lambda: "a thread") == "a thread"

    async def gone() -> bool:
        return not alive() - before

    await eventually(gone, "all threads have ended")


async def test_a_start_without_a_database_says_so() -> None:
    """The error is ours, at once, and the next start is not hindered by it."""
    engine = DbosEngine(sa.make_url("postgresql://127.0.0.1:1/none"), replica="r", queues={})
    logging.getLogger("dbos").disabled = True
    try:
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(engine.start(Taken().body), timeout=DEADLINE)
    finally:
        logging.getLogger("dbos").disabled = False


async def test_its_log_goes_through_ours(database: Database) -> None:
    """DBOS's records reach the root logger, which writes them as JSON with all others."""
    async with queue(database, Taken().body):
        assert logging.getLogger("dbos").propagate
        assert logging.getLogger("dbos").handlers == []
