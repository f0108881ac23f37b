"""A plan is carried out as it says: what waits for what, what runs beside what, and what a failure means."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.replica import HIGH_CPU, Running, act, eventually, kinds, replica, rules_of, steps
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass

SLOW = Answer(slow=True)


def begun(running: Running) -> list[str]:
    """The steps whose action has begun, in order; undos as `undo <step>`."""
    names = [key.split(":", 1)[1] for key in running.executor.effects]
    return [f"undo {name.removesuffix(':undo')}" if name.endswith(":undo") else name for name in names]


def statuses(found: dict[str, Any]) -> dict[str, str]:
    """Step id to status."""
    return {name: step["status"] for name, step in steps(found).items()}


@pytest.mark.requirement("BR-WF-003")
async def test_steps_wait_for_what_they_need(tmp_path: Path) -> None:
    """A diamond: both sides start together once the first is done, the last only when both sides are."""
    rules = rules_of(
        tmp_path,
        act("last", needs=["left", "right"]),
        act("left", needs=["first"]),
        act("right", needs=["first"]),
        act("first"),
    )
    executor = ScriptedExecutor()
    for name in ("first", "left", "right"):
        executor.script(name, SLOW)
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(lambda: executor.running() == ["first"], "the first runs alone")
        executor.finish("first")
        await eventually(lambda: sorted(executor.running()) == ["left", "right"], "both sides run")
        executor.finish("left")
        await running.until(workflow_id, lambda found: statuses(found)["left"] == "succeeded", "one side is done")
        assert begun(running)[3:] == []
        executor.finish("right")
        found = await running.ended(workflow_id)
    assert found["status"] == "completed"
    assert begun(running)[0] == "first"
    assert begun(running)[-1] == "last"


@pytest.mark.requirement("BR-WF-003")
async def test_no_more_at_once_than_allowed(tmp_path: Path) -> None:
    """Of six independent steps two run; each that ends makes room for one more."""
    names = [f"step-{number}" for number in range(6)]
    executor = ScriptedExecutor()
    for name in names:
        executor.script(name, SLOW)
    rules = rules_of(tmp_path, *(act(name) for name in names))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_PARALLEL_ACTIONS="2") as running:
        workflow_id = await running.begin(HIGH_CPU)
        for done in range(0, 6, 2):
            await eventually(lambda: len(executor.running()) == 2, "two run")
            assert len(executor.effects) == done + 2
            executor.finish()
        found = await running.ended(workflow_id)
    assert found["result"]["actions_executed"] == 6
    assert executor.most_at_once == 2


@pytest.mark.requirement("BR-WF-001")
async def test_a_failure_that_is_not_critical_is_recorded_and_the_run_goes_on(tmp_path: Path) -> None:
    """Who needs the failed step runs all the same; in the end: partially completed, no success, nothing undone."""
    rules = rules_of(tmp_path, act("extra", critical=False), act("cure", needs=["extra"]))
    executor = ScriptedExecutor()
    executor.script("extra", failing(ErrorClass.PERMANENT, "no such channel"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        result = await running.result(HIGH_CPU)
    assert (result["status"], result["success"]) == ("partially_completed", False)
    assert result["failed_actions"] == ["extra"]
    assert [action["id"] for action in result["completed_actions"]] == ["cure"]
    assert (result["rollback_required"], result["rollback_initiated"]) == (False, False)
    assert result["workflow_result"]["reason"] == "non_critical_step_failed"
    assert "no such channel" in result["abort_reason"]
    assert "Critical" not in result["abort_reason"]


async def test_when_nothing_succeeded_it_is_a_failure(tmp_path: Path) -> None:
    """Only failures, none of them critical: failed, not partially completed."""
    rules = rules_of(tmp_path, act("one", critical=False), act("two", critical=False))
    executor = ScriptedExecutor()
    executor.script("one", failing(ErrorClass.PERMANENT))
    executor.script("two", failing(ErrorClass.FORBIDDEN))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        result = await running.result(HIGH_CPU)
    assert (result["status"], result["workflow_result"]["reason"]) == ("failed", "nothing_succeeded")


@pytest.mark.requirement("BR-WF-015")
async def test_a_critical_failure_stops_and_undoes_in_reverse(tmp_path: Path) -> None:
    """Nothing more is started; what had changed is taken back, dependants first, the half-done step before them."""
    rules = rules_of(
        tmp_path,
        act("one"),
        act("two", needs=["one"]),
        act("three", needs=["two"]),
        act("four", needs=["three"]),
    )
    executor = ScriptedExecutor()
    executor.script("three", failing(ErrorClass.PERMANENT, "disk full", changed=True))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        result = await running.result(HIGH_CPU)
        found = await running.detail(result["workflow_id"])
    assert begun(running) == ["one", "two", "three", "undo three", "undo two", "undo one"]
    assert statuses(found) == {"one": "succeeded", "two": "succeeded", "three": "failed", "four": "cancelled"}
    assert {steps(found)[name]["undo"] for name in ("one", "two", "three")} == {"undone"}
    assert result["abort_reason"] == "Critical action three failed: disk full"
    assert (result["success"], result["status"]) == (False, "rolled_back")
    assert (result["rollback_required"], result["rollback_initiated"]) == (True, True)
    assert result["workflow_result"]["rollback"] == "done"
    assert result["failed_actions"] == ["three"]


@pytest.mark.requirement("BR-WF-015")
async def test_undos_that_do_not_wait_for_each_other_run_side_by_side(tmp_path: Path) -> None:
    """Two independent changes are undone at the same time, what both built on only after both."""
    rules = rules_of(
        tmp_path,
        act("base"),
        act("left", needs=["base"]),
        act("right", needs=["base"]),
        act("end", needs=["left", "right"]),
    )
    executor = ScriptedExecutor()
    executor.script("end", failing(ErrorClass.PERMANENT))
    executor.script("undo left", SLOW)
    executor.script("undo right", SLOW)
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(lambda: sorted(executor.running()) == ["left", "right"], "both undos run")
        assert "undo base" not in begun(running)
        executor.finish()
        found = await running.ended(workflow_id)
    assert begun(running)[-1] == "undo base"
    assert found["status"] == "rolled_back"


async def test_what_runs_beside_a_critical_failure_is_heard_out(tmp_path: Path) -> None:
    """An action in flight is not forgotten: its end is journalled, and then what it changed is undone too."""
    rules = rules_of(tmp_path, act("long"), act("broken"))
    executor = ScriptedExecutor()
    executor.script("long", SLOW)
    executor.script("broken", failing(ErrorClass.PERMANENT))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        found = await running.until(workflow_id, lambda found: statuses(found).get("broken") == "failed", "it fails")
        assert found["status"] == "running"
        executor.finish()
        found = await running.ended(workflow_id)
    assert statuses(found)["long"] == "succeeded"
    assert begun(running)[-1] == "undo long"
    assert found["status"] == "rolled_back"


async def test_a_change_that_cannot_be_undone_says_so(tmp_path: Path) -> None:
    """The plan declares it beforehand; the rollback undoes the rest and leaves it be."""
    rules = rules_of(tmp_path, act("ashes", "burn"), act("change", needs=["ashes"]), act("end", needs=["change"]))
    executor = ScriptedExecutor()
    executor.script("end", failing(ErrorClass.PERMANENT))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        result = await running.result(HIGH_CPU)
    planned = {action["id"]: action for action in result["execution_details"]["plan"]["actions"]}
    assert (planned["ashes"]["reversible"], planned["ashes"]["irreversible_reason"]) == (False, "ashes stay ashes")
    assert steps(result)["ashes"]["undo"] == "irreversible"
    assert steps(result)["change"]["undo"] == "undone"
    assert "undo ashes" not in begun(running)


async def test_an_undo_that_fails_never_hides(tmp_path: Path) -> None:
    """The rest is undone all the same, and the end is failed with a rollback that is incomplete."""
    rules = rules_of(tmp_path, act("one"), act("two"), act("end", needs=["one", "two"]))
    executor = ScriptedExecutor()
    executor.script("end", failing(ErrorClass.PERMANENT, "no"))
    executor.script("undo two", failing(ErrorClass.CONFLICT, "changed since by somebody else"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        result = await running.result(HIGH_CPU)
    assert (result["status"], result["workflow_result"]["reason"]) == ("failed", "rollback_incomplete")
    assert result["workflow_result"]["rollback"] == "incomplete"
    assert steps(result)["one"]["undo"] == "undone"
    assert steps(result)["two"]["undo"] == "undo_failed"
    assert result["abort_reason"] == "Critical action end failed: no"


@pytest.mark.requirement("BR-WF-002")
async def test_an_alternative_takes_over(tmp_path: Path) -> None:
    """The second way runs only when the first has failed; its success makes the run a success."""
    rules = rules_of(tmp_path, act("first", alternative="second"), act("second"), act("after", needs=["first"]))
    executor = ScriptedExecutor()
    executor.script("first", failing(ErrorClass.PERMANENT))
    async with replica(tmp_path, executor, RULES_FILE=rules, INTAKE_COOLDOWN="0s") as running:
        healed = await running.result(HIGH_CPU)
        smooth = await running.result(HIGH_CPU)
    assert (healed["success"], healed["status"]) == (True, "completed")
    assert statuses(healed) == {"first": "failed", "second": "succeeded", "after": "succeeded"}
    assert "abort_reason" not in healed
    assert statuses(smooth) == {"first": "succeeded", "second": "skipped", "after": "succeeded"}
    assert smooth["actions_total"] == 2


@pytest.mark.requirement("BR-WF-029")
async def test_every_turn_is_in_the_journal_in_order(tmp_path: Path) -> None:
    """What happened can be read afterwards, numbered without gaps, from planning to the last word."""
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    executor = ScriptedExecutor()
    executor.script("two", failing(ErrorClass.PERMANENT))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        result = await running.result(HIGH_CPU)
        found = await running.detail(result["workflow_id"])
    assert kinds(found) == [
        *("PlanningStarted", "Planned", "Started"),
        *("StepStarted", "StepSucceeded", "StepStarted", "AttemptFailed"),
        *("RollbackStarted", "UndoStarted", "UndoSucceeded", "Ended"),
    ]
    assert [event["seq"] for event in found["events"]] == list(range(1, 12))
    assert sorted(event["at"] for event in found["events"]) == [event["at"] for event in found["events"]]
