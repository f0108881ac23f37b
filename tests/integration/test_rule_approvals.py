"""Approvals that a rule asks for, answered over HTTP as with curl: approve, reject, cancel, and the whole language."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.replica import DEADLINE, HIGH_CPU, Running, act, kinds, replica, rules_of, steps
from tests.support.scripted_executor import ScriptedExecutor

pytestmark = pytest.mark.requirement("BR-WF-002", "BR-WF-005")
NODE = {"name": "NodeKernelDeadlock", "severity": "critical", "labels": {"node": "node-1"}}


def asking(directory: Path) -> str:
    """A rule file whose one rule touches something, asks, and touches something else."""
    ask = {"when": "alert.severity == 'critical'", "timeout": "10m"}
    return rules_of(directory, act("first"), act("second", needs=["first"], approval=ask))


async def waiting(running: Running) -> str:
    """A workflow that waits for a word; its id."""
    workflow = await running.begin(HIGH_CPU)
    found = await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "it asks")
    assert steps(found)["approve_second"]["status"] == "waiting"
    return workflow


async def say(running: Running, workflow: str, verb: str, **body: Any) -> dict[str, Any]:
    """`curl -X POST .../{verb}`; what became of it, also where its owner takes longer than the call waits (202)."""
    headers, own = {"X-Service-Name": "ana"}, f"/api/v1/workflows/{workflow}"
    answer = await running.http.post(f"{own}/{verb}", json=body, headers=headers)
    assert answer.status_code in {200, 202}, answer.text
    found: dict[str, Any] = answer.json()
    async with asyncio.timeout(DEADLINE):
        while found["outcome"] == "waiting":
            given = (await running.http.get(f"{own}/commands")).json()["commands"]
            found = next(one for one in given if one.get("command_id", one.get("id")) == answer.json()["command_id"])
            found = found if found["outcome"] else {**found, "outcome": "waiting"}
    return found


async def test_an_approval_of_a_rule_is_given_by_curl(tmp_path: Path) -> None:
    """Nothing of the step is sent before; then it goes on and completes, and the journal says who let it."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=asking(tmp_path)) as running:
        workflow = await waiting(running)
        assert executor.orders("second") == []
        plan_hash = (await running.detail(workflow))["result"]["execution_details"]["plan"]["hash"]
        answer = await say(running, workflow, "approve", reason="go on", plan_hash=plan_hash)
        assert answer["outcome"] == "applied"
        found = await running.ended(workflow)
    assert (found["status"], len(executor.orders("second"))) == ("completed", 1)
    assert "approve by ana: go on" in steps(found)["approve_second"]["message"]


async def test_an_approval_of_a_rule_is_refused_by_curl(tmp_path: Path) -> None:
    """The workflow is rejected, with who and why; what was done before stays done."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=asking(tmp_path)) as running:
        workflow = await waiting(running)
        await say(running, workflow, "reject", reason="not now")
        found = await running.ended(workflow)
    assert (found["status"], found["reason"], found["rollback"]) == ("rejected", "approval_rejected", "none")
    assert "reject by ana: not now" in found["cause"]
    assert (len(executor.orders("first")), executor.orders("second")) == (1, [])


@pytest.mark.parametrize(("undo", "undone"), [(False, 0), (True, 1)])
async def test_cancel_during_an_approval_of_a_rule(tmp_path: Path, undo: bool, undone: int) -> None:
    """It is over at once; with undo what was done before is undone first."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=asking(tmp_path)) as running:
        workflow = await waiting(running)
        answer = await say(running, workflow, "cancel", reason="false alarm", undo=undo)
        assert answer["outcome"] == "applied"
        found = await running.ended(workflow)
    assert (found["status"], found["reason"]) == ("cancelled", "cancel_requested")
    assert (len(executor.orders("undo first")), executor.orders("second")) == (undone, [])


async def test_nobody_is_asked_where_the_condition_is_false(tmp_path: Path) -> None:
    """`approval.when` false: the step that asks is skipped, and the action goes on."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=asking(tmp_path)) as running:
        found = await running.ended(await running.begin({**HIGH_CPU, "severity": "high"}))
    assert (found["status"], steps(found)["approve_second"]["status"]) == ("completed", "skipped")


async def test_the_shipped_rule_drains_only_with_a_word(tmp_path: Path) -> None:
    """A sick node is cordoned, then asked about; approved, it is drained."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor) as running:
        workflow = await running.begin(NODE)
        await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "it asks")
        assert [len(executor.orders(step)) for step in ("cordon", "tell", "drain")] == [1, 1, 0]
        await say(running, workflow, "approve", step="approve_drain")
        found = await running.ended(workflow)
    assert (found["status"], len(executor.orders("drain"))) == ("completed", 1)


async def test_nobody_forgets_a_node_that_stays_cordoned(tmp_path: Path) -> None:
    """Without the word to drain it on-call is told at the end that the node gets no new work."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor) as running:
        workflow = await running.begin(NODE)
        await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "it asks")
        await say(running, workflow, "reject", step="approve_drain", reason="not now")
        found = await running.ended(workflow)
    assert (found["status"], [len(executor.orders(step)) for step in ("drain", "tell_end")]) == ("rejected", [0, 1])
    assert "until somebody uncordons it" in executor.orders("tell_end")[0].parameters["message"]


@pytest.mark.requirement("BR-WF-007", "BR-WF-019")
async def test_a_whole_rule_runs_as_it_is_written(tmp_path: Path) -> None:
    """Condition, proof, items, wait, template, verification and last step of one rule file, over the real engine."""
    rule = """
version: 1
rules:
- name: whole
  reason: the test says so
  actions:
  - {id: look, type: look}
  - id: each
    type: touch
    needs: [look]
    forEach: "['a', 'b']"
    maxParallel: 2
    parameters: {name: "${{ item }} of {name}"}
  - {id: never, type: touch, when: alert.severity == 'low'}
  - {id: breathe, kind: wait, wait: 50ms, needs: [each]}
  - id: heal
    kind: template
    on: owner
    needs: [breathe]
    parameters: {app: "{name}"}
    steps:
    - id: scale
      type: touch
      on: owner
      parameters: {name: "${{ params.app }}"}
      postconditions: [{expression: observed.ready_replicas >= 3, within: 10s, poll: 50ms}]
  verify:
  - {id: healthy, kind: check, on: owner, postconditions: [{expression: observed.replicas == 3}]}
  - {id: calm, kind: check, postconditions: [{expression: observed.value < 1.0, promql: 'errors{ns="{namespace}"}'}]}
  finally:
  - {id: note, type: look}
"""
    path = tmp_path / "whole.yaml"
    path.write_text(rule, "utf-8")
    executor = ScriptedExecutor()
    executor.metrics['errors{ns="production"}'] = 0.5
    async with replica(tmp_path, executor, RULES_FILE=str(path)) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
    assert (found["status"], found["reason"]) == ("completed", "all_steps_succeeded"), found["events"]
    assert steps(found)["never"]["status"] == "skipped"
    assert [executor.orders(f"each[{n}]")[0].parameters["name"] for n in (0, 1)] == [
        "a of web-server-123",
        "b of web-server-123",
    ]
    assert executor.orders("heal/scale")[0].parameters == {"name": "web-server"}
    assert len(executor.orders("note")) == 1
    assert kinds(found)[-1] == "Ended"
