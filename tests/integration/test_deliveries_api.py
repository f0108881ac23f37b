"""What came can be looked at, found again in quarantine, and decided again."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.integration.test_alerts_api import outcomes, post
from tests.integration.test_openapi import document_of, holds
from tests.support.replica import HIGH_CPU, Running, replica
from tests.support.rows import BEGAN, count
from tests.support.scripted_executor import ScriptedExecutor
from tests.unit.test_alertmanager import a_notification, an_alert
from tests.unit.test_cloud_events import ALERT
from workflow_service.store import inbound, retention
from workflow_service.store.database import Database
from workflow_service.store.tables import deliveries

pytestmark = [pytest.mark.requirement("BR-WF-001")]

LIST, DETAIL = ("get", "/api/v1/deliveries"), ("get", "/api/v1/deliveries/{delivery_id}")
REPLAY = ("post", "/api/v1/deliveries/{delivery_id}/replay")


async def listed(running: Running, **query: Any) -> list[dict[str, Any]]:
    """One page, held against the document."""
    answer = await running.http.get("/api/v1/deliveries", params=query)
    holds(await document_of(running), LIST, answer)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["deliveries"])


async def shown(running: Running, delivery_id: str) -> dict[str, Any]:
    """One delivery whole, held against the document."""
    answer = await running.http.get(f"/api/v1/deliveries/{delivery_id}")
    holds(await document_of(running), DETAIL, answer)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_quarantine_can_be_listed(tmp_path: Path) -> None:
    """Of four deliveries the two with something in quarantine, newest first; and the others."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        good = (await post(running, a_notification(an_alert(1)))).json()["delivery_id"]
        mixed = (await post(running, a_notification(an_alert(2), {}, 7))).json()["delivery_id"]
        await post(running, b"no JSON \xff")
        await running.execute(HIGH_CPU, prefer="respond-async")
        everything = await listed(running)
        assert [one["quarantined"] for one in everything] == [0, 1, 2, 0]
        assert [one["form"] for one in everything] == ["alert", "alertmanager", "alertmanager", "alertmanager"]
        assert [one["alerts"] for one in everything] == [1, 0, 1, 1]
        unreadable, found = await listed(running, quarantined=True)
        assert (found["delivery_id"], unreadable["size"]) == (mixed, 9)
        assert good in [one["delivery_id"] for one in await listed(running, quarantined=False)]
        detail = await shown(running, mixed)
        assert [flaw["index"] for flaw in detail["flaws"]] == [1, 2]
        assert [one["outcome"] for one in detail["outcomes"]] == ["admitted"]
        assert json.loads(detail["body"])["version"] == "4"
        broken = await shown(running, unreadable["delivery_id"])
        assert (broken["body"], broken["flaws"][0]["index"]) == ("no JSON \\xff", None)


async def test_pages_go_on(tmp_path: Path) -> None:
    """Each delivery is on one page, whatever the page's length; a made-up cursor is refused."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        sent = [(await post(running, a_notification())).json()["delivery_id"] for _ in range(7)]
        found, onward = [], None
        while True:
            query = {"limit": 3} | ({"cursor": onward} if onward else {})
            answer = (await running.http.get("/api/v1/deliveries", params=query)).json()
            found += [one["delivery_id"] for one in answer["deliveries"]]
            onward = answer["next_cursor"]
            if onward is None:
                break
        assert found == sent[::-1]
        document = await document_of(running)
        for query in ({"cursor": "x"}, {"limit": 0}, {"quarantined": "perhaps"}):
            answer = await running.http.get("/api/v1/deliveries", params=query)
            assert answer.status_code == 400
            holds(document, LIST, answer)
        for path, code in (("nobody", 404), ("no%00body", 400), ("x" * 101, 400)):
            answer = await running.http.get(f"/api/v1/deliveries/{path}")
            assert answer.status_code == code
            holds(document, DETAIL, answer)


async def test_a_replay_decides_again(tmp_path: Path) -> None:
    """The same bytes as a new delivery that names its origin, with alerts and outcomes of its own."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        first = await post(running, a_notification(an_alert(1), {}))
        origin, before = first.json()["delivery_id"], first.json()["alerts"][0]
        await running.ended(before["workflow_id"])
        answer = await running.http.post(f"/api/v1/deliveries/{origin}/replay", headers={"X-Service-Name": "ana"})
        holds(await document_of(running), REPLAY, answer)
        assert outcomes(answer) == ["cooled_down", "invalid"]
        after = answer.json()["alerts"][0]
        assert (after["workflow_id"], after["alert_id"]) != (None, before["alert_id"])
        again = await shown(running, answer.json()["delivery_id"])
        assert (again["origin"], again["source"], again["form"]) == (origin, "ana", "alertmanager")
        assert again["body"] == (await shown(running, origin))["body"]
        assert (await shown(running, origin))["outcomes"][0]["outcome"] == "admitted"


async def test_every_form_can_be_replayed(tmp_path: Path) -> None:
    """What needs its headers has kept them; older rows are known by their route."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "t"}
        await post(running, json.dumps(ALERT).encode(), **{"Content-Type": "application/json", **event})
        await running.execute({"name": "A", "resource": "pod/a", "namespace": "n"}, prefer="respond-async")
        held = {"alert": {"name": "B", "resource": "pod/b", "namespace": "n"}, "start": False}
        await running.http.post("/api/v1/workflows", json=held)
        async with running.parts.database.write() as connection:
            await connection.execute(sa.update(deliveries).where(deliveries.c.form == "alert").values(form=None))
        for one in await listed(running):
            answer = await running.http.post(f"/api/v1/deliveries/{one['delivery_id']}/replay", json={"as": "new"})
            assert outcomes(answer)[0] in {"attached", "cooled_down"}, (one, answer.text)
        again = (await listed(running))[:3]
        assert sorted(one["form"] for one in again) == ["alert", "cloudevent_binary", "workflow"]
        [event_in_headers] = [one for one in again if one["form"] == "cloudevent_binary"]
        row = await inbound.to_repeat(running.parts.database, event_in_headers["delivery_id"])
        assert row["headers"] == {"content-type": "application/json", **event}


async def test_a_delivery_is_simulated(tmp_path: Path) -> None:
    """In short what its alerts would lead to now; what is none stays invalid, and nothing is stored."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor) as running:
        labels = {
            "alertname": "HighCPUUsage",
            "severity": "critical",
            "namespace": "production",
            "pod": "web-server-123",
        }
        group = {"version": "4", "status": "firing", "alerts": [{"labels": labels}, {"labels": 3}]}
        sent = await running.http.post("/api/v1/alerts", json=group)
        origin, workflow = sent.json()["delivery_id"], sent.json()["alerts"][0]["workflow_id"]
        await running.ended(workflow)
        real = (await running.detail(workflow))["result"]["execution_details"]["plan"]
        before, orders = await listed(running), len(executor.sent)
        answer = await running.http.post(f"/api/v1/deliveries/{origin}/replay", json={"as": "simulation"})
        assert answer.status_code == 200, answer.text
        assert await listed(running) == before
    told, broken = answer.json()["alerts"]
    assert (answer.json()["delivery_id"], answer.json()["left_out"]) == (origin, 0)
    assert (told["outcome"], told["status"], told["rule"]) == ("cooled_down", "completed", real["rule"])
    assert told["changes"] == ["scale_deployment"]
    assert (broken["outcome"], broken["status"]) == ("invalid", None)
    assert all(request.dry_run for request in executor.sent[orders:])


async def test_what_cannot_be_replayed(tmp_path: Path) -> None:
    """What nobody could read, what is forgotten, what is not there, and ways that are not offered."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        document = await document_of(running)
        await post(running, b"no JSON")
        [unreadable] = await listed(running)
        good = (await post(running, a_notification(an_alert()))).json()["delivery_id"]

        async def refused(delivery_id: str, code: int, body: Any = None) -> str:
            content = {} if body is None else {"json": body}
            answer = await running.http.post(f"/api/v1/deliveries/{delivery_id}/replay", **content)
            assert answer.status_code == code, answer.text
            holds(document, REPLAY, answer)
            return str(answer.json()["detail"])

        assert "no alert can be told" in await refused(unreadable["delivery_id"], 409)
        await refused(good, 400, {"as": "dream"})
        await refused(good, 400, {"start": True})
        await refused("nobody", 404)
        before = await count(running.parts.database, deliveries)
        await retention.forget_bodies(running.parts.database, received_before=BEGAN + timedelta(days=4000))
        assert "deleted" in await refused(good, 409)
        assert (await shown(running, good))["forgotten"] is True
        assert await count(running.parts.database, deliveries) == before


async def test_what_quotes_the_bytes_goes_with_them(database: Database) -> None:
    """Headers and reasons go when the body does; that something was quarantined stays known."""
    await _unreadable(database, 1)
    await retention.forget_bodies(database, received_before=BEGAN + timedelta(days=1))
    async with database.read() as connection:
        [row] = (await connection.execute(sa.select(deliveries))).all()
    assert (row.body, row.headers, row.flaws, row.quarantined) == (b"", None, None, 1)


async def test_quarantine_is_bounded(database: Database) -> None:
    """Of what nobody can read the newest are kept; what holds alerts that are only invalid is left alone."""
    await _unreadable(database, 12)
    await _unreadable(database, 1, unreadable=None, at=BEGAN - timedelta(hours=1))
    assert await retention.forget_unreadable(database, keep=5) == 7
    assert await retention.forget_unreadable(database, keep=5) == 0
    found = await inbound.summaries(database, quarantined=True, before=None, limit=20)
    assert [one["id"] for one in found] == ["d11", "d10", "d09", "d08", "d07", "d00x"]


async def _unreadable(database: Database, number: int, *, unreadable: bool | None = True, at: Any = BEGAN) -> None:
    row = {"route": "/api/v1/alerts", "body": b"x", "size": 1, "quarantined": 1, "unreadable": unreadable}
    row |= {"headers": {"ce-id": "1"}, "flaws": [{"index": None, "reason": "no", "fingerprint": None}]}
    async with database.write() as connection:
        for nth in range(number):
            name = f"d{nth:02}" if unreadable else f"d{nth:02}x"
            await connection.execute(
                sa.insert(deliveries).values(id=name, received_at=at + timedelta(seconds=nth), **row)
            )
