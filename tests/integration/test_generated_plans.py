"""Plans that an advisor makes, by HTTP: for what no rule knows a remedy for, sure enough or behind a person's word."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import stub_ai
from tests.support.questions import pick, text
from tests.support.replica import HIGH_CPU, Running, eventually, replica, steps
from tests.support.scripted_executor import ScriptedExecutor, failing
from tests.support.stub_ai import OPENAI, StubAi
from workflow_service.domain.errors import ErrorClass

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-004", "BR-WF-005")
ODD = {**HIGH_CPU, "name": "QueueTooLong", "severity": "warning"}
GO_BACK = pick("rollback_deployment", parameters={})
LOOKS = ["collect_diagnostics", "notify_team"]


@asynccontextmanager
async def advised(
    directory: Path, monkeypatch: pytest.MonkeyPatch, *picks: dict[str, Any], percent: int = 82, **given: str
) -> AsyncIterator[tuple[Running, ScriptedExecutor]]:
    """A replica with the shipped rules, whose advisor makes this plan."""
    written = text(picks=[*picks], suggested=[], confidence_percent=percent).replace('"suggested": [], ', "")
    monkeypatch.setitem(stub_ai.WRITINGS, "planned", lambda: written)
    executor = ScriptedExecutor()
    async with StubAi(OPENAI, "planned").serving() as stub:
        ai: Any = {"AI_PROVIDER": "openai", "AI_SERVICE_URL": stub.url, "SHIPPED_TEMPLATES": "false", **given}
        async with replica(directory, executor, **ai) as running:
            await eventually(running.parts.advising.there, "the advisor is found")
            yield running, executor


def sent(executor: ScriptedExecutor) -> list[str]:
    """The action types that the executor was asked for, in no particular order."""
    return sorted(order.type for order in executor.sent)


@pytest.mark.parametrize("percent", [70, 69])
async def test_a_plan_is_executed_at_the_threshold_and_asked_about_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, percent: int
) -> None:
    """0.70 runs by itself; 0.69 waits for a person, while looking and telling go on; explain names the rule."""
    async with advised(tmp_path, monkeypatch, GO_BACK, percent=percent) as (running, executor):
        workflow = await running.begin(ODD)
        if percent == 69:
            await running.until(workflow, lambda found: found["status"] == "awaiting_approval", "a person is asked")
            assert sent(executor) == LOOKS
            told = (await running.http.post("/api/v1/explain", json={"workflow_id": workflow})).json()
            finding, asked = [one for one in told["findings"] if one["word"] == "needs_approval"]
            assert asked["rule"] == "approval"
            assert (finding["rule"], finding["value"]) == ("confidence", 0.69)
            await running.http.post(f"/api/v1/workflows/{workflow}/approve", json={"step": "approve_plan"})
        found = await running.ended(workflow)
    assert found["status"] == "completed", found["events"]
    assert sent(executor) == [*LOOKS, "rollback_deployment"]
    [order] = [one for one in executor.sent if one.type == "rollback_deployment"]
    assert order.parameters == {"namespace": "production", "resource_name": "web-server"}
    result = found["result"]
    assert result["ai_analysis_applied"] is True
    assert result["execution_details"]["plan"]["metadata"]["creation_method"] == "ai_generated"


async def test_a_policy_below_the_threshold_does_not_lower_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`confidence` of the policy is about advice in general; a whole plan below the threshold needs a word."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump({"version": 1, "confidence": 0.5}), "utf-8")
    given = {"POLICY_FILE": str(policy)}
    async with advised(tmp_path, monkeypatch, GO_BACK, percent=69, **given) as (running, executor):
        workflow = await running.begin(ODD)
        await running.until(workflow, lambda found: found["status"] == "awaiting_approval", "a person is asked")
        await running.http.post(f"/api/v1/workflows/{workflow}/reject", json={"step": "approve_plan"})
        found = await running.ended(workflow)
    assert (found["status"], found["reason"], sent(executor)) == ("rejected", "approval_rejected", LOOKS)


async def test_guardrails_forbid_an_advisors_plan_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the rule's plan is done, somebody is told, and no advice was applied."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump({"version": 1, "deny": [{"creation_methods": ["ai_generated"]}]}), "utf-8")
    async with advised(tmp_path, monkeypatch, GO_BACK, POLICY_FILE=str(policy)) as (running, executor):
        result = await running.result(ODD)
    metadata = result["execution_details"]["plan"]["metadata"]
    assert (result["success"], result["ai_analysis_applied"], sent(executor)) == (True, False, LOOKS)
    assert metadata["guardrails"]["instead_of"][0].startswith("lists")


async def test_what_an_advisors_plan_has_changed_is_undone_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rollback_required`: a failure takes back what the plan has done before."""
    async with advised(tmp_path, monkeypatch, GO_BACK) as (running, executor):
        executor.script("primary", failing(ErrorClass.PERMANENT, "no room", changed=True))
        found = await running.ended(await running.begin(ODD))
    assert (found["status"], found["rollback"]) == ("rolled_back", "done"), found["events"]
    assert steps(found)["primary"]["undo"] == "undone"


async def test_a_rule_with_a_remedy_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The advisor is asked about the rule's plan; an answer to another question than that is refused."""
    async with advised(tmp_path, monkeypatch, GO_BACK) as (running, executor):
        result = await running.result(HIGH_CPU)
    assert result["execution_details"]["plan"]["metadata"]["creation_method"] == "fallback"
    assert result["ai_analysis_applied"] is False
    assert "rollback_deployment" not in sent(executor)
