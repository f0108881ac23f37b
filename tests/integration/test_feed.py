"""The one reader of all journals: every committed entry is told once, whenever and by whomever it was written."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tests.support.rows import an_execution
from workflow_service.api.events import _told
from workflow_service.api.feed import TOO_SLOW, Feed, Subscription, message
from workflow_service.engine.ringing import EVERY, TOPIC, Bell
from workflow_service.live.in_process import InProcessBus
from workflow_service.store import feed
from workflow_service.store.database import Database
from workflow_service.store.tables import executions, journal

MOST = 20.0  # seconds that a test waits for an entry


def made(database: Database, **more: Any) -> tuple[Feed, InProcessBus]:
    """A feed, and what wakes it."""
    bus = InProcessBus()
    return Feed(database, bus, clock=lambda: datetime.now(UTC), **more), bus


async def journalled(database: Database, key: str, *seqs: int, ago: float = 0, ended: bool = False) -> None:
    """Entries of an execution, the last of which is its end, whose times are `ago` seconds before now."""
    at = datetime.now(UTC) - timedelta(seconds=ago)
    rows = [
        {"execution_id": key, "seq": seq, "generation": 1, "at": at, "kind": "Planned", "data": {"seq": seq}}
        for seq in seqs
    ]
    values: dict[str, Any] = {"seq": seqs[-1], **({"ended_at": at, "status": "completed"} if ended else {})}
    async with database.write() as connection:
        await connection.execute(sa.insert(journal), rows)
        await connection.execute(sa.update(executions).where(executions.c.id == key).values(values))


async def taken(subscription: Subscription, number: int) -> list[tuple[str, int]]:
    """The next entries."""
    found = []
    for _ in range(number):
        told = await subscription.next(MOST)
        assert told is not None
        found.append((told.entry.execution_id, told.entry.seq))
    return found


async def test_entries_are_told_once_and_in_order(database: Database) -> None:
    """What was there before is not told; what comes is, of known and of new executions, across looks."""
    told, bus = made(database)
    old = await an_execution(database)
    await journalled(database, old, 1, 2)
    subscription = await told.open(lambda _entry: True)
    await journalled(database, old, 3, 4)
    await bus.publish(TOPIC)
    assert await taken(subscription, 2) == [(old, 3), (old, 4)]
    new = await an_execution(database, at=datetime.now(UTC))
    await journalled(database, new, 1)
    await journalled(database, old, 5)
    assert set(await taken(subscription, 2)) == {(new, 1), (old, 5)}  # without a wake-up, too
    told.close(subscription)


async def test_entries_that_were_committed_late(database: Database) -> None:
    """An outage may keep an entry for minutes: what its time says does not matter, also when it is the last one."""
    told, bus = made(database)
    late, brief = await an_execution(database), await an_execution(database)
    await journalled(database, late, 1)
    subscription = await told.open(lambda _entry: True)
    await journalled(database, late, 2, 3, ago=3600, ended=True)
    await bus.publish(TOPIC)
    assert await taken(subscription, 2) == [(late, 2), (late, 3)]
    await journalled(database, brief, 1, ago=5, ended=True)
    short = await an_execution(database, at=datetime.now(UTC))
    await journalled(database, short, 1, 2, ended=True)  # begun and ended between two looks
    await bus.publish(TOPIC)
    assert sorted(await taken(subscription, 3)) == sorted([(brief, 1), (short, 1), (short, 2)])
    told.close(subscription)


async def test_clocks_that_differ_do_not_change_the_order(database: Database) -> None:
    """Entries of one execution come by number, whatever their times say."""
    told, bus = made(database)
    subscription = await told.open(lambda _entry: True)
    one = await an_execution(database, at=datetime.now(UTC))
    for seq, ago in ((1, 0), (2, 30), (3, 10)):
        await journalled(database, one, seq, ago=ago)
    await bus.publish(TOPIC)
    assert await taken(subscription, 3) == [(one, 1), (one, 2), (one, 3)]
    past = await feed.since(database, one, 1, within=None, most=10)
    assert [entry.seq for entry in past.entries] == [1, 2, 3]
    told.close(subscription)


async def test_what_came_after_an_entry(database: Database) -> None:
    """Of all executions with an overlap, of one workflow exactly; what is unknown, forgotten or too much is a gap."""
    one, other = await an_execution(database), await an_execution(database)
    await journalled(database, one, 1, 2, ago=600)
    await journalled(database, other, 1, ago=30)
    await journalled(database, one, 3, ago=10, ended=True)
    past = await feed.since(database, other, 1, within=None, most=10)
    assert [(entry.execution_id, entry.seq) for entry in past.entries] == [(other, 1), (one, 3)]
    assert past.whole
    assert len((await feed.since(database, one, 2, within=None, most=10)).entries) == 4
    for gap in (
        await feed.since(database, other, 2, within=None, most=10),
        await feed.since(database, other, 1, within=frozenset({"shop"}), most=10),
        await feed.since(database, other, 1, within=None, most=1),
    ):
        assert (gap.whole, list(gap.entries)) == (False, [])
    history = await feed.of_workflow(database, one, (one, 2))
    assert ([entry.seq for entry in history.entries], history.whole) == ([3], True)
    assert len((await feed.of_workflow(database, one, None)).entries) == 3
    async with database.write() as connection:
        await connection.execute(sa.delete(journal).where(journal.c.execution_id == one, journal.c.seq < 3))
    assert (await feed.of_workflow(database, one, (one, 2))).whole
    assert not (await feed.of_workflow(database, one, None)).whole


async def test_what_was_read_is_not_told_again() -> None:
    """The past is read while the stream is told already: what is in both comes once, in order."""
    now, key = datetime.now(UTC), "0b0ad6d8-8f4d-4a0e-9a9e-0d0c5b1f7a11"
    entries = [feed.Entry("w", key, seq, None, "running", "Planned", now, {}) for seq in (1, 2, 3, 4)]
    subscription = Subscription(lambda _entry: True, 10)
    for entry in entries[1:]:
        subscription.offer(message(entry))
    subscription.end("stopping")

    async def proved() -> bool:
        return True

    told = b"".join([part async for part in _told(subscription, feed.Past(entries[:3], whole=True), proved)])
    assert re.findall(rb"^id: .*[.](\d)$", told, re.MULTILINE) == [b"1", b"2", b"3", b"4"]
    assert told.endswith(b'event: bye\ndata: {"reason":"stopping"}\n\n')


async def test_a_storm_rings_once_in_a_while(database: Database) -> None:
    """However much is committed, wake-ups stay few, and everything is told without waiting for the next look."""
    told, bus = made(database)
    bell, rung = Bell(bus), 0
    subscription = await told.open(lambda _entry: True)

    async def count() -> None:
        nonlocal rung
        while await bus.wait(TOPIC, timeout=MOST):
            rung += 1

    counting, began = asyncio.create_task(count()), asyncio.get_running_loop().time()
    one = await an_execution(database, at=datetime.now(UTC))
    for seq in range(1, 41):
        await journalled(database, one, seq)
        await bell.ring()
    assert await taken(subscription, 40) == [(one, seq) for seq in range(1, 41)]
    assert 1 <= rung <= (asyncio.get_running_loop().time() - began) / EVERY + 1
    counting.cancel()
    told.close(subscription)


async def test_who_is_too_far_behind(database: Database) -> None:
    """Is cut off after a bounded number of entries that nobody has taken; others go on."""
    told, bus = made(database, buffer=2)
    slow, quick = await told.open(lambda _entry: True), await told.open(lambda entry: entry.seq == 3)
    one = await an_execution(database, at=datetime.now(UTC))
    await journalled(database, one, 1, 2, 3)
    await bus.publish(TOPIC)
    assert await taken(quick, 1) == [(one, 3)]
    assert await slow.next(MOST) is None
    assert slow.over == TOO_SLOW
    told.drain()
    assert await quick.next(MOST) is None
    assert quick.over == "stopping"
    for subscription in (slow, quick):
        told.close(subscription)
