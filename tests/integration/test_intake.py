"""Intake: every stored alert gets one outcome, whatever races, fails or crashes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.queue import Taken, kept, queue
from tests.support.rows import an_alert, away, commit_answer_lost, count, execution
from workflow_service.domain.admission_facts import Limits
from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.errors import StoreUnavailable
from workflow_service.domain.queueing import turn
from workflow_service.engine.on_dbos import DbosEngine
from workflow_service.intake import admitting
from workflow_service.intake.admitting import Rows
from workflow_service.intake.intake import Delivery, Intake
from workflow_service.intake.receiving import Form
from workflow_service.store.database import Database
from workflow_service.store.executions import Record
from workflow_service.store.tables import (
    active_identities,
    alerts,
    deliveries,
    executions,
    identities,
    workflows,
)

pytestmark = [pytest.mark.requirement("BR-WF-001")]

DELIVERY = Delivery(b"{}", "/api/v1/execute")
LIMITS = Limits(failure_cooldown=timedelta())


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[DbosEngine]:
    """An engine that serves nothing but the queue `q`."""
    async with queue(database, Taken().body) as started:
        yield started


class Clock:
    """A wall clock that a test may put forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """What it shows."""
        return datetime.now(UTC) + self._ahead

    def pass_by(self, seconds: float) -> None:
        """Put it forward."""
        self._ahead += timedelta(seconds=seconds)


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def _intake(database: Database, engine: DbosEngine) -> Intake:
    return Intake(database, engine, limits=LIMITS, clock=now)


@pytest.fixture
def intake(database: Database, engine: DbosEngine) -> Intake:
    """One replica's intake."""
    return _intake(database, engine)


def _document(number: int = 0, **values: Any) -> dict[str, Any]:
    return {
        "name": "HighCPUUsage",
        "severity": "critical",
        "namespace": "production",
        "resource": f"deployment/web-{number}",
        **values,
    }


async def _take(intake: Intake, **values: Any) -> str:
    [alert_id] = await intake.store(DELIVERY, [alert_from_json(_document(**values))])
    return alert_id


async def test_an_admitted_alert_is_whole(intake: Intake, database: Database) -> None:
    """Workflow, identities, execution and durable start come with the outcome, and a second asking changes nothing."""
    alert_id = await _take(intake)
    outcome = await intake.decide(alert_id)
    assert outcome.outcome == "admitted"
    assert await intake.decide(alert_id) == outcome
    for table, rows in ((workflows, 1), (executions, 1), (active_identities, 2), (identities, 2)):
        assert await count(database, table) == rows, table.name
    [(key, row)] = (await kept(database)).items()
    assert key.endswith(".1")
    created = (await execution(database, key.removesuffix(".1"))).created_at
    assert (row["queue_name"], row["priority"]) == ("planning", turn(1, created))


async def test_what_is_admitted_reads_back_as_it_was_written(database: Database) -> None:
    """Every value of every row is stored, whether in one statement or in several."""
    alert_id, at = await an_alert(database, outcome=None), now()
    record = Record("run", "flow", {}, "critical", "planning", 1, at, seq=0, plan=None, events=())
    verdict = {"own": "alert:é", "outcome": "admitted", "outcome_reason": 'says "no"', "workflow_id": "flow"}
    times = {"decided_at": at, "reconsider_at": at + timedelta(hours=1)}
    named = {
        "alert_name": "\\x",
        "severity": "critical",
        "namespace": None,
        "cluster": "here",
        "target": "production/pod/x",
    }
    rows = Rows(
        decided=[{"id": alert_id, **verdict, **times, "trace": [{"saw": "\0"}]}],
        workflows=[{"id": "flow", "alert_id": alert_id, "execution_id": "run", **named, "created_at": at}],
        identities=[{"identity": name, "workflow_id": "flow"} for name in ("b", "a")],
        executions=[admitting.execution(record, "me")],
    )
    async with database.write() as connection:
        await admitting.write(connection, rows)
    tables = (alerts, workflows, executions, identities, active_identities)
    written = (rows.decided, rows.workflows, rows.executions, rows.identities, rows.identities)
    async with database.read() as connection:
        for table, wanted in zip(tables, written, strict=True):
            names = [table.c[name] for name in wanted[0]]
            found = await connection.execute(sa.select(*names).order_by(names[0].desc()))
            assert [dict(row) for row in found.mappings()] == wanted, table.name


async def test_a_duplicate_is_attached(intake: Intake) -> None:
    """The same thing again, firing or resolved, belongs to the workflow that runs for it."""
    first = await intake.decide(await _take(intake))
    for values in ({}, {"status": "resolved"}, {"name": "OtherAlert"}):
        again = await intake.decide(await _take(intake, **values))
        assert (again.outcome, again.workflow_id) == ("attached", first.workflow_id)


async def test_after_a_success_it_cools_down(intake: Intake, database: Database) -> None:
    """Shortly after a success nothing is done about the same thing; after a failure it is."""
    first = await intake.decide(await _take(intake))

    async def end(status: str) -> None:
        async with database.write() as connection:
            await connection.execute(sa.update(executions).values(status=status, ended_at=now()))
            await connection.execute(sa.delete(active_identities))

    await end("completed")
    again = await intake.decide(await _take(intake))
    assert (again.outcome, again.workflow_id) == ("cooled_down", first.workflow_id)
    assert (await intake.decide(await _take(intake, status="resolved"))).outcome == "resolved"
    await end("failed")
    assert (await intake.decide(await _take(intake))).outcome == "admitted"


@pytest.mark.parametrize("number", range(3))
async def test_replicas_that_decide_about_the_same_thing(database: Database, engine: DbosEngine, number: int) -> None:
    """Eight alerts about one thing at once on several replicas: one is admitted, the others are attached to it."""
    others = [Database(database.url.render_as_string(hide_password=False)) for _ in range(4)]
    try:
        intakes = [_intake(other, engine) for other in others] * 2
        ids = [await _take(intakes[0], number=number, name=f"Alert{nth}") for nth in range(len(intakes))]
        outcomes = await asyncio.gather(*(one.decide(key) for one, key in zip(intakes, ids, strict=True)))
    finally:
        for other in others:
            await other.close()
    assert sorted(outcome.outcome for outcome in outcomes) == ["admitted", *["attached"] * 7]
    assert len({outcome.workflow_id for outcome in outcomes}) == 1
    assert await count(database, executions) == 1


async def test_replicas_that_decide_about_the_same_alert(database: Database, engine: DbosEngine) -> None:
    """The API and the sweepers of several replicas may decide about one alert at once: there is one outcome."""
    alert_id = await _take(_intake(database, engine))
    outcomes = await asyncio.gather(*(_intake(database, engine).decide(alert_id) for _ in range(8)))
    assert {outcome.outcome for outcome in outcomes} == {"admitted"}
    assert len({outcome.workflow_id for outcome in outcomes}) == 1


async def test_a_lost_commit_answer_decides_nothing_twice(intake: Intake, database: Database) -> None:
    """When only the answer of the decision is lost, asking again gives what was decided."""
    alert_id = await _take(intake)
    with commit_answer_lost(database), pytest.raises(StoreUnavailable):
        await intake.decide(alert_id)
    assert (await intake.decide(alert_id)).outcome == "admitted"
    assert await count(database, executions) == 1


@pytest.mark.parametrize("committed", [True, False])
async def test_a_lost_commit_answer_stores_nothing_twice(intake: Intake, database: Database, committed: bool) -> None:
    """When only the answer to the storing is lost, it is found out whether it is there; the caller notices nothing."""
    with commit_answer_lost(database, times=1 if committed else 2, of="INSERT INTO deliveries", committed=committed):
        alert_id = await _take(intake)
    assert await count(database, alerts) == await count(database, deliveries) == 1
    assert (await intake.decide(alert_id)).outcome == "admitted"


async def test_what_cannot_be_stored_is_not_acknowledged(intake: Intake, database: Database) -> None:
    """Without a database storing fails, and leaves nothing behind."""
    with away(database), pytest.raises(StoreUnavailable):
        await _take(intake)
    assert await count(database, alerts) == await count(database, deliveries) == 0


async def test_what_comes_together_is_decided_together(intake: Intake, database: Database) -> None:
    """Of a storm about a few things each gets one workflow; the others are attached, in the very same transaction."""
    ids = await asyncio.gather(*(_take(intake, number=number % 3, name=f"Alert{number}") for number in range(30)))
    outcomes = await asyncio.gather(*(intake.decide(alert_id) for alert_id in ids))
    assert [outcome.alert_id for outcome in outcomes] == ids
    assert sorted(outcome.outcome for outcome in outcomes) == ["admitted"] * 3 + ["attached"] * 27
    assert {outcome.workflow_id for outcome in outcomes[:3]} == {outcome.workflow_id for outcome in outcomes[3:]}
    assert await count(database, executions) == await count(database, workflows) == 3


async def test_one_bad_alert_does_not_hurt_its_neighbours(intake: Intake, database: Database) -> None:
    """What cannot be stored or decided fails alone, whatever it came together with."""
    bad = await an_alert(database, outcome=None, document={"no": "name"})
    good = await asyncio.gather(*(_take(intake, number=number) for number in range(3)))
    answers = await asyncio.gather(*(intake.decide(one) for one in [good[0], bad, *good[1:]]), return_exceptions=True)
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False, False]
    unstorable = Delivery(b"{}", "/\0")  # no route has a NUL, and PostgreSQL's text holds none
    stored = [intake.store(DELIVERY, []), intake.store(unstorable, []), intake.store(DELIVERY, [])]
    kept = await asyncio.gather(*stored, return_exceptions=True)
    assert [isinstance(answer, Exception) for answer in kept] == [False, not database.sqlite, False]
    assert await count(database, workflows) == 3


async def _end(database: Database, status: str) -> None:
    async with database.write() as connection:
        await connection.execute(sa.update(executions).values(status=status, ended_at=now()))
        await connection.execute(sa.delete(active_identities))


async def test_who_stood_back_is_decided_again(database: Database, engine: DbosEngine) -> None:
    """What cooled down is admitted once that is over; not when it has resolved, nor when its source never says so."""
    clock = Clock()
    intake = Intake(database, engine, limits=Limits(), clock=clock.now)
    await intake.decide(await _take(intake))
    await _end(database, "failed")
    tracked = Delivery(b"{}", "/api/v1/alerts", form=Form.ALERTMANAGER)
    told = [alert_from_json(_document(name=name)) for name in ("Again", "Over")]
    ids = await intake.store(tracked, told)
    ids += await intake.store(DELIVERY, told[:1])
    outcomes = [await intake.decide(alert_id) for alert_id in ids]
    assert {outcome.outcome for outcome in outcomes} == {"cooled_down"}
    clock.pass_by(30)
    await intake.decide((await intake.store(tracked, [alert_from_json(_document(name="Over", status="resolved"))]))[0])
    assert await intake.sweep() == 0
    clock.pass_by(31)
    assert await intake.sweep() == 1
    again = [(await intake.decide(alert_id)).outcome for alert_id in ids]
    assert again == ["admitted", "cooled_down", "cooled_down"]
    assert await intake.sweep() == 0


async def test_a_storm_has_one_that_stands_for_it(database: Database, engine: DbosEngine) -> None:
    """Beyond the threshold alerts belong to one workflow, over several transactions and replicas too."""
    limits = Limits(storm_in_namespace=5)
    others = [Intake(database, engine, limits=limits, clock=now) for _ in range(2)]
    found = []
    for turn_of in range(4):
        ids = [await _take(others[0], number=10 * turn_of + number) for number in range(4)]
        chosen = others[turn_of % 2]
        found += await asyncio.gather(*(chosen.decide(alert_id) for alert_id in ids))
    outcomes = [outcome.outcome for outcome in found]
    assert outcomes.count("admitted") == 6
    assert outcomes.count("grouped") == 10
    assert len({outcome.workflow_id for outcome in found if outcome.outcome == "grouped"}) == 1


async def test_after_a_storm_everything_has_its_own_turn(database: Database, engine: DbosEngine) -> None:
    """What one workflow stood for is decided again, a storm's worth at a time; not what has resolved meanwhile."""
    clock = Clock()
    intake = Intake(database, engine, limits=Limits(storm_in_namespace=1), clock=clock.now)
    tracked = Delivery(b"{}", "/api/v1/alerts", form=Form.ALERTMANAGER)
    ids = await intake.store(tracked, [alert_from_json(_document(number)) for number in range(6)])

    async def outcomes() -> list[str]:
        return [(await intake.decide(alert_id)).outcome for alert_id in ids]

    assert await outcomes() == ["admitted"] * 2 + ["grouped"] * 4
    assert await intake.sweep() == 0
    await intake.decide((await intake.store(tracked, [alert_from_json(_document(5, status="resolved"))]))[0])
    await _end(database, "completed")
    clock.pass_by(61)
    assert await intake.sweep() == 3
    assert sorted(await outcomes()) == ["admitted"] * 4 + ["grouped"] * 2
    clock.pass_by(61)
    await _end(database, "completed")
    assert await intake.sweep() == 1
    assert sorted(await outcomes()) == ["admitted"] * 5 + ["grouped"]


async def test_what_is_over_budget_is_not_lost(database: Database, engine: DbosEngine) -> None:
    """It is held back even where nobody tells when it resolves, and admitted in its turn, once there is one."""
    clock = Clock()
    others = [Intake(database, engine, limits=Limits(budget_in_namespace=2), clock=clock.now) for _ in range(2)]
    ids = [await _take(others[0], number=number) for number in range(4)]
    found = [await others[number % 2].decide(alert_id) for number, alert_id in enumerate(ids)]
    assert [one.outcome for one in found] == ["admitted", "admitted", "over_budget", "over_budget"]
    assert await others[1].sweep() == 0
    clock.pass_by(3601)
    assert await others[1].sweep() == 2
    assert [(await others[0].decide(alert_id)).outcome for alert_id in ids] == ["admitted"] * 4
    more = await others[0].decide(await _take(others[0], number=9))
    assert more.outcome == "over_budget"
    assert "2 of 2 workflows have begun in default/production within 1 h" in more.reason


async def test_who_stands_for_a_storm_hears_of_its_own_end(database: Database, engine: DbosEngine) -> None:
    """Those that were grouped with it may go on: they are about other things."""
    intake = Intake(database, engine, limits=Limits(storm_in_namespace=1), clock=now)
    outcomes = [await intake.decide(await _take(intake, number=number)) for number in range(3)]
    assert [outcome.outcome for outcome in outcomes] == ["admitted", "admitted", "grouped"]
    await intake.decide(await _take(intake, number=1, status="resolved"))
    async with database.read() as connection:
        told = sa.select(executions.c.workflow_id).where(executions.c.resolved_at.is_not(None))
        assert list((await connection.execute(told)).scalars()) == [outcomes[1].workflow_id]


async def test_a_workflow_hears_when_all_its_alerts_are_over(intake: Intake, database: Database) -> None:
    """One of two that have resolved is not enough; one that fires again takes it back."""

    async def told() -> bool:
        async with database.read() as connection:
            return await connection.scalar(sa.select(executions.c.resolved_at)) is not None

    for name in ("One", "Two"):
        await intake.decide(await _take(intake, name=name))
    await intake.decide(await _take(intake, name="One", status="resolved"))
    assert not await told()
    await intake.decide(await _take(intake, name="Two", status="resolved"))
    assert await told()
    await intake.decide(await _take(intake, name="One"))
    assert not await told()
    await intake.decide(await _take(intake, name="One", status="resolved"))
    assert await told()


async def _told(database: Database) -> bool:
    async with database.read() as connection:
        return await connection.scalar(sa.select(executions.c.resolved_at)) is not None


async def test_the_late_end_of_an_older_episode_ends_nothing(intake: Intake, database: Database) -> None:
    """A workflow goes on while its alert fires, whatever comes late of an earlier time; its own end is heard."""
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    hours = [(noon + timedelta(minutes=30 * half)).isoformat() for half in range(-2, 2)]
    first = await intake.decide(await _take(intake, starts_at=hours[2]))
    for over in ({"starts_at": hours[0], "ends_at": hours[1]}, {"starts_at": hours[0]}):
        late = await intake.decide(await _take(intake, status="resolved", **over))
        assert late.workflow_id == first.workflow_id
        assert not await _told(database)
    await intake.decide(await _take(intake, status="resolved", starts_at=hours[2], ends_at=hours[3]))
    assert await _told(database)
    await intake.decide(await _take(intake, starts_at=hours[2]))
    assert not await _told(database)
    await intake.decide(await _take(intake, status="resolved"))  # it does not say when
    assert await _told(database)


async def test_the_end_of_another_namespaces_fingerprint_ends_nothing(intake: Intake, database: Database) -> None:
    """Two namespaces may speak of one node, and of one fingerprint: each speaks for its own alert."""
    node = {"resource": "node/n1", "fingerprint": "fa"}
    first = await intake.decide(await _take(intake, **node))
    for namespace, told in (("shop", False), ("production", True)):
        over = await intake.decide(await _take(intake, **{**node, "status": "resolved", "namespace": namespace}))
        assert (over.outcome, over.workflow_id) == ("attached", first.workflow_id)
        assert await _told(database) is told


async def test_the_late_end_of_an_older_episode_cancels_no_second_look(database: Database, engine: DbosEngine) -> None:
    """What stood back has its turn unless it has resolved itself."""
    clock = Clock()
    intake = Intake(database, engine, limits=Limits(), clock=clock.now)
    await intake.decide(await _take(intake))
    await _end(database, "failed")
    tracked = Delivery(b"{}", "/api/v1/alerts", form=Form.ALERTMANAGER)
    began, minute = now(), timedelta(minutes=1)
    told = [alert_from_json(_document(name=name, starts_at=began.isoformat())) for name in ("Again", "Over")]
    ids = await intake.store(tracked, told)
    assert {(await intake.decide(alert_id)).outcome for alert_id in ids} == {"cooled_down"}
    clock.pass_by(30)
    for name, ends_at in (("Again", began - minute), ("Over", began)):
        over = _document(name=name, status="resolved", ends_at=ends_at.isoformat())
        await intake.decide((await intake.store(tracked, [alert_from_json(over)]))[0])
    clock.pass_by(31)
    assert await intake.sweep() == 1
    assert [(await intake.decide(alert_id)).outcome for alert_id in ids] == ["admitted", "cooled_down"]


async def test_the_sweeper_decides_what_was_left(intake: Intake, database: Database) -> None:
    """Alerts that a crash left undecided get their outcome; fresh ones are left to whoever stored them."""
    for number in range(3):
        await an_alert(database, at=now() - timedelta(minutes=1), outcome=None, document=_document(number))
    fresh = await _take(intake, number=9)
    assert await intake.sweep() == 3
    assert await intake.sweep() == 0
    assert await count(database, workflows) == 3
    assert (await intake.decide(fresh)).outcome == "admitted"


async def test_one_bad_alert_does_not_stop_the_sweeper(intake: Intake, database: Database) -> None:
    """An alert that cannot be decided, for whatever reason, does not keep those behind it undecided."""
    minute = timedelta(minutes=1)
    await an_alert(database, at=now() - 2 * minute, outcome=None, document={"no": "name"})
    for number in range(3):
        await an_alert(database, at=now() - minute, outcome=None, document=_document(number))
    assert await intake.sweep() == 3
    assert await count(database, workflows) == 3
