"""The outbox brings each letter at least once, under one id; over quiet channels exactly once, whoever looks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.support.rows import an_execution
from workflow_service.domain.errors import NotTold
from workflow_service.domain.letters import Message
from workflow_service.notifying.postman import FIRST_PAUSE, IN_FLIGHT, Postman
from workflow_service.store import outbox
from workflow_service.store.database import Database
from workflow_service.store.outbox import Filter, Letter, Status
from workflow_service.telemetry.notifications import NotificationMetrics

pytestmark = pytest.mark.requirement("BR-WF-005")
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


@dataclass
class Person:
    """Somebody who is told, and may be away."""

    away: float | None = None  # seconds for which they want to be left alone
    hears: asyncio.Event = field(default_factory=asyncio.Event)
    told: list[str] = field(default_factory=list)

    async def tell(self, message: Message) -> None:
        """Take a message."""
        self.hears.set()
        await asyncio.sleep(0)
        if self.away is not None:
            raise NotTold("nobody is there", wait=self.away)
        self.told.append(message.id)


@dataclass
class Now:
    """A clock that a test puts forward."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        """What it shows."""
        return self.at


def postman(database: Database, now: Now, **channels: Person) -> Postman:
    """One replica's."""
    metrics = NotificationMetrics(CollectorRegistry())
    return Postman(database, channels, metrics, links=lambda _letter: (), clock=now)


async def a_letter(database: Database, name: str, *, channel: str = "slack", **more: object) -> Letter:
    """One that is due."""
    workflow = await an_execution(database)
    letter = Letter(
        id=name,
        channel=channel,
        kind="workflow.ended",
        at=NOW,
        workflow_id=workflow,
        execution_id=workflow,
        step="",
        namespace="shop",
        severity="high",
        document={"alert": "HighCPUUsage", "workflow_id": workflow},
        due_at=NOW,
        give_up_at=NOW + timedelta(hours=1),
    )
    letter = replace(letter, **more)  # type: ignore[arg-type]
    async with database.write() as connection:
        await outbox.keep(connection, [letter, letter], sqlite=database.sqlite)
        await outbox.keep(connection, [letter], sqlite=database.sqlite)
    return letter


async def status(database: Database, name: str) -> tuple[str, int]:
    """Where a letter stands, and how often it was tried."""
    found = await outbox.letter(database, name)
    return found.status, found.tries


async def test_two_replicas_tell_once(database: Database) -> None:
    """Both look at the same moment, and again: each letter is told once."""
    person, now = Person(), Now()
    for number in range(5):
        await a_letter(database, f"letter-{number}")
    both = [postman(database, now, slack=person) for _ in range(2)]
    await asyncio.gather(*(one.deliver() for one in both))
    await asyncio.gather(*(one.deliver() for one in both))
    assert sorted(person.told) == [f"letter-{number}" for number in range(5)]
    assert await status(database, "letter-0") == (Status.DELIVERED, 1)


async def test_who_dies_while_sending_is_followed(database: Database) -> None:
    """A claimed letter is another's only after the longest try; then it is told under the same id."""
    person, now = Person(), Now()
    letter = await a_letter(database, "letter")
    assert await outbox.claim(database, letter, again_at=NOW + IN_FLIGHT)
    assert not await outbox.claim(database, letter, again_at=NOW + IN_FLIGHT)
    one = postman(database, now, slack=person)
    await one.deliver()
    assert person.told == []
    now.at += IN_FLIGHT
    await one.deliver()
    assert (person.told, await status(database, "letter")) == (["letter"], (Status.DELIVERED, 2))


async def test_a_failure_is_tried_again_later(database: Database) -> None:
    """After a pause that grows, or as long as the receiver asks for; health says so until it arrives."""
    person, now = Person(away=0.0), Now()
    await a_letter(database, "letter")
    one = postman(database, now, slack=person)
    await one.deliver()
    found = await outbox.letter(database, "letter")
    assert (found.status, found.due_at) == (Status.PENDING, NOW + FIRST_PAUSE)
    await one.measure()
    assert not await one.healthy()
    person.away = 120.0
    now.at += FIRST_PAUSE
    await one.deliver()
    assert (await outbox.letter(database, "letter")).due_at == now.at + timedelta(seconds=120)
    person.away = None
    now.at += timedelta(seconds=120)
    await one.deliver()
    await one.measure()
    assert (person.told, await one.healthy()) == (["letter"], True)


async def test_it_is_given_up_and_shown(database: Database) -> None:
    """Past its bound nobody tries again; the row and the health say so for a day."""
    person, now = Person(away=0.0), Now(NOW + timedelta(hours=1))
    await a_letter(database, "letter")
    one = postman(database, now, slack=person)
    await one.deliver()
    await one.measure()
    (row,) = await outbox.page(database, chosen=Filter(status="given_up"), before=None, limit=5)
    assert (row["trouble"], row["due_at"], await one.healthy()) == ("nobody is there", None, False)
    now.at += timedelta(days=2)
    await one.measure()
    assert await one.healthy()


async def test_a_channel_that_fails_holds_up_no_other(database: Database) -> None:
    """One is away, the other is told; a channel that is configured no more counts as one that is away."""
    away, there, now = Person(away=0.0), Person(), Now()
    for name, channel in (("one", "slack"), ("two", "webhook"), ("three", "email:gone@example.com")):
        await a_letter(database, name, channel=channel)
    await postman(database, now, slack=away, webhook=there).deliver()
    assert there.told == ["two"]
    assert (await outbox.letter(database, "three")).status is Status.PENDING


async def test_of_one_line_the_oldest_goes_first(database: Database) -> None:
    """While it has not arrived, those behind it wait; those of another line do not."""
    person, now = Person(away=0.0), Now()
    await a_letter(database, "b-first", line="dog")
    await a_letter(database, "a-second", line="dog", at=NOW + timedelta(seconds=1))
    one = postman(database, now, slack=person)
    await one.deliver()
    person.away = None
    await a_letter(database, "other", line="cat")
    await one.deliver()
    assert person.told == ["other"]
    now.at += FIRST_PAUSE
    await one.deliver()
    await one.deliver()
    assert person.told == ["other", "b-first", "a-second"]


async def test_an_answered_question_is_not_told(database: Database) -> None:
    """Settled questions of that step are obsolete; ends and other steps' questions stay."""
    person, now = Person(), Now()
    asked = await a_letter(database, "asked", kind="approval.asked", step="ask")
    more: dict[str, Any] = {"workflow_id": asked.workflow_id, "execution_id": asked.execution_id}
    await a_letter(database, "other", kind="approval.asked", step="else", **more)
    await a_letter(database, "end", step="ask", **more)
    async with database.write() as connection:
        kinds = ("approval.asked", "approval.expiring")
        await outbox.settle(connection, str(asked.execution_id), ["ask"], kinds, now=NOW)
    await postman(database, now, slack=person).deliver()
    assert sorted(person.told) == ["end", "other"]
    assert await status(database, "asked") == (Status.OBSOLETE, 0)


async def test_forgetting(database: Database) -> None:
    """What is settled and old goes; what still waits stays."""
    await a_letter(database, "waits")
    await a_letter(database, "told", due_at=None, status=Status.DELIVERED)
    assert await outbox.forget(database, made_before=NOW + timedelta(days=1)) == 1
    assert (await outbox.letter(database, "waits")).id == "waits"
