"""Workflows that turn out to be about the same thing only when they are planned."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.replica import HIGH_CPU, act, eventually, replica, rules_of
from tests.support.scripted_executor import Answer, ScriptedExecutor

pytestmark = [pytest.mark.requirement("BR-WF-001")]


def about(pod: str) -> dict[str, Any]:
    """An alert about a pod whose name does not tell to whom it belongs."""
    return {**HIGH_CPU, "name": f"Trouble {pod}", "resource": f"pod/{pod}"}


async def test_the_second_one_ends_as_a_duplicate(tmp_path: Path) -> None:
    """One workflow acts for their owner; the other did nothing, says whose it is, and hands over its alerts."""
    executor = ScriptedExecutor()
    for pod in ("left", "right"):
        executor.cluster[("Pod", pod)] = ("Deployment", "web")
    executor.script("one", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        first = await running.begin(about("left"))
        await eventually(executor.running, "the first one acts")
        second = await running.begin(about("right"))
        found = await running.ended(second)
        assert (found["status"], found["reason"]) == ("cancelled", "duplicate")
        assert first in found["cause"]
        assert "deployment/web" in found["cause"]
        alerts = (await running.http.get("/api/v1/alerts", params={"workflow_id": first})).json()["alerts"]
        assert [one["outcome"] for one in alerts] == ["attached", "admitted"]
        assert second in alerts[0]["reason"]
        again = await running.begin(about("right"))  # it would be planned, and end so again
        assert (await running.ended(again))["reason"] == "duplicate"
        executor.finish()
        assert (await running.ended(first))["status"] == "completed"
        cooled = (await running.result(about("left")))["execution_details"]["intake"]
        assert cooled["outcome"] == "cooled_down"
    assert len(executor.effects) == 1


async def test_of_many_at_once_one_acts(tmp_path: Path) -> None:
    """Planned at the same instant, they settle it among themselves."""
    executor = ScriptedExecutor()
    pods = [f"pod-{letter}" for letter in "acegik"]
    executor.cluster.update({("Pod", pod): ("Deployment", "web") for pod in pods})
    executor.script("one", *[Answer(slow=True)] * len(pods))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        ids = await asyncio.gather(*(running.begin(about(pod)) for pod in pods))
        await eventually(executor.running, "one of them acts")
        [running_id] = {order.workflow_id for order in executor.sent}
        for workflow_id in set(ids) - {running_id}:
            assert (await running.ended(workflow_id))["reason"] == "duplicate"
        executor.finish()
        assert (await running.ended(running_id))["status"] == "completed"
    assert len(executor.effects) == 1
