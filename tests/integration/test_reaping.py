"""The reaper: whatever waits past its bound, in whatever state, is woken once, and ends with its reason."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.queue import Taken, change, kept, put, queue
from tests.support.replica import HIGH_CPU, act, eventually, replica, rules_of
from tests.support.rows import an_execution, count, execution
from tests.support.scripted_executor import Answer, ScriptedExecutor
from workflow_service.domain import bounds
from workflow_service.domain.queueing import QUEUE_BOUND
from workflow_service.engine.on_dbos import DbosEngine
from workflow_service.engine.reaping import Reaper
from workflow_service.ports import Drive
from workflow_service.store.database import Database
from workflow_service.store.tables import active_identities, executions

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-004")]

HOUR = timedelta(hours=1)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[DbosEngine]:
    """An engine that serves nothing but the queue `q`."""
    async with queue(database, Taken().body) as started:
        yield started


@pytest.fixture
def reaper(database: Database, engine: DbosEngine) -> Reaper:
    """A reaper by the wall clock."""
    return Reaper(database, engine, clock=lambda: datetime.now(UTC))


async def _late(database: Database, status: str, **columns: Any) -> str:
    """An execution that nobody drives, past its bound for an hour."""
    now = datetime.now(UTC)
    row = {"queue": "executions", "must_end_by": now - HOUR, **columns}
    return await an_execution(database, at=now - 2 * HOUR, status=status, **row)


async def _queue_of(database: Database, *keys: str) -> dict[str, tuple[str, int]]:
    rows = [await execution(database, key) for key in keys]
    return {row.id: (row.queue, row.enqueued) for row in rows}


async def test_whatever_its_state_it_is_woken_once(database: Database, reaper: Reaper) -> None:
    """What has not begun or is parked on the control queue, what has begun in the free lane; and not again."""
    waits = [await _late(database, status) for status in ("created", "planning", "queued")]
    parked = [await _late(database, status) for status in ("paused", "awaiting_approval")]
    begun = [await _late(database, status) for status in ("running", "recovering", "verifying", "rolling_back")]
    assert await reaper.reap() == 9
    expected = dict.fromkeys([*waits, *parked], ("control", 2)) | dict.fromkeys(begun, ("manual", 2))
    assert await _queue_of(database, *expected) == expected
    assert set(await kept(database)) == {f"{key}.2" for key in expected}
    assert await reaper.reap() == 0


async def test_the_rest_is_left_alone(database: Database, reaper: Reaper) -> None:
    """What is driven, within its bound, without one, or over."""
    now = datetime.now(UTC)
    keys = [
        await _late(database, "running", owner="somebody"),
        await _late(database, "queued", must_end_by=now + HOUR),
        await _late(database, "queued", must_end_by=None),
        await _late(database, "timed_out", ended_at=now),
    ]
    assert await reaper.reap() == 0
    assert await _queue_of(database, *keys) == dict.fromkeys(keys, ("executions", 1))


async def test_who_is_handed_on_does_not_wait_in_line_again(database: Database, reaper: Reaper) -> None:
    """What needs a slot after all, to undo what was done, gets one in the free lane, once."""
    now = datetime.now(UTC)
    key = await _late(database, "paused", enqueued_at=now, enqueued=3)
    assert await reaper.reap() == 1
    assert await _queue_of(database, key) == {key: ("manual", 4)}
    assert await reaper.reap() == 0


async def test_one_that_cannot_be_enqueued_does_not_hurt_the_others(
    database: Database, engine: DbosEngine, reaper: Reaper
) -> None:
    """The others are woken all the same."""
    keys = [await _late(database, "queued") for _ in range(3)]
    await put(database, engine, Drive(keys[0], 2), name="unserved")
    await change(database, Drive(keys[0], 2), name="another_function")
    assert await reaper.reap() == 2
    assert (await execution(database, keys[0])).enqueued == 1


async def test_an_alert_that_nobody_plans_ends(tmp_path: Path) -> None:
    """An hour after it was admitted it is timed out, says why, and the next alert about the same starts anew."""
    async with replica(tmp_path, ScriptedExecutor(), MONITORING_INTERVAL="100ms") as running:
        database, began = running.parts.database, datetime.now(UTC) - QUEUE_BOUND - timedelta(seconds=1)
        key = await an_execution(database, at=began, enqueued_at=datetime.now(UTC) + HOUR, must_end_by=began + HOUR)
        async with database.write() as connection:  # its drive stands in a line that does not move
            await running.parts.engine.enqueue(connection, Drive(key, 1), queue="unserved", priority=1)
            await connection.execute(sa.update(executions).values(enqueued_at=began))
        found = await running.ended(key)
        assert (found["status"], found["reason"]) == ("timed_out", "queue_timeout")
        assert found["cause"]
        assert await count(database, active_identities) == 0


async def test_a_new_workflow_has_a_bound(tmp_path: Path) -> None:
    """From admission on `must_end_by` says until when its plan must be there."""
    executor = ScriptedExecutor(away=True)
    async with replica(tmp_path, executor) as running:
        workflow_id = await running.begin(HIGH_CPU)
        found = await running.until(workflow_id, lambda found: found["status"] == "planning", "it is being planned")
        bound = datetime.fromisoformat(found["must_end_by"]) - datetime.fromisoformat(found["created_at"])
        assert HOUR <= bound < 2 * HOUR
        executor.away = False
        await running.ended(workflow_id)


async def test_a_pause_that_nobody_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its bound a paused workflow is woken and cancelled, though nobody says anything."""
    monkeypatch.setattr(bounds, "PAUSE_BOUND", timedelta(seconds=1))
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, executor, RULES_FILE=rules, MONITORING_INTERVAL="100ms") as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "it runs")
        assert (await running.http.post(f"/api/v1/workflows/{workflow_id}/pause", json={})).status_code == 200
        executor.finish()
        found = await running.ended(workflow_id)
    assert (found["status"], found["reason"]) == ("cancelled", "pause_expired")
    assert [order.step_id for order in executor.sent] == ["one"]


async def test_who_waits_too_long_for_a_slot_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planned workflow whose time in line is over is timed out, while the only slot stays taken; nothing was done."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    rules = rules_of(tmp_path, act("one"))
    settings: dict[str, Any] = {"MAX_CONCURRENT_WORKFLOWS": "1", "MONITORING_INTERVAL": "100ms"}
    async with replica(tmp_path, executor, RULES_FILE=rules, **settings) as running:
        busy = await running.begin({**HIGH_CPU, "resource": "pod/a"})
        await eventually(executor.running, "the only slot is taken")
        monkeypatch.setattr(bounds, "QUEUE_BOUND", timedelta(seconds=1))
        found = await running.ended(await running.begin({**HIGH_CPU, "resource": "pod/b"}))
        assert (found["status"], found["reason"]) == ("timed_out", "queue_timeout")
        assert (await running.detail(busy))["status"] == "running"
        executor.finish()
        await running.ended(busy)
    assert len(executor.sent) == 1


async def test_the_end_needs_no_slot_of_the_alerts(tmp_path: Path) -> None:
    """What has begun, waits for a slot and is past its bound ends while another workflow holds the only slot."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True), Answer(slow=True, stubborn=True))
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    limits: dict[str, Any] = {"MAX_CONCURRENT_WORKFLOWS": "1", "WORKFLOW_EXECUTION_TIMEOUT": "1s"}
    async with replica(tmp_path, executor, RULES_FILE=rules, MONITORING_INTERVAL="100ms", **limits) as running:
        late = await running.begin({**HIGH_CPU, "resource": "pod/a"})
        await eventually(executor.running, "it runs")
        assert (await running.http.post(f"/api/v1/workflows/{late}/pause", json={})).status_code == 200
        executor.finish()
        await running.until(late, lambda found: found["status"] == "paused", "it stands still")
        busy = await running.begin({**HIGH_CPU, "resource": "pod/b"})
        await eventually(executor.running, "another one has the slot")
        await running.http.post(f"/api/v1/workflows/{late}/resume", json={})
        async with running.parts.database.write() as connection:
            bound = {"must_end_by": datetime.now(UTC) - HOUR}
            await connection.execute(sa.update(executions).where(executions.c.workflow_id == late).values(bound))
        found = await running.ended(late)
        assert found["status"] in {"timed_out", "completed"}  # by whether its second step began in time
        assert found["queue"] == "manual"
        assert (await running.detail(busy))["status"] == "running"
        executor.finish()
        await running.ended(busy)
