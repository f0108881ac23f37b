"""Listing alerts, and why each became what it is, over the API."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_openapi import document_of, holds
from tests.support.replica import HIGH_CPU, act, replica, rules_of
from tests.support.scripted_executor import ScriptedExecutor

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-029")]


async def test_every_outcome_can_be_explained(tmp_path: Path) -> None:
    """The rules in their order up to the one that decided, what each saw, and the outcome that the sender was told."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        document = await document_of(running)
        bodies = (HIGH_CPU, HIGH_CPU, {**HIGH_CPU, "status": "resolved"})
        told = [(await running.result(body))["execution_details"]["intake"] for body in bodies]
        for intake, rule in zip(told, ("admission", "cooldown", "resolved"), strict=True):
            answer = await running.http.get(f"/api/v1/alerts/{intake['alert_id']}/explain")
            holds(document, ("get", "/api/v1/alerts/{alert_id}/explain"), answer)
            found = answer.json()
            assert (found["outcome"], found["reason"]) == (intake["outcome"], intake["reason"])
            assert [one["decided"] for one in found["rules"][:-1]] == ["goes on"] * (len(found["rules"]) - 1)
            assert (found["rules"][-1]["rule"], found["rules"][-1]["decided"]) == (rule, intake["outcome"])
        missing = await running.http.get("/api/v1/alerts/no-such/explain")
        holds(document, ("get", "/api/v1/alerts/{alert_id}/explain"), missing)
        assert missing.status_code == 404


async def test_alerts_are_listed_page_by_page(tmp_path: Path) -> None:
    """Newest first, each once; filters by workflow, fingerprint and outcome."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        document, operation = await document_of(running), ("get", "/api/v1/alerts")
        bodies = [{**HIGH_CPU, "resource": f"deployment/web-{number}"} for number in range(5)]
        told = [(await running.result(body))["execution_details"]["intake"]["alert_id"] for body in bodies]
        seen: list[str] = []
        asked: dict[str, str] = {"limit": "2"}
        while True:
            answer = await running.http.get("/api/v1/alerts", params=asked)
            holds(document, operation, answer)
            seen += [one["alert_id"] for one in answer.json()["alerts"]]
            if answer.json()["next_cursor"] is None:
                break
            asked["cursor"] = answer.json()["next_cursor"]
        assert seen == told[::-1]
        again = (await running.result(bodies[0]))["execution_details"]["intake"]
        cooled = (await running.http.get("/api/v1/alerts", params={"outcome": "cooled_down"})).json()["alerts"]
        assert [one["alert_id"] for one in cooled] == [again["alert_id"]]
        chosen = {"fingerprint": cooled[0]["fingerprint"], "workflow_id": cooled[0]["workflow_id"]}
        both = (await running.http.get("/api/v1/alerts", params=chosen)).json()["alerts"]
        assert [one["alert_id"] for one in both] == [again["alert_id"], told[0]]
        assert (await running.http.get("/api/v1/alerts", params={"outcome": "undecided"})).json()["alerts"] == []
        unknown = await running.http.get("/api/v1/alerts", params={"outcome": "nosuch"})
        holds(document, operation, unknown)
        assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (400, "query.outcome")
        assert "silenced" in unknown.json()["errors"][0]["rule"]
        wrong = await running.http.get("/api/v1/alerts", params={"cursor": "nonsense"})
        holds(document, operation, wrong)
        assert wrong.status_code == 400
