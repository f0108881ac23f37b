"""The journal: whoever lost the execution writes nothing, and nobody's trouble becomes a neighbour's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.rows import BEGAN, ROW, an_execution, away, commit_answer_lost, eventually, execution
from workflow_service.domain import events as ev
from workflow_service.domain.errors import Fenced, StoreUnavailable
from workflow_service.store.database import Database
from workflow_service.store.entry import Also, Entry
from workflow_service.store.executions import load
from workflow_service.store.journal import Journal
from workflow_service.store.tables import journal as journal_table

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-004")]


@pytest.fixture
async def journal(database: Database) -> AsyncIterator[Journal]:
    """A journal that writes."""
    writing = Journal(database)
    await writing.start()
    yield writing
    await asyncio.wait_for(writing.stop(), timeout=10)


def held(why: str = "the executor is away") -> ev.Held:
    """An ordinary event."""
    return ev.Held(BEGAN, why)


def entry(
    key: str, *events: ev.Event, generation: int = 1, seq: int = 0, also: Also | None = None, **row: Any
) -> Entry:
    """An entry of that execution."""
    return Entry(key, generation, seq, events or (held(),), ROW._replace(**row), also)


async def claimed(journal: Journal, database: Database, *, generation: int = 1) -> str:
    """An execution that a drive has claimed."""
    key = await an_execution(database)
    await journal.claim(key, generation, "replica-1")
    return key


async def test_a_claim_is_had_once(journal: Journal, database: Database) -> None:
    """Of two claims for one generation one is fenced, an older generation always is, a newer one takes over."""
    key = await an_execution(database)
    claims = await asyncio.gather(
        *(journal.claim(key, 2, f"replica-{number}") for number in range(4)), return_exceptions=True
    )
    assert [type(claim) for claim in claims].count(Fenced) == 3
    with pytest.raises(Fenced):
        await journal.claim(key, 1, "replica-9")
    await journal.claim(key, 3, "replica-9")
    assert (await execution(database, key)).owner == "replica-9"


async def test_an_ended_execution_cannot_be_claimed(journal: Journal, database: Database) -> None:
    """What is over stays over."""
    key = await an_execution(database, ended_at=BEGAN, status="completed")
    with pytest.raises(Fenced):
        await journal.claim(key, 2, "replica-1")


async def test_a_fenced_drive_writes_nothing(journal: Journal, database: Database) -> None:
    """After a newer claim the older drive's entry changes neither the journal nor the row."""
    key = await claimed(journal, database)
    await journal.append(entry(key, held("first")))
    await journal.claim(key, 2, "replica-2")
    with pytest.raises(Fenced):
        await journal.append(entry(key, held("second"), seq=1, status="failed"))
    assert await journal.read(key) == [held("first")]
    assert (await execution(database, key)).status == "running"


async def test_a_record_is_of_one_moment(journal: Journal, database: Database) -> None:
    """Whoever loads an execution while it is written sees row and journal from before or after, not one of each."""
    key = await claimed(journal, database)
    url = database.url.set(drivername="sqlite" if database.sqlite else "postgresql+psycopg")
    meanwhile, written = sa.create_engine(url), list[str]()

    def write(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "FROM executions" in statement and not written:
            written.append(key)
            row = {"execution_id": key, "seq": 1, "generation": 1, "at": BEGAN, "kind": "Held", "data": {"reason": "x"}}
            with meanwhile.begin() as connection:
                connection.execute(sa.insert(journal_table).values(row))

    reads = database._reader.sync_engine
    sa.event.listen(reads, "after_cursor_execute", write)
    assert (await load(database, key)).events == []
    assert (await load(database, key)).events == [held("x")]
    meanwhile.dispose()


async def test_a_claim_waits_for_a_write_and_the_write_counts(journal: Journal, database: Database) -> None:
    """A claim that meets a commit in flight comes after it: what it reads then is whole."""
    keys = [await claimed(journal, database) for _ in range(20)]
    writes = [journal.append(entry(key)) for key in keys]
    claims = [journal.claim(key, 2, "replica-2") for key in keys]
    results = await asyncio.gather(*writes, *claims, return_exceptions=True)
    for key, write in zip(keys, results, strict=False):
        assert write is None or isinstance(write, Fenced)
        assert len(await journal.read(key)) == (1 if write is None else 0)
    assert results[20:] == [None] * 20


async def test_one_fenced_entry_does_not_hurt_its_group(journal: Journal, database: Database) -> None:
    """In a group of 30 the one that lost its execution is refused, all others are written."""
    keys = [await claimed(journal, database) for _ in range(30)]
    await journal.claim(keys[7], 2, "replica-2")
    results = await asyncio.gather(*(journal.append(entry(key)) for key in keys), return_exceptions=True)
    assert [type(result) for result in results] == [Fenced if n == 7 else type(None) for n in range(30)]
    assert [len(await journal.read(key)) for key in keys] == [0 if n == 7 else 1 for n in range(30)]


async def _refuse(connection: AsyncConnection) -> None:
    await connection.execute(sa.text("INSERT INTO replicas (id) VALUES (NULL)"))


async def _break(_connection: AsyncConnection) -> None:
    raise KeyError("a bug")


_BAD_ENTRIES = {
    "a document that JSON cannot hold": lambda key: entry(key, held(object())),  # type: ignore[arg-type]
    "text that UTF-8 cannot hold": lambda key: entry(key, held("\ud800")),
    "a time without a zone": lambda key: entry(key, updated_at=datetime(2026, 11, 22)),  # noqa: DTZ001
    "a statement that the database refuses": lambda key: entry(key, also=_refuse),
    "a bug in what is to become true with it": lambda key: entry(key, also=_break),
}


@pytest.mark.parametrize("flaw", _BAD_ENTRIES)
async def test_one_bad_entry_does_not_hurt_its_group(journal: Journal, database: Database, flaw: str) -> None:
    """Whatever is wrong with one entry, it alone is refused, its neighbours are written, and the journal goes on."""
    keys = [await claimed(journal, database) for _ in range(5)]
    entries = [entry(key) if number != 2 else _BAD_ENTRIES[flaw](key) for number, key in enumerate(keys)]
    results = await asyncio.wait_for(asyncio.gather(*map(journal.append, entries), return_exceptions=True), timeout=20)
    assert [result is None for result in results] == [True, True, False, True, True]
    assert not isinstance(results[2], StoreUnavailable | Fenced)
    await asyncio.wait_for(journal.append(entry(keys[2])), timeout=20)
    assert [len(await journal.read(key)) for key in keys] == [1] * 5


async def test_a_cause_with_a_nul_is_written(journal: Journal, database: Database) -> None:
    """What an executor says may hold a NUL, which PostgreSQL's text refuses: the execution ends all the same."""
    key = await claimed(journal, database)
    await journal.append(entry(key, held("a\0b"), cause="Critical action x failed: a\0b", current_action="x"))
    assert await journal.read(key) == [held("a\0b")]
    assert (await execution(database, key)).cause.startswith("Critical action x failed: a")


@pytest.mark.parametrize("times", [1, 3])
async def test_a_lost_commit_answer_is_not_a_lost_execution(journal: Journal, database: Database, times: int) -> None:
    """A commit whose answer was lost is written again: once in the journal, and nobody is fenced by himself."""
    keys = [await claimed(journal, database) for _ in range(3)]
    with commit_answer_lost(database, times=times):
        await asyncio.gather(*(journal.append(entry(key, held("a"), held("b"))) for key in keys))
    await asyncio.gather(*(journal.append(entry(key, held("c"), seq=2)) for key in keys))
    for key in keys:
        assert await journal.read(key) == [held("a"), held("b"), held("c")]
        assert (await execution(database, key)).seq == 3


async def test_a_lost_commit_answer_of_the_end(journal: Journal, database: Database) -> None:
    """The last entry, too, is acknowledged when only its answer was lost."""
    key = await claimed(journal, database)
    with commit_answer_lost(database):
        await journal.append(entry(key, status="completed", ended_at=BEGAN))
    assert (await execution(database, key)).status == "completed"


async def test_a_takeover_after_a_lost_commit_answer(journal: Journal, database: Database) -> None:
    """When another drive has it by the time of the repetition, the writer is fenced and what was written stays."""
    key = await claimed(journal, database)
    with commit_answer_lost(database):
        write = asyncio.create_task(journal.append(entry(key, held("a"))))
        await eventually(lambda: journal.read(key), "it is committed")
        await journal.claim(key, 2, "replica-2")
        with pytest.raises(Fenced):
            await write
    assert await journal.read(key) == [held("a")]


async def test_writes_wait_for_the_database(journal: Journal, database: Database) -> None:
    """While the database is away a write neither fails nor is acknowledged; afterwards it is there."""
    key = await claimed(journal, database)
    with away(database):
        write = asyncio.create_task(journal.append(entry(key)))
        await asyncio.wait({write}, timeout=0.5)
        assert not write.done()
    await asyncio.wait_for(write, timeout=20)
    assert await journal.read(key) == [held()]


async def test_a_closed_journal_refuses(database: Database) -> None:
    """Writes that wait when the journal closes, in the middle of an outage too, and later ones are told so."""
    journal = Journal(database)
    await journal.start()
    key = await claimed(journal, database)
    with away(database):
        writes = [asyncio.create_task(journal.append(entry(key, seq=seq))) for seq in range(3)]
        await asyncio.wait(writes, timeout=0.3)
        await journal.stop()
    results = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), timeout=20)
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(journal.append(entry(key)), timeout=20)
    assert await journal.read(key) == []


async def test_a_cancelled_write_leaves_the_database_free(journal: Journal, database: Database) -> None:
    """Whoever is cancelled in the middle of a transaction leaves no lock behind."""
    key = await an_execution(database)
    begun = asyncio.Event()

    async def never_ends() -> None:
        async with database.write() as connection:
            await connection.execute(sa.text("UPDATE executions SET cause = 'mine'"))
            begun.set()
            await asyncio.Event().wait()

    writing = asyncio.create_task(never_ends())
    await begun.wait()
    writing.cancel()
    await asyncio.wait({writing})
    await asyncio.wait_for(journal.claim(key, 1, "replica-1"), timeout=5)
    assert (await execution(database, key)).cause == ""
