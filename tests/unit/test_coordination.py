"""How workflow-service and an executor come to terms: retries, silence, time-outs, absence, and whose ledger speaks."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.replica import DISK_SPACE_HIGH, HIGH_CPU, act, eventually, kinds, replica, rules_of, steps
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass

SLOW = Answer(slow=True)
SILENT = Answer(silent=True)  # it arrives, the answer does not
LOST = Answer(lost=True)  # neither does


def keys(executor: ScriptedExecutor, step: str) -> list[str]:
    """The keys of a step's orders in the order in which they arrived, without the execution's id."""
    return [order.key.split(":", 1)[1] for order in executor.orders(step)]


def seconds(event: dict[str, Any]) -> float:
    """From a failure to the retry that the journal sets."""
    return (datetime.fromisoformat(event["retry_at"]) - datetime.fromisoformat(event["at"])).total_seconds()


@pytest.mark.requirement("BR-WF-014")
async def test_a_passing_failure_is_tried_again_later(tmp_path: Path) -> None:
    """Transient and throttled: a key of its own for each try, longer pauses, and success heals."""
    executor = ScriptedExecutor()
    executor.script("cure", failing(ErrorClass.TRANSIENT), failing(ErrorClass.THROTTLED))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("cure"))) as running:
        result = await running.result(HIGH_CPU)
        found = await running.detail(result["workflow_id"])
    assert result["success"] is True
    assert keys(executor, "cure") == ["cure", "cure:r1", "cure:r2"]
    assert [order.attempt for order in executor.orders("cure")] == [0, 1, 2]
    first, second = (event for event in found["events"] if event["kind"] == "AttemptFailed")
    assert 0.5 <= seconds(first) <= 1.0
    assert 1.0 <= seconds(second) <= 2.0
    assert steps(result)["cure"]["attempts"] == 3


@pytest.mark.requirement("BR-WF-014")
async def test_a_lasting_failure_is_not_tried_again(tmp_path: Path) -> None:
    """What will not pass by itself is not repeated, however many retries are allowed."""
    lasting = [error for error in ErrorClass if error not in {ErrorClass.TRANSIENT, ErrorClass.THROTTLED}]
    executor = ScriptedExecutor()
    for error in lasting:
        executor.script(error, failing(error, "never"))
    rules = rules_of(tmp_path, *(act(error.value, critical=False) for error in lasting))
    async with replica(tmp_path, executor, RULES_FILE=rules, RETRY_ATTEMPTS="20") as running:
        result = await running.result(HIGH_CPU)
    assert sorted(order.step_id for order in executor.sent) == sorted(lasting)
    assert {name: step["error_class"] for name, step in steps(result).items()} == {error: error for error in lasting}


async def test_a_long_action_is_followed_to_its_end(tmp_path: Path) -> None:
    """The executor answers that it still runs; it is asked by key and never given the order twice."""
    executor = ScriptedExecutor()
    executor.script("cure", SLOW)
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("cure"))) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(lambda: len(executor.asked) >= 2, "it is asked again and again")
        executor.away = True  # an executor that is away for a moment costs nothing
        await eventually(lambda: executor.missed, "it is asked while it is away")
        executor.away = False
        executor.finish()
        found = await running.ended(workflow_id)
    assert found["status"] == "completed"
    assert keys(executor, "cure") == ["cure"]


@pytest.mark.parametrize("answered", [SILENT, LOST], ids=["arrived", "lost"])
async def test_after_silence_the_key_is_asked_for(tmp_path: Path, answered: Answer) -> None:
    """What arrived is not sent again; what the same ledger never saw is, under the same key. One effect either way."""
    executor = ScriptedExecutor()
    executor.script("cure", answered)
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("cure"))) as running:
        result = await running.result(HIGH_CPU)
    assert result["success"] is True
    assert executor.asked[0] == executor.effects[0] == f"{result['execution_id']}:cure"
    assert len(executor.effects) == 1
    assert keys(executor, "cure") == ["cure"]


async def test_another_ledger_proves_nothing(tmp_path: Path) -> None:
    """When the ledger that would remember is gone, the outcome is unknown, and the key is never sent again."""
    executor = ScriptedExecutor()
    executor.script("cure", Answer(silent=True, new_ledger=True))
    rules = rules_of(tmp_path, act("cure", on_failure="stop"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        result = await running.result(HIGH_CPU)
    assert steps(result)["cure"]["status"] == "unknown"
    assert keys(executor, "cure") == ["cure"]
    assert (result["status"], result["failed_actions"]) == ("failed", ["cure"])
    assert "ledger-1 to ledger-2" in result["abort_reason"]


async def test_what_nobody_remembers_is_not_called_undone(tmp_path: Path) -> None:
    """When the ledger that would know an unknown outcome is gone, the rollback is incomplete and says so."""
    executor = ScriptedExecutor()
    executor.script("cure", Answer(lost=True, new_ledger=True))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("cure"))) as running:
        result = await running.result(HIGH_CPU)
    assert keys(executor, "undo cure") == []
    assert result["status"] == "failed"
    assert result["workflow_result"]["reason"] == "rollback_incomplete"
    assert result["workflow_result"]["rollback"] == "incomplete"


async def test_a_tombstone_in_another_ledger_is_no_undo(tmp_path: Path) -> None:
    """What a drive that was taken over has cancelled in a new ledger was done all the same: it is not called undone."""
    executor = ScriptedExecutor()
    executor.script("second", SLOW)
    rules = rules_of(tmp_path, act("cure"), act("second", needs=["cure"]))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(lambda: executor.running() == ["second"], "the second step runs")
        cure = executor.effects[0]
        executor.forget()
        await executor.cancel(cure)
        found = await running.ended(workflow_id)
    assert keys(executor, "undo cure") == []
    assert steps(found)["cure"]["undo"] == "undo_failed"
    assert (found["status"], found["reason"], found["rollback"]) == ("failed", "rollback_incomplete", "incomplete")


async def test_a_step_out_of_time_is_cancelled_by_key_before_it_ends(tmp_path: Path) -> None:
    """While nobody answers the cancel, the step does not end; once somebody does, it ends as timed out, not retried."""
    executor = ScriptedExecutor(mute_cancel=True)
    executor.script("cure", SLOW)
    rules = rules_of(tmp_path, act("cure", timeout=0.2))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(lambda: executor.refused_cancels, "a cancel is tried")
        assert steps(await running.detail(workflow_id))["cure"]["status"] == "running"
        executor.mute_cancel = False
        found = await running.ended(workflow_id)
    assert executor.cancelled == [f"{found['execution_id']}:cure"]
    assert steps(found)["cure"]["error_class"] == "timeout"
    assert found["result"]["abort_reason"].startswith("Critical action cure failed: not done in time")
    assert keys(executor, "cure") == ["cure"]


async def test_a_cancel_that_comes_too_late_is_no_failure(tmp_path: Path) -> None:
    """An action that cannot be stopped and ends well after its time was well done: the result counts."""
    executor = ScriptedExecutor()
    executor.script("cure", Answer(slow=True, stubborn=True))
    rules = rules_of(tmp_path, act("cure", timeout=0.2))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(lambda: executor.cancelled, "it is cancelled")
        executor.finish()
        found = await running.ended(workflow_id)
    assert (found["status"], steps(found)["cure"]["status"]) == ("completed", "succeeded")


@pytest.mark.requirement("BR-WF-001")
async def test_an_execution_out_of_time_ends_and_says_why(tmp_path: Path) -> None:
    """What runs is cancelled by key, the rest is not begun, what had changed is undone: timed_out, never stuck."""
    executor = ScriptedExecutor()
    executor.script("two", SLOW)
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]), act("three", needs=["two"]))
    async with replica(tmp_path, executor, RULES_FILE=rules, WORKFLOW_EXECUTION_TIMEOUT="1s") as running:
        result = await running.result(HIGH_CPU)
    assert (result["status"], result["success"]) == ("timed_out", False)
    assert result["workflow_result"]["reason"] == "execution_timeout"
    assert executor.cancelled == [f"{result['execution_id']}:two"]
    assert {name: step["status"] for name, step in steps(result).items()} == {
        "one": "succeeded",
        "two": "failed",
        "three": "cancelled",
    }
    assert keys(executor, "undo one") == ["one:undo"]
    assert result["workflow_result"]["rollback"] == "done"


async def test_an_executor_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """The plan is made, the execution is held and says so once, nothing fails; it goes on when the executor is back."""
    executor = ScriptedExecutor(away=True)
    async with replica(tmp_path, executor) as running:
        workflow_id = await running.begin(DISK_SPACE_HIGH)
        held = await running.until(workflow_id, lambda found: "Held" in kinds(found), "it is held")
        assert held["status"] == "running"
        assert "executor is away" in next(event["reason"] for event in held["events"] if event["kind"] == "Held")
        health = (await running.http.get("/health")).json()
        assert (health["status"], health["components"]["executor"]) == ("degraded", False)
        executor.away = False
        found = await running.ended(workflow_id)
    assert found["status"] == "completed"
    assert kinds(found).count("Held") == 1
    assert len(executor.effects) == len(set(executor.effects)) == found["actions_total"]


async def test_an_executor_that_leaves_in_the_middle_is_waited_for(tmp_path: Path) -> None:
    """The step that could not be sent keeps its key and its first attempt: absence is no failure."""
    executor = ScriptedExecutor()
    executor.script("one", SLOW)
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "the first runs")
        executor.finish()
        executor.leave_after_next_answer()
        await running.until(workflow_id, lambda found: "Held" in kinds(found), "it is held")
        executor.away = False
        found = await running.ended(workflow_id)
    assert found["status"] == "completed"
    assert keys(executor, "two") == ["two"]
    assert [order.attempt for order in executor.orders("two")] == [0]


@pytest.mark.requirement("BR-WF-015")
async def test_a_rollback_waits_for_the_executor_too(tmp_path: Path) -> None:
    """The executor is away when the undo is due: the undo is done when it is back, once."""
    executor = ScriptedExecutor()
    executor.script("two", SLOW)
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(lambda: executor.running() == ["two"], "the second runs")
        executor.finish(how=failing(ErrorClass.PERMANENT))
        executor.leave_after_next_answer()
        await running.until(workflow_id, lambda found: "Held" in kinds(found), "the rollback is held")
        executor.away = False
        found = await running.ended(workflow_id)
    assert found["status"] == "rolled_back"
    assert keys(executor, "undo one") == ["one:undo"]


@pytest.mark.requirement("BR-WF-015")
async def test_an_undo_that_fails_for_a_while_is_tried_again(tmp_path: Path) -> None:
    """A passing failure of an undo is retried under a key of its own."""
    executor = ScriptedExecutor()
    executor.script("two", failing(ErrorClass.PERMANENT))
    executor.script("undo one", failing(ErrorClass.TRANSIENT))
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        result = await running.result(HIGH_CPU)
    assert keys(executor, "undo one") == ["one:undo", "one:undo:r1"]
    assert (result["status"], steps(result)["one"]["undo"]) == ("rolled_back", "undone")


async def test_no_order_without_time_left(tmp_path: Path) -> None:
    """Each order says how many seconds it has: never more than its own time-out, and above zero."""
    executor = ScriptedExecutor()
    rules = rules_of(tmp_path, act("short", timeout=5), act("long"))
    async with replica(tmp_path, executor, RULES_FILE=rules, ACTION_TIMEOUT="30s") as running:
        await running.result(HIGH_CPU)
    [short], [long] = executor.orders("short"), executor.orders("long")
    assert 0 < short.remaining_seconds <= 5
    assert 5 < long.remaining_seconds <= 30


async def test_the_log_tells_of_every_action(tmp_path: Path) -> None:
    """The specification's fields stand in the lines about actions: workflow, action, step, total_steps, progress."""
    executor = ScriptedExecutor()
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        result = await running.result(HIGH_CPU)
        lines = [line for line in running.log if "workflow action" in line["event"]]
    told = [(line["event"], line["action_id"], line["step"], line["progress"]) for line in lines]
    assert told == [
        ("executing workflow action", "one", 1, "0/2"),
        ("workflow action ended", "one", 1, "1/2"),
        ("executing workflow action", "two", 2, "1/2"),
        ("workflow action ended", "two", 2, "2/2"),
    ]
    assert {line["workflow_id"] for line in lines} == {result["workflow_id"]}
    assert {line["total_steps"] for line in lines} == {2}
