"""Recoveries before the guardrails, on a real replica: another plan is judged anew and needs another word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.replica import HIGH_CPU, Running, act, replica, rules_of, steps
from tests.support.scripted_executor import ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-005", "BR-WF-015")
PERMANENT = failing(ErrorClass.PERMANENT, "no such image")


def policy(directory: Path, **given: Any) -> str:
    """The path of a policy file."""
    path = directory / "policy.yaml"
    path.write_text(yaml.safe_dump({"version": 1, **given}), "utf-8")
    return str(path)


def failing_rule(directory: Path, *options: dict[str, Any]) -> str:
    """A rule that changes the target, then tries in vain; there are other ways."""
    prepare, restart = act("prepare", on="target"), act("restart", on="target", needs=["prepare"])
    return rules_of(directory, prepare, restart, recovery=list(options))


def option(name: str, action_type: str = "touch") -> dict[str, Any]:
    """Another way, of one action."""
    return {"name": name, "reason": f"the test says {name}", "actions": [act(name, action_type, on="target")]}


def scripted() -> ScriptedExecutor:
    """An executor that cannot restart."""
    executor = ScriptedExecutor()
    executor.script("restart", PERMANENT)
    return executor


async def word(running: Running, workflow: str, step: str, verb: str) -> None:
    """A person's word, once that step asks for it."""
    await running.until(workflow, lambda found: steps(found).get(step, {}).get("status") == "waiting", f"{step} asks")
    answer = await running.http.post(f"/api/v1/workflows/{workflow}/{verb}", json={"step": step})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_a_word_on_the_plan_before_is_none_on_its_revision(tmp_path: Path, verb: str) -> None:
    """What a recovery adds begins after a word of its own; a no leads to what the failure leads to."""
    executor = scripted()
    given = policy(tmp_path, autonomy=[{"level": "approve"}])
    rules = failing_rule(tmp_path, option("other"))
    async with replica(tmp_path, executor, RULES_FILE=rules, POLICY_FILE=given) as running:
        workflow = await running.begin(HIGH_CPU)
        await word(running, workflow, "approve_plan", "approve")
        await word(running, workflow, "recovery-1/approve_recovery", verb)
        found = await running.ended(workflow)
    sent = [order.step_id for order in executor.sent]
    if verb == "approve":
        assert (found["status"], sent) == ("completed", ["prepare", "restart", "recovery-1/other"])
        return
    assert (found["status"], found["reason"]) == ("rolled_back", "approval_rejected"), found["events"]
    assert "recovery-1/other" not in sent


async def test_a_revision_that_policy_puts_before_a_person_asks(tmp_path: Path) -> None:
    """The first plan was small enough to go on by itself; with what the recovery adds it is not."""
    executor = scripted()
    given = policy(tmp_path, plan_size=3)
    rules = failing_rule(tmp_path, option("other"))
    async with replica(tmp_path, executor, RULES_FILE=rules, POLICY_FILE=given) as running:
        workflow = await running.begin(HIGH_CPU)
        await word(running, workflow, "recovery-1/approve_recovery", "approve")
        found = await running.ended(workflow)
    assert found["status"] == "completed", found["events"]
    assert "approve_plan" not in steps(found)


async def test_an_option_that_is_denied_is_none(tmp_path: Path) -> None:
    """The next one is tried; nothing of the denied one is ever sent."""
    executor = scripted()
    given = policy(tmp_path, deny=[{"actions": ["burn"]}])
    rules = failing_rule(tmp_path, option("fire", "burn"), option("other"))
    async with replica(tmp_path, executor, RULES_FILE=rules, POLICY_FILE=given) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
    assert (found["status"], [one["option"] for one in found["result"]["execution_details"]["recoveries"]]) == (
        "completed",
        ["other"],
    )
    assert not [order for order in executor.sent if order.type == "burn"]


async def test_when_every_option_is_denied_the_failure_is_answered(tmp_path: Path) -> None:
    """There is no other way; the rule that says so is in the record, and the change before is undone."""
    executor = scripted()
    given = policy(tmp_path, deny=[{"actions": ["burn"]}])
    rules = failing_rule(tmp_path, option("fire", "burn"))
    async with replica(tmp_path, executor, RULES_FILE=rules, POLICY_FILE=given) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
    [recovery] = found["result"]["execution_details"]["recoveries"]
    assert (found["status"], recovery["outcome"], recovery["reason"]) == ("rolled_back", "refused", "recovery_denied")
    assert "lists" in recovery["why"]
