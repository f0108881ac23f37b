"""Whole executions of plans with every kind of step, on a real replica with a scripted executor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.replica import HIGH_CPU, Running, eventually, kinds, replica, steps
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from tests.unit.factories import a_check, a_plan, a_step, a_target, a_template, a_wait, an_action, an_approval
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.plan import Action, Condition, OnFailure, Phase, Step

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-004")
READY = Condition("observed.ready_replicas >= 3", "three are ready", within=20.0, poll=0.05)


def touch(step_id: str, *needs: str, **values: Any) -> Step:
    """An action that changes something and can be undone."""
    parameters, target = values.pop("parameters", {}), values.pop("target", a_target())
    return a_step(step_id, *needs, action=Action("touch", parameters, target), **values)


async def command(running: Running, workflow: str, verb: str, **arguments: Any) -> int:
    """Tell the workflow something; the status of the answer."""
    answer = await running.http.post(f"/api/v1/workflows/{workflow}/{verb}", json=arguments)
    return answer.status_code


def evidence(found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """What was seen, by the events of that kind."""
    return [one for event in found["events"] if event["kind"] == kind for one in event["evidence"]]


async def test_a_plan_with_everything_in_it_completes(tmp_path: Path) -> None:
    """Condition, precondition, items, template, wait, proof, verification, last step: all journalled with evidence."""
    each = Action("touch", {"name": "${{ item }}"}, a_target())
    plan = a_plan(
        touch("look", when="alert.severity == 'critical'", preconditions=(READY,)),
        touch("never", when="alert.severity == 'low'"),
        a_step("recycle", "look", action=each, for_each="['a', 'b', 'c']", max_parallel=2),
        a_template(
            "heal",
            "recycle",
            parameters={"size": "${{ 2 + 2 }}"},
            steps=(
                touch("scale", parameters={"n": "${{ params.size }}"}, postconditions=(READY,)),
                a_wait("w", seconds=0.1),
            ),
        ),
        a_check("verify", phase=Phase.VERIFY),
        touch("tell", phase=Phase.FINALLY),
    )
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, plan=plan) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
    assert (found["status"], found["reason"]) == ("completed", "all_steps_succeeded")
    assert [order.step_id for order in executor.orders("heal/scale")] == ["heal/scale"]
    assert executor.orders("heal/scale")[0].parameters == {"n": 4}
    assert [executor.orders(f"recycle[{n}]")[0].parameters for n in range(3)] == [{"name": one} for one in "abc"]
    assert {step["status"] for name, step in steps(found).items() if name != "never"} == {"succeeded"}
    assert steps(found)["never"]["status"] == "skipped"
    assert [one["held"] for one in evidence(found, "Cleared")] == [True]
    assert [one["kind"] for one in evidence(found, "StepProved")] == ["postcondition", "postcondition"]
    assert kinds(found).index("Verifying") > kinds(found).index("StepOpened")
    assert kinds(found)[-1] == "Ended"
    assert kinds(found, "tell")[0] == "StepStarted"


async def test_an_approval_parks_and_the_word_wakes_it(tmp_path: Path) -> None:
    """Nobody owns it meanwhile, no slot is held: another workflow runs; approved, it goes on."""
    plan = a_plan(touch("first", target=None), an_approval("ask", "first"), touch("second", "ask", target=None))
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, plan=plan, MAX_CONCURRENT_WORKFLOWS="1") as running:
        workflow = await running.begin(HIGH_CPU)
        parked = await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "it asks")
        assert len(executor.effects) == 1
        other = await running.begin({**HIGH_CPU, "resource": "deployment/other"})
        await running.until(other, lambda one: one["status"] == "awaiting_approval", "the only slot is free")
        assert parked["must_end_by"] is not None
        assert await command(running, workflow, "approve", reason="go on") == 200
        found = await running.ended(workflow)
    assert (found["status"], steps(found)["second"]["status"]) == ("completed", "succeeded")
    assert kinds(found).count("Parked") == kinds(found).count("Unparked") == 1
    assert "go on" in steps(found)["ask"]["message"]


async def test_an_approval_that_expires_wakes_by_its_bound_and_undoes(tmp_path: Path) -> None:
    """Nobody answers: the execution wakes by itself, and what was changed before is undone."""
    ask = an_approval("ask", "first", deadline=0.5, on_failure=OnFailure.ROLLBACK)
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, plan=a_plan(touch("first"), ask), MONITORING_INTERVAL="1s") as running:
        found = await running.ended(await running.begin(HIGH_CPU))
    assert (found["status"], found["reason"], found["rollback"]) == ("rolled_back", "approval_expired", "done")
    assert len(executor.orders("undo first")) == 1


async def test_a_parked_execution_is_rolled_back_by_hand(tmp_path: Path) -> None:
    """The command finds it on the control queue; the undo gets a slot and is done."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, plan=a_plan(touch("first"), an_approval("ask", "first"))) as running:
        workflow = await running.begin(HIGH_CPU)
        await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "it asks")
        assert await command(running, workflow, "rollback") in {200, 202}
        found = await running.ended(workflow)
    assert (found["status"], found["reason"]) == ("rolled_back", "rollback_requested")
    assert len(executor.orders("undo first")) == 1


async def test_a_paused_execution_is_rolled_back_by_hand(tmp_path: Path) -> None:
    """From a pause too: it does not sleep on with its undo in hand."""
    executor = ScriptedExecutor()
    executor.script("first", Answer(slow=True))
    async with replica(tmp_path, executor, plan=a_plan(touch("first"), touch("second", "first"))) as running:
        workflow = await running.begin(HIGH_CPU)
        await eventually(executor.running, "the first runs")
        assert await command(running, workflow, "pause") in {200, 202}
        executor.finish()
        await running.until(workflow, lambda one: one["status"] == "paused", "it stands still")
        assert await command(running, workflow, "rollback") in {200, 202}
        found = await running.ended(workflow)
    assert (found["status"], len(executor.orders("undo first"))) == ("rolled_back", 1)


async def test_what_was_not_proved_is_undone(tmp_path: Path) -> None:
    """The action succeeded, the deployment never got ready: the step has failed, and its change is taken back."""
    late = Condition("observed.ready_replicas >= 9", "nine are ready", within=0.3, poll=0.1)
    executor = ScriptedExecutor()
    plan = a_plan(
        touch("scale", postconditions=(late,), settle=0.1, on_failure=OnFailure.ROLLBACK), touch("n", "scale")
    )
    async with replica(tmp_path, executor, plan=plan) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
    assert (found["status"], steps(found)["scale"]["reason"]) == ("rolled_back", "postcondition_failed")
    assert found["cause"] == "Critical action scale failed: nine are ready"
    assert [one["observed"]["ready_replicas"] for one in evidence(found, "StepFailed")] == [3]
    assert executor.orders("n") == []


async def test_a_precondition_waits_for_an_executor_that_is_away(tmp_path: Path) -> None:
    """Held, not blocked: when it is back, the step is looked at and done."""
    executor = ScriptedExecutor()
    plan = a_plan(touch("first"), touch("second", "first", preconditions=(READY,)))
    executor.script("first", Answer(slow=True))
    async with replica(tmp_path, executor, plan=plan) as running:
        workflow = await running.begin(HIGH_CPU)
        await eventually(executor.running, "the first runs")
        executor.finish()
        executor.leave_after_next_answer()
        await running.until(workflow, lambda one: "Held" in kinds(one), "it is held")
        assert executor.orders("second") == []
        executor.away = False
        found = await running.ended(workflow)
    assert found["status"] == "completed"
    assert "StepBlocked" not in kinds(found)


async def test_a_step_that_is_skipped_while_it_is_looked_at_harms_nobody(tmp_path: Path) -> None:
    """The look is cut, its answer is not heard, and the others go on."""
    never = a_check("ready", postconditions=(Condition("observed.replicas > 99", target=a_target(), poll=0.05),))
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, plan=a_plan(never, touch("first"), touch("second", "ready"))) as running:
        workflow = await running.begin(HIGH_CPU)
        await running.until(workflow, lambda one: "StepSucceeded" in kinds(one, "first"), "the other one is done")
        assert await command(running, workflow, "skip-step", step="ready") == 200
        found = await running.ended(workflow)
    assert steps(found)["ready"]["status"] == "skipped"
    assert steps(found)["second"]["status"] == "succeeded"


async def test_a_failure_beside_a_look_that_has_not_begun_is_decided_at_once(tmp_path: Path) -> None:
    """A look that is ordered and cut in one and the same decision is never made, and the drive goes on."""
    plan = a_plan(touch("a", preconditions=(READY,), priority=1), touch("b", when="alert.labels.nowhere == 'x'"))
    async with replica(tmp_path, ScriptedExecutor(), plan=plan) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
    assert {name: step["status"] for name, step in steps(found).items()} == {"a": "cancelled", "b": "failed"}


async def test_items_survive_the_death_of_their_replica(tmp_path: Path) -> None:
    """The next one knows the items from the journal, asks for what was sent, and does nothing twice."""
    plan = a_plan(a_step("each", action=an_action(type="touch"), for_each="[1, 2, 3]", max_parallel=1))
    executor = ScriptedExecutor()
    executor.script("each[1]", Answer(slow=True))
    async with replica(tmp_path, executor, plan=plan) as running:
        workflow = await running.begin(HIGH_CPU)
        await eventually(lambda: "each[1]" in executor.running(), "the second item runs")
    async with replica(tmp_path, executor, plan=plan) as running:
        await eventually(lambda: len(executor.asked) > 0, "it is asked for by its key")
        executor.finish()
        found = await running.ended(workflow)
    assert found["status"] == "completed"
    assert [key.split(":")[1] for key in executor.effects] == ["each[0]", "each[1]", "each[2]"]


async def test_last_steps_that_were_sent_are_not_withdrawn(tmp_path: Path) -> None:
    """A failed run's last step is resent after a restart, though nothing else of it is."""
    plan = a_plan(touch("a"), touch("b", "a"), touch("tell", phase=Phase.FINALLY))
    executor = ScriptedExecutor()
    executor.script("b", failing(ErrorClass.PERMANENT))
    executor.script("tell", Answer(lost=True))
    executor_away_after = executor
    async with replica(tmp_path, executor_away_after, plan=plan) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
    assert (found["status"], steps(found)["tell"]["status"]) == ("failed", "succeeded")


async def test_a_retry_does_only_the_items_that_failed(tmp_path: Path) -> None:
    """Good results stay; the retry is a new execution of the same plan."""
    plan = a_plan(a_step("each", action=an_action(type="touch"), for_each="[1, 2, 3]", max_parallel=1))
    executor = ScriptedExecutor()
    executor.script("each[1]", failing(ErrorClass.PERMANENT))
    async with replica(tmp_path, executor, plan=plan) as running:
        workflow = await running.begin(HIGH_CPU)
        assert (await running.ended(workflow))["status"] == "failed"
        assert await command(running, workflow, "retry") in {200, 201, 202}
        found = await running.until(workflow, lambda one: one["status"] == "completed", "the retry completes")
    assert [len(executor.orders(f"each[{number}]")) for number in range(3)] == [1, 2, 1]
    assert found["result"]["success"] is True
