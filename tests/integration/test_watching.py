"""What an operator watches: which workflows are stuck and why, how long nothing has moved, and when things will end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.replica import HIGH_CPU, act, eventually, replica, rules_of
from tests.support.rows import an_execution
from tests.support.scripted_executor import Answer, ScriptedExecutor
from workflow_service.domain.queueing import QUEUE_BOUND
from workflow_service.store import estimates, queries
from workflow_service.store.database import Database
from workflow_service.store.queries import Filter
from workflow_service.store.tables import executions, replicas
from workflow_service.store.waiting import TAKEOVER_BOUND, oldest_without_progress

SOON, LONG_AGO = timedelta(minutes=5), QUEUE_BOUND + timedelta(minutes=1)
JUST_NOW, A_WHILE_AGO = timedelta(seconds=5), TAKEOVER_BOUND + timedelta(seconds=10)


async def _row(database: Database, *, ago: timedelta, silent: timedelta | None = None, **columns: Any) -> str:
    now = datetime.now(UTC)
    updated = now - (ago if silent is None else silent)
    return await an_execution(database, at=now - ago, **{"updated_at": updated, **columns})


async def _a_replica(database: Database, name: str, *, silent: float) -> str:
    async with database.write() as connection:
        row = {"id": name, "started_at": datetime.now(UTC), "heartbeat": database.clock() - silent}
        await connection.execute(sa.insert(replicas).values(row))
    return name


async def _because(database: Database, key: str) -> str | None:
    word: str | None = (await queries.summary(database, key))["stuck_because"]
    return word


async def test_every_way_to_be_stuck(database: Database) -> None:
    """Past the bound in whatever state; an hour in line; planning for an hour; left alone by a dead replica."""
    now = datetime.now(UTC)
    late: dict[str, Any] = {"must_end_by": now - JUST_NOW}
    living = await _a_replica(database, "living", silent=1)
    dead = await _a_replica(database, "dead", silent=A_WHILE_AGO.total_seconds())
    cases = {
        await _row(database, ago=SOON, status="running", owner=living, **late): "past_its_bound",
        await _row(database, ago=SOON, status="queued", **late): "past_its_bound",
        await _row(database, ago=SOON, status="paused", **late): "past_its_bound",
        await _row(database, ago=SOON, status="rolling_back", **late): "past_its_bound",
        await _row(database, ago=LONG_AGO): "waits_too_long",
        await _row(database, ago=LONG_AGO, silent=JUST_NOW, status="planning", owner=living): "waits_too_long",
        await _row(database, ago=LONG_AGO, status="running", must_end_by=now + SOON): "waits_too_long",
        await _row(database, ago=LONG_AGO, status="running", must_end_by=now + SOON, wake_at=now): "waits_too_long",
        await _row(database, ago=A_WHILE_AGO, status="running", owner=dead): "replica_gone",
        await _row(database, ago=A_WHILE_AGO, status="running", owner="struck off"): "replica_gone",
    }
    assert {key: await _because(database, key) for key in cases} == cases
    found = await queries.summaries(database, chosen=Filter(stuck=True), before=None, limit=50)
    assert {one["workflow_id"]: one["stuck_because"] for one in found} == cases


async def test_what_is_not_stuck(database: Database) -> None:
    """Within its bound, in line for less than an hour, parked, taken over soon, or over: nothing is wrong."""
    now = datetime.now(UTC)
    living = await _a_replica(database, "living", silent=1)
    dead = await _a_replica(database, "dead", silent=A_WHILE_AGO.total_seconds())
    late: dict[str, Any] = {"must_end_by": now - JUST_NOW, "ended_at": now - SOON}
    keys = [
        await _row(database, ago=SOON),
        await _row(database, ago=SOON, status="queued", must_end_by=now + SOON),
        await _row(database, ago=LONG_AGO, status="running", owner=living, must_end_by=now + SOON),
        await _row(database, ago=LONG_AGO, silent=JUST_NOW, status="queued", must_end_by=now + SOON),
        await _row(database, ago=LONG_AGO, status="paused", must_end_by=now + SOON, wake_at=now + SOON),
        await _row(database, ago=LONG_AGO, status="running", must_end_by=now + LONG_AGO, wake_at=now + SOON),
        await _row(database, ago=LONG_AGO, status="awaiting_approval", wake_at=now + SOON),
        await _row(database, ago=LONG_AGO, silent=JUST_NOW, status="running", owner=dead, must_end_by=now + SOON),
        await _row(database, ago=LONG_AGO, status="timed_out", owner=dead, **late),
    ]
    assert {await _because(database, key) for key in keys} == {None}
    assert not await queries.summaries(database, chosen=Filter(stuck=True), before=None, limit=50)
    assert len(await queries.summaries(database, chosen=Filter(stuck=False), before=None, limit=50)) == len(keys)


async def test_how_long_nothing_has_moved(database: Database) -> None:
    """Counted from the last journal entry of who has been silent longest; parked and over do not count; none: 0."""
    now = datetime.now(UTC)
    assert await oldest_without_progress(database, now) == 0
    for word in ("paused", "awaiting_approval", "running"):
        await _row(database, ago=LONG_AGO, status=word, wake_at=now + SOON)
    await _row(database, ago=LONG_AGO, status="failed", ended_at=now)
    assert await oldest_without_progress(database, now) == 0
    await _row(database, ago=LONG_AGO, silent=JUST_NOW, status="running")
    await _row(database, ago=SOON, enqueued_at=now)  # a new drive is not yet progress
    assert await oldest_without_progress(database, now) == pytest.approx(SOON.total_seconds(), abs=5)


async def test_watching_over_http(tmp_path: Path) -> None:
    """`?stuck=true` shows who is past its bound and why, the gauge how long it has been silent; nonsense is refused."""
    executor = ScriptedExecutor()
    executor.script("cure", Answer(slow=True))
    rules = rules_of(tmp_path, act("cure"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MONITORING_INTERVAL="100ms") as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "it runs")
        assert (await running.http.get("/api/v1/workflows?stuck=true")).json()["workflows"] == []
        long_ago = datetime.now(UTC) - SOON
        async with running.parts.database.write() as connection:
            await connection.execute(sa.update(executions).values(must_end_by=long_ago, updated_at=long_ago))
        [one] = (await running.http.get("/api/v1/workflows?stuck=true")).json()["workflows"]
        assert (one["workflow_id"], one["stuck_because"]) == (workflow_id, "past_its_bound")
        status = (await running.http.get("/api/v1/status", params={"workflow_id": workflow_id})).json()
        assert status["stuck_because"] == "past_its_bound"
        assert (await running.http.get("/api/v1/workflows?stuck=false")).json()["workflows"] == []
        await running.until(workflow_id, lambda _found: _silence(running.parts.metrics.render("")[0]) > 200, "seen")
        executor.finish()
        await running.ended(workflow_id)
        refused = await running.http.get("/api/v1/workflows?stuck=perhaps")
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["field"] == "query.stuck"
        assert (await running.http.get("/api/v1/workflows?stuck=true")).json()["workflows"] == []


def _silence(exposition: bytes) -> float:
    name = b"workflow_service_oldest_without_progress_seconds "
    [line] = [line for line in exposition.splitlines() if line.startswith(name)]
    return float(line.removeprefix(name))


async def _done(database: Database, seconds: float, *, ended_ago: float = 3600, **columns: Any) -> None:
    end = datetime.now(UTC) - timedelta(seconds=ended_ago)
    row = {"started_at": end - timedelta(seconds=seconds), "ended_at": end, "status": "completed", **columns}
    await an_execution(database, at=end - timedelta(seconds=seconds), **row)


async def _left(database: Database, key: str, now: datetime) -> float | None:
    found = await queries.summary(database, key)
    end = (await estimates.estimated_ends(database, [found], now)).get(key)
    return None if end is None else round((end - now).total_seconds(), 3)


async def test_the_estimate_is_the_median_of_what_lay_ahead(database: Database) -> None:
    """At first the median of all; later only of those that took longer; never a moment that has passed."""
    for seconds in (10, 20, 30, 40, 100):
        await _done(database, seconds)
    await _done(database, 7000, status="failed")
    now = datetime.now(UTC)
    key = await an_execution(database, status="running", owner="me", started_at=now)
    assert [await _left(database, key, now + timedelta(seconds=after)) for after in (0, 15, 25, 35, 100)] == [
        30,
        35 - 15,
        40 - 25,
        None,
        None,
    ]


async def test_nothing_is_said_without_three_of_its_like(database: Database) -> None:
    """Nor of what has not begun, is parked or over."""
    now = datetime.now(UTC)
    runs = await an_execution(database, status="running", owner="me", started_at=now)
    for _ in range(2):
        await _done(database, 60)
    assert await _left(database, runs, now) is None
    await _done(database, 60)
    assert await _left(database, runs, now) == 60
    for columns in ({"status": "queued"}, {"status": "paused", "started_at": now}):
        assert await _left(database, await an_execution(database, **columns), now) is None


async def test_only_the_newest_history_is_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate looks at a bounded number of successes, the newest ones."""
    monkeypatch.setattr(estimates, "HISTORY", 3)
    for number in range(3):
        await _done(database, 500, ended_ago=5000 + number)
    for number in range(3):
        await _done(database, 40, ended_ago=1000 + number)
    now = datetime.now(UTC)
    key = await an_execution(database, status="running", owner="me", started_at=now)
    assert await _left(database, key, now) == 40
