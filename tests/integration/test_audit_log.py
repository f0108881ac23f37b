"""The audit log as it is stored: chained by many at once, never twice, kept through an outage, forgotten in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from tests.support.keys import bearer, make_key
from tests.support.replica import HIGH_CPU, Running, replica
from tests.support.scripted_executor import ScriptedExecutor
from workflow_service.access.audit_log import AuditLog
from workflow_service.access.verifying import verified
from workflow_service.domain.audit import NOTHING, Entry
from workflow_service.domain.errors import StoreUnavailable
from workflow_service.domain.permissions import Right
from workflow_service.entrance import FAILURES_AT_ONCE
from workflow_service.store import audit
from workflow_service.store.database import Database
from workflow_service.store.tables import audit_chain, audit_log

pytestmark = pytest.mark.requirement("BR-WF-029")

AT = datetime(2026, 11, 23, tzinfo=UTC)


def entry(number: int, who: str = "key:ana") -> Entry:
    """A write."""
    return Entry(f"{who}-{number}", AT + timedelta(seconds=number), who, "POST /x", "w", "10.0.0.1", "r", "200")


async def everything(database: Database) -> list[Entry]:
    """All entries, oldest first."""
    _, head = await audit.ends(database)
    return [row.entry async for row in audit.rows(database, after=0, up_to=head.seq)]


async def test_two_replicas_write_one_chain(postgres_database: Database) -> None:
    """Two that write hundreds of entries at once make one chain with all of them, in each one's own order."""
    other = Database(postgres_database.url.render_as_string(hide_password=False))
    logs = [AuditLog(partial(audit.append, one)) for one in (postgres_database, other)]
    with capture_logs() as lines:
        for log in logs:
            await log.start()
        done = [log.note(entry(number, who)) for number in range(300) for log, who in zip(logs, "ab", strict=True)]
        await asyncio.wait_for(asyncio.gather(*done), timeout=30)
        for log in logs:
            await log.stop()
    assert lines == []  # they take turns; nobody runs into the other
    found = await everything(postgres_database)
    assert (await verified(postgres_database))[0] == []
    for who in "ab":
        assert [one.id for one in found if one.who == who] == [f"{who}-{number}" for number in range(300)]
    await other.close()


async def test_what_is_stored_is_what_was_chained(database: Database) -> None:
    """After a round trip through either database every hash still holds, and the summary names the newest row."""
    await audit.append(database, [entry(number) for number in range(5)])
    wrong, summary = await verified(database)
    _, head = await audit.ends(database)
    assert (wrong, head.seq) == ([], 5)
    assert summary == f"5 rows, 0 flaws; newest 5:{head.hash}"


async def test_mischief_in_the_database_is_named(database: Database) -> None:
    """A row that was changed, one that was removed and two that were exchanged are named."""
    await audit.append(database, [entry(number) for number in range(12)])
    async with database.write() as connection:
        await connection.execute(sa.update(audit_log).where(audit_log.c.seq == 3).values(who="key:eve"))
        await connection.execute(sa.delete(audit_log).where(audit_log.c.seq == 6))
        for old, new in ((8, 100), (9, 8), (100, 9)):
            await connection.execute(sa.update(audit_log).where(audit_log.c.seq == old).values(seq=new))
    wrong, _ = await verified(database)
    assert [one.split()[1] for one in wrong] == ["3", "6", "8", "9"]


async def test_a_chain_made_anew_is_found_by_an_anchor(database: Database) -> None:
    """Who may write everything can forge a whole chain; a row that was noted elsewhere tells."""
    await audit.append(database, [entry(number) for number in range(3)])
    anchor = (await verified(database))[1].rpartition(" ")[2]
    await audit.append(database, [entry(9)])
    assert (await verified(database, anchor=anchor))[0] == []
    async with database.write() as connection:
        await connection.execute(sa.delete(audit_log))
        await connection.execute(sa.update(audit_chain).values(seq=NOTHING.seq, hash=NOTHING.hash))
    await audit.append(database, [entry(number, "key:eve") for number in range(4)])
    assert (await verified(database))[0] == []
    assert "chain was made anew" in (await verified(database, anchor=anchor))[0][0]


async def test_forgetting_keeps_the_chain(database: Database) -> None:
    """What is old goes from the beginning; the rest verifies from there, and an anchor that went is no flaw."""
    await audit.append(database, [entry(number) for number in range(10)])
    (first,) = [row async for row in audit.rows(database, after=0, up_to=1)]
    assert await audit.forget(database, written_before=AT + timedelta(seconds=4)) == 4
    assert await audit.forget(database, written_before=AT + timedelta(seconds=4)) == 0
    assert [one.id for one in await everything(database)] == [f"key:ana-{number}" for number in range(4, 10)]
    wrong, summary = await verified(database, anchor=f"1:{first.hash}")
    assert (wrong, summary.split(";")[0]) == ([], "6 rows, 0 flaws")
    async with database.write() as connection:
        await connection.execute(sa.delete(audit_log).where(audit_log.c.seq == 5))
    assert (await verified(database))[0] == ["row 5 is missing"]


async def test_an_outage_loses_nothing_and_doubles_nothing(database: Database) -> None:
    """Entries wait while the database is away; what was committed without an answer is not written again."""
    failures, tried, back = [True, True], asyncio.Event(), asyncio.Event()

    async def append(entries: Sequence[Entry], *, again: bool) -> None:
        if failures:
            if len(failures) == 1:  # this time it is committed, but the answer is lost
                await audit.append(database, entries, again=again)
            failures.pop()
            raise StoreUnavailable("cut")
        await audit.append(database, entries, again=again)

    async def pause() -> None:
        tried.set()
        await back.wait()

    log = AuditLog(append, pause=pause)
    await log.start()
    done = [log.note(entry(number)) for number in range(3)]
    await asyncio.wait_for(tried.wait(), timeout=10)
    done += [log.note(entry(number)) for number in range(3, 6)]
    back.set()
    await asyncio.wait_for(asyncio.gather(*done), timeout=10)
    await log.stop()
    assert [one.id for one in await everything(database)] == [f"key:ana-{number}" for number in range(6)]
    assert (await verified(database))[0] == []


async def test_what_comes_while_a_group_is_written_waits_for_company() -> None:
    """Entries for which nobody waits make up few groups, however long each takes to be written."""
    groups: list[int] = []
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def append(entries: Sequence[Entry], *, again: bool) -> None:
        groups.append(len(entries))
        begun.set()
        await go_on.wait()

    log = AuditLog(append)
    await log.start()
    first = log.note(entry(0), soon=0)
    await asyncio.wait_for(begun.wait(), timeout=10)
    others = [log.note(entry(1))]
    go_on.set()
    await asyncio.wait_for(first, timeout=10)
    others.append(log.note(entry(2)))
    await asyncio.wait_for(asyncio.gather(*others), timeout=10)
    await log.stop()
    assert groups == [1, 2]


async def test_stopping_writes_what_is_left(database: Database) -> None:
    """What was noted just before the end is in the log after it."""
    log = AuditLog(partial(audit.append, database))
    await log.start()
    for number in range(20):
        log.note(entry(number))
    await log.stop()
    assert len(await everything(database)) == 20


async def noted(running: Running) -> list[tuple[str, str, str]]:
    """Who did what with which outcome, oldest first."""
    rows = await audit.newest(running.parts.database, limit=100)
    return [(row.entry.who, row.entry.what, row.entry.outcome) for row in reversed(rows)]


async def test_every_write_over_http_is_noted(tmp_path: Path) -> None:
    """Alerts, orders, commands and what somebody was refused stand there; reading, nonsense and nobodies do not."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        _, key = await make_key(running.parts.database, "ana", Right.OPERATOR)
        running.http.headers.update(bearer(key))
        made = await running.http.post("/api/v1/workflows", json={"alert": HIGH_CPU, "start": False})
        path = f"/api/v1/workflows/{made.json()['workflow_id']}"
        moved = await running.http.post(f"{path}/set-priority", json={"priority": 3})  # 200, or 202 when it is busy
        for verb in ("approve", "dance"):
            await running.http.post(f"{path}/{verb}")
        await running.http.get(path)
        await running.http.post(f"{path}/cancel", headers=bearer("nobody"))
        await running.http.post("/api/v1/execute", content=b"no json")
        await running.http.post("/api/v1/execute", json=HIGH_CPU, headers={"Prefer": "respond-async"})
        database = running.parts.database
        found = await noted(running)
        row = (await audit.newest(database, limit=100))[-1].entry
        while len(found) < 4:  # an alert's row follows its answer
            found = await noted(running)
    assert found == [
        ("key:ana", "POST /api/v1/workflows", "201"),
        ("key:ana", "POST /api/v1/workflows/{workflow_id}/set-priority", str(moved.status_code)),
        ("key:ana", "POST /api/v1/workflows/{workflow_id}/approve", "403"),
        ("key:ana", "POST /api/v1/execute", "202"),
    ]
    assert row.target == made.json()["workflow_id"]
    assert row.request_id == made.headers["x-request-id"]
    assert row.source == "127.0.0.1"


async def test_without_authentication_a_name_is_only_claimed(tmp_path: Path) -> None:
    """What a caller calls itself is noted as what it is."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        await running.http.post("/api/v1/workflows", json={"alert": HIGH_CPU}, headers={"X-Service-Name": "key:root"})
        assert (await noted(running))[0][0] == "claimed:key:root"


@pytest.mark.parametrize("limit", ["2"])
async def test_callers_are_slowed_down_but_never_alerts(tmp_path: Path, limit: str) -> None:
    """Over the limit 429 tells when to come again; every answer tells what is left; alerts know no limit."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys", RATE_LIMIT="1", RATE_BURST=limit) as running:
        _, key = await make_key(running.parts.database, "ana", Right.OPERATOR)
        running.http.headers.update(bearer(key))
        for _ in range(5):
            alert = await running.http.post("/api/v1/execute", json=HIGH_CPU)
            assert (alert.status_code, "ratelimit" in alert.headers) == (200, False)
        first, second, third = [await running.http.get("/api/v1/workflows") for _ in range(3)]
        assert (first.status_code, first.headers["ratelimit-policy"]) == (200, '"default";q=2;w=2')
        assert first.headers["ratelimit"] == '"default";r=1;t=1'
        assert (second.status_code, third.status_code) == (200, 429)
        assert (third.headers["retry-after"], third.json()["title"]) == ("1", "Too many requests")
        _, other = await make_key(running.parts.database, "bob", Right.VIEWER)
        assert (await running.http.get("/api/v1/workflows", headers=bearer(other))).status_code == 200


async def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    """Whoever fails to prove anything again and again gets 429; alerts and those who are known do not notice."""
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running:
        _, key = await make_key(running.parts.database, "ana", Right.OPERATOR)
        codes = [(await running.http.get("/api/v1/workflows")).status_code for _ in range(FAILURES_AT_ONCE + 20)]
        assert (codes[0], codes[-1]) == (401, 429)
        assert (await running.http.get("/api/v1/workflows", headers=bearer(key))).status_code == 200
        assert (await running.http.post("/api/v1/execute", json=HIGH_CPU)).status_code == 401
