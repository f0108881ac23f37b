"""Workflows that are made without waiting, and those that wait for somebody to start them, on one replica."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from tests.integration.test_commands import tell
from tests.integration.test_openapi import document_of, holds
from tests.support.replica import HIGH_CPU, Running, act, eventually, kinds, replica, rules_of, steps
from tests.support.rows import away
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.queueing import QUEUE_BOUND
from workflow_service.store.tables import alerts, deliveries, executions, workflows

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-005")]


async def make(running: Running, **body: Any) -> httpx2.Response:
    """POST a new workflow."""
    return await running.http.post("/api/v1/workflows", json={"alert": HIGH_CPU, **body})


async def waiting(running: Running) -> str:
    """A workflow that waits for its start."""
    answer = await make(running, start=False)
    assert answer.status_code == 201, answer.text
    workflow_id = str(answer.json()["workflow_id"])
    await running.until(workflow_id, lambda found: found["status"] == "awaiting_approval", "it waits for its start")
    return workflow_id


async def test_it_is_planned_and_waits_until_it_is_started(tmp_path: Path) -> None:
    """Nothing is sent before `start`; the plan can be read meanwhile; who started it is in the journal."""
    executor = ScriptedExecutor()
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]), act("three"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="1") as running:
        workflow_id = await waiting(running)
        found = await running.detail(workflow_id)
        needs = {one["id"]: one["needs"] for one in found["result"]["execution_details"]["plan"]["actions"]}
        assert needs == {"start": [], "one": ["start"], "two": ["one"], "three": ["start"]}
        assert found["events"][-1]["kind"] == "Parked"
        bound = datetime.fromisoformat(found["must_end_by"]) - datetime.fromisoformat(found["started_at"])
        assert QUEUE_BOUND <= bound <= QUEUE_BOUND + timedelta(minutes=11)
        other = await running.result({**HIGH_CPU, "resource": "deployment/other"})  # the only slot is free
        assert other["status"] == "completed"
        assert {order.workflow_id for order in executor.sent} == {other["workflow_id"]}
        refused = await tell(running, workflow_id, "approve")
        assert refused.status_code == 409
        assert {"start", "reject", "extend", "cancel"} <= set(refused.json()["allowed"])
        assert "approve" not in refused.json()["allowed"]
        answer = await tell(running, workflow_id, "start", reason="looks right")
        assert answer.status_code == 200, answer.text
        found = await running.ended(workflow_id)
    assert found["status"] == "completed"
    assert steps(found)["start"]["message"] == "start by ana: looks right"
    assert len(executor.effects) == 6


async def test_started_at_once_it_is_like_any_other(tmp_path: Path) -> None:
    """`start: true` is the default: 201 with its place, and it runs; the same alert again attaches, 200."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        document, operation = await document_of(running), ("post", "/api/v1/workflows")
        first = await make(running)
        holds(document, operation, first)
        workflow_id = first.json()["workflow_id"]
        assert (first.status_code, first.headers["location"]) == (201, f"/api/v1/workflows/{workflow_id}")
        assert first.json()["intake"]["outcome"] == "admitted"
        await eventually(executor.running, "it runs")
        again = await make(running, start=False)
        holds(document, operation, again)
        assert (again.status_code, again.json()["workflow_id"]) == (200, workflow_id)
        assert (again.json()["intake"]["outcome"], again.json()["status"]) == ("attached", "running")
        executor.finish()
        found = await running.ended(workflow_id)
        cooled = await make(running)
        assert (cooled.status_code, cooled.json()["intake"]["outcome"]) == (200, "cooled_down")
        resolved = await running.http.post(
            "/api/v1/workflows", json={"alert": {"name": "Gone", "status": "resolved"}, "start": False}
        )
        holds(document, operation, resolved)
        assert (resolved.status_code, resolved.json()["workflow_id"]) == (200, None)
        assert "location" not in resolved.headers
        async with running.parts.database.read() as connection:
            assert await connection.scalar(sa.select(sa.func.count()).select_from(workflows)) == 1
            assert set((await connection.execute(sa.select(deliveries.c.route))).scalars()) == {"/api/v1/workflows"}
    assert found["status"] == "completed"
    assert "start" not in steps(found)


async def test_a_duplicate_of_what_waits_attaches_to_it(tmp_path: Path) -> None:
    """The same alert does not start it; it waits with the one that is held back."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id = await waiting(running)
        assert await running.begin(HIGH_CPU) == workflow_id
        assert (await running.detail(workflow_id))["status"] == "awaiting_approval"
        assert not executor.sent
        assert (await tell(running, workflow_id, "cancel")).status_code == 200
        assert (await running.ended(workflow_id))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("verb", "end"), [("reject", ("rejected", "approval_rejected")), ("cancel", ("cancelled", "cancel_requested"))]
)
async def test_what_is_not_wanted_ends_untouched(tmp_path: Path, verb: str, end: tuple[str, str]) -> None:
    """Refused or cancelled, nothing was sent; and a retry waits for its start again, because nobody gave it."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id = await waiting(running)
        assert (await tell(running, workflow_id, verb, reason="no")).status_code == 200
        found = await running.ended(workflow_id)
        assert (found["status"], found["reason"]) == end
        assert (await tell(running, workflow_id, "retry")).status_code == 200
        await running.until(workflow_id, lambda found: found["status"] == "awaiting_approval", "it waits again")
        assert not executor.sent
        assert (await tell(running, workflow_id, "start")).status_code == 200
        assert (await running.ended(workflow_id))["status"] == "completed"


async def test_a_retry_of_what_was_started_does_not_wait_again(tmp_path: Path) -> None:
    """Whoever retries has said what a start says."""
    executor = ScriptedExecutor()
    executor.script("one", failing(ErrorClass.PERMANENT))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id = await waiting(running)
        await tell(running, workflow_id, "start")
        assert (await running.ended(workflow_id))["status"] == "failed"
        assert (await tell(running, workflow_id, "retry")).status_code == 200
        found = await running.ended(workflow_id)
    assert found["status"] == "completed"
    assert "Parked" not in kinds(found)


async def test_what_nobody_decided_stays_held_back(tmp_path: Path) -> None:
    """Stored and left undecided by a crash, it is decided later and waits all the same."""
    executor = ScriptedExecutor()
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules, FAILURE_COOLDOWN="0s") as running:
        workflow_id = await waiting(running)
        await tell(running, workflow_id, "cancel")
        await running.ended(workflow_id)
        async with running.parts.database.write() as connection:  # as if the crash had come before the decision
            undecided = {"outcome": None, "decided_at": None, "workflow_id": None}
            past = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
            await connection.execute(sa.update(alerts).values(**undecided, received_at=past))
        assert await running.parts.intake.sweep() in {0, 1}  # the replica's own sweeper may have been first
        newest = (await running.http.get("/api/v1/workflows", params={"limit": 1})).json()["workflows"][0][
            "workflow_id"
        ]
        assert newest != workflow_id
        await running.until(newest, lambda found: found["status"] == "awaiting_approval", "it waits for its start")
        assert not executor.sent
        await tell(running, newest, "cancel")
        await running.ended(newest)


async def test_who_may_start_can_ask_for_more_time(tmp_path: Path) -> None:
    """`extend` moves the bound of what waits, in the API too."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id = await waiting(running)
        before = datetime.fromisoformat((await running.detail(workflow_id))["must_end_by"])
        answer = await tell(running, workflow_id, "extend", seconds=1800, step="start")
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "awaiting_approval"
        after = datetime.fromisoformat((await running.detail(workflow_id))["must_end_by"])
        async with running.parts.database.read() as connection:
            wakes = await connection.scalar(sa.select(executions.c.wake_at))
        assert after - before == timedelta(seconds=1800)
        assert wakes is not None
        assert wakes < after
        assert (await tell(running, workflow_id, "extend", seconds=1, step="one")).status_code == 409
        await tell(running, workflow_id, "start")
        assert (await running.ended(workflow_id))["status"] == "completed"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"nonsense", "body"),
        (b"[]", "body"),
        (b"{}", "alert"),
        (b'{"alert": []}', "alert"),
        (b'{"alert": {}}', "name"),
        (b'{"alert": {"name": "x"}, "start": "no"}', "start"),
        (b'{"alert": {"name": "x"}, "template": "y"}', "alert"),
    ],
)
async def test_a_body_that_is_none_is_refused(tmp_path: Path, body: bytes, field: str) -> None:
    """400 with field, value and rule, as documented; nothing is stored."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        answer = await running.http.post("/api/v1/workflows", content=body)
        holds(await document_of(running), ("post", "/api/v1/workflows"), answer)
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        async with running.parts.database.read() as connection:
            assert await connection.scalar(sa.select(sa.func.count()).select_from(deliveries)) == 0


async def test_what_could_not_be_stored_was_not_made(tmp_path: Path) -> None:
    """While the database takes nothing the answer is 503 with Retry-After."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        with away(running.parts.database):
            answer = await make(running, start=False)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
