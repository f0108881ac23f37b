"""Forgetting takes all of what is old and over, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.support.rows import BEGAN, an_alert, an_execution, count
from workflow_service.store import retention
from workflow_service.store.database import Database
from workflow_service.store.tables import (
    alerts,
    commands,
    deliveries,
    executions,
    identities,
    journal,
    metadata,
    plans,
    workflows,
)

LATER, OLD = BEGAN + timedelta(days=40), BEGAN + timedelta(days=1)


async def _an_execution(database: Database, *, ended: bool = True, late: bool = False) -> str:
    at = LATER if late else BEGAN
    end = {"ended_at": at, "status": "completed"} if ended else {}
    key = await an_execution(database, at=at, **end)
    async with database.write() as connection:
        entry = {"execution_id": key, "seq": 1, "generation": 1, "at": at, "kind": "Held", "data": {}}
        await connection.execute(sa.insert(journal).values(entry))
        plan = {"workflow_id": key, "hash": "h", "revision": 1, "created_at": at, "document": {}}
        await connection.execute(sa.insert(plans).values(plan))
        order = {"id": key, "workflow_id": key, "execution_id": key, "verb": "pause", "actor": "ann", "reason": ""}
        answer = {"outcome": "applied", "answered_at": at}
        await connection.execute(sa.insert(commands).values(**order, **answer, arguments={}, created_at=at))
    return key


async def test_detail_goes_first(database: Database) -> None:
    """Journals of executions that ended long ago go; the workflow, and every other journal, stay."""
    gone, runs, recent = (
        await _an_execution(database),
        await _an_execution(database, ended=False),
        await _an_execution(database, late=True),
    )
    assert await retention.forget_detail(database, ended_before=OLD) == 1
    assert await retention.forget_detail(database, ended_before=OLD) == 0
    async with database.read() as connection:
        assert set((await connection.execute(sa.select(journal.c.execution_id))).scalars()) == {runs, recent}
        assert gone in (await connection.execute(sa.select(executions.c.id))).scalars().all()


async def _forget(database: Database, **classes: timedelta) -> None:
    """With classes that keep everything but what the test names."""
    long = {name: timedelta(days=1000) for name in ("detail", "deliveries", "outcomes", "audit")}
    await retention.forget(database, retention.Keep(**{**long, **classes}), now=OLD)


async def test_workflows_go_with_all_that_is_theirs(database: Database) -> None:
    """Alert, delivery, plan, journal and identities too; what runs, is recent or undecided stays whole."""
    await _an_execution(database)
    await _an_execution(database, ended=False)
    await _an_execution(database, late=True)
    await an_alert(database, outcome=None)
    await an_alert(database, outcome="cooled_down")
    day = timedelta(hours=12)
    await _forget(database, detail=day, outcomes=day, deliveries=day, audit=day)
    for table in (workflows, executions, plans, identities):
        assert await count(database, table) == 2, table.name
    assert await count(database, commands) == 1
    assert await count(database, journal) == 2
    assert await count(database, alerts) == await count(database, deliveries) == 3


async def test_the_bytes_that_came_go_alone(database: Database) -> None:
    """Deliveries are emptied when their time is over; alerts and workflows stay; what is undecided keeps its bytes."""
    await _an_execution(database)
    await an_alert(database, outcome=None)
    await an_alert(database, at=LATER)
    await _forget(database, deliveries=timedelta(hours=12))
    async with database.read() as connection:
        bodies = (await connection.execute(sa.select(deliveries.c.body))).scalars().all()
    assert sorted(bodies) == [b"", b"{}", b"{}"]
    assert await count(database, alerts) == 3
    assert await count(database, workflows) == 1
    assert await retention.forget_bodies(database, received_before=OLD) == 0


async def test_commands_go_alone(database: Database) -> None:
    """Answered commands go when their time is over, others never; the workflow stays."""
    gone, waits = await _an_execution(database), await _an_execution(database, ended=False)
    async with database.write() as connection:
        await connection.execute(sa.update(commands).where(commands.c.id == waits).values(outcome=None))
    await _forget(database, audit=timedelta(hours=12))
    async with database.read() as connection:
        assert set((await connection.execute(sa.select(commands.c.id))).scalars()) == {waits}
        assert gone in (await connection.execute(sa.select(workflows.c.id))).scalars().all()


async def test_a_workflow_stays_with_the_longest_of_its_classes(database: Database) -> None:
    """As long as somebody's command to it is remembered, or its journal, it is there to be read about."""
    key = await _an_execution(database)
    day = timedelta(hours=12)
    await _forget(database, detail=day, outcomes=day, deliveries=day)
    assert await count(database, workflows) == await count(database, alerts) == await count(database, deliveries) == 1
    async with database.write() as connection:
        await connection.execute(sa.delete(commands))
    await _forget(database, outcomes=day)
    assert await count(database, workflows) == 1, "its detail is to be kept for longer"
    await _forget(database, outcomes=day, detail=day, deliveries=day)
    for table in (workflows, executions, alerts, deliveries):
        assert await count(database, table) == 0, (table.name, key)


async def test_however_many_there_are(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call forgets all, not one batch: otherwise a busy service would forget more slowly than it learns."""
    monkeypatch.setattr(retention, "BATCH", 3)
    for _ in range(10):
        await _an_execution(database)
    assert await retention.forget_detail(database, ended_before=OLD) == 10
    assert await retention.forget_bodies(database, received_before=OLD) == 10
    assert await retention.forget_commands(database, given_before=OLD) == 10
    assert await retention.forget_workflows(database, ended_before=OLD) == 10
    assert await retention.forget_alerts(database, received_before=OLD) == 10
    assert await retention.forget_deliveries(database, received_before=OLD) == 10
    for table in (alerts, deliveries, workflows, executions):
        assert await count(database, table) == 0


async def test_every_reference_can_be_followed_back(database: Database) -> None:
    """Each foreign key is indexed, or deleting one row would read the whole table that refers to it."""

    def unindexed(connection: sa.Connection) -> list[tuple[str, str]]:
        inspector = sa.inspect(connection)
        found: list[tuple[str, str]] = []
        for table in metadata.tables.values():
            first = {tuple(index["column_names"])[:1] for index in inspector.get_indexes(table.name)}
            first.add(tuple(inspector.get_pk_constraint(table.name)["constrained_columns"])[:1])
            keys = [tuple(key["constrained_columns"]) for key in inspector.get_foreign_keys(table.name)]
            found += [(table.name, key[0]) for key in keys if key not in first]
        return found

    async with database.read() as connection:
        assert await connection.run_sync(unindexed) == []
