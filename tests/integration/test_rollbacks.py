"""Undoing by hand, all or back to a step, while it runs and afterwards; and the history that remains of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.integration.test_commands import tell, web
from tests.integration.test_openapi import document_of, holds
from tests.support.replica import Running, act, eventually, replica, rules_of, steps
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass
from workflow_service.store.tables import journal

pytestmark = [pytest.mark.requirement("BR-WF-015")]

LINE = (act("first"), act("second", needs=["first"]), act("third", needs=["second"]))
NOTHING = {"undone": 0, "undo_failed": 0, "irreversible": 0, "available": 0, "undoing": 0}


async def history(running: Running, **asked: Any) -> dict[str, Any]:
    """The history of rollbacks."""
    answer = await running.http.get("/api/v1/rollbacks", params=asked)
    holds(await document_of(running), ("get", "/api/v1/rollbacks"), answer)
    return dict(answer.json())


async def done(running: Running, name: str = "web") -> str:
    """A workflow that has done all of its steps."""
    workflow_id = await running.begin(web(name))
    assert (await running.ended(workflow_id))["status"] == "completed"
    return workflow_id


async def ended_as(running: Running, workflow_id: str) -> tuple[str, str, str]:
    """How it ends."""
    found = await running.ended(workflow_id)
    return found["status"], found["reason"], found["rollback"]


def undos(found: dict[str, Any]) -> dict[str, str]:
    """Where the undo of each step stands."""
    return {name: step["undo"] for name, step in steps(found).items()}


async def test_back_to_a_step_while_it_runs(tmp_path: Path) -> None:
    """What is in flight finishes; what came after the step is undone, what came before is kept and stays undoable."""
    executor = ScriptedExecutor()
    executor.script("second", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, *LINE)) as running:
        workflow_id = await running.begin(web("web"))
        await eventually(lambda: executor.running() == ["second"], "the second step runs")
        early = await tell(running, workflow_id, "rollback", step="second")
        assert early.status_code == 409
        assert "one can go back only to a step that has succeeded" in early.json()["detail"]
        answer = await tell(running, workflow_id, "rollback", step="first", reason="too much")
        assert answer.status_code == 200, answer.text
        executor.finish()
        assert await ended_as(running, workflow_id) == ("partially_completed", "rolled_back_to_step", "done")
        found = await running.detail(workflow_id)
        assert found["cause"] == "rollback by ana: too much (back to first)"
        assert undos(found) == {"first": "available", "second": "undone", "third": "none"}
        (row,) = (await history(running))["rollbacks"]
        assert (row["kind"], row["back_to"], row["partial"]) == ("run", "first", False)
        assert row["steps"] == {**NOTHING, "undone": 1}
    assert not executor.orders("undo first")


async def test_back_to_a_step_of_what_is_over(tmp_path: Path) -> None:
    """A new execution undoes what came after the step; once that is undone there is nothing more to go back for."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, *LINE)) as running:
        workflow_id = await done(running)
        for step, words in (("nobody", "is no step of this workflow (first, second, third)"), ("third", "nothing was")):
            refused = await tell(running, workflow_id, "rollback", step=step)
            assert refused.status_code == 409, refused.text
            assert words in refused.json()["detail"]
        answer = await tell(running, workflow_id, "rollback", step="first")
        assert answer.status_code == 200, answer.text
        assert await ended_as(running, workflow_id) == ("partially_completed", "rolled_back_to_step", "done")
        assert undos(await running.detail(workflow_id)) == {
            "first": "available",
            "second": "undone",
            "third": "undone",
        }
        again = await tell(running, workflow_id, "rollback", step="first")
        assert again.status_code == 409
        assert (await tell(running, workflow_id, "rollback")).status_code == 200
        assert await ended_as(running, workflow_id) == ("rolled_back", "rollback_requested", "done")
        rows = (await history(running))["rollbacks"]
        assert [(row["kind"], row["back_to"], row["steps"]["undone"]) for row in rows] == [
            ("rollback", None, 3),
            ("rollback", "first", 2),
        ]
    undone = [order.step_id for order in executor.sent if order.type == "undo"]
    assert undone == ["third", "second", "first"]


async def test_what_cannot_be_undone_makes_it_partial(tmp_path: Path) -> None:
    """Everything reversible is undone, so it is rolled back; the history names what its plan said cannot be."""
    executor = ScriptedExecutor()
    rules = rules_of(tmp_path, act("first"), act("ashes", "burn", needs=["first"]))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await done(running)
        plan = (await running.detail(workflow_id))["result"]["execution_details"]["plan"]
        assert {one["id"]: one["reversible"] for one in plan["actions"]} == {"first": True, "ashes": False}
        assert (await tell(running, workflow_id, "rollback")).status_code == 200
        assert await ended_as(running, workflow_id) == ("rolled_back", "rollback_requested", "done")
        found = await history(running)
        (row,) = found["rollbacks"]
        assert (row["partial"], row["steps"]) == (True, {**NOTHING, "undone": 1, "irreversible": 1})
        assert found["success_rate"] == 1.0
        again = await tell(running, workflow_id, "rollback")
        assert (again.status_code, again.json()["allowed"]) == (409, ["retry"])


async def test_nothing_but_ashes_is_no_rollback(tmp_path: Path) -> None:
    """Where no change can be taken back a rollback is refused in words, and leaves no trace in the history."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("ashes", "burn"))) as running:
        workflow_id = await done(running)
        refused = await tell(running, workflow_id, "rollback")
        assert (refused.status_code, refused.json()["allowed"]) == (409, [])
        assert "nothing was changed that can be undone" in refused.json()["detail"]
        assert (await history(running))["rollbacks"] == []


async def test_one_undo_that_fails_makes_it_incomplete(tmp_path: Path) -> None:
    """The others are undone all the same; it fails and says so, and a later rollback may try again."""
    executor = ScriptedExecutor()
    executor.script("undo second", failing(ErrorClass.CONFLICT, "somebody has changed it since"))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, *LINE)) as running:
        workflow_id = await done(running)
        assert (await tell(running, workflow_id, "rollback")).status_code == 200
        assert await ended_as(running, workflow_id) == ("failed", "rollback_incomplete", "incomplete")
        found = await history(running)
        (row,) = found["rollbacks"]
        assert (row["partial"], row["steps"]) == (True, {**NOTHING, "undone": 2, "undo_failed": 1})
        assert (found["total"], found["success_rate"]) == (1, 0.0)
        assert (await tell(running, workflow_id, "rollback")).status_code == 200
        assert await ended_as(running, workflow_id) == ("rolled_back", "rollback_requested", "done")
        found = await history(running)
        assert (found["total"], found["success_rate"]) == (2, 0.5)
    assert len(executor.orders("undo first")) == 1


async def test_a_rollback_during_a_rollback(tmp_path: Path) -> None:
    """409 in words, whatever is asked; what is being undone is undone once."""
    executor = ScriptedExecutor()
    executor.script("undo third", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, *LINE)) as running:
        workflow_id = await done(running)
        assert (await tell(running, workflow_id, "rollback")).status_code == 200
        await eventually(lambda: executor.running() == ["third"], "the undo runs")
        row = (await history(running))["rollbacks"][0]
        assert (row["status"], row["steps"], row["partial"]) == ("rolling_back", None, False)
        for verb, body in (("rollback", {}), ("rollback", {"step": "first"}), ("cancel", {}), ("pause", {})):
            refused = await tell(running, workflow_id, verb, **body)
            assert refused.status_code == 409, refused.text
            assert refused.json()["allowed"] == []
            assert "is being undone already, and that is finished, not interrupted" in refused.json()["detail"]
        executor.finish()
        assert await ended_as(running, workflow_id) == ("rolled_back", "rollback_requested", "done")
    assert len([order for order in executor.sent if order.type == "undo"]) == 3


async def test_the_history_is_filtered_and_outlives_the_journal(tmp_path: Path) -> None:
    """By namespace and by time of creation; and the counts are there when the details are forgotten."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        began = datetime.now(UTC).isoformat()
        here, there = await done(running, "here"), await running.begin({**web("there"), "namespace": "staging"})
        await running.ended(there)
        for workflow_id in (here, there):
            await tell(running, workflow_id, "rollback")
            await running.ended(workflow_id)
        later = datetime.now(UTC).isoformat()
        async with running.parts.database.write() as connection:
            await connection.execute(sa.delete(journal))
        everything = await history(running, since=began, until=later)
        assert {row["workflow_id"] for row in everything["rollbacks"]} == {here, there}
        assert all(row["steps"] == {**NOTHING, "undone": 1} for row in everything["rollbacks"])
        assert [row["workflow_id"] for row in (await history(running, namespace="staging"))["rollbacks"]] == [there]
        for asked in ({"since": later}, {"until": began}, {"namespace": "elsewhere"}):
            found = await history(running, **asked)
            assert found == {"rollbacks": [], "next_cursor": None, "total": 0, "success_rate": None}
        first = await history(running, limit=1)
        second = await history(running, limit=1, cursor=first["next_cursor"])
        assert first["rollbacks"] + second["rollbacks"] == everything["rollbacks"]
        assert (first["total"], second["total"], second["next_cursor"]) == (2, 2, None)
