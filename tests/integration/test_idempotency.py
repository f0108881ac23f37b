"""Requests that are sent again under the same key, over the API, on one replica."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from tests.integration.test_openapi import document_of, holds
from tests.support.replica import HIGH_CPU, Running, act, eventually, replica, rules_of
from tests.support.rows import away, count
from tests.support.scripted_executor import Answer, ScriptedExecutor
from workflow_service.store import retention
from workflow_service.store.tables import idempotency_keys, replicas, workflows

pytestmark = [pytest.mark.requirement("BR-WF-001")]

CREATE = ("post", "/api/v1/workflows")


async def create(running: Running, key: str, **body: Any) -> httpx2.Response:
    """Make a workflow under a key."""
    given = {"alert": HIGH_CPU, "start": False, **body}
    return await running.http.post("/api/v1/workflows", json=given, headers={"Idempotency-Key": key})


async def test_the_same_request_gets_the_same_answer(tmp_path: Path) -> None:
    """Status, body and Location, and that it is a replay; nothing is done again, whatever became of it meanwhile."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        document = await document_of(running)
        first = await create(running, "k-1")
        holds(document, CREATE, first)
        assert (first.status_code, "idempotent-replayed" in first.headers) == (201, False)
        again = await create(running, "k-1")
        holds(document, CREATE, again)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["idempotent-replayed"] == "true"
        assert await count(running.parts.database, workflows) == 1
        other = await create(running, "k-2")
        assert (other.status_code, other.json()["intake"]["outcome"]) == (200, "attached")


async def test_another_request_under_the_same_key_is_refused(tmp_path: Path) -> None:
    """422 that names the key, for another body and for another route; nothing is done."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        document = await document_of(running)
        workflow_id = (await create(running, "k-1")).json()["workflow_id"]
        for answer in (
            await create(running, "k-1", alert={**HIGH_CPU, "resource": "deployment/other"}),
            await running.http.post(
                f"/api/v1/workflows/{workflow_id}/cancel", json={}, headers={"Idempotency-Key": "k-1"}
            ),
        ):
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
        holds(document, CREATE, await create(running, "k-1", start=True))
        assert (await running.detail(workflow_id))["ended_at"] is None
        headers = {"Idempotency-Key": "k-1"}
        assert (await running.http.put("/api/v1/workflows", json={}, headers=headers)).status_code == 405
        assert (await running.http.post("/no/such/path", json={}, headers=headers)).status_code == 404
        bad = await create(running, "has a space")
        holds(document, CREATE, bad)
        assert bad.status_code == 400
        assert await count(running.parts.database, workflows) == 1


async def test_while_it_is_under_way(tmp_path: Path) -> None:
    """A repeated execute waits for the first and gets its answer; a repeated refusal is a replay too."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        headers = {"Idempotency-Key": "k-1"}
        send = [
            asyncio.create_task(running.http.post("/api/v1/execute", json=HIGH_CPU, headers=headers)) for _ in range(3)
        ]
        await eventually(executor.running, "it runs")
        executor.finish()
        answers = await asyncio.gather(*send)
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert sorted("idempotent-replayed" in answer.headers for answer in answers) == [False, True, True]
        refused = [
            await running.http.post("/api/v1/workflows/none/pause", json={}, headers={"Idempotency-Key": "k-2"})
            for _ in range(2)
        ]
        assert [answer.status_code for answer in refused] == [404, 404]
    assert len(executor.effects) == 1


async def test_one_that_is_under_way_elsewhere(tmp_path: Path) -> None:
    """409 with the time to wait; once whoever began it must be gone, it is begun anew."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        await create(running, "k-1")
        async with running.parts.database.write() as connection:
            await connection.execute(sa.update(idempotency_keys).values(status=None, claim="another's"))
        busy = await create(running, "k-1")
        holds(await document_of(running), CREATE, busy)
        assert (busy.status_code, busy.headers["retry-after"]) == (409, "1")
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        async with running.parts.database.write() as connection:
            await connection.execute(sa.update(idempotency_keys).values(begun_at=long_ago))
        assert (await create(running, "k-1")).status_code == 200


async def under_way(running: Running, elsewhere: str | None) -> None:
    """What was answered under keys is not, and is with another replica."""
    values = {"status": None, "claim": "another's", "replica": elsewhere}
    async with running.parts.database.write() as connection:
        await connection.execute(sa.update(idempotency_keys).values(values))


async def lives(running: Running, name: str) -> None:
    """Another replica has a lease."""
    row = {"id": name, "started_at": datetime.now(UTC), "heartbeat": running.parts.database.clock()}
    async with running.parts.database.write() as connection:
        await connection.execute(sa.insert(replicas).values(row))


async def execute(running: Running) -> httpx2.Response:
    """Send an alert under a key."""
    return await running.http.post("/api/v1/execute", json=HIGH_CPU, headers={"Idempotency-Key": "k-1"})


async def test_one_whose_replica_is_gone(tmp_path: Path) -> None:
    """What was under way on a replica without a lease is begun anew, at once, or as soon as its lease is over."""
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules) as running:
        for name in ("gone", "going"):
            await execute(running)
            await under_way(running, name)
            if name == "going":
                await lives(running, name)
            again = await execute(running)
            assert (again.status_code, "idempotent-replayed" in again.headers) == (200, False)


async def test_one_that_waits_as_long_as_the_first(tmp_path: Path) -> None:
    """Who repeats an execute that a living replica has waits for EXECUTE_WAIT, then 409."""
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules, EXECUTE_WAIT="0s", LEASE_TTL="1m") as running:
        await execute(running)
        await lives(running, "other")
        for elsewhere in ("other", None):
            await under_way(running, elsewhere)
            assert (await execute(running)).status_code == 409


async def test_what_failed_on_our_side_may_be_sent_again(tmp_path: Path) -> None:
    """Without a database it is 503 and nothing is kept; afterwards the same key does it."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        with away(running.parts.database):
            lost = await create(running, "k-1")
        holds(await document_of(running), CREATE, lost)
        assert lost.status_code == 503
        assert (await create(running, "k-1")).status_code == 201


async def test_keys_are_forgotten_after_a_day(tmp_path: Path) -> None:
    """Then the same key is a new one."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        await create(running, "k-1")
        now = datetime.now(UTC)
        assert await retention.forget_keys(running.parts.database, begun_before=now - timedelta(days=1)) == 0
        assert await retention.forget_keys(running.parts.database, begun_before=now + timedelta(seconds=1)) == 1
        assert (await create(running, "k-1")).json()["intake"]["outcome"] == "attached"
