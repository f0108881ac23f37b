"""The reconciler: every active execution has a drive, and none that is driven is disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.queue import Taken, change, kept, put, queue
from tests.support.rows import an_execution, count, eventually, execution
from workflow_service.domain.controls import Command
from workflow_service.domain.states import Verb
from workflow_service.engine import reconcile
from workflow_service.engine.lease import Lease
from workflow_service.engine.on_dbos import DbosEngine
from workflow_service.engine.reconcile import Reconciler
from workflow_service.ports import Drive
from workflow_service.store import commands
from workflow_service.store.database import Database
from workflow_service.store.tables import executions, replicas

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-004")]

TTL = 1.0
LONG_AGO = timedelta(minutes=5)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[DbosEngine]:
    """An engine that serves nothing but the queue `q`."""
    async with queue(database, Taken().body) as started:
        yield started


@pytest.fixture
async def lease(database: Database) -> AsyncIterator[Lease]:
    """A lease that may judge."""
    held = Lease(database, replica="me", ttl=TTL)
    await held.start()

    async def may_judge() -> bool:
        return held.may_judge

    await eventually(may_judge, "it may judge")
    yield held
    await held.stop()


@pytest.fixture
def reconciler(database: Database, engine: DbosEngine, lease: Lease) -> Reconciler:
    """A reconciler of a replica that drives whatever is called `driven`."""
    return _reconciler(database, engine, lease)


def _reconciler(
    database: Database, engine: DbosEngine, lease: Lease, driving: Callable[[str], bool] = lambda _id: False
) -> Reconciler:
    return Reconciler(database, engine, lease, driving=driving, interval=0.2)


async def _owned(database: Database, owner: str | None, **columns: Any) -> str:
    now = datetime.now(UTC)
    more = {"generation": 1, "queue": "unserved", **columns}
    return await an_execution(database, at=now - LONG_AGO, owner=owner, **more)


async def _a_replica(database: Database, name: str, *, age: float) -> None:
    async with database.write() as connection:
        row = {"id": name, "started_at": datetime.now(UTC), "heartbeat": database.clock() - age}
        await connection.execute(sa.insert(replicas).values(row))


async def _enqueued(database: Database, *keys: str) -> list[int]:
    return [(await execution(database, key)).enqueued for key in keys]


async def test_orphans_are_adopted(database: Database, reconciler: Reconciler) -> None:
    """What a stale, a vanished or this very replica owns and nobody drives gets one new drive, once."""
    await _a_replica(database, "stale", age=2 * TTL)
    keys = [await _owned(database, owner) for owner in ("stale", "vanished", "me")]
    assert await reconciler.adopt() == 3
    assert await reconciler.adopt() == 0
    assert await _enqueued(database, *keys) == [2, 2, 2]
    assert set(await kept(database)) == {f"{key}.2" for key in keys}
    assert (await execution(database, keys[0])).owner is None


async def test_what_is_driven_is_left_alone(database: Database, engine: DbosEngine, lease: Lease) -> None:
    """Neither what a living replica owns, nor what this one drives, nor what is over."""
    await _a_replica(database, "alive", age=TTL / 2)
    keys = [await _owned(database, "alive"), await _owned(database, "me")]
    keys.append(await _owned(database, "vanished", ended_at=datetime.now(UTC), status="failed"))
    assert await _reconciler(database, engine, lease, lambda key: key == keys[1]).adopt() == 0
    assert await _enqueued(database, *keys) == [1, 1, 1]


async def test_reconcilers_of_many_replicas_give_one_drive(
    database: Database, engine: DbosEngine, lease: Lease
) -> None:
    """However many look at the same time, an orphan gets one new drive."""
    keys = [await _owned(database, "vanished") for _ in range(5)]
    adopted = await asyncio.gather(*(_reconciler(database, engine, lease).adopt() for _ in range(6)))
    assert sum(adopted) == 5
    assert await _enqueued(database, *keys) == [2] * 5


async def test_who_may_not_judge_adopts_nothing(postgres_database: Database) -> None:
    """A replica whose own heart has not beaten long enough declares nobody dead."""
    key = await _owned(postgres_database, "vanished")
    async with queue(postgres_database, Taken().body) as engine:
        reconciler = _reconciler(postgres_database, engine, Lease(postgres_database, replica="me", ttl=TTL))
        assert (await reconciler.adopt(), await reconciler.sweep(), await reconciler.bury()) == (0, 0, 0)
    assert await _enqueued(postgres_database, key) == [1]


async def test_lost_drives_are_found(database: Database, engine: DbosEngine, reconciler: Reconciler) -> None:
    """A drive that ended or vanished without a claim is replaced at once, one that was claimed at the second look."""
    ended, vanished, claimed, waits = [await _owned(database, None) for _ in range(4)]
    young = await an_execution(database, at=datetime.now(UTC))
    await put(database, engine, *(Drive(key, 1) for key in (ended, claimed, waits)), name="unserved")
    await change(database, Drive(ended, 1), status="SUCCESS")
    await change(database, Drive(claimed, 1), status="PENDING")
    assert await reconciler.sweep() == 2
    assert await _enqueued(database, ended, vanished, claimed, waits, young) == [2, 2, 1, 1, 1]
    assert await reconciler.sweep() == 1
    assert await _enqueued(database, ended, vanished, claimed, waits, young) == [2, 2, 2, 1, 1]
    assert await reconciler.sweep() == 0


async def test_a_drive_that_is_on_its_way_is_left_alone(database: Database, engine: DbosEngine, lease: Lease) -> None:
    """Claimed, and here: the body is about to raise the generation, however long that takes."""
    key = await _owned(database, None)
    await put(database, engine, Drive(key, 1), name="unserved")
    await change(database, Drive(key, 1), status="PENDING")
    reconciler = _reconciler(database, engine, lease, lambda _id: True)
    assert [await reconciler.sweep() for _ in range(3)] == [0, 0, 0]


async def test_a_long_queue_is_looked_at_in_rounds(
    database: Database, engine: DbosEngine, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sweep asks about some of those that wait; round by round all that are lost are found, and no other."""
    monkeypatch.setattr(reconcile, "LOOK", 4)
    keys = [await _owned(database, None) for _ in range(10)]
    await put(database, engine, *(Drive(key, 1) for key in keys), name="unserved")
    lost = keys[::3]
    for key in lost:
        await change(database, Drive(key, 1), status="PENDING")
    found = [await reconciler.sweep() for _ in range(12)]
    assert sum(found[:3]) == 0, "claimed is not lost at the first look"
    assert sum(found) == len(lost)
    assert await _enqueued(database, *keys) == [2 if key in lost else 1 for key in keys]


async def test_one_that_cannot_be_enqueued_does_not_hurt_the_others(
    database: Database, engine: DbosEngine, reconciler: Reconciler
) -> None:
    """An orphan whose next drive the queue refuses leaves the others their new drives."""
    keys = [await _owned(database, "vanished") for _ in range(3)]
    bad = min(keys)
    await put(database, engine, Drive(bad, 2), name="unserved")
    await change(database, Drive(bad, 2), name="another_function")
    assert await reconciler.adopt() == 2
    assert sorted(await _enqueued(database, *keys)) == [1, 2, 2]


async def test_it_looks_by_itself_and_goes_on_after_a_bug(
    database: Database, engine: DbosEngine, reconciler: Reconciler
) -> None:
    """Started, it needs nobody; whatever a look raises, the next one is taken."""

    def fail(_connection: sa.Connection) -> None:
        raise KeyError("a bug")

    reads = database._reader.sync_engine
    key = await _owned(database, "vanished")
    sa.event.listen(reads, "begin", fail)
    await reconciler.start()
    await asyncio.wait({asyncio.create_task(asyncio.sleep(TTL))})
    sa.event.remove(reads, "begin", fail)

    async def adopted() -> bool:
        return await _enqueued(database, key) == [2]

    await eventually(adopted, "the orphan is adopted")
    await asyncio.wait_for(reconciler.stop(), timeout=10)


async def test_replicas_long_gone_are_struck_off(database: Database, reconciler: Reconciler) -> None:
    """The list of replicas does not grow with every crash; what they owned is adopted all the same."""
    await _a_replica(database, "long gone", age=2 * reconcile.LONG_GONE)
    await _a_replica(database, "gone", age=2 * TTL)
    await _owned(database, "long gone")
    assert await reconciler.bury() == 1
    assert await count(database, replicas) == 2
    assert await reconciler.adopt() == 1


async def test_a_takeover_does_not_touch_the_journal(database: Database, reconciler: Reconciler) -> None:
    """Adopting changes who drives next and nothing else: generation, status and journal are the drive's to write."""
    key = await _owned(database, "vanished", seq=7, status="running")
    before = await execution(database, key)
    await reconciler.adopt()
    after = await execution(database, key)
    same = [column.name for column in executions.c if column.name not in {"owner", "enqueued", "enqueued_at"}]
    assert [before._mapping[name] for name in same] == [after._mapping[name] for name in same]


async def test_what_is_parked_needs_no_drive(database: Database, reconciler: Reconciler) -> None:
    """Unless a command waits for it, or its bound has brought it a drive that was lost."""
    now = datetime.now(UTC)
    later = {"wake_at": now + LONG_AGO}
    parked = [await _owned(database, None, status=status, **later) for status in ("paused", "awaiting_approval")]
    told = await _owned(database, None, status="paused", **later)
    late = await _owned(database, None, status="paused", **later, must_end_by=now - 2 * LONG_AGO)
    async with database.write() as connection:
        order = Command(id="c", verb=Verb.RESUME, actor="ann")
        await commands.keep(connection, order, workflow_id=told, execution_id=told, now=now)
    assert await reconciler.sweep() == 2
    assert await _enqueued(database, *parked, told, late) == [1, 1, 2, 2]
