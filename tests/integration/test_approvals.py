"""An approval counts for one plan: a plan that has changed since asks anew, and words for the old one are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.replica import HIGH_CPU, Running, act, kinds, replica, rules_of
from tests.support.scripted_executor import ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass

pytestmark = pytest.mark.requirement("BR-WF-005", "BR-WF-015")
PERMANENT = failing(ErrorClass.PERMANENT, "no such image")


def asked_first(directory: Path) -> str:
    """The path of a policy by which every plan is approved as a whole."""
    path = directory / "policy.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "autonomy": [{"level": "approve"}]}), "utf-8")
    return str(path)


def hash_of(found: dict[str, Any]) -> str:
    """The hash of the workflow's present plan."""
    return str(found["result"]["execution_details"]["plan"]["hash"])


async def asks(running: Running, workflow: str, step: str) -> dict[str, Any]:
    """The workflow once that step waits for a word."""

    def waiting(found: dict[str, Any]) -> bool:
        steps = found["result"]["execution_details"]["steps"]
        return any((one["id"], one["status"]) == (step, "waiting") for one in steps) and kinds(found)[-1] == "Parked"

    return await running.until(workflow, waiting, f"{step} waits")


async def approve(running: Running, workflow: str, **body: Any) -> tuple[int, dict[str, Any]]:
    """`curl -X POST .../approve`."""
    answer = await running.http.post(f"/api/v1/workflows/{workflow}/approve", json=body)
    return answer.status_code, answer.json()


async def test_another_way_asks_anew(tmp_path: Path) -> None:
    """The revision is not the plan that was approved: its steps wait, and the old hash is refused with the new one."""
    other = {"name": "other", "reason": "the test says so", "actions": [act("again", on="target")]}
    rules = rules_of(tmp_path, act("restart", on="target"), recovery=[other])
    executor = ScriptedExecutor()
    executor.script("restart", PERMANENT)
    async with replica(tmp_path, executor, RULES_FILE=rules, POLICY_FILE=asked_first(tmp_path)) as running:
        workflow = await running.begin(HIGH_CPU)
        first = hash_of(await asks(running, workflow, "approve_plan"))
        assert (await approve(running, workflow, plan_hash=first))[0] in {200, 202}
        second = hash_of(await asks(running, workflow, "recovery-1/approve_recovery"))
        assert (second != first, executor.orders("recovery-1/again")) == (True, [])
        code, problem = await approve(running, workflow, plan_hash=first)
        assert (code, second in problem["detail"]) == (409, True)
        assert (await approve(running, workflow, plan_hash=second))[0] in {200, 202}
        found = await running.ended(workflow)
    assert (found["status"], len(executor.orders("recovery-1/again"))) == ("completed", 1)


async def test_another_way_that_is_refused(tmp_path: Path) -> None:
    """Rejected, it is not gone; the workflow ends as one that a person has rejected."""
    other = {"name": "other", "reason": "the test says so", "actions": [act("again", on="target")]}
    rules = rules_of(tmp_path, act("restart", on="target", on_failure="stop"), recovery=[other])
    executor = ScriptedExecutor()
    executor.script("restart", PERMANENT)
    async with replica(tmp_path, executor, RULES_FILE=rules, POLICY_FILE=asked_first(tmp_path)) as running:
        workflow = await running.begin(HIGH_CPU)
        await asks(running, workflow, "approve_plan")
        await approve(running, workflow)
        await asks(running, workflow, "recovery-1/approve_recovery")
        answer = await running.http.post(f"/api/v1/workflows/{workflow}/reject", json={"reason": "no"})
        assert answer.status_code in {200, 202}
        found = await running.ended(workflow)
    assert (found["ended_at"] is not None, executor.orders("recovery-1/again")) == (True, [])
    assert (found["status"], found["reason"]) == ("rejected", "approval_rejected"), found["cause"]


async def test_other_parameters_ask_anew(tmp_path: Path) -> None:
    """A retry with another value is another plan: the old approval does not let it through."""
    rules = rules_of(tmp_path, act("cure", on="target", parameters={"size": 1}, on_failure="stop"), recovery=[])
    executor = ScriptedExecutor()
    executor.script("cure", PERMANENT)
    given: dict[str, Any] = {"RECOVERY_ENABLED": "false"}
    policy = asked_first(tmp_path)
    async with replica(tmp_path, executor, RULES_FILE=rules, POLICY_FILE=policy, **given) as running:
        workflow = await running.begin(HIGH_CPU)
        first = hash_of(await asks(running, workflow, "approve_plan"))
        await approve(running, workflow, plan_hash=first)
        await running.ended(workflow)
        body = {"parameters": {"cure": {"size": 2}}}
        answer = await running.http.post(f"/api/v1/workflows/{workflow}/retry", json=body)
        assert answer.status_code in {200, 202}, answer.text
        second = hash_of(await asks(running, workflow, "approve_plan"))
        code, problem = await approve(running, workflow, plan_hash=first)
        assert (code, second in problem["detail"]) == (409, True)
        assert len(executor.orders("cure")) == 1
        assert (await approve(running, workflow, plan_hash=second))[0] in {200, 202}
        found = await running.ended(workflow)
    assert (found["status"], executor.orders("cure")[-1].parameters["size"]) == ("completed", 2)
