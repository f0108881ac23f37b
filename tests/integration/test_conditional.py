"""Tags of what changes: 304 for who has it already, 412 for who has seen something else."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
import sqlalchemy as sa

from tests.integration.test_openapi import document_of, holds
from tests.support.replica import HIGH_CPU, Running, act, eventually, replica, rules_of
from tests.support.rows import an_execution, count
from tests.support.scripted_executor import Answer, ScriptedExecutor
from workflow_service.domain.controls import Command
from workflow_service.domain.errors import Stale
from workflow_service.domain.states import Verb
from workflow_service.engine.orders import Orders
from workflow_service.live.in_process import InProcessBus
from workflow_service.ports import Engine
from workflow_service.store.database import Database
from workflow_service.store.executions import version
from workflow_service.store.tables import commands, executions, journal

DETAIL, PAUSE = ("get", "/api/v1/workflows/{workflow_id}"), ("post", "/api/v1/workflows/{workflow_id}/pause")
ONE_SILENCE = "/api/v1/silences/{silence_id}"


async def held(tmp_path: Path, running: Running) -> str:
    """A workflow that waits for its start: nothing of it changes by itself."""
    made = await running.http.post("/api/v1/workflows", json={"alert": HIGH_CPU, "start": False})
    workflow_id = str(made.json()["workflow_id"])
    await running.until(workflow_id, lambda found: found["status"] == "awaiting_approval", "it waits")
    return workflow_id


async def look(running: Running, workflow_id: str, **headers: str) -> httpx2.Response:
    """The detail."""
    return await running.http.get(
        f"/api/v1/workflows/{workflow_id}", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


async def tell(running: Running, workflow_id: str, verb: str, tag: str, **more: str) -> httpx2.Response:
    """A command under a condition."""
    headers = {"If-Match": tag, **more}
    return await running.http.post(f"/api/v1/workflows/{workflow_id}/{verb}", json={}, headers=headers)


async def test_what_is_known_is_not_sent_again(tmp_path: Path) -> None:
    """304 without a body while nothing has changed, however the tag is told; 200 once something has."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id, document = await held(tmp_path, running), await document_of(running)
        first = await look(running, workflow_id)
        holds(document, DETAIL, first)
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            same = await look(running, workflow_id, If_None_Match=known)
            assert (same.status_code, same.headers["etag"], same.content) == (304, tag, b"")
        assert (await look(running, workflow_id, If_None_Match='"other"')).status_code == 200
        assert (await look(running, workflow_id, If_None_Match="no tag")).status_code == 200
        assert (await tell(running, workflow_id, "start", tag)).status_code == 200
        changed = await look(running, workflow_id, If_None_Match=tag)
        assert changed.status_code == 200
        assert changed.headers["etag"] != tag
        await running.ended(workflow_id)
        over = (await look(running, workflow_id)).headers["etag"]
        assert (await look(running, workflow_id, If_None_Match=over)).status_code == 304
        async with running.parts.database.write() as connection:
            await connection.execute(sa.delete(journal))
        assert (await look(running, workflow_id, If_None_Match=over)).status_code == 200  # its steps are forgotten


async def test_a_command_for_something_else_than_was_seen(tmp_path: Path) -> None:
    """412 that names the present tag, in the header and in the problem; nothing is commanded, and it may come again."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id, document = await held(tmp_path, running), await document_of(running)
        seen = (await look(running, workflow_id)).headers["etag"]
        assert (await tell(running, workflow_id, "set-priority", seen)).status_code == 400  # its body is missing
        answer = await running.http.post(
            f"/api/v1/workflows/{workflow_id}/set-priority", json={"priority": 2}, headers={"If-Match": seen}
        )
        assert answer.status_code == 200
        told = await count(running.parts.database, commands)
        refused = await tell(running, workflow_id, "start", seen, **{"Idempotency-Key": "k"})
        holds(document, PAUSE, refused)
        present = (await look(running, workflow_id)).headers["etag"]
        assert (refused.status_code, refused.headers["etag"]) == (412, present)
        assert (refused.json()["current"], refused.json()["title"]) == (present, "Precondition failed")
        weak = await tell(running, workflow_id, "start", f"W/{present}")
        assert weak.status_code == 412
        assert await count(running.parts.database, commands) == told
        again = await tell(running, workflow_id, "start", f'"other" , {present}', **{"Idempotency-Key": "k"})
        assert (again.status_code, "idempotent-replayed" in again.headers) == (200, False)
        await running.ended(workflow_id)
        assert (await tell(running, workflow_id, "rollback", present)).status_code == 412
        over = (await look(running, workflow_id)).headers["etag"]
        assert (await tell(running, workflow_id, "retry", over)).status_code == 409  # nothing to retry, as ever
        assert (await tell(running, "nobody", "pause", over)).status_code == 404
        assert (await tell(running, workflow_id, "pause", "*")).status_code == 409


@pytest.mark.parametrize("wrong", ["abc", '"a" "b"', 'W/ "a"', '"a",', "*, *", ""])
async def test_a_condition_that_is_none(tmp_path: Path, wrong: str) -> None:
    """412, as for a tag that is not the present one; never taken for no condition."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id = await held(tmp_path, running)
        answer = await tell(running, workflow_id, "start", wrong)
        assert answer.status_code == 412
        assert (await look(running, workflow_id)).json()["status"] == "awaiting_approval"


async def test_of_two_who_have_seen_the_same_one_is_obeyed(tmp_path: Path) -> None:
    """Commands at the same moment under the same tag: one is done, all others are 412, however they meet."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    async with replica(
        tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    ) as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "it runs")
        tag = (await look(running, workflow_id)).headers["etag"]
        told = await asyncio.gather(*(tell(running, workflow_id, "pause", tag) for _ in range(5)))
        assert sorted(answer.status_code for answer in told) == [200, 412, 412, 412, 412]
        executor.finish()
        given: dict[str, Any] = (await running.http.get(f"/api/v1/workflows/{workflow_id}/commands")).json()
        assert [one["outcome"] for one in given["commands"]] == ["applied"]
        await running.http.post(f"/api/v1/workflows/{workflow_id}/resume", json={})
        await running.ended(workflow_id)


async def test_the_condition_is_compared_where_the_command_is_kept(database: Database) -> None:
    """Of many at once, on either database, one is written down; what has moved on meanwhile takes none."""
    key = await an_execution(database, status="running", owner="somebody", queue="executions")
    given = Orders(
        database, cast("Engine", None), InProcessBus(), catalogue=_no_catalogue, clock=lambda: datetime.now(UTC)
    )

    async def give(expected: str) -> str:
        command = Command(id=str(uuid.uuid4()), verb=Verb.PAUSE, actor="ana", reason="", arguments={})
        try:
            return (await given.give(key, command, expected=frozenset({expected}))).outcome
        except Stale:
            return "stale"

    assert sorted(await asyncio.gather(*(give(version(key, 0, 0)) for _ in range(6)))) == ["stale"] * 5 + ["waiting"]
    assert await give(version(key, 0, 1)) == "waiting"
    async with database.write() as connection:
        await connection.execute(sa.update(executions).values(seq=1))
    assert await give(version(key, 0, 2)) == "stale"
    assert await count(database, commands) == 2


async def _no_catalogue(_alert: object) -> None:
    """The executor has not been asked yet."""


async def test_silences_have_tags(tmp_path: Path) -> None:
    """The tag comes with the silence; ending one that somebody else has ended is 412, and without a condition 200."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        http, document = running.http, await document_of(running)
        now = datetime.now(UTC)
        span = {"starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=1)).isoformat()}
        made = await http.post("/api/v1/silences", json={"match": "alert.name == 'x'", **span})
        url, tag = f"/api/v1/silences/{made.json()['id']}", made.headers["etag"]
        shown = await http.get(url)
        holds(document, ("get", ONE_SILENCE), shown)
        assert (shown.json(), shown.headers["etag"]) == (made.json(), tag)
        assert (await http.get(url, headers={"If-None-Match": tag})).status_code == 304
        ended = await http.delete(url, headers={"If-Match": tag})
        holds(document, ("delete", ONE_SILENCE), ended)
        assert ended.status_code == 200
        late = await http.delete(url, headers={"If-Match": tag})
        holds(document, ("delete", ONE_SILENCE), late)
        assert (late.status_code, late.headers["etag"]) == (412, ended.headers["etag"])
        assert (await http.delete(url)).json()["ends_at"] == ended.json()["ends_at"]
        gone = await http.get(url, headers={"If-None-Match": tag})
        holds(document, ("get", ONE_SILENCE), gone)
        assert gone.status_code == 404  # it is over, and in the list of those only
        listed = (await http.get("/api/v1/silences", params={"over": True})).json()["silences"]
        assert [one["id"] for one in listed] == [made.json()["id"]]
        assert (await http.get("/api/v1/silences/none")).status_code == 404
        assert (await http.delete("/api/v1/silences/none", headers={"If-Match": tag})).status_code == 404
