"""Carrying out the schedule: each disturbance, done to real processes, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from random import Random

from workflow_service.faultkit import skew
from workflow_service.faultkit.engine_rows import delete_one
from workflow_service.faultkit.faults import Disturbance, Planned, Tally
from workflow_service.faultkit.fleet import LEASE, Fleet
from workflow_service.faultkit.load import Flow
from workflow_service.faultkit.postgres import Stop

ROW_TRIES, ROW_PAUSE = 100, 0.1  # looks for a row that can be deleted, and seconds between them


class Injector:
    """Does to a fleet what the schedule says, as the load goes on."""

    def __init__(self, fleet: Fleet, flow: Flow, tally: Tally, *, rng: Random, tell: Callable[[str], None]) -> None:
        self._fleet, self._flow, self._tally, self._rng, self._tell = fleet, flow, tally, rng, tell
        self._next: int | None = 0  # alerts of this number and above wait for the next disturbance to begin

    def possible(self) -> list[Disturbance]:
        """What can be done here; the tally learns why the rest cannot."""
        if self._fleet.postgres is None:
            why = "the database is not the fault kit's own"
            self._tally.skipped |= {Disturbance.DATABASE_FAST: why, Disturbance.DATABASE_IMMEDIATE: why}
        if skew.library() is None:
            self._tally.skipped[Disturbance.CLOCK_SKEW] = skew.MISSING
        return [fault for fault in Disturbance if fault not in self._tally.skipped]

    def may_send(self, number: int) -> bool:
        """Whether alert `number` may be sent already: the load does not run away from the disturbances."""
        return self._next is None or number < self._next

    async def run(self, schedule: Sequence[Planned]) -> None:
        """Do everything, each once so many alerts were accepted; return when the last one is over."""
        for index, planned in enumerate(schedule):
            self._let_send(planned.after)
            # It is awaited before the loop goes on.
            await self._flow.until(lambda: len(self._flow.accepted) >= planned.after)  # noqa: B023
            self._let_send(schedule[index + 1].after if index + 1 < len(schedule) else None)
            self._tell(f"{len(self._flow.accepted)} accepted, {len(self._flow.open)} open: {planned.fault}")
            await self._do(planned.fault)

    def _let_send(self, below: int | None) -> None:
        self._next = below
        self._flow.moved.set()

    async def _do(self, fault: Disturbance) -> None:
        hit: Iterable[str] = set(self._flow.open.values())
        match fault:
            case Disturbance.KILL_REPLICA | Disturbance.CLOCK_SKEW:
                await self._kill_replica(skewed=fault is Disturbance.CLOCK_SKEW)
            case Disturbance.KILL_EXECUTOR | Disturbance.LEDGER_LOST:
                await self._kill_executor(ledger_too=fault is Disturbance.LEDGER_LOST)
            case Disturbance.FREEZE_REPLICA:
                await self._freeze_replica()
            case Disturbance.DATABASE_FAST:
                await self._restart_database(Stop.FAST)
            case Disturbance.DATABASE_IMMEDIATE:
                await self._restart_database(Stop.IMMEDIATE)
            case Disturbance.ROW_DELETED:
                hit = await self._delete_row()
        if hit or fault is not Disturbance.ROW_DELETED:
            self._tally.note(fault, hit)

    async def _kill_replica(self, *, skewed: bool) -> None:
        replica, library = self._rng.choice(self._fleet.replicas), skew.library()
        seconds = self._rng.choice((-1, 1)) * self._rng.randint(5, 20)
        await replica.kill()
        await self._pause(0.2, 1.5 * LEASE)
        await replica.start(**(skew.shifted(library, seconds) if skewed and library else {}))

    async def _kill_executor(self, *, ledger_too: bool) -> None:
        if self._rng.random() < 0.5:  # else the proxy takes requests for a dead executor and cuts them
            await self._fleet.proxy.shut_door()
        await self._fleet.executor.kill()
        if ledger_too:
            for path in self._fleet.ledger:
                path.unlink()
        await self._pause(0.2, LEASE)
        await self._fleet.executor.start()
        await self._fleet.proxy.open_door()

    async def _freeze_replica(self) -> None:
        replica = self._rng.choice(self._fleet.replicas)
        replica.freeze()
        try:
            await self._pause(1.5 * LEASE, 2.5 * LEASE)
        finally:
            replica.thaw()

    async def _restart_database(self, how: Stop) -> None:
        if self._fleet.postgres is not None:
            await self._fleet.postgres.stop(how)
            await self._pause(0.0, 1.5 * LEASE)
            await self._fleet.postgres.start()

    async def _delete_row(self) -> list[str]:
        for _ in range(ROW_TRIES):
            found = await asyncio.to_thread(delete_one, self._fleet.database, self._rng)
            if found is not None:
                return [found]
            await asyncio.sleep(ROW_PAUSE)
        return []

    async def _pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self._rng.uniform(least, most))
