"""The fault kit itself: 200 workflows survive everything it knows, and it would notice if they did not."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, repeat
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web
from yarl import URL

from tests.support.processes import eventually
from workflow_service.clients.executor import Patience
from workflow_service.faultkit import proxy as proxy_module
from workflow_service.faultkit.cluster import GROWN, MEMORY, Change, Field, Target, read_changes
from workflow_service.faultkit.faults import BLOCK, SHARE, Disturbance, Mishap, Tally, mishaps, schedule
from workflow_service.faultkit.load import Accepted
from workflow_service.faultkit.proxy import Proxy
from workflow_service.faultkit.report import Report, as_text
from workflow_service.faultkit.stories import Step, Story
from workflow_service.faultkit.verdict import GRACE, Offence, judge
from workflow_service.faultkit.workload import alerts

pytestmark = pytest.mark.durability

TARGET = Target.number(0)
KEY = "execution:restart"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _rng(seed: int = 1) -> Random:
    return Random(seed)  # noqa: S311 - to be repeated, not to be secret


def _faultkit(*options: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "workflow_service", "faultkit", *options],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where the kit keeps its files: short, since PostgreSQL's socket may lie there, and open to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="fk-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.timeout(400)
@pytest.mark.requirement("BR-WF-001", "BR-WF-004")
def test_200_workflows_survive_everything(directory: Path) -> None:
    """Two replicas on PostgreSQL, every fault: no alert lost, no run stuck, nothing done twice, every end explained."""
    kit = _faultkit("--workflows", "200", "--seed", "20261122", "--output", "json", directory=directory)
    out, told = kit.communicate()
    assert out, told
    report = json.loads(out)
    assert not any(report["offences"].values()), report["offences"]
    assert [report[name] for name in ("lost", "stuck", "double", "uncaused", "untrue")] == [0] * 5
    assert kit.returncode == 0
    assert report["workflows"] >= 200
    assert report["ended_by_themselves"] == []
    happened = {one["fault"] for one in report["faults"] if one["times"]} | set(report["skipped"])
    assert happened == {*map(str, Disturbance), *map(str, Mishap)}
    assert list(directory.glob("faultkit-*")) == []


@pytest.mark.timeout(120)
def test_ctrl_c_ends_everything(directory: Path) -> None:
    """Interrupted in the middle, it exits with 130 and leaves neither a process nor a file behind."""
    kit = _faultkit("--workflows", "50", "--database-url", "sqlite", directory=directory)
    assert kit.stderr is not None
    assert "accepted" in kit.stderr.readline()
    family = psutil.Process(kit.pid).children(recursive=True)
    assert len(family) >= 3
    kit.send_signal(signal.SIGINT)
    out, told = kit.communicate()
    assert kit.returncode == 130, told
    assert out == ""
    assert "Traceback" not in told
    eventually(lambda: not any(one.is_running() for one in family), "all that it started is gone")
    assert list(directory.glob("faultkit-*")) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--database-url", "sqlite", "--replicas", "2"), "--replicas: 2 must be 1"),
        (("--database-url", "mysql://host/database"), "--database-url: must be sqlite or postgresql://"),
        (("--database-url", "postgresql://nobody@127.0.0.1:1/nothing"), "cannot be used"),
    ],
)
def test_a_wrong_order_is_told_in_one_line(options: tuple[str, ...], told: str, directory: Path) -> None:
    """What cannot be done ends with exit code 2 and the reason, never with a traceback."""
    kit = _faultkit(*options, directory=directory)
    out, complaint = kit.communicate()
    assert (kit.returncode, out) == (2, "")
    assert told in complaint
    assert "Traceback" not in complaint


# ---- the verdict


def _mark(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _story(**other: Any) -> Story:
    steps = (
        Step(Field.MEMORY, tried=True, told=True, undo="available", keys=("execution:grow",)),
        Step(Field.RESTARTED, tried=True, told=True, undo="irreversible", keys=(KEY, f"{KEY}:r1")),
    )
    story = Story(
        workflow_id="workflow",
        executions=frozenset({"execution"}),
        target=TARGET,
        alert_name="FaultkitPlain",
        status="completed",
        reason="all_steps_succeeded",
        cause="",
        rollback="none",
        created_at=NOW,
        must_end_by=NOW + timedelta(minutes=2),
        ended_at=NOW + timedelta(seconds=3),
        steps=steps,
    )
    return replace(story, **other)


def _accepted(status: int = 202, workflow_id: str | None = "workflow") -> Accepted:
    return Accepted(alerts(_rng(), 1)[0], status, workflow_id, "execution")


GROWTH, RESTART = Change(TARGET, Field.MEMORY, GROWN), Change(TARGET, Field.RESTARTED, _mark(KEY))
AGAIN = Change(TARGET, Field.RESTARTED, _mark(f"{KEY}:r1"))
UNDO = Change(TARGET, Field.MEMORY, MEMORY)


def _broken(
    *, accepted: Accepted | None = None, story: Story | None = None, written: list[Change] | None = None
) -> set[str]:
    changes = [GROWTH, RESTART] if written is None else written
    verdict = judge([accepted or _accepted()], [story or _story()], changes)
    return {name for name, found in verdict.lines.items() if found}


def test_a_clean_story_is_clean() -> None:
    """What is told and what was written agree: nothing is broken."""
    assert _broken() == set()


@pytest.mark.parametrize(
    ("accepted", "broken"),
    [
        (_accepted(workflow_id=None), {"lost"}),
        (_accepted(workflow_id="another"), {"lost"}),
        (_accepted(status=429), {"lost"}),
    ],
)
def test_a_lost_alert_is_noticed(accepted: Accepted, broken: set[str]) -> None:
    """Accepted without a workflow, with one that is not there, or refused with a 4xx: lost."""
    assert _broken(accepted=accepted) == broken


@pytest.mark.parametrize(
    ("other", "broken"),
    [
        ({"ended_at": None, "status": "running"}, {"stuck"}),
        ({"ended_at": NOW + timedelta(minutes=2) + GRACE + timedelta(seconds=1)}, {"stuck"}),
        ({"reason": ""}, {"uncaused"}),
        ({"status": "failed", "reason": "critical_step_failed"}, {"uncaused"}),
    ],
)
def test_a_bad_end_is_noticed(other: dict[str, Any], broken: set[str]) -> None:
    """Not over, over too late, or over without reason or cause."""
    assert _broken(story=_story(**other)) == broken


def test_a_command_that_is_never_answered_is_noticed() -> None:
    """Whoever is paused and does not hear a resume is stuck, also when a later one got through."""
    verdict = judge([_accepted()], [_story()], [GROWTH, RESTART], deaf=[Offence("workflow", "never answered resume")])
    assert [one.who for one in verdict.stuck] == ["workflow"]


@pytest.mark.parametrize(
    ("written", "broken"),
    [
        ([GROWTH, RESTART, GROWTH], {"double"}),
        ([GROWTH, RESTART, RESTART], {"double"}),
        ([GROWTH, RESTART, AGAIN], {"double"}),
        ([GROWTH, UNDO, GROWTH, RESTART], {"double", "untrue"}),
        ([GROWTH, RESTART, UNDO], {"untrue"}),
        ([GROWTH, RESTART, Change(TARGET, Field.RESTARTED, "of-no-key")], {"double", "untrue"}),
        ([GROWTH, RESTART, Change(TARGET, Field.REPLICAS, 1)], {"untrue"}),
        ([GROWTH], {"untrue"}),
        ([GROWTH, RESTART, Change(Target.number(1), Field.MEMORY, GROWN)], {"untrue"}),
    ],
)
def test_a_change_too_many_or_too_few_is_noticed(written: list[Change], broken: set[str]) -> None:
    """Twice the same change, a change that nobody intended, a change that is told and was never made."""
    assert _broken(written=written) == broken


def test_what_is_told_to_be_undone_must_be() -> None:
    """An undo counts on its own; one that is told and did not happen, or happened twice, is noticed."""
    grown = Step(Field.MEMORY, tried=True, told=True, undo="undone", keys=("execution:grow",))
    story = _story(steps=(grown,), status="rolled_back", cause="because", rollback="done")
    assert _broken(story=story, written=[GROWTH, UNDO]) == set()
    assert _broken(story=story, written=[GROWTH]) == {"untrue"}
    assert _broken(story=story, written=[GROWTH, UNDO, UNDO]) == {"double"}


def test_a_second_workflow_about_a_target_may_change_it_again() -> None:
    """An alert that is sent again after a failure is a new intention; only then a second change is none too many."""
    second = _story(workflow_id="second")
    grown = [GROWTH, GROWTH, RESTART]
    assert not judge([_accepted()], [_story(), second], grown).double
    assert judge([_accepted()], [_story()], grown).double


def test_an_audit_line_is_read_field_by_field() -> None:
    """Of a JSON Patch only what it writes counts, not what it tests."""
    pointer = "/spec/template/spec/containers/0/resources/requests/memory"
    body = [{"op": "test", "path": pointer, "value": MEMORY}, {"op": "replace", "path": pointer, "value": GROWN}]
    write = {"namespace": TARGET.namespace, "name": TARGET.name, "body": body}
    assert [*read_changes(write)] == [GROWTH]
    assert [*read_changes({**write, "body": {"kind": "DeleteOptions"}})] == []


def test_the_report_names_the_promises_first() -> None:
    """The four lines come first, each with its number; what was broken stands below with the workflow's id."""
    story = _story(ended_at=None, status="running")
    verdict = judge([_accepted()], [story], [GROWTH, RESTART])
    tally = Tally()
    tally.note(Mishap.CUT, ["execution"])
    tally.skipped[Disturbance.CLOCK_SKEW] = "not here"
    lines = as_text(Report(verdict, tally, [story], [], 1.0, "workflow-service faultkit --seed 1")).splitlines()
    assert lines[:3] == ["lost: 0", "stuck: 1", f"  workflow: is running, had to end by {story.must_end_by}"]
    assert lines[3:6] == ["double: 0", "uncaused: 0", "untrue: 0"]
    assert any(line.split() == [*str(Mishap.CUT).split(), "1", "1"] for line in lines)
    assert any(line.endswith("skipped: not here") for line in lines)
    assert lines[-1].endswith("again: workflow-service faultkit --seed 1")


# ---- the seed


def test_a_seed_repeats_everything_that_is_drawn() -> None:
    """Alerts, schedule and mishaps are the same for the same seed and others for another."""

    def drawn(seed: int) -> tuple[Any, ...]:
        rng = _rng(seed)
        return alerts(rng, 50), schedule(rng, 500, list(Disturbance)), [*islice(mishaps(rng), 300)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_every_fault_has_its_turn() -> None:
    """Every disturbance once in 200 alerts, in order and while alerts are sent; every mishap in 100 requests."""
    planned = schedule(_rng(3), 400, list(Disturbance))
    assert sorted(one.fault for one in planned) == sorted([*Disturbance, *Disturbance])
    assert all(0 < one.after < 400 for one in planned)
    assert [one.after for one in planned] == sorted(one.after for one in planned)
    block = [*islice(mishaps(_rng(3)), BLOCK)]
    assert {mishap: block.count(mishap) for mishap in Mishap} == SHARE


# ---- the proxy


class _Upstream:
    """A server that counts what reaches it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.Response:
        self.seen.append(f"{request.method} {request.raw_path} {(await request.read()).decode()}")
        return web.json_response({"number": len(self.seen)}, headers={"X-Upstream": "yes"})


@asynccontextmanager
async def _between(mishap: Mishap | None) -> AsyncIterator[tuple[Proxy, _Upstream, Tally]]:
    upstream, tally = _Upstream(), Tally()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", upstream.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    proxy = Proxy(lambda: upstream.url, repeat(mishap), rng=_rng(), struck=lambda fault, one: tally.note(fault, [one]))
    await proxy.start()
    try:
        yield proxy, upstream, tally
    finally:
        await proxy.close()
        await runner.cleanup()


async def _execute(proxy: Proxy) -> tuple[int, Any] | None:
    """The answer to one effect; None when there was none."""
    body = {"context": {"execution_id": "execution"}}
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{proxy.url}/api/v1/execute", json=body) as answer,
        ):
            return answer.status, await answer.json(content_type=None)
    except aiohttp.ClientError:
        return None


@pytest.mark.parametrize(
    ("mishap", "status", "arrived"),
    [
        (None, 200, 1),
        (Mishap.ERROR_BEFORE, 500, 0),
        (Mishap.ERROR_AFTER, 500, 1),
        (Mishap.CUT, None, 1),
        (Mishap.TWICE, 200, 2),
        (Mishap.HANG, None, 0),
        (Mishap.LATE_REQUEST, 200, 1),
        (Mishap.LATE_ANSWER, 200, 1),
    ],
)
async def test_a_mishap_is_what_it_says(
    mishap: Mishap | None, status: int | None, arrived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mishap delivers the request as often as its name says, and answers or cuts as its name says."""
    monkeypatch.setattr(proxy_module, "PATIENCE", 0.05)
    monkeypatch.setattr(proxy_module, "LATER", 0.3)
    async with _between(mishap) as (proxy, upstream, tally):
        answer = await _execute(proxy)
        await proxy.on_time()
        assert (answer and answer[0]) == status
        assert len(upstream.seen) == arrived
        assert tally.times == ({mishap: 1} if mishap else {})
        assert dict(tally.struck) == ({mishap: {"execution"}} if mishap else {})


async def test_only_effects_meet_mishaps_and_only_until_it_is_calm() -> None:
    """Reads pass unharmed and unchanged, and after the faults everything does."""
    async with _between(Mishap.ERROR_BEFORE) as (proxy, upstream, _), aiohttp.ClientSession() as session:
        async with session.get(URL(f"{proxy.url}/api/v1/actions/by-key/a%3Ab?x=1", encoded=True)) as answer:
            assert (answer.status, answer.headers["X-Upstream"]) == (200, "yes")
        assert [line.strip() for line in upstream.seen] == ["GET /api/v1/actions/by-key/a%3Ab?x=1"]
        assert (await _execute(proxy) or [None])[0] == 500
        proxy.calm()
        assert (await _execute(proxy) or [None])[0] == 200


async def test_a_shut_door_refuses() -> None:
    """While the executor is dead its door is shut: a connection is refused, and taken again once it is open."""
    async with _between(None) as (proxy, upstream, _):
        await proxy.shut_door()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.open_door()
        assert (await _execute(proxy) or [None])[0] == 200
        assert len(upstream.seen) == 1


def test_late_means_later_than_the_client_waits() -> None:
    """What the proxy holds back is late for the real client: its patience is the one that the proxy outlasts."""
    assert Patience().effect <= proxy_module.PATIENCE
