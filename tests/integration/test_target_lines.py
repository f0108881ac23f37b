"""Lines before targets, on the journal itself: all or nothing, nobody overtaken, nobody locked out, nothing left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.rows import BEGAN, ROW, an_execution, count
from workflow_service.domain import events as ev
from workflow_service.domain.errors import TargetsTaken
from workflow_service.engine.handover import release
from workflow_service.store import locks
from workflow_service.store.database import Database
from workflow_service.store.entry import Entry
from workflow_service.store.journal import Journal
from workflow_service.store.locks import Grip
from workflow_service.store.tables import target_locks, target_waits

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-004")


async def rows(database: Database) -> list[tuple[str, str | None]]:
    """Who has which target."""
    async with database.read() as connection:
        found = await connection.execute(sa.select(target_locks).order_by(target_locks.c.target))
        return [(row.target, row.execution_id) for row in found]


class Worker:
    """One execution on a journal, as a drive behaves: take, or stand in line until woken; work; end."""

    def __init__(self, journal: Journal, key: str, targets: Sequence[str], *, busy: dict[str, str]) -> None:
        self.journal, self.key, self.targets, self.busy = journal, key, targets, busy
        self.woken, self.seq = asyncio.Event(), 0

    async def append(self, grip: Grip, *, final: bool = False, still: bool = False) -> None:
        """Write an entry."""

        async def also(connection: AsyncConnection) -> None:
            await release(connection, self.key)

        row = ROW._replace(ended_at=BEGAN, status="completed") if final else ROW
        entry = Entry(self.key, 1, self.seq, (ev.Held(BEGAN, "x"),), row, also if still else None)
        await self.journal.append(entry._replace(workflow_id=self.key if final else None, grip=grip))
        self.seq += 1

    async def work(self) -> None:
        """From its first try to its end."""
        while True:
            try:
                await self.append(Grip(takes=self.targets))
            except TargetsTaken:
                self.woken.clear()
                await self.append(Grip(lets_go=True, awaits=self.targets), still=True)
                await self.woken.wait()
            else:
                break
        for target in self.targets:
            assert self.busy.setdefault(target, self.key) == self.key, "two at one target"
        await asyncio.sleep(0)
        for target in self.targets:
            del self.busy[target]
        await self.append(Grip(), final=True)


@pytest.mark.parametrize("seed", range(3))
async def test_plans_that_cross_never_lock_each_other_out(database: Database, seed: int) -> None:
    """Many plans over {A,B}, {B,A} and the like, on two replicas: no two at one target, all have their turn."""
    dice, busy, workers = random.Random(seed), dict[str, str](), dict[str, Worker]()  # noqa: S311 - not a secret

    async def wake(_connection: AsyncConnection, execution_id: str, _enqueued: int) -> None:
        workers[execution_id].woken.set()

    journals = [Journal(database, wake=wake) for _ in range(1 if database.sqlite else 2)]
    for journal in journals:
        await journal.start()
    for number in range(30):
        key = await an_execution(database, priority=dice.randint(1, 9))
        journal = journals[number % len(journals)]
        await journal.claim(key, 1, "replica")
        targets = dice.sample("ABC", dice.randint(1, 3))
        workers[key] = Worker(journal, key, targets, busy=busy)
    try:
        async with asyncio.timeout(50):
            await asyncio.gather(*(worker.work() for worker in workers.values()))
    finally:
        for journal in journals:
            await journal.stop()
    assert await rows(database) == []
    assert await count(database, target_waits) == 0


async def test_who_wants_two_is_not_overtaken_by_who_wants_one(database: Database) -> None:
    """What is free, but kept for somebody who waits for more, is not had by a newcomer."""
    given: list[str] = []

    async def wake(_connection: AsyncConnection, execution_id: str, _enqueued: int) -> None:
        given.append(execution_id)

    journal = Journal(database, wake=wake)
    await journal.start()
    busy: dict[str, str] = {}
    keys = [await an_execution(database, at=BEGAN + timedelta(seconds=number)) for number in range(3)]
    for key in keys:
        await journal.claim(key, 1, "replica")
    one, both, newcomer = (Worker(journal, key, "AB", busy=busy) for key in keys)
    await one.append(Grip(takes="A"))
    with pytest.raises(TargetsTaken) as error:
        await both.append(Grip(takes="AB"))
    assert error.value.targets == {"A"}
    await both.append(Grip(lets_go=True, awaits="AB"), still=True)
    with pytest.raises(TargetsTaken):
        await newcomer.append(Grip(takes="B"))
    await newcomer.append(Grip(lets_go=True, awaits="B"), still=True)
    assert await locks.holders(database, ["A", "B"]) == {"A": keys[0], "B": ""}
    await one.append(Grip(), final=True)
    assert given == [keys[1]]
    assert [holder for _, holder in await rows(database)] == [keys[1]] * 2
    await both.append(Grip(takes="AB"))  # its own already
    await both.append(Grip(), final=True)
    await newcomer.append(Grip(takes="B"))
    await newcomer.append(Grip(), final=True)
    assert given == keys[1:]
    assert await rows(database) == []
    await journal.stop()


async def test_a_neighbour_is_written_when_a_target_is_taken(database: Database) -> None:
    """In one group commit only who wants what another one has is refused."""
    journal = Journal(database)
    keys = [await an_execution(database) for _ in range(4)]
    for key in keys:
        await journal.claim(key, 1, "replica")
    workers = [Worker(journal, key, "A", busy={}) for key in keys]
    writes = [
        asyncio.ensure_future(worker.append(Grip(takes=takes))) for worker, takes in zip(workers, "AABC", strict=True)
    ]
    await asyncio.sleep(0)
    await journal.start()
    found = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(one) for one in found] == [type(None), TargetsTaken, type(None), type(None)]
    assert [holder for _, holder in await rows(database)] == [keys[0], keys[2], keys[3]]
    await journal.stop()


async def test_an_entry_whose_answer_was_lost_takes_once(database: Database) -> None:
    """Written again it finds what it took, and that is no refusal."""
    journal = Journal(database)
    await journal.start()
    key = await an_execution(database)
    await journal.claim(key, 1, "replica")
    worker = Worker(journal, key, "A", busy={})
    for _ in range(2):
        await worker.append(Grip(takes="AB"))
    assert [holder for _, holder in await rows(database)] == [key, key]
    await journal.stop()
