"""Event streams over HTTP: nothing is missed, nobody is told what is not theirs, slow readers hurt only themselves."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from tests.integration.test_access_api import key_of
from tests.integration.test_openapi import document_of, holds
from tests.support.keys import bearer, make_key
from tests.support.replica import HIGH_CPU, MEMORY_LEAK, Running, act, eventually, replica, rules_of
from tests.support.schemathesis import command_of
from tests.support.scripted_executor import Answer, ScriptedExecutor
from tests.support.served import Reader, reading, served
from workflow_service.access import keyring
from workflow_service.api import event_stream, events, feed
from workflow_service.domain.permissions import Right
from workflow_service.store import api_keys
from workflow_service.store.database import Database
from workflow_service.store.feed import Entry, Past

pytestmark = [pytest.mark.requirement("BR-WF-024")]

ALL, ONE = ("get", "/api/v1/events"), ("get", "/api/v1/workflows/{workflow_id}/events")


def of(reader: Reader, workflow_id: str) -> list[tuple[int, str]]:
    """What was told of one workflow."""
    told = [one.data for one in reader.events if one.name == "message"]
    return [(one["seq"], one["event"]["kind"]) for one in told if one["workflow_id"] == workflow_id]


async def journal(running: Running, workflow_id: str) -> list[tuple[int, str]]:
    """What is in its journal."""
    return [(one["seq"], one["kind"]) for one in (await running.detail(workflow_id))["events"]]


@contextmanager
def silent(database: Database) -> Iterator[None]:
    """Nothing can be read."""

    def refuse(*_statement: object) -> None:
        raise sa.exc.OperationalError("SELECT", {}, ConnectionRefusedError("the database is away"))

    engine = database._reader.sync_engine
    sa.event.listen(engine, "before_cursor_execute", refuse)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", refuse)


async def test_all_that_happens_is_told_as_it_happens(tmp_path: Path) -> None:
    """Every entry once and in order, with what it is about; to each stream what its filters let through."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    async with (
        replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running,
        served(running.parts) as url,
        reading(f"{url}/api/v1/events") as everything,
        reading(f"{url}/api/v1/events?namespace=staging") as staging,
        reading(f"{url}/api/v1/events?status=completed") as completed,
    ):
        first = await running.begin(HIGH_CPU)
        await everything.until("StepStarted")  # while it runs
        async with reading(f"{url}/api/v1/events?workflow={first}") as one:
            executor.finish()
            executor.script("one", Answer(slow=True))
            second = await running.begin(MEMORY_LEAK)
            await one.until("Ended")
            await everything.until("Ended")
            await eventually(executor.running, "the second runs")
            executor.finish()
            last = await staging.until("Ended")
            await everything.until("Ended")
        assert of(everything, first) == await journal(running, first)
        assert of(everything, second) == of(staging, second) == await journal(running, second)
        assert {entry.data["workflow_id"] for entry in staging.events} == {second}
        assert {entry.data["workflow_id"] for entry in one.events} == {first}
        assert (last.data["namespace"], last.data["status"]) == ("staging", "completed")
        assert last.id == f"{last.data['execution_id']}.{last.data['seq']}"
        assert {(await completed.until("Ended")).data["workflow_id"] for _ in range(2)} == {first, second}
        assert {entry.data["status"] for entry in completed.events} == {"completed"}
        for entry in (*everything.events, *completed.events):
            events.Streamed.model_validate(entry.data)
        headers = everything.answer.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-store"


async def test_one_workflow_from_its_beginning(tmp_path: Path) -> None:
    """Its history, then what comes, a retry too; after Last-Event-ID only what came after that."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    async with (
        replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running,
        served(running.parts) as url,
    ):
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(executor.running, "it runs")
        async with reading(f"{url}/api/v1/workflows/{workflow_id}/events") as reader:
            middle = await reader.until("StepStarted")
            executor.finish()
            await reader.until("Ended")
            history = await journal(running, workflow_id)
            assert of(reader, workflow_id) == history
            undone = await running.http.post(f"/api/v1/workflows/{workflow_id}/rollback", json={})
            assert undone.status_code == 200
            assert (await reader.until("Inherited")).data["seq"] == 1
            end = await reader.until("Ended")
        assert end.id is not None
        assert middle.id is not None
        async with reading(f"{url}/api/v1/workflows/{workflow_id}/events", {"Last-Event-ID": middle.id}) as onward:
            await onward.until("Inherited")
            assert of(onward, workflow_id)[:-1] == [one for one in history if one[0] > middle.data["seq"]]
        other = await running.begin(MEMORY_LEAK)
        await running.ended(other)
        async with reading(f"{url}/api/v1/workflows/{other}/events", {"Last-Event-ID": end.id}) as lost:
            assert (await lost.until("gap")).data["reason"]
            await lost.until("Ended")
            assert of(lost, other) == await journal(running, other)


async def test_who_comes_again_misses_nothing(tmp_path: Path) -> None:
    """With Last-Event-ID all that was journalled meanwhile is told, however often the reader is cut off."""
    async with (
        replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"), act("two"))) as running,
        served(running.parts) as url,
    ):
        told: dict[str, list[int]] = {}
        async with reading(f"{url}/api/v1/events") as reader:
            ids = [await running.begin({**HIGH_CPU, "resource": "deployment/a0"})]
            last = await reader.until("Planned")
        for number in range(1, 6):
            ids.append(await running.begin({**HIGH_CPU, "resource": f"deployment/a{number}"}))
            assert last.id is not None
            async with reading(f"{url}/api/v1/events", {"Last-Event-ID": last.id}) as again:
                last = await again.until("StepStarted" if number < 5 else "Ended")
                if number == 5:
                    for workflow_id in ids:
                        await running.ended(workflow_id)
                    while len({one.data["workflow_id"] for one in again.events if one.kind == "Ended"}) < 6:
                        await again.until("Ended")
            assert "gap" not in {one.name for one in again.events}
            for one in [*reader.events, *again.events]:
                told.setdefault(one.data["workflow_id"], []).append(one.data["seq"])
        for workflow_id in ids:
            assert sorted(set(told[workflow_id])) == [seq for seq, _ in await journal(running, workflow_id)]


async def test_what_cannot_be_told_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that nobody knows, or too much since: a gap is told, and then what comes."""
    async with (
        replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running,
        served(running.parts) as url,
    ):
        workflow_id = (await running.result(HIGH_CPU))["workflow_id"]
        execution_id = (await running.detail(workflow_id))["execution_id"]
        unknown = f"{'0' * 8}-0000-0000-0000-{'0' * 12}.1"
        for path in ("events", f"workflows/{workflow_id}/events"):
            for last in (unknown, "nonsense", f"{execution_id}.1"):
                async with reading(f"{url}/api/v1/{path}", {"Last-Event-ID": last}) as reader:
                    first = await reader.next()
                    assert first is not None
                    assert first.name == ("message" if last.startswith(execution_id) else "gap")
        monkeypatch.setattr(events, "MOST_OF_THE_PAST", 3)
        async with reading(f"{url}/api/v1/events", {"Last-Event-ID": f"{execution_id}.1"}) as reader:
            await reader.until("gap")
            await running.begin(MEMORY_LEAK)
            await reader.until("Ended")


async def test_refusals(tmp_path: Path) -> None:
    """Each as documented: what cannot be read, what is not there, the database away, too many streams."""
    async with replica(tmp_path, ScriptedExecutor()) as running, served(running.parts) as url:
        document = await document_of(running)
        async with httpx2.AsyncClient(base_url=url) as http:

            async def refused(operation: tuple[str, str], path: str) -> httpx2.Response:
                answer = await http.get(path)
                holds(document, operation, answer)
                return answer

            assert (await refused(ONE, "/api/v1/workflows/none/events")).status_code == 404
            assert (await refused(ALL, "/api/v1/events?status=none")).status_code == 400
            with silent(running.parts.database):
                assert (await refused(ALL, "/api/v1/events")).status_code == 503
                assert (await refused(ONE, "/api/v1/workflows/none/events")).status_code == 503
            running.parts.feed._most = 1
            async with reading(f"{url}/api/v1/events"):
                full = await refused(ALL, "/api/v1/events")
                assert (full.status_code, full.headers["retry-after"]) == (503, "5")
            await eventually(lambda: not running.parts.feed._subscriptions, "the place is free again")
            assert running.parts.feed._reader is None  # nobody reads, so nothing is read
            async with reading(f"{url}/api/v1/events"):
                pass


async def test_one_caller_leaves_streams_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has as many streams as one caller may gets 429 for another, and everybody else still gets theirs."""
    monkeypatch.setattr(feed, "MOST_OF_ONE", 1)
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running, served(running.parts) as url:
        mine, theirs = [await key_of(running, name, Right.VIEWER) for name in ("greedy", "modest")]
        async with reading(f"{url}/api/v1/events", mine), httpx2.AsyncClient(base_url=url) as http:
            refused = await http.get("/api/v1/events", headers=mine)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
            holds(await document_of(running), ALL, refused)
            async with reading(f"{url}/api/v1/events", theirs):
                pass


async def test_a_database_that_goes_away_leaves_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream stays open, says that it is alive, and tells everything once the database is back."""
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    async with (
        replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running,
        served(running.parts) as url,
        reading(f"{url}/api/v1/events") as reader,
    ):
        workflow_id = await running.begin(HIGH_CPU)
        await reader.until("StepStarted")
        with silent(running.parts.database):
            executor.finish()
            await eventually(
                lambda: [one for one in running.log if "wait for the database" in one["event"]], "it waits"
            )
        await reader.until("Ended")
        assert of(reader, workflow_id) == await journal(running, workflow_id)
        assert reader.comments > 1


async def test_who_reads_too_slowly_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a reason, as soon as too much waits for them; others are told everything all the same."""
    async with (
        replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running,
        served(running.parts) as url,
        reading(f"{url}/api/v1/events") as quick,
    ):
        monkeypatch.setattr(running.parts.feed, "_buffer", 3)
        async with reading(f"{url}/api/v1/events") as slow:
            await running.result(HIGH_CPU)
            assert "too slow" in (await slow.until("cut")).data["reason"]
            assert await slow.next() is None
        await quick.until("Ended")
        rendered = running.parts.metrics.render("")[0].decode()
        assert 'wfs_event_streams_ended_total{reason="too_slow"} 1.0' in rendered


async def test_who_takes_nothing_loses_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who never reads does not hold a place for ever."""
    monkeypatch.setattr(event_stream, "STALLED", 0.2)
    monkeypatch.setattr(events, "HEARTBEAT", 0.0)  # it says without a pause that it is alive
    async with replica(tmp_path, ScriptedExecutor()) as running, served(running.parts) as url:
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        metrics = running.parts.metrics
        await eventually(
            lambda: b'ended_total{reason="stalled"} 1.0' in metrics.render("")[0], "the connection is dropped"
        )
        await eventually(lambda: not running.parts.feed._subscriptions, "its place is free")
        writer.close()


async def test_streams_end_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After their lifetime, and when the replica is to stop: bye, with the time to come again; new ones at once."""
    async with replica(tmp_path, ScriptedExecutor()) as running, served(running.parts) as url:
        monkeypatch.setattr(events, "LIFETIME", 0.2)
        async with reading(f"{url}/api/v1/events") as reader:
            bye = await reader.until("bye")
            assert bye.data == {"reason": "lifetime"}
            assert await reader.next() is None
        monkeypatch.undo()
        async with reading(f"{url}/api/v1/events") as reader:
            running.parts.drain()
            bye = await reader.until("bye")
            assert bye.data == {"reason": "stopping"}
            assert events.RETRY <= int(bye.retry or 0) < events.RETRY + events.SPREAD
            assert await reader.next() is None
        async with reading(f"{url}/api/v1/events") as late:
            assert (await late.until("bye")).data == {"reason": "stopping"}
        await eventually(lambda: not running.parts.feed._subscriptions, "its place is free")


@pytest.mark.timeout(120)
async def test_made_up_requests(tmp_path: Path) -> None:
    """Whatever is asked of the streams is answered as the document says, with all checks of schemathesis.

    The replica is about to stop, so that every stream ends.
    """
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        await running.result(HIGH_CPU)
        running.parts.feed.drain()
        async with served(running.parts) as url:
            checks = await asyncio.create_subprocess_exec(
                *command_of(url, "--include-path-regex", "/events$"),
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            told, _ = await checks.communicate()
    assert checks.returncode == 0, told.decode()[-10_000:]
    assert b" passed" in told


async def test_nobody_is_told_what_is_not_theirs(tmp_path: Path) -> None:
    """A key limited to namespaces sees those only, whatever it asks for; others do not exist."""
    rules = rules_of(tmp_path, act("one"))
    async with (
        replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules, AUTH_MODE="keys") as running,
        served(running.parts) as url,
    ):
        root = await key_of(running, "root", Right.ADMIN)
        limited = await key_of(running, "team", Right.VIEWER, namespaces=("staging",))
        running.http.headers.update(root)
        hidden = (await running.result(HIGH_CPU))["workflow_id"]
        execution_id = (await running.detail(hidden))["execution_id"]
        async with httpx2.AsyncClient(base_url=url) as http:
            assert (await http.get("/api/v1/events")).status_code == 401
            assert (await http.get(f"/api/v1/workflows/{hidden}/events", headers=limited)).status_code == 404
        async with (
            reading(f"{url}/api/v1/events?namespace=production", limited) as elsewhere,
            reading(f"{url}/api/v1/events", {**limited, "Last-Event-ID": f"{execution_id}.1"}) as reader,
        ):
            await reader.until("gap")
            await running.result({**HIGH_CPU, "resource": "deployment/other"})
            shown = (await running.result(MEMORY_LEAK))["workflow_id"]
            last = await reader.until("Ended")
            assert {one.data.get("workflow_id", shown) for one in reader.events} == {shown}
            running.parts.feed.drain()
            await elsewhere.until("bye")
            assert [one.name for one in elsewhere.events] == ["bye"]
        assert last.data["namespace"] == "staging"


async def test_who_is_nobody_any_more_is_told_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revoked key ends its open streams, busy or silent, with a reason; other keys' go on."""
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    monkeypatch.setattr(keyring, "STALE", 0.1)
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys") as running, served(running.parts) as url:
        database = running.parts.database
        key_id, key = await make_key(database, "leaver", Right.VIEWER)
        others = await key_of(running, "stayer", Right.VIEWER)
        async with (
            reading(f"{url}/api/v1/events", bearer(key)) as leaver,
            reading(f"{url}/api/v1/events", others) as stayer,
        ):
            await api_keys.revoke(database, key_id, now=datetime.now(UTC))
            assert (await leaver.until("bye")).data == {"reason": "unauthorized"}
            assert await leaver.next() is None
            running.parts.drain()
            assert (await stayer.until("bye")).data == {"reason": "stopping"}
        rendered = running.parts.metrics.render("")[0].decode()
        assert 'wfs_event_streams_ended_total{reason="unauthorized"} 1.0' in rendered


async def test_the_past_is_not_kept() -> None:
    """Once told, what came before is let go while the stream lives on."""

    class Entries(list[Entry]):
        """A list whose end can be seen."""

    entries = Entries(Entry("w", "e", seq, None, "running", "Planned", datetime.now(UTC), {}) for seq in (1, 2))
    gone = weakref.ref(entries)

    async def proved() -> bool:
        return True

    subscription = feed.Subscription(lambda _entry: True, 10)
    told = events._told(subscription, Past(entries, whole=True), proved)
    del entries
    assert [(await anext(told))[:3] for _ in range(3)] == [b": w", b"id:", b"id:"]
    subscription.end(feed.STOPPING)
    await anext(told)
    assert gone() is None
    await told.aclose()
