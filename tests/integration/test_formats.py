"""Two versions on one database: what the newer one has driven is left to it, and nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.queue import Taken, queue
from tests.support.rows import an_execution, eventually, execution
from workflow_service.domain.errors import Fenced, TooNew
from workflow_service.domain.formats import FORMAT
from workflow_service.engine.lease import Lease
from workflow_service.engine.on_dbos import DbosEngine
from workflow_service.engine.reaping import Reaper
from workflow_service.engine.reconcile import Reconciler
from workflow_service.store import migrations
from workflow_service.store.database import Database
from workflow_service.store.executions import load
from workflow_service.store.journal import Journal
from workflow_service.store.waiting import first_in_line

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-004")]

NEWER = {"format": FORMAT + 1}
AGO = timedelta(hours=2)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[DbosEngine]:
    """An engine that serves nothing but the queue `q`."""
    async with queue(database, Taken().body) as started:
        yield started


async def _left(database: Database, **columns: Any) -> str:
    """An execution that nobody drives, for two hours, past its bound."""
    then = datetime.now(UTC) - AGO
    return await an_execution(database, at=then, must_end_by=then + AGO / 2, **{"queue": "executions", **columns})


async def test_a_claim_leaves_the_mark_of_its_version(database: Database) -> None:
    """Whoever drives an execution marks it; one with the mark of a newer version cannot be claimed, nor changed."""
    older, newer = await _left(database, format=FORMAT - 1), await _left(database, **NEWER)
    journal = Journal(database)
    await journal.claim(older, 1, "me")
    assert (await execution(database, older)).format == FORMAT
    with pytest.raises(Fenced):
        await journal.claim(newer, 1, "me")
    row = await execution(database, newer)
    assert (row.generation, row.owner, row.format) == (0, None, FORMAT + 1)


async def test_what_a_newer_version_has_driven_is_not_read(database: Database) -> None:
    """Its journal may hold what this version has no meaning for: that is said, not guessed."""
    key = await _left(database, **NEWER)
    with pytest.raises(TooNew, match=f"format {FORMAT + 1}, here {FORMAT}"):
        await load(database, key)


async def test_nobody_here_looks_after_it(database: Database, engine: DbosEngine) -> None:
    """Neither reconciler nor reaper nor the line hands out a drive that this version could not ride."""
    lease = Lease(database, replica="me", ttl=1.0)
    await lease.start()

    async def may_judge() -> bool:
        return lease.may_judge

    await eventually(may_judge, "it may judge")
    reconciler = Reconciler(database, engine, lease, driving=lambda _id: False, interval=60)
    ours = [await _left(database), await _left(database, owner="gone")]
    theirs = [await _left(database, **NEWER), await _left(database, owner="gone", **NEWER)]
    assert await reconciler.adopt() == 1
    assert await Reaper(database, engine, clock=lambda: datetime.now(UTC)).reap() == 2
    await reconciler.sweep()
    assert [(await execution(database, key)).enqueued for key in theirs] == [1, 1]
    assert all([(await execution(database, key)).enqueued > 1 for key in ours])
    await lease.stop()
    line = await _left(database, queue="line", **NEWER)
    assert await first_in_line(database, "line") is None
    async with database.write() as connection:
        await connection.execute(sa.text("UPDATE executions SET format = 1 WHERE id = :id"), {"id": line})
    found = await first_in_line(database, "line")
    assert found is not None
    assert found.execution_id == line


async def test_the_schema_of_a_newer_version_is_used_as_it_is(url: str) -> None:
    """A replica of the older version that starts again beside newer ones serves, and takes nothing back."""
    database = Database(url)
    await migrations.upgrade(database)
    async with database.write() as connection:
        await connection.execute(sa.text("UPDATE workflow_service_version SET version_num = '9999'"))
    await migrations.upgrade(database)
    async with database.read() as connection:
        assert await connection.scalar(sa.text("SELECT version_num FROM workflow_service_version")) == "9999"
    await database.close()
