"""Alerts that begin after a workflow's change: heard while it runs, shown for ever, never lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_openapi import document_of, holds
from tests.support.replica import HIGH_CPU, Running, act, eventually, kinds, replica, rules_of
from tests.support.scripted_executor import Answer, ScriptedExecutor

pytestmark = [pytest.mark.requirement("BR-WF-001")]


async def crashes(
    running: Running, *, status: str = "firing", severity: str = "critical", where: str = "production", **times: str
) -> dict[str, Any]:
    """Another alert about the same pod that begins now; what became of it."""
    labels = {"alertname": "CrashLooping", "severity": severity, "namespace": where, "pod": "web-server-123"}
    alert = {"status": status, "labels": labels, "startsAt": datetime.now(UTC).isoformat(), "fingerprint": "crash-1"}
    alert |= times
    answer = await running.http.post("/api/v1/alerts", json={"version": "4", "alerts": [alert]})
    return dict(answer.json()["alerts"][0])


@pytest.mark.parametrize(
    ("over", "status", "reason"),
    [(False, "partially_completed", "caused_alert"), (True, "completed", "all_steps_succeeded")],
)
async def test_while_it_runs(tmp_path: Path, over: bool, status: str, reason: str) -> None:
    """The workflow is no success while it fires; once it has resolved before the end, it is."""
    executor = ScriptedExecutor()
    executor.script("two", Answer(slow=True))
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "the second action runs")
        found = await crashes(running)
        assert (found["outcome"], found["workflow_id"]) == ("caused", workflow_id)
        await running.until(workflow_id, lambda one: "AlertCaused" in kinds(one), "it has heard of it")
        if over:
            await crashes(running, status="resolved")
            await running.until(workflow_id, lambda one: kinds(one).count("AlertCaused") == 2, "it is over")
        executor.finish()
        ended = await running.ended(workflow_id)
        document = await document_of(running)
        answer = await running.http.get(f"/api/v1/workflows/{workflow_id}")
        holds(document, ("get", "/api/v1/workflows/{workflow_id}"), answer)
    assert (ended["status"], ended["reason"]) == (status, reason)
    [evidence] = ended["evidence"]
    assert (evidence["kind"], evidence["event"]) == ("caused_alert", found["alert_id"])
    assert evidence["observed"]["name"] == "CrashLooping"
    assert (evidence["observed"]["over_at"] is not None) is over
    assert ended["result"]["workflow_result"]["evidence"] == ended["evidence"]
    assert ended["result"]["success"] is over


async def test_after_its_end(tmp_path: Path) -> None:
    """What was said stays said; the alert is shown with the workflow, and waits to be decided again."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        result = await running.result(HIGH_CPU)
        found = await crashes(running)
        assert (found["outcome"], found["workflow_id"]) == ("caused", result["workflow_id"])
        assert (await crashes(running))["outcome"] == "caused"
        old = {"startsAt": "2026-11-01T00:00:00Z", "endsAt": "2026-11-01T00:05:00Z"}
        await crashes(running, status="resolved", **old)  # the late end of an older episode
        await crashes(running, status="resolved", where="staging")  # another alert, with the same fingerprint
        ended = await running.detail(result["workflow_id"])
        [stored] = [
            one
            for one in (await running.http.get("/api/v1/alerts", params={"outcome": "caused"})).json()["alerts"]
            if one["alert_id"] == found["alert_id"]
        ]
    assert ended["status"] == "completed"
    assert [one["event"] for one in ended["evidence"]] == [found["alert_id"]]
    assert ended["evidence"][0]["observed"]["over_at"] is None
    assert stored["reconsider_at"] is not None
