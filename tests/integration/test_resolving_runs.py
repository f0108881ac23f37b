"""Alerts that resolve while their workflow runs, waits or stands still, on one replica."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_start import waiting
from tests.support.replica import HIGH_CPU, Running, act, eventually, kinds, replica, rules_of
from tests.support.scripted_executor import Answer, ScriptedExecutor

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-018")]

TWO = (act("one"), act("two", needs=["one"]))


async def resolved(running: Running) -> dict[str, Any]:
    """Say that the alert is over; what became of that."""
    answer = await running.execute({**HIGH_CPU, "status": "resolved"}, prefer="respond-async")
    assert answer.status_code in {200, 202}, answer.text
    intake = answer.json()["result"]["execution_details"]["intake"]
    assert intake["outcome"] == "attached"
    return dict(intake)


@pytest.mark.parametrize(
    ("answer", "status", "sent", "undone"),
    [("finish", "completed", 2, 0), ("stop", "resolved", 1, 0), ("rollback", "rolled_back", 1, 1)],
)
async def test_while_an_action_runs(tmp_path: Path, answer: str, status: str, sent: int, undone: int) -> None:
    """What is in flight finishes; then all is done, nothing more is begun, or what was done is undone."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    rules = rules_of(tmp_path, *TWO, onResolved=answer)
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "the action runs")
        await resolved(running)
        await running.until(workflow_id, lambda found: "AlertResolved" in kinds(found), "it has heard of it")
        executor.finish()
        found = await running.ended(workflow_id)
    assert found["status"] == status
    assert len([order for order in executor.sent if order.type != "undo"]) == sent
    assert len(executor.effects) == sent + undone
    if status != "completed":
        assert found["reason"] == "alert_resolved"


async def test_while_it_waits_for_its_start(tmp_path: Path) -> None:
    """A workflow that nobody drives is woken, and ends without having done anything."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, *TWO)) as running:
        workflow_id = await waiting(running)
        await resolved(running)
        found = await running.ended(workflow_id)
    assert (found["status"], found["reason"], executor.sent) == ("resolved", "alert_resolved", [])


async def test_while_it_waits_for_a_slot(tmp_path: Path) -> None:
    """It is heard in the queue too; the alert that comes back later gets a workflow of its own."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    other = {**HIGH_CPU, "resource": "deployment/other"}
    rules = rules_of(tmp_path, *TWO)
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="1") as running:
        await running.begin(other)
        await eventually(executor.running, "the other one runs")
        workflow_id = await running.begin(HIGH_CPU)
        await running.until(workflow_id, lambda found: found["status"] == "queued", "it waits")
        await resolved(running)
        found = await running.ended(workflow_id)
        assert (found["status"], found["reason"]) == ("resolved", "alert_resolved")
        assert await running.begin(HIGH_CPU) != workflow_id
        executor.finish()


async def test_while_it_is_paused(tmp_path: Path) -> None:
    """A pause before the first effect ends with its alert."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, *TWO)) as running:
        workflow_id = await waiting(running)
        await running.http.post(f"/api/v1/workflows/{workflow_id}/pause", json={})
        await running.until(workflow_id, lambda found: found["status"] == "paused", "it is paused")
        await resolved(running)
        found = await running.ended(workflow_id)
    assert (found["status"], executor.sent) == ("resolved", [])
