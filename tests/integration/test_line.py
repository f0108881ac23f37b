"""Standing in line: the queue's order, the places that the API shows, ageing, and the lane for work by hand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.queue import Taken, queue
from tests.support.replica import HIGH_CPU, act, replica, rules_of
from tests.support.replica import eventually as soon
from tests.support.rows import an_execution
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.queueing import AGEING
from workflow_service.engine.handover import enqueue_next
from workflow_service.engine.on_dbos import DbosEngine
from workflow_service.ports import Drive
from workflow_service.store.database import Database
from workflow_service.store.waiting import positions, waiting_by_queue

pytestmark = [pytest.mark.requirement("BR-WF-001")]

CRITICAL, LOW = 1, 7


async def _wait(database: Database, engine: DbosEngine, priority: int, *, waited: float = 0, **columns: Any) -> str:
    """An execution that stands in the queue `q`, and has done so for `waited` seconds."""
    at = datetime.now(UTC) - timedelta(seconds=waited)
    key = await an_execution(database, at=at, queue="q", priority=priority, enqueued=0, **columns)
    async with database.write() as connection:
        await enqueue_next(connection, engine, execution_id=key, after=0, queue=None, now=datetime.now(UTC))
    return key


async def test_places_are_the_order_in_which_the_queue_serves(database: Database) -> None:
    """What is shown as first is taken first, and so on, whatever the priorities and times of waiting."""
    taken = Taken(hold=True)
    async with queue(database, taken.body, queues={"q": 1}) as engine:
        await _wait(database, engine, CRITICAL)
        await taken.reach(1)
        keys = [
            await _wait(database, engine, priority, waited=waited)
            for priority in (CRITICAL, 3, 5, LOW)
            for waited in (0, 2 * AGEING + 10, 5 * AGEING + 20)
        ]
        places = await positions(database, keys)
        taken.go.set()
        served = [drive.execution_id for drive in (await taken.reach(1 + len(keys)))[1:]]
    assert served == sorted(keys, key=lambda key: places[key])


async def test_a_low_one_is_served_while_criticals_keep_coming(database: Database) -> None:
    """However fast criticals come, whoever has waited long enough is next; who has just come is not."""
    taken: list[str] = []
    enough = asyncio.Event()

    async def body(drive: Drive, _queue: str) -> None:
        taken.append(drive.execution_id)
        await _wait(database, engine, CRITICAL)  # before this slot is free the next critical is there
        if len(taken) >= 12:
            enough.set()
            await asyncio.Event().wait()

    async with queue(database, body, queues={"q": 1}) as engine:
        fresh = await _wait(database, engine, LOW)
        old = await _wait(database, engine, LOW, waited=(LOW - CRITICAL) * AGEING + 60)
        for _ in range(3):
            await _wait(database, engine, CRITICAL)
        async with asyncio.timeout(20):
            await enough.wait()
    assert old in taken[:3]
    assert fresh not in taken[1:]


async def test_only_who_waits_has_a_place(database: Database) -> None:
    """What is driven, parked, over or unknown has none; each queue has a line of its own."""
    now = datetime.now(UTC)
    waits = [await an_execution(database, at=now + timedelta(seconds=n), queue="executions") for n in range(2)]
    other = await an_execution(database, at=now, queue="planning")
    driven = await an_execution(database, queue="executions", owner="somebody", status="running")
    later: dict[str, Any] = {"queue": "executions", "wake_at": now + timedelta(hours=1)}
    parked = [await an_execution(database, status=word, **later) for word in ("paused", "awaiting_approval", "running")]
    woken = await an_execution(database, queue="manual", status="paused", wake_at=now)
    over = await an_execution(database, queue="executions", status="completed", ended_at=now)
    everybody = [*waits, other, driven, *parked, woken, over, "nobody"]
    assert await positions(database, everybody) == {waits[0]: 1, waits[1]: 2, other: 1, woken: 1}
    assert await positions(database, []) == {}
    assert await waiting_by_queue(database) == {"planning": 1, "executions": 2, "manual": 1, "control": 0}


async def test_who_waits_sees_its_place(tmp_path: Path) -> None:
    """Detail, list and status tell queue and place; once it runs there is no place any more."""
    executor = ScriptedExecutor()
    executor.script("cure", *[Answer(slow=True)] * 3)
    rules = rules_of(tmp_path, act("cure"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="1") as running:
        first = await running.begin({**HIGH_CPU, "resource": "pod/a"})
        await soon(executor.running, "the first one runs")
        door = await running.begin({**HIGH_CPU, "resource": "pod/d"})
        await soon(lambda: running.parts.driver.count == 2, "the next one waits at the door, and is served next")
        low = await running.begin({**HIGH_CPU, "resource": "pod/b", "severity": "low"})
        urgent = await running.begin({**HIGH_CPU, "resource": "pod/c"})
        for workflow_id, place in ((first, None), (door, 1), (urgent, 2), (low, 3)):
            await running.until(workflow_id, _stands(place), f"{workflow_id} has place {place}")
            answer = await running.http.get("/api/v1/status", params={"workflow_id": workflow_id})
            assert (answer.json()["queue"], answer.json()["queue_position"]) == ("executions", place)
        listed = (await running.http.get("/api/v1/workflows")).json()["workflows"]
        assert {one["workflow_id"]: one["queue_position"] for one in listed} == {
            first: None,
            door: 1,
            urgent: 2,
            low: 3,
        }
        for workflow_id in (door, urgent):
            executor.finish()
            await running.until(workflow_id, lambda found: found["status"] == "running", "the urgent one goes first")
        await running.until(low, _stands(1), "the other one moved up")
        executor.finish()
        for workflow_id in (first, door, urgent, low):
            assert (await running.ended(workflow_id))["queue_position"] is None


def _stands(place: int | None) -> Any:
    return lambda found: found["status"] in {"queued", "running"} and found["queue_position"] == place


@pytest.mark.requirement("BR-WF-015")
@pytest.mark.parametrize(("verb", "end"), [("retry", "completed"), ("rollback", "rolled_back")])
async def test_work_by_hand_does_not_wait_behind_alerts(tmp_path: Path, verb: str, end: str) -> None:
    """With every slot taken and alerts in line, a retry and a rollback by hand are done at once."""
    executor = ScriptedExecutor()
    executor.script("cure", *([failing(ErrorClass.PERMANENT)] if verb == "retry" else [Answer()]))
    rules = rules_of(tmp_path, act("cure"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="1") as running:
        broken = await running.begin({**HIGH_CPU, "resource": "pod/a"})
        assert (await running.ended(broken))["status"] == ("failed" if verb == "retry" else "completed")
        executor.script("cure", Answer(slow=True), *([Answer(slow=True)] if verb == "retry" else []))
        busy = await running.begin({**HIGH_CPU, "resource": "pod/b"})
        await soon(executor.running, "the only slot is taken")
        storm = [await running.begin({**HIGH_CPU, "resource": f"pod/c{number}"}) for number in range(3)]
        await running.until(storm[-1], _stands(3), "they stand in line")
        answer = await running.http.post(f"/api/v1/workflows/{broken}/{verb}", json={})
        assert answer.status_code == 200, answer.text
        if verb == "retry":
            await soon(lambda: len(executor.running()) == 2, "the retry runs beside the only slot")
            executor.finish(how=Answer())
        found = await running.ended(broken)
        assert (found["status"], found["queue"]) == (end, "manual")
        executor.finish()
        for workflow_id in (busy, *storm):
            await running.ended(workflow_id)
