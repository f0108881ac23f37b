"""What comes after the end, by hand: a retry with other parameters, a rollback back to a step, on one replica."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.integration.test_commands import tell, told, web
from tests.support.replica import Running, act, replica, rules_of, steps
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass
from workflow_service.store.tables import journal, plans

pytestmark = [pytest.mark.requirement("BR-WF-005", "BR-WF-015")]

SCALE = {"namespace": "production", "resource_name": "web", "replicas": 5}
BROKEN = failing(ErrorClass.PERMANENT)


def two(directory: Path) -> str:
    """A rule of two steps, one after the other; what fails is not undone by itself."""
    first = act("first", "scale_deployment", on="target", parameters=SCALE, on_failure="stop")
    return rules_of(directory, first, act("second", needs=["first"], parameters={"depth": 1}, on_failure="stop"))


async def revisions(running: Running) -> list[int]:
    """The revisions that are kept."""
    async with running.parts.database.read() as connection:
        return list((await connection.execute(sa.select(plans.c.revision).order_by(plans.c.revision))).scalars())


async def test_a_retry_with_other_parameters(tmp_path: Path) -> None:
    """The new revision is kept beside the old, what is done again uses it, and a good result stays as it was."""
    executor = ScriptedExecutor()
    executor.script("second", BROKEN)
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path)) as running:
        workflow_id = await running.begin(web("web"))
        before = await running.ended(workflow_id)
        assert before["status"] == "failed"
        answer = await tell(
            running, workflow_id, "retry", reason="deeper", parameters={"second": {"depth": 2, "speed": "slow"}}
        )
        assert answer.status_code == 200, answer.text
        found = await running.ended(workflow_id)
        assert await revisions(running) == [1, 2]
        (given,) = await told(running, workflow_id)
    assert (found["status"], found["execution_id"]) == ("completed", answer.json()["execution_id"])
    assert [dict(order.parameters) for order in executor.orders("second")] == [
        {"depth": 1},
        {"depth": 2, "speed": "slow"},
    ]
    assert len(executor.orders("first")) == 1
    old, new = (one["result"]["execution_details"]["plan"] for one in (before, found))
    assert (old["revision"], new["revision"]) == (1, 2)
    assert old["hash"] != new["hash"]
    revised = new["metadata"]["revised"]
    assert (revised["by"], revised["reason"], revised["from"]) == ("ana", "deeper", old["hash"])
    assert revised["catalogue_digest"] == new["catalogue_digest"]
    inherited = found["events"][0]
    assert (inherited["kind"], inherited["verb"], inherited["actor"]) == ("Inherited", "retry", "ana")
    assert (inherited["reason"], inherited["plan_hash"]) == ("deeper", new["hash"])
    assert given["arguments"] == {"parameters": {"second": {"depth": 2, "speed": "slow"}}}


async def test_what_a_retry_with_parameters_is_refused_for(tmp_path: Path) -> None:
    """Rules of parameters are 422, rules of steps 409; both name step or field, are recorded, and start nothing."""
    executor = ScriptedExecutor()
    executor.script("second", BROKEN)
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path)) as running:
        workflow_id = await running.begin(web("web"))
        await running.ended(workflow_id)
        cases: list[tuple[dict[str, dict[str, Any]], int, str]] = [
            ({"first": {"replicas": 4}}, 409, "parameters: 'first' keeps its result"),
            ({"third": {"depth": 4}}, 409, "parameters: 'third' is no step of this workflow (first, second)"),
            ({"second": {"depth": "${{ nonsense( }}"}}, 422, "steps.second.parameters.depth"),
        ]
        for patch, code, words in cases:
            answer = await tell(running, workflow_id, "retry", parameters=patch)
            assert answer.status_code == code, answer.text
            assert words in answer.json()["detail"]
        assert await revisions(running) == [1]
        rows = [(one["outcome"], one["why"]) for one in await told(running, workflow_id)]
        assert all(
            outcome == "refused" and words in why for (outcome, why), (_, _, words) in zip(rows, cases, strict=True)
        )
        assert (await running.detail(workflow_id))["status"] == "failed"


async def test_parameters_are_held_against_the_executors_catalogue(tmp_path: Path) -> None:
    """A number over the schema's bound, and another target, are refused by field, value and rule."""
    executor = ScriptedExecutor()
    executor.script("first", BROKEN)
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path)) as running:
        workflow_id = await running.begin(web("web"))
        await running.ended(workflow_id)
        for name, value in (("replicas", 101), ("resource_name", "db")):
            answer = await tell(running, workflow_id, "retry", parameters={"first": {name: value}})
            assert answer.status_code == 422, answer.text
            (error,) = answer.json()["errors"]
            assert (error["field"], error["value"]) == (f"parameters.first.{name}", value)
        assert (await tell(running, workflow_id, "retry", parameters={"first": {"replicas": 4}})).status_code == 200
        assert (await running.ended(workflow_id))["status"] == "completed"
    assert [order.parameters["replicas"] for order in executor.orders("first")] == [5, 4]


async def test_an_unknown_outcome_is_settled_before_other_parameters_are_used(tmp_path: Path) -> None:
    """The old key is never sent with new parameters: it is settled, then the step begins anew under its own key."""
    executor = ScriptedExecutor()
    executor.script("second", Answer(silent=True, new_ledger=True))
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path)) as running:
        workflow_id = await running.begin(web("web"))
        found = await running.ended(workflow_id)
        assert steps(found)["second"]["status"] == "unknown"
        executor.forget()
        executor.ledger = "ledger-1"  # the first one again, and it has never seen the key
        answer = await tell(running, workflow_id, "retry", parameters={"second": {"depth": 9}})
        assert answer.status_code == 200, answer.text
        again = await running.ended(workflow_id)
    old, new = executor.orders("second")
    assert (dict(old.parameters), dict(new.parameters)) == ({"depth": 1}, {"depth": 9})
    assert new.key.startswith(answer.json()["execution_id"])
    assert executor.cancelled == [old.key]
    assert again["status"] == "completed"


async def test_what_was_forgotten_can_be_commanded_no_more(tmp_path: Path) -> None:
    """Once its journal is deleted nobody knows what to do again or to undo: 409 says so, and nothing is allowed."""
    executor = ScriptedExecutor()
    executor.script("second", BROKEN)
    async with replica(tmp_path, executor, RULES_FILE=two(tmp_path)) as running:
        workflow_id = await running.begin(web("web"))
        await running.ended(workflow_id)
        async with running.parts.database.write() as connection:
            await connection.execute(sa.delete(journal))
        for verb in ("retry", "rollback", "pause"):
            answer = await tell(running, workflow_id, verb)
            assert answer.status_code == 409, answer.text
            assert "has been forgotten" in answer.json()["detail"]
            assert answer.json()["allowed"] == []
