"""Drives at their edges: what can never be driven ends, and a replica that leaves takes little with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.queue import kept
from tests.support.replica import HIGH_CPU, act, eventually, replica, rules_of, steps
from tests.support.rows import commit_answer_lost
from tests.support.scripted_executor import Answer, ScriptedExecutor
from workflow_service.app import PLANNING_SLOTS, POLLING
from workflow_service.domain.errors import Fenced
from workflow_service.engine import ride as rides
from workflow_service.store.tables import active_identities, executions, journal

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-004")]


def web(number: int) -> dict[str, object]:
    """One of many alerts about different deployments."""
    return {**HIGH_CPU, "resource": f"deployment/web-{number}"}


async def test_what_cannot_be_driven_is_stopped_by_key_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only drives in a row that wrote nothing count; the execution fails and says so, its action cancelled by key."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        workflow = await running.begin(HIGH_CPU)
        await eventually(executor.running, "the action runs")
    monkeypatch.setattr(rides, "MAX_FRUITLESS", 1)
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        found = await running.ended(workflow)
    assert (found["status"], found["reason"]) == ("failed", "internal_error")
    assert executor.cancelled == [executor.effects[0]]
    assert steps(found)["one"]["status"] == "failed"


async def test_a_journal_that_cannot_be_read_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even when nothing of it is understood any more the execution ends, and frees what it held."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        await running.begin(HIGH_CPU)
        await eventually(executor.running, "the action runs")
        async with running.parts.database.write() as connection:
            await connection.execute(sa.update(journal).where(journal.c.kind == "StepStarted").values(kind="Nonsense"))
    monkeypatch.setattr(rides, "MAX_FRUITLESS", 1)
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:

        async def reason() -> str | None:
            async with running.parts.database.read() as connection:
                query = sa.select(executions.c.reason).where(executions.c.ended_at.is_not(None))
                return str(await connection.scalar(query) or "") or None

        async with asyncio.timeout(20):
            while not (why := await reason()):
                await running.parts.bus.wait("never", timeout=0.05)
        assert why == "internal_error"
        [line] = [line for line in running.log if line["event"] == "what is under way cannot be settled"]
        running.log.remove(line)
        async with running.parts.database.read() as connection:
            assert not (await connection.execute(sa.select(active_identities))).all()


async def test_a_claim_whose_answer_was_lost_is_driven(tmp_path: Path) -> None:
    """A drive that has claimed its execution without learning of it is replaced; nothing is done twice."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="1") as running:
        await running.begin(web(0))
        await eventually(executor.running, "the only slot is taken")
        waits = await running.begin(web(1))
        await running.until(waits, lambda found: found["status"] == "queued", "the other one waits for it")
        with commit_answer_lost(running.parts.database, of="SET generation="):
            executor.finish()
            found = await running.ended(waits)
    assert found["status"] == "completed"
    assert len(executor.effects) == 2
    assert "its replica is gone" in {line.get("why") for line in running.log}


async def test_who_need_not_wait_does_not_queue(tmp_path: Path) -> None:
    """While slots are free an alert is planned and run in one drive that the durable queue never sees."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        found = await running.ended(await running.begin(HIGH_CPU))
        assert not await kept(running.parts.database)
        async with running.parts.database.read() as connection:
            row = (await connection.execute(sa.select(executions))).one()
    assert found["status"] == "completed"
    assert (row.generation, row.enqueued, row.queue) == (1, 1, "executions")


async def test_an_admission_whose_answer_was_lost_is_driven(tmp_path: Path) -> None:
    """Stored as this replica's own although nobody was told: it is found undriven, and done once."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        with commit_answer_lost(running.parts.database, of="INSERT INTO active_identities"):
            answer = await running.execute(HIGH_CPU, prefer="respond-async")
        assert answer.status_code == 500
        found = await running.ended(await running.begin(HIGH_CPU))
        await eventually(lambda: running.parts.driver.count == 0, "the drive is over")
        planning = running.parts.driver._slots["planning"]
        assert all(planning.take_now() for _ in range(PLANNING_SLOTS)), "what was reserved in vain is free again"
    assert found["status"] == "completed"
    assert len(executor.effects) == 1


async def test_slots_are_counted_over_both_ways(tmp_path: Path) -> None:
    """Begun where they were admitted or taken from the queue, no more run at once than there are slots."""
    executor = ScriptedExecutor()
    executor.script("one", *[Answer(slow=True)] * 6)
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="2") as running:
        ids = [await running.begin(web(number)) for number in range(6)]
        for done in range(3):
            await eventually(lambda: len(executor.running()) == 2, f"two run, {2 * done} are done")
            executor.finish()
        for workflow in ids:
            await running.ended(workflow)
    assert executor.most_at_once == 2


async def test_nobody_jumps_the_queue(tmp_path: Path) -> None:
    """A slot that becomes free belongs to who waits for it, not to the newcomer that would need no queue."""
    executor = ScriptedExecutor()
    executor.script("one", *[Answer(slow=True)] * 3)
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="1") as running:
        await running.begin(web(0))
        await eventually(executor.running, "the only slot is taken")
        second = await running.begin(web(1))
        await eventually(lambda: running.parts.driver.count == 2, "the second one waits at the door")
        third = await running.begin(web(2))
        for workflow in (second, third):
            executor.finish()
            await running.until(workflow, lambda found: found["status"] == "running", "its turn has come")
        executor.finish()
        await running.ended(third)
    assert executor.most_at_once == 1


async def test_a_replica_that_leaves_does_not_empty_the_queue(tmp_path: Path) -> None:
    """While it drains it takes no more drives than it has slots; what waits is left for others."""
    executor = ScriptedExecutor()
    executor.script("one", *[Answer(slow=True)] * 20)
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="2") as running:
        for number in range(12):
            await running.begin(web(number))
        await eventually(lambda: len(executor.running()) == 2, "two run")

        async def waiting() -> int:
            rows = (await kept(running.parts.database)).values()
            return [row["status"] for row in rows if row["queue_name"] == "executions"].count("ENQUEUED")

        async with asyncio.timeout(45):
            while (left := await waiting()) < 4:  # two run; who waits at the door are the more, the busier this loop is
                await running.parts.bus.wait("never", timeout=0.05)
        running.parts.driver._draining.set()
        for slots in running.parts.driver._slots.values():
            slots.close()
        await eventually(lambda: running.parts.driver.count == 0, "what ran has stopped")
        await running.parts.bus.wait("never", timeout=20 * POLLING)
        assert await waiting() >= left - 2


async def test_a_fenced_drive_leaves_without_a_word(tmp_path: Path) -> None:
    """When the execution is taken over in the middle, the old drive writes nothing more and calls nobody."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        await running.begin(HIGH_CPU)
        await eventually(executor.running, "the action runs")
        async with running.parts.database.read() as connection:
            row = (await connection.execute(sa.select(executions.c.id, executions.c.seq))).one()
        await running.parts.journal.claim(row.id, 9, "somebody else")
        with pytest.raises(Fenced):
            await running.parts.journal.claim(row.id, 9, "a third one")
        executor.finish()
        await eventually(lambda: not running.parts.driver.driving(row.id), "the old drive is gone")
        async with running.parts.database.read() as connection:
            assert await connection.scalar(sa.select(executions.c.seq)) == row.seq
    assert len(executor.effects) == 1


async def test_drives_that_get_on_may_be_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only drives in a row that wrote nothing count: one that was woken often and did its work is not given up."""
    monkeypatch.setattr(rides, "MAX_FRUITLESS", 2)  # the second drive of every execution already passes for many
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="1") as running:
        await running.begin(web(0))
        await eventually(executor.running, "the only slot is taken")
        second = await running.begin(web(1))
        await running.until(second, lambda found: found["status"] == "queued", "the other one waits for it")
        executor.finish()
        found = await running.ended(second)
    assert found["status"] == "completed"
