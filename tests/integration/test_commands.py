"""Commands over HTTP on one replica: their bodies, another place in line, other parameters, and what stays known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.replica import HIGH_CPU, Running, act, eventually, replica, rules_of
from tests.support.scripted_executor import Answer, ScriptedExecutor

pytestmark = [pytest.mark.requirement("BR-WF-005")]

JSON = {"Content-Type": "application/json"}


def web(name: str, **more: str) -> dict[str, object]:
    """An alert about a thing of its own."""
    return {**HIGH_CPU, "resource": f"deployment/{name}", **more}


async def tell(running: Running, workflow_id: str, verb: str, **body: Any) -> httpx2.Response:
    """Tell a workflow what to do, as Ana."""
    url, headers = f"/api/v1/workflows/{workflow_id}/{verb}", {"X-Service-Name": "ana"}
    return await running.http.post(url, json=body, headers=headers)


async def told(running: Running, workflow_id: str) -> list[dict[str, Any]]:
    """Who told the workflow what."""
    answer = await running.http.get(f"/api/v1/workflows/{workflow_id}/commands")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["commands"])


WRONG: list[tuple[str, bytes, str]] = [
    ("dance", b"{}", "verb"),
    ("pause", b'{"undo": true}', "body.undo"),
    ("pause", b'{"step": "one"}', "body.step"),
    ("start", b'{"plan_hash": "0"}', "body.plan_hash"),
    ("approve", b'{"plan_hash": "nonsense"}', "body.plan_hash"),
    ("cancel", b'{"step": "one"}', "body.step"),
    ("cancel", b'{"undo": "perhaps"}', "body.undo"),
    ("cancel", b'{"\\ud800": 1}', "body"),
    ("cancel", b'{"reason": "\\ud800"}', "body.reason"),
    ("skip-step", b"", "body"),
    ("skip-step", b"{}", "body.step"),
    ("rollback", b'{"step": ""}', "body.step"),
    ("rollback", b'{"step": "%s"}' % (b"x" * 401), "body.step"),
    ("extend", b"{}", "body.seconds"),
    ("extend", b'{"seconds": 0}', "body.seconds"),
    ("extend", b'{"seconds": 86401}', "body.seconds"),
    ("extend", b'{"seconds": NaN}', "body.seconds"),
    ("set-priority", b"{}", "body.priority"),
    ("set-priority", b'{"priority": 0}', "body.priority"),
    ("set-priority", b'{"priority": 10}', "body.priority"),
    ("set-priority", b'{"priority": "1"}', "body.priority"),
    ("retry", b'{"parameters": {}}', "body.parameters"),
    ("retry", b'{"parameters": {"one": 1}}', "body.parameters.one"),
    ("retry", b'{"parameters": {"one": {"x": NaN}}}', "body.parameters"),
    ("retry", b'{"parameters": {"one": {"x": 1%s}}}' % (b"0" * 30), "body.parameters"),
    ("retry", b'{"parameters": {"one": {"x": "\\ud800"}}}', "body.parameters"),
    ("retry", b'{"parameters": {"one": {"x": %s}}}' % (b"[" * 300 + b"]" * 300), "body.parameters"),
]


async def test_a_body_that_breaks_a_rule_is_refused(tmp_path: Path) -> None:
    """What is missing, too much or no value for its field is 400, names field, value and rule, and commands nothing."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "it runs")
        for verb, body, field in WRONG:
            answer = await running.http.post(f"/api/v1/workflows/{workflow_id}/{verb}", content=body, headers=JSON)
            assert answer.status_code == 400, (verb, body, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            (error,) = answer.json()["errors"]
            assert error["field"] == field, (verb, body, error)
            assert error["rule"]
            assert set(error) == {"field", "value", "rule"}
        assert await told(running, workflow_id) == []
        executor.finish()
        assert (await running.ended(workflow_id))["status"] == "completed"


async def test_a_body_that_is_not_said_to_be_json(tmp_path: Path) -> None:
    """Is refused with the name of the header, in one way on all routes, and commands nothing."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        for path in ("workflows/none/pause", "workflows/none/extend", "silences", "halt", "explain", "overrides"):
            for said in ({"Content-Type": "application/x-www-form-urlencoded"}, {}):
                answer = await running.http.post(f"/api/v1/{path}", content=b"{}", headers=said)
                assert answer.status_code == 400, path
                rule = "must be application/json"
                value = said.get("Content-Type")
                assert answer.json()["errors"] == [{"field": "Content-Type", "value": value, "rule": rule}], path


async def test_paths_of_steps_inside_others_are_understood(tmp_path: Path) -> None:
    """`heal/scale` and `recycle[2]` are paths: where there is no such step, the refusal names it and what there is."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "it runs")
        for path in ("heal/scale", "recycle[2]", "a" * 400):
            for verb in ("skip-step", "rollback"):
                answer = await tell(running, workflow_id, verb, step=path)
                assert answer.status_code == 409, answer.text
                assert f"step: {path!r} is no step of this workflow (one)" in answer.json()["detail"]
                assert "cancel" in answer.json()["allowed"]
        executor.finish()
        await running.ended(workflow_id)


async def test_a_word_is_recorded_with_who_and_why(tmp_path: Path) -> None:
    """Who said what, why and when, and what became of it: in the journal and among the commands, refused or not."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "it runs")
        assert (await tell(running, workflow_id, "pause", reason="look first")).status_code == 200
        assert (await tell(running, workflow_id, "retry", reason="again")).status_code == 409
        assert (await tell(running, workflow_id, "cancel", reason="false alarm", undo=True)).status_code == 200
        executor.finish()
        found = await running.ended(workflow_id)
        given = await told(running, workflow_id)
    rows = [(one["verb"], one["actor"], one["reason"], one["arguments"], one["outcome"]) for one in given]
    assert rows == [
        ("pause", "ana", "look first", {}, "applied"),
        ("retry", "ana", "again", {}, "refused"),
        ("cancel", "ana", "false alarm", {"undo": True}, "applied"),
    ]
    assert all(one["created_at"] <= one["answered_at"] for one in given)
    journal = {event["command"]: event for event in found["events"] if event["kind"].startswith("Command")}
    assert [journal[one["id"]]["actor"] for one in given] == ["ana"] * 3
    assert [journal[one["id"]].get("reason", journal[one["id"]].get("why")) for one in given] == [
        "look first",
        given[1]["why"],
        "false alarm",
    ]
    assert "cancel by ana: false alarm" in found["cause"]


def _place(place: int) -> Any:
    return lambda found: (found["status"], found["queue_position"]) == ("queued", place)


@pytest.mark.requirement("BR-WF-001")
async def test_another_priority_is_another_place_in_line(tmp_path: Path) -> None:
    """What waits moves in its queue, as the API shows at once; then it is served in the new order, once each."""
    executor = ScriptedExecutor()
    executor.script("one", *[Answer(slow=True)] * 5)
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="1") as running:
        first = await running.begin(web("first"))
        await eventually(executor.running, "the only slot is taken")
        door = await running.begin(web("door"))
        await eventually(lambda: running.parts.driver.count == 2, "the next one waits at the door")
        names = ("low", "medium", "high")
        ids = {name: await running.begin(web(name, severity=name)) for name in names}
        for name, place in (("high", 2), ("medium", 3), ("low", 4)):
            await running.until(ids[name], _place(place), f"{name} has place {place}")
        raised = await tell(running, ids["low"], "set-priority", priority=1, reason="the shop is down")
        assert (raised.status_code, raised.json()["outcome"]) == (200, "applied"), raised.text
        lowered = await tell(running, ids["high"], "set-priority", priority=9)
        assert lowered.status_code == 200, lowered.text
        for name, place in (("low", 2), ("medium", 3), ("high", 4)):
            found = await running.until(ids[name], _place(place), f"{name} has place {place}")
            assert found["queue"] == "executions"
        assert {name: (await running.detail(ids[name]))["priority"] for name in names} == {
            "low": 1,
            "medium": 5,
            "high": 9,
        }
        for workflow_id in (first, door, ids["low"], ids["medium"], ids["high"]):
            await running.until(workflow_id, lambda found: found["status"] == "running", "its turn has come")
            refused = await tell(running, workflow_id, "set-priority", priority=2)
            assert refused.status_code == 409, refused.text
            assert "set-priority is not possible while the workflow is running" in refused.json()["detail"]
            executor.finish()
            await running.ended(workflow_id)
    assert len(executor.effects) == len(set(executor.effects)) == 5


async def test_a_priority_before_the_plan_is_kept(tmp_path: Path) -> None:
    """What waits for a planning slot moves there, is planned in its turn, and keeps its priority afterwards."""
    executor = ScriptedExecutor(away=True)
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        for _ in range(50):  # every planning slot waits for the executor
            assert running.parts.driver._slots["planning"].take_now()
        waits = await running.begin(web("a", severity="low"))
        answer = await tell(running, waits, "set-priority", priority=2)
        assert answer.status_code == 200, answer.text
        found = await running.until(waits, lambda found: found["queue"] == "planning", "it is in its line again")
        assert (found["status"], found["priority"]) == ("created", 2)
        executor.away = False
        for _ in range(50):
            running.parts.driver._slots["planning"].give_back()
        found = await running.ended(waits)
    assert (found["status"], found["priority"]) == ("completed", 2)
    assert len(executor.effects) == 1
