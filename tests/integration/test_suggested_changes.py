"""Changes that an advisor suggests, on a real replica: done only where a person says so, at no cost to the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import stub_ai
from tests.support.questions import text
from tests.support.replica import HIGH_CPU, Running, act, eventually, replica, rules_of, steps
from tests.support.scripted_executor import ScriptedExecutor
from tests.support.stub_ai import OPENAI, StubAi

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-004", "BR-WF-005")
GO_BACK = {"action": "rollback_deployment", "parameters": {}, "why": "the last release <b>is bad</b>"}


@asynccontextmanager
async def advised(
    directory: Path, monkeypatch: pytest.MonkeyPatch, said: Mapping[str, Any], **given: str
) -> AsyncIterator[tuple[Running, ScriptedExecutor]]:
    """A replica whose one rule touches the target, and whose advisor says this of every plan."""
    monkeypatch.setitem(stub_ai.WRITINGS, "said", lambda: text(**{"picks": [], "suggested": [], **said}))
    executor = ScriptedExecutor()
    rules = rules_of(directory, act("cure", on="target"))
    async with StubAi(OPENAI, "said").serving() as stub:
        ai: Any = {"AI_PROVIDER": "openai", "AI_SERVICE_URL": stub.url, "RULES_FILE": rules, **given}
        async with replica(directory, executor, **ai) as running:
            await eventually(running.parts.advising.there, "the advisor is found")
            yield running, executor


def sent(executor: ScriptedExecutor) -> list[str]:
    """The steps that the executor was asked for."""
    return [order.step_id for order in executor.sent]


async def asked(running: Running) -> str:
    """A workflow that waits for a word on its suggestion."""
    workflow = await running.begin(HIGH_CPU)
    await running.until(workflow, lambda found: found["status"] == "awaiting_approval", "a person is asked")
    return workflow


@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_a_suggested_change_needs_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """What rules planned is done at once; the suggestion waits. With a yes it is done, with a no the end is as good."""
    async with advised(tmp_path, monkeypatch, {"suggested": [GO_BACK]}) as (running, executor):
        workflow = await asked(running)
        assert sent(executor) == ["cure"]
        answer = await running.http.post(
            f"/api/v1/workflows/{workflow}/{verb}", json={"step": "approve_suggested_1", "reason": "told to"}
        )
        assert answer.status_code == 200, answer.text
        found = await running.ended(workflow)
    assert (found["status"], found["reason"]) == ("completed", "all_steps_succeeded")
    assert found["result"]["ai_analysis_applied"] is True
    if verb == "approve":
        assert sent(executor) == ["cure", "suggested_1"]
        order = executor.sent[-1]
        assert (order.type, order.parameters) == (
            "rollback_deployment",
            {"namespace": "production", "resource_name": "web-server"},
        )
        return
    assert sent(executor) == ["cure"]
    assert found["cause"] == "approve_suggested_1 was not allowed (approval_rejected)"
    assert steps(found)["suggested_1"]["status"] == "skipped"
    assert "abort_reason" not in found["result"]


async def test_below_the_threshold_nobody_is_bothered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.69 is not 0.70: the plan is the rule's, and nothing of the suggestion is in it."""
    said = {"suggested": [GO_BACK], "confidence_percent": 69}
    async with advised(tmp_path, monkeypatch, said) as (running, executor):
        result = await running.result(HIGH_CPU)
    assert (result["success"], result["ai_analysis_applied"], sent(executor)) == (True, False, ["cure"])


async def test_a_suggestion_that_guardrails_deny_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes nothing of the rule's plan with it; the plan says why, and that no advice was applied."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump({"version": 1, "deny": [{"actions": ["rollback_deployment"]}]}), "utf-8")
    async with advised(tmp_path, monkeypatch, {"suggested": [GO_BACK]}, POLICY_FILE=str(policy)) as (running, executor):
        result = await running.result(HIGH_CPU)
    metadata = result["execution_details"]["plan"]["metadata"]
    assert (result["success"], result["ai_analysis_applied"], sent(executor)) == (True, False, ["cure"])
    assert metadata["creation_method"] == "fallback"
    assert "steps.suggested_1.type" in metadata["guardrails"]["instead_of"][0]


async def test_a_suggestion_is_not_begun_while_changes_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A halt that comes before the yes leaves it out, rather than holding up a workflow that has helped."""
    async with advised(tmp_path, monkeypatch, {"suggested": [GO_BACK]}) as (running, executor):
        workflow = await asked(running)
        ana = {"X-Service-Name": "ana"}
        halt = await running.http.post("/api/v1/halt", json={"reason": "all wrong"}, headers=ana)
        assert halt.status_code in {200, 201}, halt.text
        await running.http.post(f"/api/v1/workflows/{workflow}/approve", json={"step": "approve_suggested_1"})
        found = await running.ended(workflow)
    assert (found["status"], sent(executor)) == ("completed", ["cure"])
    assert "halted" in steps(found)["suggested_1"]["message"]
