"""Silences and maintenance windows over the API, and what they do to alerts, on one replica."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.integration.test_openapi import document_of, holds
from tests.support.replica import HIGH_CPU, act, replica, rules_of
from tests.support.scripted_executor import ScriptedExecutor
from workflow_service.domain.silence import MOST
from workflow_service.store.tables import silences

pytestmark = [pytest.mark.requirement("BR-WF-010")]

DAILY = {"weekdays": ["mon"], "begins": "10:00", "until": "11:00", "timezone": "UTC"}
POST, LIST = ("post", "/api/v1/silences"), ("get", "/api/v1/silences")
DELETE = ("delete", "/api/v1/silences/{silence_id}")


def body(**values: Any) -> dict[str, Any]:
    """A silence of an hour for everything in production."""
    now = datetime.now(UTC)
    span = {"starts_at": (now - timedelta(minutes=1)).isoformat(), "ends_at": (now + timedelta(hours=1)).isoformat()}
    return {"match": "alert.namespace == 'production'", "comment": "backup", **span, **values}


async def test_alerts_rest_until_it_is_ended(tmp_path: Path) -> None:
    """Nothing is done about what it speaks of, and the answer says why; once it is ended all goes on."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        document = await document_of(running)
        made = await running.http.post("/api/v1/silences", json=body(), headers={"X-Service-Name": "ana"})
        holds(document, POST, made)
        assert (made.status_code, made.json()["created_by"]) == (201, "ana")
        intake = (await running.result(HIGH_CPU))["execution_details"]["intake"]
        assert intake["outcome"] == "silenced"
        assert intake["reason"].startswith(f"a silence: backup ({made.json()['id']})")
        other = (await running.result({**HIGH_CPU, "namespace": "staging"}))["execution_details"]["intake"]
        assert other["outcome"] == "admitted"
        listed = await running.http.get("/api/v1/silences")
        holds(document, LIST, listed)
        assert [one["id"] for one in listed.json()["silences"]] == [made.json()["id"]]
        assert listed.json()["silences"][0]["open_until"] is not None
        ended = await running.http.delete(f"/api/v1/silences/{made.json()['id']}", headers={"X-Service-Name": "bo"})
        holds(document, DELETE, ended)
        assert (ended.json()["ended_by"], ended.json()["open_until"]) == ("bo", None)
        assert (await running.http.get("/api/v1/silences")).json()["silences"] == []
        over = await running.http.get("/api/v1/silences", params={"over": "true"})
        assert len(over.json()["silences"]) == 1
        again = (await running.result(HIGH_CPU))["execution_details"]["intake"]
        assert again["outcome"] == "admitted"
        missing = await running.http.delete("/api/v1/silences/no-such")
        holds(document, DELETE, missing)
        assert missing.status_code == 404


async def test_there_is_a_bound_on_silences(tmp_path: Path) -> None:
    """As many as are allowed hold back at once; one more is 422 until one of them is ended."""
    now = datetime.now(UTC)
    row = {"kind": "silence", "comment": "", "created_by": "ana", "created_at": now}
    span = {"starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(hours=1)}
    rows = [{**row, **span, "id": f"s{n}", "match": f"alert.labels.n == '{n}'"} for n in range(MOST)]
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        async with running.parts.database.write() as connection:
            await connection.execute(sa.insert(silences), rows)
        held = await running.result({**HIGH_CPU, "labels": {"n": str(MOST - 1)}})
        assert held["execution_details"]["intake"]["outcome"] == "silenced"
        refused = await running.http.post("/api/v1/silences", json=body())
        holds(await document_of(running), POST, refused)
        assert refused.status_code == 422
        assert str(MOST) in refused.text
        assert (await running.http.delete("/api/v1/silences/s0")).status_code == 200
        assert (await running.http.post("/api/v1/silences", json=body())).status_code == 201


async def test_long_lists_come_in_pages(tmp_path: Path) -> None:
    """Each silence is on one page, those that end last first, two that end at once too."""
    now = datetime.now(UTC)
    row = {"kind": "silence", "match": "false", "comment": "", "created_by": "ana", "created_at": now, "starts_at": now}
    ends = [now + timedelta(hours=hours) for hours in (1, 3, 3, 2, 3)]
    rows = [{**row, "id": f"s{number}", "ends_at": at} for number, at in enumerate(ends)]
    async with replica(tmp_path, ScriptedExecutor()) as running:
        async with running.parts.database.write() as connection:
            await connection.execute(sa.insert(silences), rows)
        pages, asked = [], {"limit": 2}
        while "cursor" not in asked or asked["cursor"]:
            answer = await running.http.get("/api/v1/silences", params=asked)
            holds(await document_of(running), LIST, answer)
            pages.append([one["id"] for one in answer.json()["silences"]])
            asked = {"limit": 2, "cursor": answer.json()["next_cursor"]}
        refused = await running.http.get("/api/v1/silences", params={"cursor": "elsewhere"})
    assert pages == [["s4", "s2"], ["s1", "s3"], ["s0"]]
    assert refused.status_code == 400


async def test_a_window_that_is_not_open_holds_nothing_back(tmp_path: Path) -> None:
    """A weekly time on another day is kept, and lets alerts pass."""
    day = (datetime.now(UTC) + timedelta(days=3)).strftime("%a").lower()
    weekly = {"weekdays": [day], "begins": "10:00", "until": "11:00", "timezone": "UTC"}
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        made = await running.http.post("/api/v1/silences", json=body(weekly=weekly, kind="maintenance"))
        assert (made.status_code, made.json()["open_until"]) == (201, None)
        assert (await running.result(HIGH_CPU))["execution_details"]["intake"]["outcome"] == "admitted"


@pytest.mark.parametrize(
    ("wrong", "field", "status"),
    [
        ({"match": "alert.nothing"}, "match", 422),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at", 422),
        ({"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-02-01T00:00:00Z"}, "ends_at", 422),
        ({"weekly": {**DAILY, "timezone": "Nowhere"}}, "weekly.timezone", 422),
        ({"weekly": {**DAILY, "weekdays": ["x"]}}, "weekly.weekdays.0", 400),
        ({"weekly": {**DAILY, "begins": "1"}}, "weekly.begins", 400),
        ({"starts_at": "2026-01-01T00:00:00"}, "starts_at", 400),
        ({"starts_at": 1767225600}, "starts_at", 400),
        ({"stranger": 1}, "stranger", 400),
    ],
)
async def test_what_makes_no_sense_is_refused(tmp_path: Path, wrong: dict[str, Any], field: str, status: int) -> None:
    """400 for the form, 422 for what it says, with the field, and nothing is kept."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        answer = await running.http.post("/api/v1/silences", json=body(**wrong))
        holds(await document_of(running), POST, answer)
        assert answer.status_code == status
        assert field in {one["field"].removeprefix("body.") for one in answer.json()["errors"]}
        assert (await running.http.get("/api/v1/silences")).json()["silences"] == []
