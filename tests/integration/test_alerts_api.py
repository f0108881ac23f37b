"""POST /api/v1/alerts with Alertmanager's webhook: stored first, one outcome per alert, nobody hurts a neighbour."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from tests.integration.test_openapi import document_of, holds
from tests.support.replica import HIGH_CPU, Running, act, eventually, replica, rules_of
from tests.support.rows import an_alert as stored_alert
from tests.support.rows import away, count
from tests.support.scripted_executor import Answer, ScriptedExecutor
from tests.unit.test_alertmanager import a_notification, an_alert
from tests.unit.test_cloud_events import an_event
from tests.unit.test_pagerduty import SECRET, a_signature, a_webhook
from workflow_service.intake import reception
from workflow_service.intake.inbox import MAX_BYTES
from workflow_service.store.tables import alerts, deliveries, workflows

pytestmark = [pytest.mark.requirement("BR-WF-001")]

ROUTE = ("post", "/api/v1/alerts")


async def post(running: Running, body: Any, **headers: str) -> httpx2.Response:
    """Send JSON, or bytes as they are."""
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    return await running.http.post("/api/v1/alerts", headers=headers, **content)


def outcomes(answer: httpx2.Response) -> list[str]:
    """The outcome of each alert."""
    assert answer.status_code == 200, answer.text
    return [one["outcome"] for one in answer.json()["alerts"]]


async def test_one_outcome_per_alert(tmp_path: Path) -> None:
    """Firing, the same again, resolved and broken ones in one group: each has its outcome, in order."""
    body = a_notification(
        an_alert(1),
        {"labels": {"severity": "critical"}, "fingerprint": "bad"},
        an_alert(1),
        an_alert(2, status="resolved"),
        an_alert(3),
        truncatedAlerts=4,
    )
    async with replica(tmp_path, ScriptedExecutor()) as running:
        answer = await post(running, body)
        holds(await document_of(running), ROUTE, answer)
        assert outcomes(answer) == ["admitted", "invalid", "attached", "resolved", "admitted"]
        first, broken, same, resolved, other = answer.json()["alerts"]
        assert first["workflow_id"] == same["workflow_id"] != other["workflow_id"]
        assert (first["fingerprint"], resolved["workflow_id"]) == ("c3d9f0a1b2e4f501", None)
        assert (broken["alert_id"], broken["fingerprint"], broken["workflow_id"]) == (None, "bad", None)
        assert "name" in broken["reason"]
        assert answer.json()["truncated"] == 4
        assert len({first["alert_id"], same["alert_id"], resolved["alert_id"], other["alert_id"]}) == 4
        for workflow in (first, other):
            assert (await running.ended(workflow["workflow_id"]))["ended_at"]


@pytest.mark.parametrize("number", [0, 1, 2, 500])
async def test_groups_of_every_size(tmp_path: Path, number: int) -> None:
    """All of a group is stored in one delivery, and decided, before the answer."""
    async with replica(tmp_path, ScriptedExecutor(), STORM_IN_NAMESPACE="0") as running:
        answer = await post(running, a_notification(*(an_alert(nth % 250) for nth in range(number))))
        assert outcomes(answer) == ["admitted"] * min(number, 250) + ["attached"] * max(0, number - 250)
        assert await count(running.parts.database, deliveries) == 1
        assert await count(running.parts.database, alerts) == number
        assert await count(running.parts.database, workflows) == min(number, 250)


async def test_what_came_is_kept_as_it_came(tmp_path: Path) -> None:
    """The bytes of the delivery, with its form, and who sent it."""
    body = b'{ "alerts" : [ {"labels":{"alertname":"\\ud800"}}, {"labels":{"alertname":"Good"}} ] }'
    async with replica(tmp_path, ScriptedExecutor()) as running:
        answer = await post(running, body, **{"X-Service-Name": "am-1", "X-Request-ID": "r-1"})
        assert outcomes(answer) == ["invalid", "admitted"]
        async with running.parts.database.read() as connection:
            [row] = (await connection.execute(sa.select(deliveries))).all()
    assert (row.id, row.body, row.size) == (answer.json()["delivery_id"], body, len(body))
    assert (row.form, row.source, row.request_id, row.quarantined) == ("alertmanager", "am-1", "r-1", 1)
    assert row.flaws[0]["index"] == 0


POISON = {
    "a NUL": b'{"labels":{"alertname":"a\\u0000b"}}',
    "a lone surrogate": b'{"labels":{"alertname":"a\\udfff"}}',
    "no UTF-8": b'{"labels":{"alertname":"a\xff"}}',
    "a number beyond every float": b'{"labels":{"alertname":"a"},"value":1e999}',
    "a number of 5000 digits": b'{"labels":{"alertname":"a"},"value":' + b"9" * 5000 + b"}",
    "a label of 1 MB": b'{"labels":{"alertname":"a","x":"' + b"y" * 1_000_000 + b'"}}',
    "a label of another type": b'{"labels":{"alertname":12345678901234567890123}}',
    "not a number": b'{"labels":{"alertname":"a"},"value":NaN}',
    "no object": b"[[]]",
    "too deep": b'{"labels":{"alertname":"a"},"x":' + b"[" * 900 + b"]" * 900 + b"}",
    "a name of 1 MB": b'{"labels":{"alertname":"' + b"y" * 1_000_000 + b'"}}',
    "a broken name of a label": b'{"labels":{"alertname":"a","\\ud800":"x"}}',
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
async def test_poison_is_quarantined_alone(tmp_path: Path, poison: bytes) -> None:
    """Neither an error of ours nor a loss: the alert is invalid, its neighbour is admitted, the bytes are kept."""
    body = b'{"alerts":[' + poison + b',{"labels":{"alertname":"Good"}}]}'
    async with replica(tmp_path, ScriptedExecutor()) as running:
        answer = await post(running, body)
        holds(await document_of(running), ROUTE, answer)
        assert outcomes(answer) == ["invalid", "admitted"]
        async with running.parts.database.read() as connection:
            [row] = (await connection.execute(sa.select(deliveries))).all()
        assert (row.body, row.quarantined) == (body, 1)


@pytest.mark.parametrize("route", ["/api/v1/alerts", "/api/v1/execute"])
@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"{", b"[" * 100_000, b"\xff\xfe\0", b"x" * 200_000, b'{"labels": {}}'],
    ids=["empty", "words", "half", "deep", "bytes", "long", "nameless"],
)
async def test_what_can_never_be_right(tmp_path: Path, route: str, body: bytes) -> None:
    """400 with what is wrong, and kept all the same; of what is no JSON the beginning only."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        answer = await running.http.post(route, content=body)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"]
        holds(await document_of(running), ("post", route), answer)
        async with running.parts.database.read() as connection:
            [row] = (await connection.execute(sa.select(deliveries))).all()
        assert (row.body, row.size, row.quarantined) == (body[: 64 * 1024], len(body), 1)
        assert await count(running.parts.database, alerts) == 0


async def test_what_is_not_stored_is_not_acknowledged(tmp_path: Path) -> None:
    """Without a database: 503 and Retry-After for good and for broken deliveries, and nothing is kept."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        document = await document_of(running)
        with away(running.parts.database):
            for body in (a_notification(an_alert()), b"no JSON"):
                answer = await post(running, body)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
                holds(document, ROUTE, answer)
        assert await count(running.parts.database, deliveries) == 0
        assert outcomes(await post(running, a_notification(an_alert()))) == ["admitted"]


async def test_sixteen_megabytes_here_only(tmp_path: Path) -> None:
    """What Alertmanager may send is taken on this route; elsewhere 1 MB is the bound, and here 16 MB."""
    padding = "x" * 16_000
    group = a_notification(*(an_alert(nth, annotations={"text": padding}) for nth in range(200)))
    async with replica(tmp_path, ScriptedExecutor(), STORM_IN_NAMESPACE="0") as running:
        assert outcomes(await post(running, group)) == ["admitted"] * 200
        assert (await running.http.post("/api/v1/execute", json=group)).status_code == 413
        answer = await post(running, b" " * (16 * 1024 * 1024 + 1))
        assert answer.status_code == 413
        holds({**await document_of(running)}, ROUTE, answer)


async def test_what_comes_in_is_counted(tmp_path: Path) -> None:
    """Deliveries by form, alerts by outcome, refusals by reason; the series are there before anything comes."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        assert 'alerts_received_total{outcome="admitted"} 0.0' in (await running.http.get("/metrics")).text
        await post(running, a_notification(an_alert(1), an_alert(1), {}))
        with away(running.parts.database):
            await post(running, a_notification())
        text = (await running.http.get("/metrics")).text
    for line in (
        'alerts_received_total{outcome="admitted"} 1.0',
        'alerts_received_total{outcome="attached"} 1.0',
        'alerts_received_total{outcome="invalid"} 1.0',
        'wfs_deliveries_total{form="alertmanager",quarantined="true"} 1.0',
        'wfs_deliveries_refused_total{reason="store_unavailable"} 1.0',
    ):
        assert line in text, line


async def test_without_a_secret_nobody_is_pagerduty(tmp_path: Path) -> None:
    """The format is refused with the reason, however it is signed."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        answer = await post(running, a_webhook(), **{"X-PagerDuty-Signature": "v1=00"})
        assert answer.status_code == 403
        assert "WEBHOOK_SECRETS is not set" in answer.json()["detail"]
        holds(await document_of(running), ROUTE, answer)
        assert await count(running.parts.database, deliveries) == 0


async def test_the_other_forms(tmp_path: Path) -> None:
    """A batch of events with a broken one between two good ones; a signed incident, acknowledged, then resolved."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True), Answer(slow=True))  # they are under way until the end
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules, WEBHOOK_SECRETS=SECRET.decode()) as running:
        document = await document_of(running)
        events = json.dumps([an_event(id="1"), an_event(id=""), an_event(id="2")]).encode()
        answer = await post(running, events, **{"Content-Type": "application/cloudevents-batch+json"})
        assert outcomes(answer) == ["admitted", "invalid", "attached"]
        holds(document, ROUTE, answer)
        for kind, expected in (("triggered", ["admitted"]), ("acknowledged", []), ("resolved", ["attached"])):
            body = json.dumps(a_webhook(f"incident.{kind}")).encode()
            answer = await post(running, body, **{"X-PagerDuty-Signature": f"v1=0,{a_signature(body)}"})
            assert outcomes(answer) == expected
            holds(document, ROUTE, answer)


@pytest.mark.parametrize("route", ["/api/v1/alerts", "/api/v1/execute"])
async def test_more_than_may_be_under_way(tmp_path: Path, route: str) -> None:
    """With INTAKE_MAX_PENDING=1 and one that cannot be stored yet the next is to come again; the first is stored."""
    body = a_notification(an_alert()) if route == "/api/v1/alerts" else HIGH_CPU
    async with replica(tmp_path, ScriptedExecutor(), INTAKE_MAX_PENDING="1") as running:
        inbox, document = running.parts.reception.inbox, await document_of(running)
        headers = {"Prefer": "respond-async"}
        async with running.parts.database.write():  # SQLite has one writer
            first = asyncio.create_task(running.http.post(route, json=body, headers=headers))
            await eventually(lambda: inbox.pending == 1, "the first is being stored")
            second = await running.http.post(route, json=body)
            assert (second.status_code, second.headers["retry-after"]) == (503 if "alerts" in route else 500, "5")
            assert second.headers["content-type"] == "application/problem+json"
            holds(document, ("post", route), second)
        assert (await first).status_code in {200, 202}
        assert inbox.pending == 0
        assert (await running.http.post(route, json=body, headers=headers)).status_code in {200, 202}
        assert await count(running.parts.database, deliveries) == 2
        refused = 'wfs_deliveries_refused_total{reason="full"} 1.0'
        assert (refused in (await running.http.get("/metrics")).text) is (route == "/api/v1/alerts")


async def test_an_answer_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes too long to decide is answered as stored; it counts as under way until it is decided, which it is."""
    monkeypatch.setattr(reception, "PATIENCE", 0.0)
    async with replica(tmp_path, ScriptedExecutor(), INTAKE_MAX_PENDING="1") as running:
        answer = await post(running, a_notification(an_alert(1), {}, an_alert(2)))
        holds(await document_of(running), ROUTE, answer)
        assert outcomes(answer) == ["undecided", "invalid", "undecided"]
        assert None not in [one["alert_id"] for one in answer.json()["alerts"] if one["outcome"] == "undecided"]
        await eventually(lambda: running.parts.reception.inbox.pending == 0, "its place is free again")
        found = (await running.http.get(f"/api/v1/deliveries/{answer.json()['delivery_id']}")).json()
        assert [one["outcome"] for one in found["outcomes"]] == ["admitted"] * 2


async def test_too_many_undecided_alerts(tmp_path: Path) -> None:
    """Beyond the bound on alerts that nobody has decided yet all are refused, and go in again afterwards."""
    async with replica(tmp_path, ScriptedExecutor(), INTAKE_MAX_UNDECIDED="2") as running:
        taking = running.parts.reception
        for _ in range(3):
            await stored_alert(running.parts.database, at=datetime.now(UTC), outcome=None)
        await taking.weigh()
        for route, body in (("/api/v1/alerts", a_notification(an_alert(1))), ("/api/v1/execute", HIGH_CPU)):
            answer = await running.http.post(route, json=body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503 if "alerts" in route else 500, "5")
        assert "wfs_alerts_undecided 3.0" in (await running.http.get("/metrics")).text
        async with running.parts.database.write() as connection:
            await connection.execute(sa.update(alerts).values(outcome="invalid"))
        await taking.weigh()
        assert (await post(running, a_notification(an_alert(1)))).status_code == 200


async def test_more_bytes_than_may_be_held(tmp_path: Path) -> None:
    """Bodies that would not fit into memory are refused while they come, and weigh nothing afterwards."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        inbox = running.parts.reception.inbox
        with inbox.load() as others:
            others.add(MAX_BYTES - 100)
            answer = await post(running, a_notification(an_alert()))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert outcomes(await post(running, a_notification(an_alert()))) == ["admitted"]
