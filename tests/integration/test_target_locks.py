"""Target locks: two executions never change one object at once, whoever waits has his turn, and nothing is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.replica import HIGH_CPU, Running, act, eventually, kinds, replica, rules_of, steps
from tests.support.rows import count
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from tests.unit.factories import a_plan, a_step, a_target, an_approval
from workflow_service.domain import bounds
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.plan import Action, Condition, OnFailure, Plan, Step
from workflow_service.domain.states import ExecutionStatus
from workflow_service.engine import ride as rides
from workflow_service.store.database import Database
from workflow_service.store.tables import executions, target_locks, target_waits

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-004")
WEB = "target:default/production/deployment/web"


def alert(number: int) -> dict[str, object]:
    """One of many alerts about different things, all answered by one plan."""
    return {**HIGH_CPU, "name": f"Alert{number}", "resource": f"deployment/web-{number}"}


def change(step_id: str = "change", *needs: str, on: str = "web", **values: Any) -> Step:
    """A step that changes that deployment and can be undone."""
    parameters = values.pop("parameters", {})
    return a_step(step_id, *needs, action=Action("touch", parameters, a_target(name=on)), **values)


async def tell(running: Running, workflow: str, verb: str, **body: Any) -> None:
    """A command that is obeyed."""
    answer = await running.http.post(f"/api/v1/workflows/{workflow}/{verb}", json=body)
    assert answer.status_code in {200, 202}, answer.text


async def rows(database: Database) -> list[tuple[str, str | None]]:
    """Who has which target."""
    async with database.read() as connection:
        found = await connection.execute(sa.select(target_locks).order_by(target_locks.c.target))
        return [(row.target, row.execution_id) for row in found]


async def nothing_left(running: Running) -> None:
    """No target is held, and nobody waits for one."""
    assert await rows(running.parts.database) == []
    assert await count(running.parts.database, target_waits) == 0


async def waits(running: Running, workflow: str) -> dict[str, Any]:
    """The workflow once it waits for its target."""
    return await running.until(workflow, lambda one: one["reason"] == "awaits_target", "it waits for its target")


@asynccontextmanager
async def two_at_one(
    tmp_path: Path, *, slots: int = 50, interval: str = "30s"
) -> AsyncIterator[tuple[Running, str, str]]:
    """Two workflows by different alerts at one target: the first changes it right now, the second waits."""
    executor = ScriptedExecutor()
    executor.script("change", Answer(slow=True))
    async with replica(
        tmp_path, executor, plan=a_plan(change()), MAX_CONCURRENT_WORKFLOWS=str(slots), MONITORING_INTERVAL=interval
    ) as running:
        first = await running.begin(alert(1))
        await eventually(executor.running, "the first one changes the target")
        second = await running.begin(alert(2))
        await waits(running, second)
        yield running, first, second


async def test_two_workflows_for_one_target_never_overlap(tmp_path: Path) -> None:
    """The second waits without a slot, says for what and for whom, and runs when the first is over."""
    async with two_at_one(tmp_path, slots=2) as (running, first, second):
        found = await running.detail(second)
        assert found["status"] == "queued"
        assert WEB in found["cause"]
        assert first in found["cause"]
        assert found["must_end_by"] is not None
        assert "abort_reason" not in found["result"]
        await eventually(lambda: running.parts.driver.count == 1, "who waits has no slot")
        running.executor.finish()
        assert (await running.ended(first))["status"] == "completed"
        assert (await running.ended(second))["status"] == "completed"
        assert running.executor.most_at_once == 1
        assert [key.split(":")[0] for key in running.executor.effects] == [
            (await running.detail(workflow))["execution_id"] for workflow in (first, second)
        ]
        await nothing_left(running)


async def test_a_pod_and_its_deployment_are_one_target(tmp_path: Path) -> None:
    """Once planning has seen a pod's top owner, an alert about that one belongs to the pod's workflow."""
    executor = ScriptedExecutor()
    executor.script("change", Answer(slow=True))
    rules = rules_of(tmp_path, act("change", on="target"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        first = await running.begin(HIGH_CPU)
        await eventually(executor.running, "the pod is changed")
        assert await running.begin({**HIGH_CPU, "name": "Other", "resource": "deployment/web-server"}) == first
        executor.finish()
        await running.ended(first)
    assert len(executor.effects) == 1


async def test_what_only_reads_takes_no_lock(tmp_path: Path) -> None:
    """A plan that changes nothing runs beside one that does."""
    look = a_step("change", action=Action("look", {}, a_target()), changes=False)
    executor = ScriptedExecutor()
    executor.script("change", *[Answer(slow=True)] * 2)
    async with replica(tmp_path, executor, plan=a_plan(look)) as running:
        for number in range(2):
            await running.begin(alert(number))
        await eventually(lambda: len(executor.running()) == 2, "both look at once")
        assert await rows(running.parts.database) == []
        executor.finish()


async def test_who_waits_has_his_turn_by_priority_and_age(tmp_path: Path) -> None:
    """Of those that wait the one whose turn it is goes first, one at a time, however they came."""
    async with two_at_one(tmp_path) as (running, first, second):
        third = await running.begin({**alert(3), "severity": "low"})
        fourth = await running.begin({**alert(4), "severity": "critical"})
        for workflow in (third, fourth):
            await waits(running, workflow)
        running.executor.finish()
        for workflow in (first, second, third, fourth):
            await running.ended(workflow)
        order = [key.split(":")[0] for key in running.executor.effects]
        ids = [(await running.detail(one))["execution_id"] for one in (first, second, fourth, third)]
        assert order == ids
        await nothing_left(running)


@pytest.mark.parametrize("verb", ["cancel", "pause"])
async def test_a_waiter_hears_and_leaves_the_line(tmp_path: Path, verb: str) -> None:
    """Cancelled it ends at once, paused it stands still; it leaves nothing, and the next one has its turn."""
    async with two_at_one(tmp_path) as (running, first, second):
        third = await running.begin(alert(3))
        await waits(running, third)
        await tell(running, second, verb)
        status = {"cancel": "cancelled", "pause": "paused"}[verb]
        found = await running.until(second, lambda one: one["status"] == status, "it has heard")
        execution = (await running.detail(second))["execution_id"]
        async with running.parts.database.read() as connection:
            mine = sa.select(target_waits).where(target_waits.c.execution_id == execution)
            assert (await connection.execute(mine)).all() == []
        assert not steps(found)["change"]["attempts"]
        running.executor.finish()
        assert (await running.ended(third))["status"] == "completed"
        if verb == "pause":
            await tell(running, second, "resume")
            assert (await running.ended(second))["status"] == "completed"
        await running.ended(first)
        await nothing_left(running)


async def test_a_waiter_ends_at_the_bound_of_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the bound of everybody who waits: timed_out, queue_timeout, and the cause names target and holder."""
    async with two_at_one(tmp_path, interval="1s") as (running, first, second):
        monkeypatch.setattr(bounds, "QUEUE_BOUND", timedelta(seconds=-1))
        late = {"must_end_by": datetime.now(UTC) - timedelta(seconds=1)}
        execution = (await running.detail(second))["execution_id"]
        async with running.parts.database.write() as connection:
            await connection.execute(sa.update(executions).where(executions.c.id == execution).values(late))
        found = await running.ended(second)
        assert (found["status"], found["reason"]) == ("timed_out", "queue_timeout")
        assert WEB in found["cause"]
        assert first in found["cause"]
        assert await count(running.parts.database, target_waits) == 0
        running.executor.finish()
        await running.ended(first)
        await nothing_left(running)


async def test_long_waiting_shows_as_stuck(tmp_path: Path) -> None:
    """The list of what is stuck names who waits for a target for long, and its cause says for whom."""
    async with two_at_one(tmp_path) as (running, first, second):
        execution = (await running.detail(second))["execution_id"]
        old = datetime.now(UTC) - timedelta(minutes=11)
        async with running.parts.database.write() as connection:
            await connection.execute(
                sa.update(executions).where(executions.c.id == execution).values(updated_at=old, created_at=old)
            )
        listed = (await running.http.get("/api/v1/workflows", params={"stuck": True})).json()["workflows"]
        assert [(one["workflow_id"], one["stuck_because"]) for one in listed] == [(second, "target_taken")]
        assert WEB in listed[0]["cause"]
        assert first in listed[0]["cause"]
        running.executor.finish()
        await running.ended(second)


async def test_nothing_is_held_before_the_first_effect(tmp_path: Path) -> None:
    """While it waits for approval another one has the target; approved, it waits for it, and looks at it again."""
    ready = Condition("observed.ready_replicas >= 3", "three are ready", within=5.0, poll=0.05)
    asks = a_plan(an_approval("ask"), change("change", "ask", preconditions=(ready,)))
    executor = ScriptedExecutor(facts={"web": {"ready_replicas": 3}})
    executor.script("change", Answer(slow=True))
    async with replica(tmp_path, executor, plan=asks) as running:
        one, other = [await running.begin(alert(number)) for number in range(2)]
        for workflow in (one, other):
            await running.until(workflow, lambda found: found["status"] == "awaiting_approval", "it asks")
        assert await rows(running.parts.database) == []
        await tell(running, one, "approve")
        await eventually(executor.running, "the first one changes the target")
        await tell(running, other, "approve")
        found = await waits(running, other)
        assert (found["status"], found["must_end_by"] is not None) == ("queued", True)
        executor.finish()
        found = await running.ended(other)
        assert found["status"] == "completed"
        assert kinds(found).index("TargetAwaited") < kinds(found).index("Cleared")
        assert executor.most_at_once == 1
        await running.ended(one)
        await nothing_left(running)


async def test_after_the_first_effect_it_is_held_while_parked(tmp_path: Path) -> None:
    """What has changed something keeps it while a person thinks: others wait until the end."""
    plan = a_plan(change("one"), an_approval("ask", "one"), change("two", "ask"))
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, plan=plan) as running:
        first = await running.begin(alert(1))
        await running.until(first, lambda found: found["status"] == "awaiting_approval", "it asks")
        second = await running.begin(alert(2))
        await waits(running, second)
        assert [target for target, _ in await rows(running.parts.database)] == [WEB]
        await tell(running, first, "approve")
        await running.ended(first)
        await running.until(second, lambda found: found["status"] == "awaiting_approval", "it has its turn")
        await tell(running, second, "cancel", undo=True)
        await running.ended(second)
        await nothing_left(running)


async def test_an_item_that_is_anothers_delays_its_step(tmp_path: Path) -> None:
    """What becomes known while running is taken then: its step waits for it, holding what it has, and goes on."""
    first = a_step("change", action=Action("touch", {}, a_target(name="b")))
    named = {"namespace": "production", "resource_name": "${{ item }}", "resource_type": "deployment"}
    each = a_step("each", "begin", action=Action("touch", named), for_each="['a', 'b']", max_parallel=2)
    executor = ScriptedExecutor()
    executor.script("change", Answer(slow=True))
    async with replica(tmp_path, executor, plan=a_plan(first)) as running:
        holder = await running.begin(alert(1))
        await eventually(executor.running, "the first one changes b")
        running.parts._plan = a_plan(change("begin", on="c"), each)  # type: ignore[attr-defined]
        other = await running.begin(alert(2))
        found = await running.until(other, lambda one: "StepDelayed" in kinds(one), "it is delayed")
        delayed = next(event for event in found["events"] if event["kind"] == "StepDelayed")
        assert delayed["step"] == "each[1]"
        assert holder in delayed["message"]
        assert found["status"] == "running"
        executor.finish()
        assert (await running.ended(other))["status"] == "completed"
        begun = [event["step"] for event in (await running.detail(other))["events"] if event["kind"] == "StepStarted"]
        assert begun == ["begin", "each[0]", "each[1]"]
        last = [key.split(":")[0] for key in executor.effects].index((await running.detail(holder))["execution_id"])
        assert last == 0
        await nothing_left(running)


async def test_two_that_want_what_the_other_has_do_not_wait_for_ever(tmp_path: Path) -> None:
    """Found out while running, that ends with the first step's deadline: it fails, says why, and the other goes on."""

    def crossed(own: str, other: str) -> Plan:
        named = {"namespace": "production", "resource_name": "${{ item }}", "resource_type": "deployment"}
        then = a_step("then", "change", action=Action("touch", named), for_each=f"['{other}']", deadline=2.0)
        return a_plan(change(on=own), then)

    executor = ScriptedExecutor()
    executor.script("change", *[Answer(slow=True)] * 2)
    async with replica(tmp_path, executor, plan=crossed("a", "b")) as running:
        one = await running.begin(alert(1))
        await eventually(executor.running, "a is changed")
        running.parts._plan = crossed("b", "a")  # type: ignore[attr-defined]
        other = await running.begin(alert(2))
        await eventually(lambda: len(executor.running()) == 2, "b is changed")
        executor.finish()
        ends = [await running.ended(workflow) for workflow in (one, other)]
        assert sorted(found["status"] for found in ends) in (["completed", "failed"], ["failed", "failed"])
        loser = next(found for found in ends if found["status"] == "failed")
        assert steps(loser)["then[0]"]["reason"] == "target_locked"
        await nothing_left(running)


async def _by_itself(_running: Running, _workflow: str) -> None: ...


async def _finish(running: Running, workflow: str, verb: str, **body: Any) -> None:
    await eventually(running.executor.running, "the action runs")
    await tell(running, workflow, verb, **body)
    running.executor.finish()


@pytest.mark.parametrize(
    ("status", "plan", "answers", "then"),
    [
        ("completed", a_plan(change()), [Answer()], _by_itself),
        (
            "partially_completed",
            a_plan(change(), change("two", critical=False, on_failure=OnFailure.SKIP)),
            [Answer()],
            _by_itself,
        ),
        ("failed", a_plan(change()), [failing(ErrorClass.PERMANENT)], _by_itself),
        ("rolled_back", a_plan(change("one"), change("change", "one", on_failure=OnFailure.ROLLBACK)), [], _by_itself),
        ("cancelled", a_plan(change(), change("two", "change")), [Answer(slow=True)], "cancel"),
        ("rolled_back", a_plan(change()), [Answer(slow=True)], "rollback"),
        ("timed_out", a_plan(change(), timeout=1.0), [Answer(slow=True)], _by_itself),
        ("rejected", a_plan(change(), an_approval("ask", "change")), [Answer()], "reject"),
        ("rejected", a_plan(an_approval("ask"), change("change", "ask")), [Answer()], "reject"),
        ("cancelled", a_plan(an_approval("ask"), change("change", "ask")), [Answer()], "cancel-parked"),
    ],
)
async def test_the_lock_is_gone_after_every_kind_of_end(
    tmp_path: Path, status: str, plan: Plan, answers: list[Answer], then: Any
) -> None:
    """However a workflow ends, its targets are free in the moment in which it is over."""
    executor = ScriptedExecutor()
    executor.script("change", *(answers or [failing(ErrorClass.PERMANENT)]))
    executor.script("two", failing(ErrorClass.PERMANENT))
    async with replica(tmp_path, executor, plan=plan) as running:
        workflow = await running.begin(alert(1))
        if then in {"cancel", "rollback"}:
            await _finish(running, workflow, then)
        elif isinstance(then, str):
            await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "it asks")
            await tell(running, workflow, then.partition("-")[0])
        found = await running.ended(workflow)
        assert found["status"] == status, found["cause"]
        await nothing_left(running)


async def test_the_lock_is_gone_when_an_execution_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when no drive brought it any further and it ends as `internal_error`."""
    executor, plan = ScriptedExecutor(), a_plan(change())
    executor.script("change", Answer(slow=True))
    async with replica(tmp_path, executor, plan=plan) as running:
        workflow = await running.begin(alert(1))
        await eventually(executor.running, "the action runs")
        assert [target for target, _ in await rows(running.parts.database)] == [WEB]
    monkeypatch.setattr(rides, "MAX_FRUITLESS", 1)
    async with replica(tmp_path, executor, plan=plan) as running:
        assert (await running.ended(workflow))["reason"] == "internal_error"
        await nothing_left(running)


async def test_a_rollback_and_a_retry_take_locks_too(tmp_path: Path) -> None:
    """An undo by hand waits for whoever changes its target now, and so does a retry; then each has its turn."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, plan=a_plan(change())) as running:
        done = await running.begin(alert(1))
        await running.ended(done)
        executor.script("change", failing(ErrorClass.PERMANENT), Answer(slow=True))
        failed = await running.begin(alert(2))
        await running.ended(failed)
        busy = await running.begin(alert(3))
        await eventually(executor.running, "another one changes the target")
        await tell(running, done, "rollback")
        await tell(running, failed, "retry")
        for workflow in (done, failed):
            assert busy in (await waits(running, workflow))["cause"]
        executor.finish()
        assert (await running.ended(done))["status"] == "rolled_back"
        assert (await running.ended(failed))["status"] == "completed"
        assert executor.most_at_once == 1
        await nothing_left(running)


async def test_what_an_older_version_left_locked_is_freed(tmp_path: Path) -> None:
    """A lock whose execution is over, or was never there, keeps nobody away for long."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, plan=a_plan(change()), MONITORING_INTERVAL="1s") as running:
        async with running.parts.database.write() as connection:
            row = {"target": WEB, "execution_id": "gone", "awaited": False}
            await connection.execute(sa.insert(target_locks).values(row))
        found = await running.ended(await running.begin(alert(1)))
        assert found["status"] == ExecutionStatus.COMPLETED
        await nothing_left(running)
