"""Recoveries on a real replica with a scripted executor: tried, answered, refused, overruled, and survived."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.replica import HIGH_CPU, act, replica, rules_of, steps
from tests.support.scripted_executor import ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-002", "BR-WF-015")
PERMANENT = failing(ErrorClass.PERMANENT, "no such image")


def cure(name: str, **more: Any) -> dict[str, Any]:
    """An action that changes the target."""
    return act(name, on="target", **more)


def option(name: str, *actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Another way."""
    return {"name": name, "reason": f"the test says {name}", "actions": list(actions), **more}


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
