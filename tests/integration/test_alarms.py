"""When alerts stop coming, or being decided, somebody outside is told: once per change, whatever crashes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web
from prometheus_client import CollectorRegistry

from tests.support.replica import Running, replica
from tests.support.rows import an_alert
from tests.support.rows import eventually as within
from tests.support.scripted_executor import ScriptedExecutor
from workflow_service.domain.errors import NotTold
from workflow_service.domain.letters import Message
from workflow_service.domain.signatures import verify
from workflow_service.domain.watchdog import Watchdog
from workflow_service.intake.watching import UNDECIDED, Expected, Watch
from workflow_service.notifying.postman import Postman
from workflow_service.store import alarms as rows
from workflow_service.store.database import Database
from workflow_service.store.tables import alarms, alerts, letters
from workflow_service.telemetry.intake import IntakeMetrics
from workflow_service.telemetry.notifications import NotificationMetrics

pytestmark = [pytest.mark.requirement("BR-WF-001")]

DOG = Watchdog((("alertname", "Watchdog"),))
HOUR = timedelta(hours=1)
SECRET = "the-secret-of-the-alarms-is-long"


@dataclass
class Receiver:
    """Somebody outside, who may be away."""

    away: bool = False
    told: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    async def tell(self, message: Message) -> None:
        """Take a message."""
        await asyncio.sleep(0)
        if self.away:
            raise NotTold("nobody is there")
        self.told.append((message.id, message.data))

    @property
    def words(self) -> list[tuple[str, bool]]:
        """Which alarm was raised (or is over), in the order told."""
        return [(one["alarm"], one["raised"]) for _, one in self.told]


class Now:
    """A clock that a test puts forward."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """What it shows."""
        return self.at

    def pass_by(self, span: timedelta) -> None:
        """Put it forward."""
        self.at += span


class Looking:
    """One replica's watch, which expects the watchdog every hour, and its postman."""

    def __init__(self, database: Database, receiver: Receiver | None, now: Now, **given: Any) -> None:
        expected = Expected(**{"watchdogs": (DOG,), "interval": HOUR, **given})
        channels = {"alarm": receiver} if receiver else {}
        metrics = IntakeMetrics(CollectorRegistry())
        self.watch = Watch(database, expected, metrics, channels=tuple(channels), clock=now)
        told = NotificationMetrics(CollectorRegistry())
        self._postman = Postman(database, channels, told, links=lambda _letter: (), clock=now)
        self.quiet = self.watch.quiet

    async def look(self) -> None:
        """Look, then tell what is due."""
        await self.watch.look()
        await self._postman.deliver()


def watch(database: Database, receiver: Receiver | None, now: Now, **given: Any) -> Looking:
    """One replica's."""
    return Looking(database, receiver, now, **given)


async def comes(database: Database, now: Now) -> None:
    """The watchdog comes."""
    async with database.write() as connection:
        await rows.seen(connection, {DOG.name: now()})


async def test_one_change_is_told_once(database: Database) -> None:
    """Of many replicas that notice at once one makes the change and one tells; again when it is over."""
    receiver, now = Receiver(), Now()
    replicas = [watch(database, receiver, now) for _ in range(4)]

    async def all_look() -> None:
        for _ in range(2):
            await asyncio.gather(*[one.look() for one in replicas])

    await all_look()
    now.pass_by(HOUR)
    await all_look()
    assert receiver.words == []
    now.pass_by(timedelta(seconds=1))
    await all_look()
    assert receiver.words == [(DOG.name, True)]
    assert not any([await one.quiet() for one in replicas])
    await comes(database, now)
    await all_look()
    assert receiver.words == [(DOG.name, True), (DOG.name, False)]
    assert all([await one.quiet() for one in replicas])
    assert len({message_id for message_id, _ in receiver.told}) == 2


async def test_it_is_told_when_somebody_is_there_again(database: Database) -> None:
    """Tries become rarer and never end; another replica goes on, with the same id, in their order."""
    receiver, now = Receiver(away=True), Now()
    first = watch(database, receiver, now)
    await first.look()
    now.pass_by(HOUR + timedelta(seconds=1))
    pauses = []
    for _ in range(9):
        await first.look()
        async with database.read() as connection:
            row = (await connection.execute(sa.select(letters))).one()
        assert row.trouble == "nobody is there"
        pauses.append(round((row.due_at - now()).total_seconds()))
        now.pass_by(row.due_at - now())
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    await comes(database, now)
    receiver.away = False
    second = watch(database, receiver, now)
    await second.look()
    await second.look()
    assert receiver.words == [(DOG.name, True), (DOG.name, False)]
    async with database.read() as connection:
        first_id = await connection.scalar(sa.select(letters.c.id).order_by(letters.c.at).limit(1))
        assert receiver.told[0][0] == first_id
        assert not (await connection.execute(sa.select(letters).where(letters.c.due_at.is_not(None)))).all()


async def test_what_nobody_could_hear_is_not_missed(database: Database) -> None:
    """After an outage of ours the interval begins anew; an alarm that is raised stays until its watchdog comes."""
    receiver, now = Receiver(), Now()
    await watch(database, receiver, now).look()
    now.pass_by(5 * HOUR)
    later = watch(database, receiver, now)
    await later.look()
    now.pass_by(HOUR)
    await later.look()
    assert receiver.words == []
    now.pass_by(timedelta(seconds=1))
    await later.look()
    assert receiver.words == [(DOG.name, True)]
    after = watch(database, receiver, now)
    await after.look()
    assert receiver.words == [(DOG.name, True)]
    assert not await after.quiet()


async def test_an_alert_that_nobody_decides(database: Database) -> None:
    """It raises an alarm past its bound; one that is decided again counts from then."""
    receiver, now = Receiver(), Now()
    one = watch(database, receiver, now, watchdogs=(), undecided=timedelta(minutes=5))
    alert_id = await an_alert(database, at=now(), outcome=None)
    now.pass_by(timedelta(minutes=5))
    await one.look()
    assert receiver.words == []
    now.pass_by(timedelta(seconds=1))
    await one.look()
    assert receiver.words == [(UNDECIDED, True)]
    async with database.write() as connection:
        await connection.execute(sa.update(alerts).where(alerts.c.id == alert_id).values(decided_at=now()))
    await one.look()
    assert receiver.words == [(UNDECIDED, True), (UNDECIDED, False)]


async def test_without_a_receiver_it_is_only_shown(database: Database) -> None:
    """The alarm stands in the database, and nothing is kept for anybody."""
    now = Now()
    one = watch(database, None, now)
    await one.look()
    now.pass_by(2 * HOUR)
    await one.look()
    assert not await one.quiet()
    async with database.read() as connection:
        assert await connection.scalar(sa.select(alarms.c.raised)) is True
        assert (await connection.execute(sa.select(letters))).all() == []


class Hook:
    """A receiver over HTTP that checks what it gets."""

    def __init__(self) -> None:
        self.url = ""
        self.answers = [503, 200]
        self.got: list[tuple[str, dict[str, Any]]] = []

    async def take(self, request: web.Request) -> web.Response:
        """Verify and keep it."""
        body = await request.read()
        signed = verify(
            {name.lower(): text for name, text in request.headers.items()},
            body,
            secrets=[SECRET.encode()],
            now=datetime.now(UTC).timestamp(),
        )
        self.got.append((str(signed.id), await request.json()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


async def watchdog(running: Running) -> dict[str, Any]:
    """Send it as Alertmanager does; its outcome."""
    body = {"version": "4", "alerts": [{"labels": {"alertname": "Watchdog", "severity": "none"}}]}
    answer = (await running.http.post("/api/v1/alerts", json=body)).json()
    return dict(answer["alerts"][0])


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    """A receiver that listens."""
    found, app = Hook(), web.Application()
    app.router.add_post("/hook", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield found
    await runner.cleanup()


async def test_the_service_tells_over_http(tmp_path: Path, hook: Hook) -> None:
    """Health, metric and a signed webhook say that it is missed, the last again after 503; then that it is over."""
    given: dict[str, Any] = {"WATCHDOG_INTERVAL": "1s", "ALARM_URL": hook.url, "ALARM_SECRET": SECRET}
    async with replica(tmp_path, ScriptedExecutor(), **given) as running:
        assert (await watchdog(running))["outcome"] == "watchdog"
        await within(lambda: _true(hook.got), "somebody is told")
        health = (await running.http.get("/health")).json()
        assert (health["status"], health["components"]["watchdog"]) == ("degraded", False)
        metrics = (await running.http.get("/metrics")).text
        assert 'wfs_alarm{alarm="alertname=Watchdog"} 1.0' in metrics
        # Told again is told under the same id; then that it is over.
        await within(lambda: _true(len(hook.got) >= 2), "somebody is told again")
        assert hook.got[0] == hook.got[1]

        async def over() -> bool:
            await watchdog(running)
            return any(not one["data"]["raised"] for _, one in hook.got)

        await within(over, "it is over")
        assert (await running.http.get("/api/v1/workflows")).json()["workflows"] == []
    assert hook.got[0][1]["type"] == "workflow-service.alarm.raised"
    assert hook.got[0][1]["data"]["cluster"] == "default"


async def _true(value: object) -> bool:
    return bool(value)
