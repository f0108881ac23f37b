"""Links of notifications: looking does nothing, pressing does it once, in the name of who was told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import sqlalchemy as sa

from tests.integration.test_approvals import PERMANENT, approve, asked_first, asks
from tests.integration.test_notifications import SECRET, hook
from tests.support.replica import HIGH_CPU, Running, act, replica, rules_of
from tests.support.rows import eventually
from tests.support.scripted_executor import ScriptedExecutor
from tests.support.sinks import HttpSink, http_sink
from workflow_service.store.tables import audit_log

pytestmark = pytest.mark.requirement("BR-WF-005", "BR-WF-015")
BASE = "https://wfs.example.com"


@asynccontextmanager
async def told(directory: Path, rules: str, executor: ScriptedExecutor, **more: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A replica whose webhook is ana's, and that webhook."""
    given = {"PUBLIC_URL": BASE, "LINK_SECRET": SECRET, "LINK_IDENTITIES": "webhook=ana", **more}
    with http_sink() as sink:
        async with replica(directory, executor, RULES_FILE=rules, **hook(sink), **given) as running:
            yield running, sink


def asking(directory: Path) -> str:
    """A rule that asks before its second action."""
    return rules_of(directory, act("first"), act("second", needs=["first"], approval={"timeout": "10m"}))


async def links(sink: HttpSink, kind: str) -> dict[str, str]:
    """The links of the first message of that kind, without the outside address."""

    async def look() -> dict[str, str]:
        bodies = [json.loads(one.body) for one in sink.at("/hook")]
        found = [one["data"]["links"] for one in bodies if one["type"] == f"workflow-service.{kind}"]
        return dict(found[0]) if found else {}

    found = await eventually(look, f"{kind} is told")
    assert all(url.startswith(f"{BASE}/api/v1/workflows/") for url in found.values())
    return {label: f"{(parts := urlsplit(url)).path}?{parts.query}" for label, url in found.items()}


async def press(running: Running, url: str) -> httpx2.Response:
    """What a browser does with the page's button."""
    return await running.http.post(url, headers={"Content-Type": "application/x-www-form-urlencoded"}, content=b"")


async def test_a_link_approves_once(tmp_path: Path) -> None:
    """Scanners may look as often as they like; the button does it; pressed again, or both at once, it says so."""
    async with told(tmp_path, asking(tmp_path), executor := ScriptedExecutor()) as (running, sink):
        workflow = await running.begin(HIGH_CPU)
        found = await links(sink, "approval.asked")
        assert sorted(found) == ["Approve", "Details", "Reject"]
        pages = [await running.http.get(found["Approve"]) for _ in range(3)]
        page = pages[-1]
        assert (page.status_code, executor.orders("second")) == (200, [])
        assert '<form method="post"><button' in page.text
        assert "would do: touch" in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
        both = await asyncio.gather(press(running, found["Approve"]), press(running, found["Approve"]))
        codes = sorted(one.status_code for one in both)
        assert (codes[0] in {200, 202}, codes[1]) == (True, 409)
        assert (await running.ended(workflow))["status"] == "completed"
        again = await press(running, found["Approve"])
        given = (await running.http.get(f"/api/v1/workflows/{workflow}/commands")).json()["commands"]
        written = await _audited(running)
    assert (again.status_code, "has been used" in again.text) == (409, True)
    assert [(one["verb"], one["actor"]) for one in given] == [("approve", "ana")]
    assert ("ana", "POST /api/v1/workflows/{workflow_id}/link", workflow) in written
    assert "ticket=" not in str(running.log)


async def _audited(running: Running) -> list[tuple[str, str, str]]:
    async with running.parts.database.read() as connection:
        columns = (audit_log.c.who, audit_log.c.what, audit_log.c.target)
        return [(row.who, row.what, row.target) for row in await connection.execute(sa.select(*columns))]


async def test_a_link_rejects(tmp_path: Path) -> None:
    """And then the other link of the same message finds nothing to approve."""
    async with told(tmp_path, asking(tmp_path), ScriptedExecutor()) as (running, sink):
        workflow = await running.begin(HIGH_CPU)
        found = await links(sink, "approval.asked")
        assert (await press(running, found["Reject"])).status_code in {200, 202}
        ended = await running.ended(workflow)
        late = await running.http.get(found["Approve"])
    assert (ended["status"], ended["reason"], late.status_code) == ("rejected", "approval_rejected", 409)


async def test_nobody_approves_by_link_what_they_asked_for(tmp_path: Path) -> None:
    """Four eyes hold for links, whether or not callers are asked who they are; nothing is approved."""
    async with told(tmp_path, asking(tmp_path), executor := ScriptedExecutor()) as (running, sink):
        headers = {"X-Service-Name": "ana", "Prefer": "respond-async"}
        await running.http.post("/api/v1/execute", json=HIGH_CPU, headers=headers)
        found = await links(sink, "approval.asked")
        refused = await press(running, found["Approve"])
        assert (refused.status_code, executor.orders("second")) == (403, [])
        assert "somebody else must approve it" in refused.text
        assert (await press(running, found["Reject"])).status_code in {200, 202}


async def test_a_link_counts_for_its_plan_only(tmp_path: Path) -> None:
    """After another way has changed the plan the old link says which plan it is now, and does nothing."""
    other = {"name": "other", "reason": "the test says so", "actions": [act("again", on="target")]}
    rules = rules_of(tmp_path, act("restart", on="target"), recovery=[other])
    executor = ScriptedExecutor()
    executor.script("restart", PERMANENT)
    async with told(tmp_path, rules, executor, POLICY_FILE=asked_first(tmp_path)) as (running, sink):
        workflow = await running.begin(HIGH_CPU)
        await asks(running, workflow, "approve_plan")
        old = await links(sink, "approval.asked")
        assert (await approve(running, workflow))[0] in {200, 202}
        await asks(running, workflow, "recovery-1/approve_recovery")
        refused = await press(running, old["Approve"])
        assert (refused.status_code, executor.orders("recovery-1/again")) == (409, [])
        assert "the plan has changed since" in refused.text


async def test_an_end_is_undone_by_link(tmp_path: Path) -> None:
    """The message about a bad end leads to a rollback of it, once."""
    rules = rules_of(tmp_path, act("first"), act("second", needs=["first"], on_failure="stop"))
    executor = ScriptedExecutor()
    executor.script("second", PERMANENT)
    async with told(tmp_path, rules, executor) as (running, sink):
        result = await running.result(HIGH_CPU)
        found = await links(sink, "workflow.ended")
        assert (await running.http.get(found["Undo"])).status_code == 200
        assert executor.orders("undo first") == []
        assert (await press(running, found["Undo"])).status_code == 200
        ended = await running.until(result["workflow_id"], lambda one: one["status"] == "rolled_back", "it is undone")
        assert (await press(running, found["Undo"])).status_code == 409
    assert (ended["rollback"], len(executor.orders("undo first"))) == ("done", 1)


async def test_without_a_name_no_link_acts(tmp_path: Path) -> None:
    """A channel that many read may look; what is no ticket, or another workflow's, is told nothing."""
    rules, given = asking(tmp_path), {"LINK_IDENTITIES": "slack=ana"}
    async with told(tmp_path, rules, ScriptedExecutor(), **given) as (running, sink):
        workflow = await running.begin(HIGH_CPU)
        found = await links(sink, "approval.asked")
        for ticket in ("", "x.y", "W10.x"):
            answer = await running.http.get(f"/api/v1/workflows/{workflow}/link", params={"ticket": ticket})
            assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert (await running.http.get(f"/api/v1/workflows/{workflow}/link")).status_code == 400
    assert list(found) == ["Details"]


async def test_links_end_with_their_reader(tmp_path: Path) -> None:
    """Whoever is no longer named as a channel's reader acts by no link that was sent before."""
    rules = asking(tmp_path)
    async with told(tmp_path, rules, ScriptedExecutor()) as (running, sink):
        workflow = await running.begin(HIGH_CPU)
        found = await links(sink, "approval.asked")
        assert (await running.http.get(found["Approve"])).status_code == 200
    async with told(tmp_path, rules, ScriptedExecutor(), LINK_IDENTITIES="webhook=bo") as (running, _sink):
        for refused in (await running.http.get(found["Approve"]), await press(running, found["Approve"])):
            assert (refused.status_code, "acts in this name" in refused.text) == (404, True)
        assert (await running.detail(workflow))["status"] == "awaiting_approval"


async def test_a_page_escapes_what_it_quotes(tmp_path: Path) -> None:
    """An alert's name is text on the page, whatever is in it."""
    async with told(tmp_path, asking(tmp_path), ScriptedExecutor()) as (running, sink):
        await running.begin({**HIGH_CPU, "name": "<script>alert(1)</script>"})
        page = await running.http.get((await links(sink, "approval.asked"))["Approve"])
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
