"""Who may do what over HTTP, with API keys: the whole replica, every route, and what a refusal tells."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.routing import iter_route_contexts

from tests.integration.test_openapi import document_of, holds
from tests.support.keys import basic, bearer, make_key
from tests.support.replica import HIGH_CPU, MEMORY_LEAK, Running, act, replica, rules_of, steps
from tests.support.scripted_executor import ScriptedExecutor
from tests.support.signing import pagerduty, standard
from workflow_service.access import api_key
from workflow_service.domain.permissions import NEEDS, Right
from workflow_service.store import api_keys
from workflow_service.store.tables import alerts

OBEYED = {200, 202}  # 202: written down, its owner has not answered in time
V, OP, P, A = Right.VIEWER, Right.OPERATOR, Right.APPROVER, Right.ADMIN


def routes_of(running: Running) -> Iterator[tuple[str, str]]:
    """Every method and path that the application answers."""
    for context in iter_route_contexts(running.parts.app.routes):
        for method in context.methods or ():
            yield method, str(context.path)


async def key_of(running: Running, name: str, *rights: Right, namespaces: tuple[str, ...] = ()) -> dict[str, str]:
    """The header with a new key."""
    _, key = await make_key(running.parts.database, name, *rights, namespaces=namespaces)
    return bearer(key)


async def test_every_route_needs_something(tmp_path: Path) -> None:
    """No route is served without an entry in the table of needs, and the table names no route that is not there."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        served = set(routes_of(running))
    assert len(served) > 15
    assert served - set(NEEDS) == set(), "domain/permissions.py must say what these need"
    assert set(NEEDS) - served == set(), "these are not served"


async def test_what_asks_nobody_does_not_ask_for_other_methods_either(tmp_path: Path) -> None:
    """Without a key a probe's path answers a method that it has not as everybody's path does: 405."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        for method, path, allowed in (("TRACE", "/health", "GET, HEAD"), ("PUT", "/openapi.json", "GET, HEAD")):
            answer = await running.http.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert (await running.http.put("/metrics")).status_code == 401


async def test_nobody_without_a_key(tmp_path: Path) -> None:
    """Without a credential every path but the probes answers 401, also one that does not exist; never with a hint."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        document = await document_of(running)
        for method, path in {*routes_of(running), ("GET", "/no/such/path"), ("PUT", "/api/v1/execute")}:
            need = NEEDS.get((method, path))
            answer = await running.http.request(method, path.replace("{", "").replace("}", ""))
            if need is not None and need.right is None:
                ticket = path.endswith("/link")  # it has a proof of its own, which is missing here
                assert answer.status_code == (400 if ticket else 200), path
                continue
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["content-type"] == "application/problem+json"
            if path in document["paths"] and method.lower() in document["paths"][path]:
                holds(document, (method.lower(), path), answer)


@pytest.mark.parametrize(
    "header",
    [
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wfs_000000000000_" + "x" * 43},
        {"Authorization": "Bearer wfs_"},
        {"Authorization": "Bearer \x00\xff"},
        {"Authorization": "Digest abc"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer " + "x" * 20_000},
        basic("ana", "secret"),
    ],
    ids=["empty", "unknown", "short", "bytes", "digest", "no base64", "long", "password"],
)
async def test_what_is_no_key(tmp_path: Path, header: dict[str, str]) -> None:
    """What is no valid key is nobody."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        await make_key(running.parts.database, "ana", A)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in header.items()]
        assert (await running.http.get("/api/v1/workflows", headers=raw)).status_code == 401


async def test_rights(tmp_path: Path) -> None:
    """Each right opens its routes and no others, by bearer and by basic; a refusal says which right it takes."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        _, secret = await make_key(running.parts.database, "op", OP)
        headers = {right: await key_of(running, str(right), right) for right in Right}
        done = await running.http.post("/api/v1/execute", json=HIGH_CPU, headers=basic("alertmanager", secret))
        assert done.status_code == 200, done.text
        workflow_id = done.json()["result"]["workflow_id"]
        pause, approve = (f"/api/v1/workflows/{workflow_id}/{verb}" for verb in ("pause", "approve"))

        async def code(right: Right, method: str, path: str) -> int:
            return (await running.http.request(method, path, headers=headers[right])).status_code

        assert {right: await code(right, "GET", "/api/v1/workflows") for right in Right} == dict.fromkeys(Right, 200)
        assert {right: await code(right, "GET", "/metrics") for right in Right} == dict.fromkeys(Right, 200)
        paused = {right: await code(right, "POST", pause) for right in Right}
        assert paused == {V: 403, OP: 409, P: 403, A: 409}  # 409: it is over
        approved = {right: await code(right, "POST", approve) for right in Right}
        assert approved == {V: 403, OP: 403, P: 409, A: 409}
        refused = await running.http.post(pause, headers=headers[V])
        assert refused.json()["detail"] == "the right operator is required"
        holds(await document_of(running), ("post", "/api/v1/workflows/{workflow_id}/pause"), refused)


async def test_a_refusal_does_not_tell_what_exists(tmp_path: Path) -> None:
    """403 is the same for what exists and what does not; what another namespace has is as if it did not exist."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        admin = await key_of(running, "root", A)
        viewer = await key_of(running, "eve", V)
        staging = await key_of(running, "staging", OP, P, namespaces=("staging",))
        made = await running.http.post("/api/v1/execute", json=HIGH_CPU, headers=admin)
        there = made.json()["result"]["workflow_id"]
        same_length = there[:-4] + "0000"

        async def answer(method: str, path: str, workflow_id: str, who: dict[str, str]) -> tuple[int, str]:
            url = path.format(workflow_id=workflow_id)
            found = await running.http.request(method, url, headers=who)
            return found.status_code, found.text.replace(workflow_id, "ID")

        for (method, path), need in NEEDS.items():
            if "{workflow_id}" in path and need.right is not None:
                url = path.replace("{verb}", "dance")
                seen = await answer(method, url, there, staging)
                assert seen == await answer(method, url, same_length, staging), path
                assert seen[0] == 404, path
                if method == "POST":
                    seen = await answer(method, url, there, viewer)
                    assert seen == await answer(method, url, same_length, viewer), path
                    assert seen[0] == 403, path
        status = "/api/v1/status?workflow_id={workflow_id}"
        assert (await answer("GET", status, there, staging))[0] == 404
        assert await answer("GET", status, there, staging) == await answer("GET", status, same_length, staging)
        assert (await answer("GET", status, there, viewer))[0] == 200


async def test_a_key_for_some_namespaces(tmp_path: Path) -> None:
    """It sees and touches the workflows there, brings alerts for there, and does not see the service as a whole."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        admin = await key_of(running, "root", A)
        staging = await key_of(running, "staging", OP, namespaces=("staging",))
        http = running.http
        other = await http.post("/api/v1/execute", json=HIGH_CPU, headers=admin)
        assert other.status_code == 200
        mine = (await http.post("/api/v1/execute", json=MEMORY_LEAK, headers=staging)).json()["result"]["workflow_id"]
        listed = (await http.get("/api/v1/workflows", headers=staging)).json()["workflows"]
        assert [one["workflow_id"] for one in listed] == [mine]
        asked = await http.get("/api/v1/workflows", params={"namespace": "production"}, headers=staging)
        assert asked.json()["workflows"] == []
        assert (await http.get(f"/api/v1/workflows/{mine}", headers=staging)).status_code == 200
        assert (await http.get("/api/v1/rollbacks", headers=staging)).json()["rollbacks"] == []
        refused = await http.post("/api/v1/execute", json=HIGH_CPU, headers=staging)
        assert (refused.status_code, "namespace: 'production'" in refused.text) == (403, True)
        by_hand = await http.post("/api/v1/workflows", json={"alert": HIGH_CPU}, headers=staging)
        assert by_hand.status_code == 403
        assert (await http.get("/metrics", headers=staging)).json()["detail"].endswith("in all namespaces")
        assert len((await http.get("/api/v1/workflows", headers=admin)).json()["workflows"]) == 2


async def test_a_limited_key_sees_its_own_alerts_and_deliveries(tmp_path: Path) -> None:
    """What is in its namespaces, and what it has sent itself; all else is as if it did not exist."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        http, admin = running.http, await key_of(running, "root", A)
        staging = await key_of(running, "staging", OP, namespaces=("staging",))
        await http.post("/api/v1/execute", json=HIGH_CPU, headers=admin)
        await http.post("/api/v1/execute", json=MEMORY_LEAK, headers=admin)
        await http.post("/api/v1/execute", json=MEMORY_LEAK | {"fingerprint": "again"}, headers=staging)
        unseen = ""
        for things, key, of in (("alerts", "alert_id", "{}/explain"), ("deliveries", "delivery_id", "{}")):
            everything = (await http.get(f"/api/v1/{things}", headers=admin)).json()[things]
            theirs = (await http.get(f"/api/v1/{things}", headers=staging)).json()[things]
            assert (len(everything), len(theirs)) == (3, 2), things
            hidden = {one[key] for one in everything} - {one[key] for one in theirs}
            for one in everything:
                url = f"/api/v1/{things}/" + of.format(one[key])
                seen = await http.get(url, headers=staging)
                assert seen.status_code == (404 if one[key] in hidden else 200), url
            unseen = hidden.pop()
            told = (await http.get(f"/api/v1/{things}/" + of.format(unseen), headers=staging)).text
            nothing = (await http.get(f"/api/v1/{things}/" + of.format("0" * 36), headers=staging)).text
            assert told.replace(unseen, "ID") == nothing.replace("0" * 36, "ID")
        again = await http.post(f"/api/v1/deliveries/{unseen}/replay", headers=staging)
        assert again.status_code == 404


async def test_a_limited_key_silences_its_own_namespaces(tmp_path: Path) -> None:
    """It makes, sees and ends silences of its namespaces, and none beyond; they hold for nobody else's alerts."""
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    silence = {"match": "true", "starts_at": datetime.now(UTC).isoformat(), "ends_at": ends}
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        http, admin = running.http, await key_of(running, "root", A)
        staging = await key_of(running, "staging", OP, namespaces=("staging",))

        async def make(namespaces: list[str] | None, headers: dict[str, str]) -> tuple[int, str]:
            body = silence | ({} if namespaces is None else {"namespaces": namespaces})
            answer = await http.post("/api/v1/silences", json=body, headers=headers)
            return answer.status_code, answer.json().get("id", "")

        assert (await make(None, staging))[0] == 403
        assert (await make(["staging", "production"], staging))[0] == 403
        code, mine = await make(["staging"], staging)
        assert code == 201
        held = await http.post("/api/v1/execute", json=MEMORY_LEAK, headers=admin)
        assert held.json()["result"]["execution_details"]["intake"]["outcome"] == "silenced"
        acted = await http.post("/api/v1/execute", json=HIGH_CPU, headers=admin)
        assert acted.json()["result"]["execution_details"]["intake"]["outcome"] == "admitted"
        _, elsewhere = await make(["production"], admin)
        listed = (await http.get("/api/v1/silences", headers=staging)).json()["silences"]
        assert [one["id"] for one in listed] == [mine]
        assert (await http.get(f"/api/v1/silences/{elsewhere}", headers=staging)).status_code == 404
        assert (await http.delete(f"/api/v1/silences/{elsewhere}", headers=staging)).status_code == 404
        assert (await http.delete(f"/api/v1/silences/{mine}", headers=staging)).status_code == 200


@pytest.mark.parametrize(
    "more",
    [
        {"labels": {"exported_namespace": "production", "deployment": "web"}},
        {"labels": {"node": "node-1"}},
        {"annotations": {"exported_namespace": "production", "pod": "web-1"}, "resource": None},
    ],
    ids=["elsewhere", "node", "annotation"],
)
async def test_where_an_alert_is_cannot_be_pretended(tmp_path: Path, more: dict[str, object]) -> None:
    """An alert from a namespace of the caller's whose target lies elsewhere is refused as one from elsewhere."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        staging = await key_of(running, "staging", OP, namespaces=("staging",))
        for path, body in (("execute", {**MEMORY_LEAK, **more}), ("workflows", {"alert": {**MEMORY_LEAK, **more}})):
            refused = await running.http.post(f"/api/v1/{path}", json=body, headers=staging)
            assert refused.status_code == 403, refused.text


async def test_a_fingerprint_is_its_namespaces_own(tmp_path: Path) -> None:
    """An alert that names the fingerprint of another namespace's workflow has one of its own, and hears of no other."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=asking(tmp_path), AUTH_MODE="keys") as running:
        admin = await key_of(running, "root", A)
        staging = await key_of(running, "staging", OP, namespaces=("staging",))
        theirs = await running.http.post(
            "/api/v1/workflows", json={"alert": {**HIGH_CPU, "fingerprint": "f"}}, headers=admin
        )
        theirs_id = theirs.json()["workflow_id"]
        body = {**MEMORY_LEAK, "fingerprint": "f"}
        told = {**staging, "Prefer": "respond-async"}
        for path, sent, outcome in (("execute", body, "admitted"), ("workflows", {"alert": body}, "attached")):
            answer = await running.http.post(f"/api/v1/{path}", json=sent, headers=told)
            assert outcome in answer.text
            assert theirs_id not in answer.text + str(answer.headers)
        await _cancels_no_second_look(running, admin, staging)


async def _cancels_no_second_look(running: Running, admin: dict[str, str], staging: dict[str, str]) -> None:
    """What `staging` says of a fingerprint leaves an alert of production, which stood back, its turn."""

    async def tell(status: str, namespace: str, who: dict[str, str]) -> str:
        labels = {"alertname": "Slow", "namespace": namespace, "deployment": "db"}
        alert = {"status": status, "labels": labels, "fingerprint": "fa"}
        answer = await running.http.post("/api/v1/alerts", json={"version": "4", "alerts": [alert]}, headers=who)
        return str(answer.json()["alerts"][0]["outcome"])

    now = datetime.now(UTC)
    span = {"starts_at": (now - timedelta(hours=1)).isoformat(), "ends_at": (now + timedelta(hours=1)).isoformat()}
    quiet = {"match": "alert.name == 'Slow' && alert.namespace == 'production'", **span}
    silence = (await running.http.post("/api/v1/silences", json=quiet, headers=admin)).json()
    assert await tell("firing", "production", admin) == "silenced"
    assert await tell("resolved", "staging", staging) == "resolved"
    await running.http.delete(f"/api/v1/silences/{silence['id']}", headers=admin)
    async with running.parts.database.write() as connection:
        stood_back = sa.update(alerts).where(alerts.c.reconsider_at.is_not(None))
        await connection.execute(stood_back.values(reconsider_at=now))
    await running.parts.intake.sweep()
    found = await running.http.get("/api/v1/alerts", params={"fingerprint": "fa"}, headers=admin)
    assert [one["outcome"] for one in found.json()["alerts"]] == ["resolved", "admitted"]


async def test_paths_that_are_not_there(tmp_path: Path) -> None:
    """A caller who is known is told 404 and 405 as without authentication; an admin by the application itself."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        for right in (V, A):
            who = await key_of(running, str(right), right)
            assert (await running.http.get("/no/such/path", headers=who)).status_code == 404
            wrong = await running.http.get("/api/v1/execute", headers=who)
            assert (wrong.status_code, wrong.json()["title"]) == (405, "Only POST method allowed")
            assert wrong.headers["allow"] == "POST"
            several = await running.http.delete("/api/v1/workflows", headers=who)
            assert (several.status_code, several.headers["allow"]) == (405, "GET, POST")


async def test_expired_and_revoked(tmp_path: Path) -> None:
    """An expired key is nobody's at once, a revoked one once what is known of it is old."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        database = running.parts.database
        _, short = await make_key(database, "short", V, lifetime=timedelta(microseconds=1))
        revoked_id, revoked = await make_key(database, "gone", V)
        await api_keys.revoke(database, revoked_id, now=datetime.now(UTC))
        for key in (short, revoked):
            assert (await running.http.get("/api/v1/workflows", headers=bearer(key))).status_code == 401


def asking(directory: Path) -> str:
    """A rule file whose one rule asks before it does something."""
    return rules_of(directory, act("one", approval={"timeout": "10m"}))


async def held_back(running: Running, who: dict[str, str]) -> str:
    """The path of a workflow that somebody has made and that waits to be started."""
    made = await running.http.post("/api/v1/workflows", json={"alert": HIGH_CPU, "start": False}, headers=who)
    assert made.status_code == 201, made.text
    workflow_id = made.json()["workflow_id"]
    await running.until(workflow_id, lambda one: steps(one).get("start", {}).get("status") == "waiting", "it waits")
    return str(workflow_id)


async def test_who_did_it_is_who_was_proved(tmp_path: Path) -> None:
    """`commands` shows the identity, not what a caller calls itself."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=asking(tmp_path), AUTH_MODE="keys") as running:
        who = await key_of(running, "ana", OP) | {"X-Service-Name": "somebody-else"}
        running.http.headers.update(who)
        path = f"/api/v1/workflows/{await held_back(running, who)}"
        assert (await running.http.post(f"{path}/start")).status_code in OBEYED
        rows = (await running.http.get(f"{path}/commands")).json()["commands"]
        assert [row["actor"] for row in rows] == ["key:ana"]


async def test_four_eyes(tmp_path: Path) -> None:
    """Who made a workflow or started it may not approve it, whatever rights they have; somebody else may."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=asking(tmp_path), AUTH_MODE="keys") as running:
        ana, bob, eve = [await key_of(running, name, A) for name in ("ana", "bob", "eve")]
        running.http.headers.update(eve)
        workflow_id = await held_back(running, ana)
        path = f"/api/v1/workflows/{workflow_id}"
        assert (await running.http.post(f"{path}/start", headers=bob)).status_code in OBEYED
        await running.until(workflow_id, lambda one: steps(one)["approve_one"]["status"] == "waiting", "it asks")
        for own in (ana, bob):
            refused = await running.http.post(f"{path}/approve", headers=own)
            assert refused.status_code == 403, refused.text
            assert "somebody else" in refused.json()["detail"]
        assert (await running.http.post(f"{path}/approve")).status_code in OBEYED
        assert (await running.ended(workflow_id))["status"] == "completed"


async def test_an_approval_is_not_passed_by_skipping_it(tmp_path: Path) -> None:
    """Before a question is asked, only who might answer it can leave it out: no operator, and not who has asked."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=asking(tmp_path), AUTH_MODE="keys") as running:
        operator, both = await key_of(running, "ana", OP), await key_of(running, "bob", OP, P)
        running.http.headers.update(both)
        path = f"/api/v1/workflows/{await held_back(running, both)}/skip-step"
        refused = await running.http.post(path, json={"step": "approve_one"}, headers=operator)
        assert (refused.status_code, "right approver" in refused.text) == (403, True)
        refused = await running.http.post(path, json={"step": "approve_one"})
        assert (refused.status_code, "somebody else" in refused.text) == (403, True)
        assert (await running.http.post(path, json={"step": "one"}, headers=operator)).status_code in OBEYED
        admin = await key_of(running, "eve", A)
        assert (await running.http.post(path, json={"step": "approve_one"}, headers=admin)).status_code in OBEYED


async def test_the_document_tells_what_is_needed(tmp_path: Path) -> None:
    """Security schemes and requirements stand in OpenAPI; where nobody is asked, none is required."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        asked = await document_of(running)
    async with replica(tmp_path, ScriptedExecutor()) as running:
        open_ = await document_of(running)
    execute = ("/api/v1/execute", "post")
    assert set(asked["components"]["securitySchemes"]) == {"bearer", "basic"}
    assert asked["paths"][execute[0]][execute[1]]["security"] == [{"bearer": []}, {"basic": []}]
    assert {"401", "403"} <= set(asked["paths"][execute[0]][execute[1]]["responses"])
    assert "security" not in asked["paths"]["/livez"]["get"]
    assert open_["paths"][execute[0]][execute[1]]["security"] == []


async def test_the_specified_curl_needs_no_key_on_loopback(tmp_path: Path) -> None:
    """With the defaults nobody is asked who they are: the specified request answers 200, twice in a row."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        for _ in range(2):
            answer = await running.http.post("/api/v1/execute", json=HIGH_CPU)
            assert (answer.status_code, answer.json()["status"]) == (200, "success")


def test_a_key_holds_enough_chance() -> None:
    """Keys do not repeat, their form is recognised, and what is kept of one does not contain it."""
    made = [api_key.new() for _ in range(100)]
    assert len({key for _, key in made}) == 100
    assert all(api_key.id_of(key) == key_id for key_id, key in made)
    assert api_key.digest(made[0][1]) not in made[0][1]


async def test_who_brings_alerts_may_sign_them(tmp_path: Path) -> None:
    """A signature lets in what brings alerts and nothing else; with another body, secret or time it lets in nothing."""
    secrets = f"{'o' * 24}, whsec_{base64.b64encode(b'n' * 24).decode()}"
    body, other = json.dumps(HIGH_CPU).encode(), json.dumps(MEMORY_LEAK).encode()
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys", WEBHOOK_SECRETS=secrets) as running:
        http, now = running.http, time.time()

        async def code(headers: dict[str, str], content: bytes = body, path: str = "/api/v1/execute") -> int:
            return (await http.post(path, content=content, headers=headers)).status_code

        assert await code(standard(b"o" * 24, body, now=now)) == 200
        assert await code(standard(b"n" * 24, body, now=now)) == 200
        assert await code(pagerduty(b"o" * 24, other), other) == 200
        assert await code(standard(b"o" * 24, body, now=now), other) == 401
        assert await code(standard(b"x" * 24, body, now=now)) == 401
        assert await code(standard(b"o" * 24, body, now=now - 3600)) == 401
        assert await code(standard(b"o" * 24, body, now=now), path="/api/v1/workflows") == 401
        document = await document_of(running)
    assert {"standard-webhooks": []} in document["paths"]["/api/v1/execute"]["post"]["security"]
    assert {"standard-webhooks": []} not in document["paths"]["/api/v1/workflows"]["post"]["security"]
