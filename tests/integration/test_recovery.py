"""Recoveries on a real replica with a scripted executor: tried, answered, refused, overruled, and survived."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support import stub_ai
from tests.support.questions import pick, text
from tests.support.replica import HIGH_CPU, Running, act, eventually, kinds, replica, rules_of, steps
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from tests.support.stub_ai import OPENAI, StubAi
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.target import Target
from workflow_service.ports import Observation
from workflow_service.store.tables import executions
from workflow_service.store.termination import termination

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-002", "BR-WF-015")
PERMANENT = failing(ErrorClass.PERMANENT, "no such image")


def cure(name: str, **more: Any) -> dict[str, Any]:
    """An action that changes the target."""
    return act(name, on="target", **more)


def option(name: str, *actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Another way."""
    return {"name": name, "reason": f"the test says {name}", "actions": list(actions), **more}


OTHER = option("other", cure("y"))


async def test_the_second_option_heals_and_the_workflow_completes(tmp_path: Path) -> None:
    """Each option is a revision of its own; what waited for the broken step goes on after the one that worked."""
    rules = rules_of(
        tmp_path,
        cure("restart"),
        cure("after", needs=["restart"]),
        recovery=[option("first", cure("again")), option("second", cure("other"), cure("more", needs=["other"]))],
    )
    executor = ScriptedExecutor()
    executor.script("restart", PERMANENT)
    executor.script("recovery-1/again", failing(ErrorClass.FORBIDDEN, "not allowed"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
        metrics = (await running.http.get("/metrics")).text
    assert (found["status"], found["reason"]) == ("completed", "all_steps_succeeded"), found["events"]
    sent = [order.step_id for order in executor.sent]
    assert sent == ["restart", "recovery-1/again", "recovery-2/other", "recovery-2/more", "after"]
    details = found["result"]["execution_details"]
    assert [(one["step"], one["option"], one["outcome"]) for one in details["recoveries"]] == [
        ("restart", "first", "planned"),
        ("recovery-1", "second", "planned"),
    ]
    assert details["plan"]["revision"] == 3
    assert steps(found)["restart"]["failure_class"] == "high"
    assert 'wfs_recoveries_total{outcome="succeeded"} 1.0' in metrics
    assert 'wfs_recoveries_total{outcome="planned"} 2.0' in metrics
    assert 'wfs_failures_total{action="touch",failure_class="high"} 2.0' in metrics


@pytest.mark.parametrize(("percent", "first"), [(75, "second"), (69, "first")])
async def test_an_advisor_may_say_which_option_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, percent: int, first: str
) -> None:
    """It is asked why a step has failed; sure enough of itself, it chooses among the options that fit, and no other."""
    options = [option("first", cure("again")), option("second", cure("other"))]
    rules = rules_of(tmp_path, cure("restart"), recovery=options)
    executor = ScriptedExecutor()
    executor.script("restart", PERMANENT)
    chosen = pick("second", parameters={})
    written = text(chosen, suggested=[], confidence_percent=percent, root_cause="a typo in the tag")
    monkeypatch.setitem(stub_ai.WRITINGS, "second", lambda: written)
    monkeypatch.setitem(stub_ai.WRITINGS, "as it is", lambda: text(picks=[], suggested=[]))
    async with StubAi(OPENAI, "as it is", "second").serving() as stub:
        given: Any = {"RULES_FILE": rules, "AI_PROVIDER": "openai", "AI_SERVICE_URL": stub.url}
        async with replica(tmp_path, executor, **given) as running:
            await eventually(running.parts.advising.there, "the advisor is found")
            found = await running.ended(await running.begin(HIGH_CPU))
    assert found["status"] == "completed", found["events"]
    [recovery] = found["result"]["execution_details"]["recoveries"]
    assert recovery["option"] == first
    assert ("a typo in the tag" in str(found)) == (first == "second")
    assert "permanent" in str(stub.asked[-1]["body"])


async def test_the_same_failure_twice_is_escalated_and_undone(tmp_path: Path) -> None:
    """A person is told by log and metric; what was done before is taken back."""
    rules = rules_of(
        tmp_path, cure("prepare"), cure("restart", needs=["prepare"]), recovery=[option("a", cure("x")), OTHER]
    )
    executor = ScriptedExecutor()
    executor.script("restart", failing(ErrorClass.TIMEOUT, "1 of 3 pods ready after 120 s"))
    executor.script("recovery-1/x", failing(ErrorClass.TIMEOUT, "2 of 3 pods ready after 61 s"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
        metrics = (await running.http.get("/metrics")).text
        told = [line for line in running.log if line["event"] == "A PERSON IS NEEDED"]
    assert (found["status"], found["rollback"]) == ("rolled_back", "done")
    assert found["result"]["execution_details"]["escalated"] == "repeated_failure_pattern_detected"
    assert [event["reason"] for event in found["events"] if event["kind"] == "Escalated"] == [
        "repeated_failure_pattern_detected"
    ]
    assert [order.step_id for order in executor.sent] == ["prepare", "restart", "recovery-1/x", "prepare"]
    assert [(line["step"], line["log_level"]) for line in told] == [("recovery-1", "warning")]
    assert 'wfs_escalations_total{reason="repeated_failure_pattern_detected"} 1.0' in metrics
    assert "repeated_failure_pattern_detected" in found["cause"]


async def test_the_fourth_recovery_of_a_workflow_is_refused(tmp_path: Path) -> None:
    """A retry by hand does not begin to count anew."""
    rules = rules_of(tmp_path, cure("restart"), recovery=[option(f"way-{n}", cure("x")) for n in range(1, 6)])
    executor = ScriptedExecutor()
    executor.script("restart", PERMANENT, failing(ErrorClass.PERMANENT, "quite another reason"))
    for number, word in enumerate(("one", "two", "three"), start=1):
        executor.script(f"recovery-{number}/x", *[failing(ErrorClass.PERMANENT, f"{word} went wrong")] * 2)
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow = await running.begin(HIGH_CPU)
        found = await running.ended(workflow)
        assert found["result"]["execution_details"]["escalated"] == "max_recovery_attempts_exceeded"
        assert (await running.http.post(f"/api/v1/workflows/{workflow}/retry", json={})).status_code in {200, 202}
        first = found["execution_id"]
        again = await running.until(
            workflow, lambda one: one["execution_id"] != first and one["ended_at"], "the retry ends"
        )
    assert [one["attempt"] for one in found["result"]["execution_details"]["recoveries"]] == [1, 2, 3, 4]
    assert found["result"]["execution_details"]["plan"]["revision"] == 4
    assert "RecoveryPlanned" not in kinds(again)
    assert again["result"]["execution_details"]["escalated"] == "max_recovery_attempts_exceeded"
    assert [order.step_id for order in executor.sent][4:] == [
        "restart",
        "recovery-1/x",
        "recovery-2/x",
        "recovery-3/x",
    ]


async def _end(running: Running, like: str, status: str, number: int, **changes: Any) -> None:
    """So many executions more have ended like that one, with another status."""
    database = running.parts.database
    async with database.write() as connection:
        row = dict((await connection.execute(sa.select(executions).where(executions.c.id == like))).mappings().one())
        rows = [{**row, "id": f"{status}-{n}", "status": status, **changes} for n in range(number)]
        await connection.execute(sa.insert(executions), rows)


async def test_nothing_is_tried_while_too_many_executions_end_badly(tmp_path: Path) -> None:
    """Over a tenth of those of the last day: refused with its own reason; what a person ended does not count."""
    rules = rules_of(tmp_path, cure("restart"), recovery=[OTHER])
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules, MONITORING_INTERVAL="100ms") as running:
        first = await running.ended(await running.begin(HIGH_CPU))
        database, one = running.parts.database, first["execution_id"]
        await _end(running, one, "failed", 2)
        await _end(running, one, "cancelled", 6, kind="rollback")
        assert (await termination(database, datetime.now(UTC))).rate is None, "three executions say nothing"
        await _end(running, one, "completed", 17)
        found = await termination(database, datetime.now(UTC))
        assert (found.ended, found.badly, found.too_many, found.alarming) == (20, 2, False, True)
        await _end(running, one, "timed_out", 1)
        assert (await termination(database, datetime.now(UTC))).too_many
        assert not (await termination(database, datetime.now(UTC) + timedelta(hours=25))).alarming
        executor.script("restart", PERMANENT)
        refused = await running.ended(await running.begin({**HIGH_CPU, "resource": "deployment/other"}))
        rate = "kubernaut_workflow_termination_rate 0.1"
        await eventually(lambda: "many executions end badly" in {line["event"] for line in running.log}, "it is said")
        assert rate in (await running.http.get("/metrics")).text
    details = refused["result"]["execution_details"]
    assert refused["status"] == "failed"
    assert details["escalated"] == "termination_rate_limit_reached"
    assert "3 of 21 executions of the last 24 h" in details["recoveries"][0]["why"]
    assert "RecoveryPlanned" not in kinds(refused)


class Slow(ScriptedExecutor):
    """Looks are answered only when the test says so; there is nothing else to hold up who knows another way."""

    looks: asyncio.Event

    async def observe(self, target: Target) -> Observation:
        """Wait for the word."""
        await self.looks.wait()
        return await super().observe(target)


async def _recovering(running: Running, executor: Slow) -> str:
    """A workflow that is looking for another way until `looks` is set."""
    executor.looks.set()
    workflow = await running.begin(HIGH_CPU)
    await eventually(lambda: executor.running() == ["restart"], "it runs")
    executor.looks.clear()
    executor.finish("restart", how=PERMANENT)
    await running.until(workflow, lambda one: one["status"] == "recovering", "it looks for another way")
    return workflow


@pytest.fixture
def slow() -> Slow:
    """An executor whose looks can be held, and whose first action can."""
    executor = Slow()
    executor.looks = asyncio.Event()
    executor.script("restart", Answer(slow=True))
    return executor


async def test_recovering_is_seen_everywhere_and_a_person_may_end_it(tmp_path: Path, slow: Slow) -> None:
    """In detail, status, list and metrics; a cancel does not wait for the answer."""
    rules = rules_of(tmp_path, cure("restart"), recovery=[OTHER])
    async with replica(tmp_path, slow, RULES_FILE=rules, MONITORING_INTERVAL="100ms") as running:
        workflow = await _recovering(running, slow)
        status = (await running.http.get("/api/v1/status", params={"workflow_id": workflow})).json()
        page = (await running.http.get("/api/v1/workflows", params={"status": "recovering"})).json()
        assert (await running.http.post(f"/api/v1/workflows/{workflow}/cancel", json={})).status_code == 200
        found = await running.ended(workflow)
    assert (status["status"], [one["workflow_id"] for one in page["workflows"]]) == ("recovering", [workflow])
    assert (found["status"], found["reason"]) == ("cancelled", "cancel_requested")
    assert "RecoveryPlanned" not in kinds(found)


async def test_a_replica_that_goes_while_recovering_leaves_it_to_the_next(tmp_path: Path, slow: Slow) -> None:
    """It is asked again; what was journalled of it is not done twice."""
    rules = rules_of(tmp_path, cure("restart"), cure("after", needs=["restart"]), recovery=[OTHER])
    async with replica(tmp_path, slow, RULES_FILE=rules) as running:
        workflow = await _recovering(running, slow)
    slow.looks = asyncio.Event()
    slow.looks.set()
    async with replica(tmp_path, slow, RULES_FILE=rules) as running:
        found = await running.ended(workflow)
    assert found["status"] == "completed"
    assert (kinds(found).count("RecoveryStarted"), kinds(found).count("RecoveryPlanned")) == (1, 1)
    assert [key.split(":")[1] for key in slow.effects] == ["restart", "recovery-1/y", "after"]


async def test_an_order_that_got_lost_beside_the_failure_is_sent_again(tmp_path: Path, slow: Slow) -> None:
    """It was begun before, and the plan goes on: nothing is withdrawn while another way is looked for."""
    rules = rules_of(tmp_path, cure("restart"), cure("beside"), recovery=[OTHER])
    slow.script("beside", *[Answer(lost=True)] * 10_000)
    async with replica(tmp_path, slow, RULES_FILE=rules) as running:
        workflow = await _recovering(running, slow)
        slow._script["beside"].clear()  # from now on the wire is well
        await running.until(workflow, lambda one: steps(one)["beside"]["status"] == "succeeded", "it is sent again")
        slow.looks.set()
        found = await running.ended(workflow)
    assert found["status"] == "completed"
    assert sorted(key.split(":")[1] for key in slow.effects) == ["beside", "recovery-1/y", "restart"]


async def test_an_option_that_does_not_hold_is_passed_over(tmp_path: Path) -> None:
    """One about another target, one that heals nothing, one with wrong parameters; then there is none left."""
    scale = {"namespace": "{namespace}", "resource_name": "{name}", "replicas": 0.5}
    options = [
        option("owner", act("x", on="owner")),
        option("tell", act("x", "notify_team", parameters={"message": "help"})),
        option("wrong", act("x", "scale_deployment", on="target", parameters=scale)),
    ]
    executor = ScriptedExecutor()
    executor.script("restart", PERMANENT)
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, cure("restart"), recovery=options)) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
    (refused,) = found["result"]["execution_details"]["recoveries"]
    assert (found["status"], refused["reason"]) == ("failed", "no_recovery_option")
    assert "already changes" in refused["why"]
    assert "must change something" in refused["why"]
    assert "replicas" in refused["why"]
    assert [order.step_id for order in executor.sent] == ["restart"]


async def test_classes_choose_answers_and_retries(tmp_path: Path) -> None:
    """The operator's patterns and classes, where the action says nothing itself."""
    failures = {
        "patterns": [{"class": "low", "errors": ["transient"], "messages": ["quota"]}],
        "classes": {"low": {"retries": 0, "on_failure": "stop"}},
    }
    rules = rules_of(tmp_path, cure("prepare"), cure("restart", needs=["prepare"]), failures=failures)
    executor = ScriptedExecutor()
    executor.script("restart", failing(ErrorClass.TRANSIENT, "over Quota"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
    assert (found["status"], found["rollback"]) == ("failed", "none")
    assert len(executor.orders("restart")) == 1
    assert steps(found)["restart"]["failure_class"] == "low"
