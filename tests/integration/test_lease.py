"""The lease: who is certain to be alive, and who may say of others that they are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from tests.support.rows import away, count, eventually
from workflow_service.engine.lease import Lease
from workflow_service.store.database import Database
from workflow_service.store.tables import replicas

pytestmark = [pytest.mark.requirement("BR-WF-001")]

TTL = 1.0


@asynccontextmanager
async def leased(database: Database, *, replica: str = "replica-1", ttl: float = TTL) -> AsyncIterator[Lease]:
    """A lease that heartbeats."""
    lease = Lease(database, replica=replica, ttl=ttl)
    await lease.start()
    try:
        yield lease
    finally:
        await asyncio.wait_for(lease.stop(), timeout=20)


async def _is_held(lease: Lease) -> bool:
    return lease.is_held


async def _may_judge(lease: Lease) -> bool:
    return lease.may_judge


async def _is_lost(lease: Lease) -> bool:
    return not lease.is_held


async def test_a_replica_registers_and_leaves(database: Database) -> None:
    """From start to stop the replica is on the list of the living, and holds its lease."""
    async with leased(database) as lease:
        assert lease.is_held
        await asyncio.wait_for(lease.held(), timeout=1)
        assert await count(database, replicas) == 1
    assert await count(database, replicas) == 0


async def test_an_effect_waits_for_the_lease(database: Database) -> None:
    """While the heart cannot beat the lease ends by itself, effects wait, and they go on once it beats again."""
    async with leased(database) as lease:
        with away(database):
            await eventually(lambda: _is_lost(lease), "the lease has ended")
            effect = asyncio.create_task(lease.held())
            await asyncio.wait({effect}, timeout=TTL / 2)
            assert not effect.done()
        await asyncio.wait_for(effect, timeout=20)
        assert lease.is_held


async def test_a_bug_does_not_stop_the_heart(database: Database) -> None:
    """Whatever a heartbeat raises, the next one is tried."""
    async with leased(database) as lease:

        def fail(_connection: sa.Connection) -> None:
            raise KeyError("a bug")

        engine = database._writer.sync_engine
        sa.event.listen(engine, "begin", fail)
        await eventually(lambda: _is_lost(lease), "the lease has ended")
        sa.event.remove(engine, "begin", fail)
        await eventually(lambda: _is_held(lease), "the heart beats again")


async def test_who_was_struck_off_comes_back(database: Database) -> None:
    """A replica whose row has vanished puts itself on the list again."""
    async with leased(database):
        async with database.write() as connection:
            await connection.execute(sa.delete(replicas))

        async def listed() -> bool:
            return await count(database, replicas) == 1

        await eventually(listed, "it is listed again")


async def test_a_new_replica_does_not_judge_at_once(postgres_database: Database) -> None:
    """Only after a whole lease without a gap."""
    async with leased(postgres_database, ttl=2) as lease:
        assert not lease.may_judge
        await eventually(lambda: _may_judge(lease), "it may judge")


async def test_nobody_judges_after_an_outage(postgres_database: Database) -> None:
    """Who beats first after an outage does not take the other for dead, who had beaten a little before him."""
    one, other = (Lease(postgres_database, replica=name, ttl=TTL) for name in ("one", "other"))

    async def beat_until_it_may_judge() -> bool:
        await other._beat()
        await one._beat()
        return one.may_judge

    await eventually(beat_until_it_may_judge, "it may judge")
    await other._beat()
    await _pass(0.3 * TTL)
    await one._beat()
    await _pass(0.8 * TTL)  # the database is away, for less than a lease
    await one._beat()
    async with postgres_database.read() as connection:
        silent = postgres_database.clock() - sa.func.min(replicas.c.heartbeat)
        assert float(await connection.scalar(sa.select(silent).select_from(replicas)) or 0) > TTL
    assert not one.may_judge


async def _pass(seconds: float) -> None:
    await asyncio.wait({asyncio.create_task(asyncio.sleep(seconds))})


async def test_a_silent_transaction_is_ended(postgres_database: Database) -> None:
    """A replica that freezes inside a transaction holds its locks for some seconds only; the others go on."""
    async with leased(postgres_database, ttl=60) as lease:
        locked = asyncio.Event()
        go = asyncio.Event()

        async def freeze() -> None:
            async with postgres_database.write() as connection:
                await connection.execute(sa.update(replicas).values(heartbeat=0))
                locked.set()
                await go.wait()

        frozen = asyncio.create_task(freeze())
        await locked.wait()
        await asyncio.wait_for(lease._beat(), timeout=20)
        go.set()
        with pytest.raises(Exception, match="the database did not answer"):
            await frozen
