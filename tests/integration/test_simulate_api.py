"""`POST /api/v1/simulate` at a replica with a scripted executor: what is told, what is not, and who may ask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from tests.support.keys import bearer, make_key
from tests.support.replica import HIGH_CPU, Running, act, eventually, replica, rules_of
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.permissions import Right
from workflow_service.domain.plan import Action, Plan, Step, plan_to_json
from workflow_service.ports import Supposed
from workflow_service.simulation.simulator import Simulator
from workflow_service.store.tables import audit_log

pytestmark = pytest.mark.requirement("BR-WF-030", "BR-WF-031")
PERMANENT, FORBIDDEN = ErrorClass.PERMANENT, ErrorClass.FORBIDDEN


class Foreign(ScriptedExecutor):
    """An executor that keeps no ledger: nobody knows whether it knows dry runs."""

    async def ledger_id(self) -> str | None:
        """None."""
        return None


def policy(directory: Path, **given: Any) -> str:
    """The path of a policy file."""
    path = directory / "policy.yaml"
    path.write_text(yaml.safe_dump({"version": 1, **given}), "utf-8")
    return str(path)


def two(directory: Path, **second: Any) -> str:
    """A rule file with two changes after each other."""
    return rules_of(directory, act("cure", on="target"), act("more", on="target", needs=["cure"], **second))


async def simulated(running: Running, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer about an alert; whatever was sent to the executor was a dry run."""
    answer = await running.http.post("/api/v1/simulate", json=body or {"alert": HIGH_CPU})
    assert answer.status_code == 200, answer.text
    assert all(request.dry_run for request in running.executor.sent)
    return dict(answer.json())


def step(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One step of the answer."""
    return next(one for one in found["steps"] if one["id"] == name)


def decided(found: Mapping[str, Any]) -> list[str]:
    """The decisions, in order."""
    return [one["decision"] for one in found["decisions"]]


async def test_a_first_dry_run_that_fails_is_believed(tmp_path: Path) -> None:
    """The run would fail there, and what comes after it would not begin."""
    executor = ScriptedExecutor()
    executor.script("cure", failing(PERMANENT, "no such thing"))
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path)) as running:
        found = await simulated(running)
    assert (found["status"], step(found, "cure")["status"], found["certain"]) == ("failed", "failed", True)
    assert step(found, "cure")["dry_run"]["error_class"] == "permanent"
    assert step(found, "more")["begins_after"] is None


async def test_a_later_dry_run_that_fails_is_not_guessed_at(tmp_path: Path) -> None:
    """It may fail only since nothing was changed before: the answer says so, and goes on as if it were done."""
    executor = ScriptedExecutor()
    executor.script("more", failing(PERMANENT, "no such thing"))
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path)) as running:
        found = await simulated(running)
    assert (found["status"], found["certain"]) == ("completed", False)
    assert step(found, "more")["dry_run"] is None
    assert [(one["step"], one["what"]) for one in found["unknown"]] == [("more", "outcome")]
    assert "cure" in found["unknown"][0]["why"]


async def test_what_is_forbidden_is_forbidden_whatever_came_before(tmp_path: Path) -> None:
    """The rollback is decided as it would be, and nothing of it is sent."""
    executor = ScriptedExecutor()
    executor.script("more", failing(FORBIDDEN, "not there"))
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path, on_failure="rollback")) as running:
        found = await simulated(running)
    assert found["status"] in {"failed", "rolled_back"}
    assert "StartUndo" in decided(found)
    assert executor.orders("undo cure") == []
    assert step(found, "cure")["undo"] == {"available": True, "by": "undo", "why_not": None}


async def test_what_has_no_undo_says_why(tmp_path: Path) -> None:
    """In the catalogue's words; what changes nothing needs none."""
    rules = rules_of(tmp_path, act("fire", "burn", on="target"), act("see", "look", on="target"))
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules) as running:
        found = await simulated(running)
    assert step(found, "fire")["undo"] == {"available": False, "by": None, "why_not": "ashes stay ashes"}
    assert step(found, "see")["undo"] is None


async def test_a_denied_plan_sends_nothing(tmp_path: Path) -> None:
    """It ends as the real one would, with its findings, and the executor is not even asked for a dry run."""
    executor, given = ScriptedExecutor(), policy(tmp_path, deny=[{"namespaces": ["prod*"]}])
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path), POLICY_FILE=given) as running:
        found = await simulated(running)
    assert (found["status"], found["reason"], found["guardrails"]["word"]) == ("rejected", "guardrail_denied", "denied")
    assert executor.sent == []
    assert [one["id"] for one in found["steps"]] == ["cure", "more"]


async def test_approvals_are_told_and_taken_as_given(tmp_path: Path) -> None:
    """The hash is that of the plan which would be put before a person."""
    given = policy(tmp_path, autonomy=[{"level": "approve"}])
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=two(tmp_path), POLICY_FILE=given) as running:
        found = await simulated(running)
        workflow = await running.begin(HIGH_CPU)
        real = await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "it asks")
    assert [one["step"] for one in found["approvals"]] == ["approve_plan"]
    assert found["status"] == "completed"
    assert real["result"]["execution_details"]["plan"]["hash"] == found["plan_hash"]


async def test_a_halt_is_said_and_gone_past(tmp_path: Path) -> None:
    """When the step begins is not known; all else is told as if it were let through."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=two(tmp_path)) as running:
        halted = await running.http.post("/api/v1/halt", json={"reason": "all wrong"})
        assert halted.status_code < 300, halted.text
        found = await simulated(running)
    assert found["status"] == "completed"
    assert ("cure", "when it begins") in [(one["step"], one["what"]) for one in found["unknown"]]
    assert step(found, "cure")["guardrails"][0]["rule"] == "halt"


async def test_a_target_in_other_hands(tmp_path: Path) -> None:
    """Which execution holds what the step would change; the alert itself would be attached to that workflow."""
    executor = ScriptedExecutor()
    executor.script("cure", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path)) as running:
        workflow = await running.begin(HIGH_CPU)
        await eventually(lambda: executor.running() == ["cure"], "it runs")
        answer = await running.http.post("/api/v1/simulate", json={"alert": HIGH_CPU})
        executor.finish()
        await running.ended(workflow)
    found = answer.json()
    assert (found["admission"]["outcome"], found["admission"]["workflow_id"]) == ("attached", workflow)
    assert workflow in next(one["why"] for one in found["unknown"] if one["step"] == "cure")


async def test_the_plan_uses_its_own_budget_up(tmp_path: Path) -> None:
    """The second change of the same target is one too many, and the first is not."""
    given = policy(tmp_path, budgets={"target": 1})
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=two(tmp_path), POLICY_FILE=given) as running:
        found = await simulated(running)
    held = [one["step"] for one in found["unknown"] if one["what"] == "when it begins"]
    assert held == ["more"]


async def test_an_executor_without_ledger_is_not_asked(tmp_path: Path) -> None:
    """It might take a dry run for an order."""
    executor = Foreign()
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path)) as running:
        found = await simulated(running)
    assert executor.sent == []
    assert not found["certain"]
    assert "keeps no ledger" in found["unknown"][0]["why"]


async def test_no_time_left(tmp_path: Path) -> None:
    """What was found by then is told, and that it is not all."""
    executor = ScriptedExecutor()
    executor.script("more", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path)) as running:
        simulator = Simulator(running.parts.foresight.around, patience=0.5)
        found = await simulator.simulate(Supposed(alert=alert_from_json(HIGH_CPU)))
    assert (found["complete"], found["stopped"], found["status"]) == (False, "deadline", None)
    assert step(found, "cure")["dry_run"]["status"] == "completed"
    assert step(found, "more")["dry_run"] is None


async def test_an_hour_takes_no_time(tmp_path: Path) -> None:
    """Waits pass at once; they count in the duration."""
    rules = rules_of(
        tmp_path, act("cure", on="target"), {"id": "rest", "kind": "wait", "wait": "1h", "needs": ["cure"]}
    )
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules) as running:
        found = await simulated(running)
    assert found["duration"]["seconds"] >= 3600
    assert found["duration"]["without"] == ["cure"]
    assert [one["after"] for one in found["decisions"] if one["decision"] == "PassStep"] == [pytest.approx(3600)]


async def test_history_tells_how_long_it_takes(tmp_path: Path) -> None:
    """After three successes the median of what they took counts."""
    async with replica(
        tmp_path, ScriptedExecutor(), RULES_FILE=two(tmp_path), INTAKE_COOLDOWN="0s", NO_ACTION_MEMORY="0s"
    ) as running:
        for _ in range(3):
            assert (await running.result(HIGH_CPU))["success"]
        answer = await running.http.post("/api/v1/simulate", json={"alert": HIGH_CPU})
    found = answer.json()
    assert step(found, "cure")["seconds_known_by"] == "history"
    assert found["duration"]["without"] == []
    assert found["duration"]["usual_for_the_alert"] > 0


async def test_a_condition_before_any_change_is_believed(tmp_path: Path) -> None:
    """One that does not hold blocks the step as it would, with what was seen."""
    condition = {"expression": "observed.replicas < 3", "message": "it is large", "within": "0s"}
    rules = rules_of(tmp_path, act("cure", on="owner", preconditions=[condition]))
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules) as running:
        found = await simulated(running)
    [seen] = step(found, "cure")["conditions"]
    assert (step(found, "cure")["status"], seen["held"], seen["observed"]["replicas"]) == ("blocked", False, 3)
    assert found["certain"]


async def test_nothing_is_kept(tmp_path: Path) -> None:
    """No delivery, no alert, no workflow; the audit log has who asked."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=two(tmp_path), AUTH_MODE="keys") as running:
        running.http.headers.update(bearer((await make_key(running.parts.database, "ana", Right.OPERATOR))[1]))
        await simulated(running)
        for path in ("deliveries", "alerts", "workflows"):
            assert (await running.http.get(f"/api/v1/{path}")).json()[path] == []
        async with running.parts.database.read() as connection:
            noted = (await connection.execute(sa.select(audit_log.c.who, audit_log.c.what))).all()
    assert [tuple(row) for row in noted] == [("key:ana", "POST /api/v1/simulate")]


async def test_who_may_ask(tmp_path: Path) -> None:
    """As for making workflows: no viewer; within its namespaces only; and no plan for whoever has such."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=two(tmp_path), AUTH_MODE="keys") as running:
        database = running.parts.database
        viewer = bearer((await make_key(database, "vic", Right.VIEWER))[1])
        limited = bearer((await make_key(database, "lin", Right.OPERATOR, namespaces=("staging",)))[1])
        operator = bearer((await make_key(database, "ola", Right.OPERATOR))[1])
        workflow = (await running.http.post("/api/v1/execute", json=HIGH_CPU, headers=operator)).json()
        mine = {"alert": {**HIGH_CPU, "namespace": "staging"}}
        plan = {"plan": plan_to_json(Plan((Step("cure", Action("touch")),), "why", "template"))}
        codes = [
            (await running.http.post("/api/v1/simulate", json=body, headers=headers)).status_code
            for body, headers in (
                ({"alert": HIGH_CPU}, {}),
                ({"alert": HIGH_CPU}, viewer),
                ({"alert": HIGH_CPU}, limited),
                (plan, limited),
                ({"workflow_id": workflow["result"]["workflow_id"]}, limited),
                (mine, limited),
                (plan, operator),
            )
        ]
    assert codes == [401, 403, 403, 403, 404, 200, 200]


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ({}, 422, "must name one of"),
        ({"alert": HIGH_CPU, "template": "x"}, 422, "must name one of"),
        ({"alert": HIGH_CPU, "parameters": {"a": 1}}, 422, "belong to a template"),
        ({"alert": {}}, 400, "name"),
        ({"alert": HIGH_CPU, "advise": "yes"}, 400, "advise"),
        ({"stranger": 1}, 400, "stranger"),
        ([], 400, "body"),
        ({"template": "nobody"}, 422, "nobody"),
        ({"workflow_id": "nobody"}, 404, "nobody"),
        ({"plan": {}}, 422, "plan"),
        ({"plan": {"format": 1, "steps": [{"id": 3}], "reason": "", "creation_method": ""}}, 422, "plan"),
        (
            {"plan": {"format": 1, "steps": [{"id": "a", "timeout": "long"}], "reason": "", "creation_method": ""}},
            422,
            "plan.steps.0.timeout",
        ),
    ],
)
async def test_what_cannot_be_simulated(tmp_path: Path, body: Any, code: int, told: str) -> None:
    """Every refusal names the field, and none is a bug of ours."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        answer = await running.http.post("/api/v1/simulate", json=body)
    assert (answer.status_code, told in answer.text) == (code, True), answer.text
