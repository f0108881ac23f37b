"""What happened is in the rows and nowhere else: whoever reads them can go on, and nobody else can write."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.replica import HIGH_CPU, MEMORY_LEAK, act, eventually, kinds, replica, rules_of, steps
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.errors import ErrorClass, Fenced
from workflow_service.intake.intake import Delivery

SLOW = Answer(slow=True)
OLD = "2020-01-01 00:00:00.000000"  # as SQLite keeps a moment


async def sql(directory: Path, statement: str, *values: object) -> list[Any]:
    """What a statement answers that somebody else sends to the replica's database."""

    def send() -> list[Any]:  # in a thread: the replica holds the write lock across awaits
        with closing(sqlite3.connect(directory / "data" / "workflow-service.sqlite", timeout=20)) as connection:
            rows = connection.execute(statement, values).fetchall()
            connection.commit()
            return rows

    return await asyncio.to_thread(send)


@pytest.mark.requirement("BR-WF-004")
async def test_a_restart_goes_on_from_the_rows(tmp_path: Path) -> None:
    """Stopped in the middle: done steps stay done, the one in flight is asked for by key, the rest is begun."""
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]), act("three", needs=["two"]))
    executor = ScriptedExecutor()
    executor.script("two", SLOW)
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(lambda: executor.running() == ["two"], "the second runs")
    executor.finish()
    executor.asked.clear()
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        found = await running.ended(workflow_id)
    assert found["status"] == "completed"
    assert [order.step_id for order in executor.sent] == ["one", "two", "three"]
    assert executor.asked[0] == f"{found['execution_id']}:two"


@pytest.mark.requirement("BR-WF-004")
async def test_a_plan_outlives_the_rules_that_made_it(tmp_path: Path) -> None:
    """After a restart with other rules the stored plan is carried out, not a new one."""
    executor = ScriptedExecutor()
    executor.script("old", SLOW)
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("old"))) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "the action runs")
    executor.finish()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("new"))) as running:
        found = await running.ended(workflow_id)
    assert list(steps(found)) == ["old"]


@pytest.mark.requirement("BR-WF-004", "BR-WF-015")
async def test_a_restart_in_the_rollback_undoes_the_rest_once(tmp_path: Path) -> None:
    """The undo in flight is asked for by its key, what is undone stays undone, what is left is undone."""
    rules = rules_of(tmp_path, *(act(name, needs=needs) for name, needs in {"a": [], "b": ["a"], "c": ["b"]}.items()))
    executor = ScriptedExecutor()
    executor.script("c", failing(ErrorClass.PERMANENT, changed=True))
    executor.script("undo b", SLOW)
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(lambda: executor.running() == ["b"], "the second undo runs")
    executor.finish()
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        found = await running.ended(workflow_id)
    assert found["status"] == "rolled_back"
    undone = [order.step_id for order in executor.sent if order.type == "undo"]
    assert undone == ["c", "b", "a"]


async def test_a_restart_does_not_wait_for_a_retry_twice(tmp_path: Path) -> None:
    """The time of the next try is in the journal: a new replica keeps it, and the number of tries too."""
    executor = ScriptedExecutor()
    executor.script("cure", failing(ErrorClass.TRANSIENT))
    rules = rules_of(tmp_path, act("cure"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        found = await running.until(workflow_id, lambda found: "AttemptFailed" in kinds(found), "it fails")
        due = next(event["retry_at"] for event in found["events"] if event["kind"] == "AttemptFailed")
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        found = await running.ended(workflow_id)
    again = [event for event in found["events"] if event["kind"] == "StepStarted"][1]
    assert [order.key.partition(":")[2] for order in executor.sent] == ["cure", "cure:r1"]
    assert datetime.fromisoformat(again["at"]) >= datetime.fromisoformat(due)


async def test_an_alert_that_a_crash_left_undecided_is_decided(tmp_path: Path) -> None:
    """Stored and acknowledged, then nothing: the sweeper makes it a workflow, and that one ends."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor) as running:
        delivery = Delivery(body=orjson.dumps(MEMORY_LEAK), route="/api/v1/execute")
        [alert_id] = await running.parts.intake.store(delivery, [alert_from_json(MEMORY_LEAK)])
    await sql(tmp_path, "UPDATE alerts SET received_at = ? WHERE id = ?", OLD, alert_id)
    async with replica(tmp_path, executor) as running:
        await eventually(lambda: executor.effects, "it is acted upon")
        found = await running.ended(executor.sent[0].workflow_id)
    assert (found["alert_id"], found["status"]) == (alert_id, "completed")


async def test_who_was_overtaken_cannot_write(tmp_path: Path) -> None:
    """A drive that lost its execution to a newer generation stops; the next one ends it, and nothing is done twice."""
    executor = ScriptedExecutor()
    executor.script("one", SLOW)
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "the first runs")
        execution_id = (await running.detail(workflow_id))["execution_id"]
        await running.parts.journal.claim(execution_id, 3, running.parts.lease.replica)
        with pytest.raises(Fenced):
            await running.parts.journal.claim(execution_id, 3, "somebody-else")
        await sql(tmp_path, "UPDATE executions SET enqueued = 3 WHERE id = ?", execution_id)
        executor.finish()
        found = await running.ended(workflow_id)
        gave_way = [line for line in running.log if line["event"] == "drive gave way"]
    assert found["status"] == "completed"
    assert [order.step_id for order in executor.sent] == ["one", "two"]
    assert [line["drive"] for line in gave_way] == [f"{execution_id}.1"]


async def test_an_end_sets_the_identity_free(tmp_path: Path) -> None:
    """When a workflow has ended, nothing stands for it among the active ones, and the same alert may start anew."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, INTAKE_COOLDOWN="0s") as running:
        first = await running.result(HIGH_CPU)
        assert await sql(tmp_path, "SELECT * FROM active_identities") == []
        second = await running.result(HIGH_CPU)
    assert first["workflow_id"] != second["workflow_id"]


async def test_what_cannot_be_stored_is_not_acknowledged(tmp_path: Path) -> None:
    """The specified 500 with a time to come again; and once the database is whole, all is well again."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        await sql(tmp_path, "ALTER TABLE deliveries RENAME TO elsewhere")
        refused = await running.execute(HIGH_CPU)
        await sql(tmp_path, "ALTER TABLE elsewhere RENAME TO deliveries")
        assert (await running.result(HIGH_CPU))["success"] is True
    assert refused.status_code == 500
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"]
    assert refused.json()["title"] == "Workflow execution failed"


async def test_the_list_shows_what_was_asked_for(tmp_path: Path) -> None:
    """Newest first, by status, severity, namespace and alert name."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor) as running:
        first, second = await running.result(HIGH_CPU), await running.result(MEMORY_LEAK)

        async def listed(**chosen: str) -> list[str]:
            answer = await running.http.get("/api/v1/workflows", params=chosen)
            return [one["workflow_id"] for one in answer.json()["workflows"]]

        assert await listed() == [second["workflow_id"], first["workflow_id"]]
        assert await listed(severity="critical") == [first["workflow_id"]]
        assert await listed(namespace="staging") == [second["workflow_id"]]
        assert await listed(alert_name="HighCPUUsage", status="completed") == [first["workflow_id"]]
        assert await listed(status="failed") == []
