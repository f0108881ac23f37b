"""Guardrails over HTTP, as with curl, on a real replica: what they let, hold and refuse, and how they say why."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.replica import HIGH_CPU, Running, act, eventually, kinds, replica, rules_of, steps
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.plan import Action, Plan, Step, plan_to_json
from workflow_service.domain.target import Target

pytestmark = pytest.mark.requirement("BR-WF-005")
POD = Target("default", "Pod", "web-server-123", "production")
ANA = {"X-Service-Name": "ana"}


def policy(directory: Path, **given: Any) -> str:
    """The path of a policy file."""
    path = directory / "policy.yaml"
    path.write_text(yaml.safe_dump({"version": 1, **given}), "utf-8")
    return str(path)


def one_step(directory: Path) -> str:
    """A rule file that touches the alert's target once."""
    return rules_of(directory, act("cure", on="target"))


def advised(confidence: float | None) -> Plan:
    """An advisor's plan about the alert's target."""
    sure = {} if confidence is None else {"ai_confidence": confidence}
    step = Step(id="cure", action=Action("touch", {}, POD))
    return Plan(steps=(step,), reason="an advisor says so", creation_method="ai_generated", metadata=sure)


async def why(running: Running, **asked: Any) -> dict[str, Any]:
    """`curl /api/v1/explain`; the findings that speak against it, by rule."""
    answer = await running.http.post("/api/v1/explain", json=asked)
    assert answer.status_code == 200, answer.text
    return {one["rule"]: one for one in answer.json()["findings"] if one["word"] != "allowed"}


async def held(running: Running, workflow: str, rule: str) -> dict[str, Any]:
    """The workflow once a rule holds it."""

    def says_so(found: Mapping[str, Any]) -> bool:
        return any(one["kind"] == "Held" and one["reason"].startswith(rule) for one in found["events"])

    return await running.until(workflow, says_so, f"{rule} holds it")


async def test_what_is_denied_is_rejected(tmp_path: Path) -> None:
    """The workflow ends with the rule as its cause, its plan is kept, nothing is sent, and explain says the same."""
    executor, given = ScriptedExecutor(), policy(tmp_path, deny=[{"namespaces": ["prod*"]}])
    async with replica(tmp_path, executor, RULES_FILE=one_step(tmp_path), POLICY_FILE=given) as running:
        result = await running.result(HIGH_CPU)
        found = await running.detail(result["workflow_id"])
        told = await why(running, workflow_id=result["workflow_id"])
        before = await why(running, alert=HIGH_CPU)
        metrics = (await running.http.get("/metrics")).text
    assert 'wfs_guardrail_findings_total{judged="plan",rule="lists",word="denied"} 1.0' in metrics
    assert (found["status"], found["reason"], result["success"]) == ("rejected", "guardrail_denied", False)
    assert found["cause"].startswith("lists (steps.cure.type")
    assert kinds(found) == ["PlanningStarted", "Planned", "Ended"]
    assert executor.orders("cure") == []
    assert told["lists"]["word"] == before["lists"]["word"] == "denied"


@pytest.mark.parametrize(("level", "reason"), [("observe", "observe_only"), ("suggest", "suggested")])
async def test_what_may_only_be_watched_is_not_executed(tmp_path: Path, level: str, reason: str) -> None:
    """The plan is kept; nothing of it is sent, nor after a retry."""
    executor, given = ScriptedExecutor(), policy(tmp_path, autonomy=[{"level": level, "plans": ["te*"]}])
    async with replica(tmp_path, executor, RULES_FILE=one_step(tmp_path), POLICY_FILE=given) as running:
        workflow = (await running.result(HIGH_CPU))["workflow_id"]
        found = await running.detail(workflow)
        again = await running.http.post(f"/api/v1/workflows/{workflow}/retry", json={}, headers=ANA)
        assert again.status_code in {200, 202}, again.text
        retried = await running.ended(workflow)
    assert (found["status"], found["reason"]) == ("rejected", reason)
    assert steps(found)["cure"]["status"] == "pending"
    assert (retried["status"], steps(retried)["cure"]["reason"]) == ("failed", "guardrail_denied")
    assert executor.orders("cure") == []


async def test_a_plan_behind_one_approval(tmp_path: Path) -> None:
    """A word for another plan's hash is refused, one for this plan lets it go on."""
    executor, given = ScriptedExecutor(), policy(tmp_path, autonomy=[{"level": "approve"}])
    async with replica(tmp_path, executor, RULES_FILE=one_step(tmp_path), POLICY_FILE=given) as running:
        workflow = await running.begin(HIGH_CPU)
        found = await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "it asks")
        url = f"/api/v1/workflows/{workflow}/approve"
        older = await running.http.post(url, json={"plan_hash": "0" * 64}, headers=ANA)
        assert executor.orders("cure") == []
        plan_hash = found["result"]["execution_details"]["plan"]["hash"]
        given_word = await running.http.post(url, json={"plan_hash": plan_hash}, headers=ANA)
        ended = await running.ended(workflow)
    assert older.status_code in {400, 409}, older.text
    assert given_word.status_code == 200, given_word.text
    assert (ended["status"], len(executor.orders("cure"))) == ("completed", 1)


@pytest.mark.parametrize(("confidence", "status"), [(0.7, "completed"), (0.69, "awaiting_approval")])
async def test_confidence(tmp_path: Path, confidence: float, status: str) -> None:
    """At the threshold it goes; just below a person is asked, and explain names the rule."""
    async with replica(tmp_path, ScriptedExecutor(), plan=advised(confidence)) as running:
        workflow = await running.begin(HIGH_CPU)
        found = await running.until(workflow, lambda one: one["status"] == status, status)
        told = await why(running, workflow_id=workflow)
    assert list(told) == ([] if status == "completed" else ["confidence", "approval"])
    assert found["result"]["execution_details"]["plan"]["hash"]


async def test_an_advisors_plan_about_something_else(tmp_path: Path) -> None:
    """It is refused, whatever its confidence."""
    plan = advised(1.0)
    other = Step(id="cure", action=Action("touch", {}, Target("default", "Deployment", "payments", "production")))
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, plan=replace(plan, steps=(other,))) as running:
        result = await running.result(HIGH_CPU)
    assert (result["status"], executor.orders("cure")) == ("rejected", [])


async def test_a_freeze_holds_until_the_policy_says_otherwise(tmp_path: Path) -> None:
    """The step waits and the workflow says why; the file without the freeze is taken up, and it goes on."""
    weekly = {"weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "begins": "00:00", "until": "00:00"}
    frozen = {"name": "sale", "reason": "everybody buys", "weekly": {**weekly, "timezone": "UTC"}}
    executor, given = ScriptedExecutor(), policy(tmp_path, freezes=[frozen])
    async with replica(tmp_path, executor, RULES_FILE=one_step(tmp_path), POLICY_FILE=given) as running:
        workflow = await running.begin(HIGH_CPU)
        found = await held(running, workflow, "freeze")
        told = await why(running, workflow_id=workflow, step="cure")
        assert executor.orders("cure") == []
        policy(tmp_path)
        ended = await running.ended(workflow)
    assert "everybody buys" in str(steps(found)["cure"]["message"])
    assert told["freeze"]["word"] == "held"
    assert (ended["status"], len(executor.orders("cure"))) == ("completed", 1)


async def test_the_kill_switch_in_mid_run(tmp_path: Path) -> None:
    """What runs finishes, what would change next is held, what only tells goes on; undo is never held."""
    rules = rules_of(tmp_path, act("first", on="target"), act("second", on="target", needs=["first"]))
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        stop = await running.http.post("/api/v1/halt", json={"namespace": "staging", "reason": "not here"}, headers=ANA)
        assert stop.json()["halts"][0]["by"] == "ana"
        executor.script("first", Answer(slow=True))
        workflow = await running.begin(HIGH_CPU)
        await eventually(lambda: executor.running() == ["first"], "it runs")
        await running.http.post("/api/v1/halt", json={"reason": "all wrong"}, headers=ANA)
        executor.finish("first")
        await held(running, workflow, "halt")
        told = await why(running, workflow_id=workflow, step="second")
        assert executor.orders("second") == []
        answer = await running.http.post(f"/api/v1/workflows/{workflow}/cancel", json={"undo": True}, headers=ANA)
        assert answer.status_code in {200, 202}
        ended = await running.ended(workflow)
    assert "all wrong" in told["halt"]["why"]
    assert (ended["status"], ended["rollback"]) == ("cancelled", "done")
    assert len(executor.orders("undo first")) == 1


async def test_after_a_halt_it_goes_on(tmp_path: Path) -> None:
    """Once the halt is taken back; a second time there is nothing to take back."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=one_step(tmp_path)) as running:
        await running.http.post("/api/v1/halt", json={"reason": "all wrong"}, headers=ANA)
        workflow = await running.begin(HIGH_CPU)
        await held(running, workflow, "halt")
        assert (await running.http.delete("/api/v1/halt")).json() == {"halts": []}
        assert (await running.http.delete("/api/v1/halt")).status_code == 404
        ended = await running.ended(workflow)
    assert (ended["status"], len(executor.orders("cure"))) == ("completed", 1)


async def test_a_budget_used_up_by_a_parallel_workflow(tmp_path: Path) -> None:
    """One of two may change something; the other is held, until somebody breaks the glass, which explain names."""
    executor, given = ScriptedExecutor(), policy(tmp_path, budgets={"namespace": 1})
    async with replica(tmp_path, executor, RULES_FILE=one_step(tmp_path), POLICY_FILE=given) as running:
        both = [await running.begin({**HIGH_CPU, "resource": f"deployment/{name}"}) for name in ("shop", "cart")]

        def is_held(found: Mapping[str, Any]) -> bool:
            return found["ended_at"] or "Held" in kinds(found)

        first, second = [await running.until(one, is_held, "one goes, one is held") for one in both]
        waiting = second if first["ended_at"] else first
        assert len(executor.orders("cure")) == 1
        name = waiting["workflow_id"]
        assert (await why(running, workflow_id=name, step="cure"))["budget"]["word"] == "held"
        glass = {"rules": ["budget"], "namespace": "production", "reason": "it burns", "minutes": 5}
        made = await running.http.post("/api/v1/overrides", json=glass, headers=ANA)
        assert made.status_code == 201, made.text
        ended = await running.ended(name)
        answer = (await running.http.post("/api/v1/explain", json={"workflow_id": name, "step": "cure"})).json()
        over = await running.http.delete(f"/api/v1/overrides/{made.json()['id']}", headers=ANA)
        assert over.json()["ended_by"] == "ana"
    assert (ended["status"], len(executor.orders("cure"))) == ("completed", 2)
    assert [one["override"] for one in answer["findings"] if one["rule"] == "budget"] == [made.json()["id"]]


async def test_the_breaker_trips_and_is_reset(tmp_path: Path) -> None:
    """After too many bad ends every plan waits for a person; a reset lets them go by themselves again."""
    executor, given = ScriptedExecutor(), policy(tmp_path, breaker={"share": 1.0, "of": 2})
    executor.script("cure", *[failing(ErrorClass.PERMANENT)] * 2)
    alerts = [{**HIGH_CPU, "resource": f"deployment/{name}"} for name in ("shop", "cart", "mail", "docs")]
    async with replica(tmp_path, executor, RULES_FILE=one_step(tmp_path), POLICY_FILE=given) as running:
        for alert in alerts[:2]:
            assert (await running.result(alert))["status"] in {"failed", "rolled_back"}
        workflow = await running.begin(alerts[2])
        await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "a person is asked")
        assert (await running.http.get("/api/v1/latches")).json()["latches"][0]["environment"] == "default"
        assert list(await why(running, workflow_id=workflow)) == ["breaker", "approval"]
        assert (await running.http.delete("/api/v1/latches/default", headers=ANA)).status_code == 200
        assert (await running.result(alerts[3]))["status"] == "completed"


async def test_what_did_not_help_is_not_tried_again_and_again(tmp_path: Path) -> None:
    """The same action on the same target: after so many failures a person is asked."""
    executor, given = ScriptedExecutor(), policy(tmp_path, oscillation={"times": 2})
    executor.script("cure", *[failing(ErrorClass.PERMANENT)] * 2)
    async with replica(
        tmp_path, executor, RULES_FILE=one_step(tmp_path), POLICY_FILE=given, FAILURE_COOLDOWN="0s"
    ) as running:
        for _ in range(2):
            assert (await running.result(HIGH_CPU))["status"] in {"failed", "rolled_back"}
        workflow = await running.begin(HIGH_CPU)
        await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "a person is asked")
        assert list(await why(running, workflow_id=workflow)) == ["oscillation", "approval"]


@pytest.mark.parametrize("answer", ["approve", "reject", None])
async def test_questions_are_explained(tmp_path: Path, answer: str | None) -> None:
    """Until when a person is asked about which plan; then that one has said yes or no, or nobody: rule `approval`."""
    rules = rules_of(tmp_path, act("cure", on="target", approval={"timeout": "3s" if answer is None else "1h"}))
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules) as running:
        workflow = await running.begin(HIGH_CPU)
        await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "a person is asked")
        told = (await why(running, workflow_id=workflow))["approval"]
        assert (told["word"], told["field"]) == ("needs_approval", "steps.approve_cure")
        assert re.match("a person is asked about plan [0-9a-f]{64} until 20", told["why"])
        if answer is not None:
            body = {"reason": "the test says so"}
            await running.http.post(f"/api/v1/workflows/{workflow}/{answer}", json=body, headers=ANA)
        await running.ended(workflow)
        found = await why(running, workflow_id=workflow, step="approve_cure")
        if answer == "approve":
            assert found == {}
        else:
            said = "the test says so" if answer else "approval_expired"
            assert (found["approval"]["word"], said in found["approval"]["why"]) == ("denied", True)


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ({}, 422, "body"),
        ({"step": "cure"}, 422, "body"),
        ({"plan": {"steps": 3}}, 422, "plan"),
        ({"alert": {"severity": "high"}}, 400, "name"),
    ],
)
async def test_nobody_knows_what_is_asked(tmp_path: Path, body: dict[str, Any], code: int, told: str) -> None:
    """422 with the field, 400 for what is no alert; an unknown workflow is 404, an override of a firm rule 400."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        answer = await running.http.post("/api/v1/explain", json=body)
        unknown = await running.http.post("/api/v1/explain", json={"workflow_id": "nobody"})
        firm = await running.http.post("/api/v1/overrides", json={"rules": ["target"], "reason": "please"})
    assert (answer.status_code, unknown.status_code, firm.status_code) == (code, 404, 400)
    assert told in json.dumps(answer.json())


async def test_where_the_service_itself_runs_nothing_is_changed(tmp_path: Path) -> None:
    """POD_NAMESPACE says where that is."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=one_step(tmp_path), POD_NAMESPACE="production") as running:
        result = await running.result(HIGH_CPU)
    assert (result["status"], executor.orders("cure")) == ("rejected", [])


async def test_a_plan_of_ones_own_is_explained(tmp_path: Path) -> None:
    """In its stored form, about an alert, without anything being kept of it."""
    document = plan_to_json(advised(0.69))
    async with replica(tmp_path, ScriptedExecutor()) as running:
        told = await why(running, plan=document, alert=HIGH_CPU)
        elsewhere = await why(running, plan=document, alert={**HIGH_CPU, "resource": "deployment/payments"})
        assert (await running.http.get("/api/v1/workflows")).json()["workflows"] == []
    assert list(told) == ["confidence"]
    assert sorted(elsewhere) == ["confidence", "target"]


async def test_held_back_and_behind_an_approval(tmp_path: Path) -> None:
    """A workflow that waits for its start asks for the word only after it."""
    executor, given = ScriptedExecutor(), policy(tmp_path, autonomy=[{"level": "approve"}])
    async with replica(tmp_path, executor, RULES_FILE=one_step(tmp_path), POLICY_FILE=given) as running:
        made = await running.http.post("/api/v1/workflows", json={"alert": HIGH_CPU, "start": False})
        workflow = made.json()["workflow_id"]
        await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "it waits for its start")
        started = await running.http.post(f"/api/v1/workflows/{workflow}/start", json={}, headers=ANA)
        assert started.status_code == 200, started.text

        def asks(found: Mapping[str, Any]) -> bool:
            return bool(steps(found)["approve_plan"]["status"] == "waiting")

        await running.until(workflow, asks, "it asks")
        assert executor.orders("cure") == []
        said = await running.http.post(f"/api/v1/workflows/{workflow}/reject", json={"reason": "no"}, headers=ANA)
        assert said.status_code == 200, said.text
        found = await running.ended(workflow)
    assert (found["status"], found["reason"]) == ("rejected", "approval_rejected")


async def test_what_stays_held_ends_at_the_bound_of_its_run(tmp_path: Path) -> None:
    """Nothing was sent, and the journal says what held it."""
    executor = ScriptedExecutor()
    rules = one_step(tmp_path)
    async with replica(tmp_path, executor, RULES_FILE=rules, WORKFLOW_EXECUTION_TIMEOUT="2s") as running:
        await running.http.post("/api/v1/halt", json={"reason": "all wrong"}, headers=ANA)
        workflow = await running.begin(HIGH_CPU)
        await held(running, workflow, "halt")
        found = await running.ended(workflow)
    assert (found["status"], found["reason"], executor.orders("cure")) == ("timed_out", "execution_timeout", [])


async def test_a_risk_that_the_policy_names_meanwhile_is_heard_of(tmp_path: Path) -> None:
    """The plan was made before; its next step waits, since nobody was asked."""
    rules = rules_of(tmp_path, act("first", on="target"), act("second", on="target", needs=["first"]))
    executor, given = ScriptedExecutor(), policy(tmp_path)
    executor.script("first", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=rules, POLICY_FILE=given) as running:
        workflow = await running.begin(HIGH_CPU)
        await eventually(lambda: executor.running() == ["first"], "it runs")
        policy(tmp_path, risk=[{"high": "approve"}])
        await eventually(lambda: running.parts.foresight.guards.policy().risk, "the policy is taken up")
        executor.finish("first")
        found = await held(running, workflow, "risk")
    assert (executor.orders("second"), found["ended_at"]) == ([], None)
