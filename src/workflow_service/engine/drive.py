"""Every drive of this replica: how it comes here, the slot that it needs, the task that it rides in, and its end.

A drive comes in one of two ways. The durable queue delivers it: the delivery takes a slot, claims the execution, and is
over. Or intake admits an alert while a slot is free: then the execution is stored as this replica's own, claimed from
its first moment, and rides without any queue. Either way an execution that this replica owns and does not drive, and
one whose replica is gone, gets its next drive from the reconciler. Slots are counted here, over both ways.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from contextvars import Context

import structlog

from workflow_service.domain.errors import Fenced, StoreUnavailable
from workflow_service.engine.handover import PLANNING, RUNNING
from workflow_service.engine.means import Means
from workflow_service.engine.ride import Ride, patiently
from workflow_service.engine.slots import Seat, Slots
from workflow_service.ports import Drive
from workflow_service.store.executions import Record
from workflow_service.store.waiting import first_in_line

PAUSE = 0.5  # seconds before a drive that a bug has ended is missed: its next one comes at no faster pace
TRIES = 5  # to claim whoever is first in line, while other replicas do the same
LAST_WORDS = 5.0  # seconds that drives which are to stop get for what they still have to write

log = structlog.get_logger(__name__)


class Driver:
    """Runs drives, and knows which executions it drives right now."""

    def __init__(self, means: Means, slots: Mapping[str, int]) -> None:
        """`slots`: how many drives of each queue ride at once on this replica."""
        self._means = means
        self._draining = asyncio.Event()
        self._slots = {queue: Slots(number) for queue, number in slots.items()}
        self._driving: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def driving(self, execution_id: str) -> bool:
        """Whether a drive of that execution runs in this process, or is about to."""
        return self._driving[execution_id] > 0

    @property
    def count(self) -> int:
        """How many drives run now."""
        return self._driving.total()

    async def deliver(self, drive: Drive, queue: str) -> None:
        """What the durable queue runs: take a slot, claim, and ride on in a task of our own.

        Whatever goes wrong, the execution's rows stay as they are and the reconciler sends the next drive.
        """
        self._enter(drive.execution_id)
        try:
            if await self._deliver(drive, queue):
                return
        finally:
            self._leave(drive.execution_id)
        await self._give_away(drive)

    async def _deliver(self, drive: Drive, queue: str) -> bool:
        """False: this replica is to stop."""
        slots = self._slots[queue]
        waited = not slots.take_now()
        if waited and not await slots.take():
            return False
        seat = Seat(slots)
        try:
            claimed = await (self._claim_first(drive, queue) if waited else self._claim_this(drive))
        except BaseException:
            seat.leave()
            raise
        if claimed is None:
            seat.leave()
        else:
            self._go(self._ride_of(claimed, seat))
        return True

    async def _claim_first(self, drive: Drive, queue: str) -> Drive | None:
        """While a delivery waited for its slot, somebody more urgent may have come: then they change places.

        Each delivery serves one who waits, whoever it is, so as many are served as were delivered.
        """
        for _ in range(TRIES):
            with suppress(StoreUnavailable):
                first = await first_in_line(self._means.database, queue)
                if first is None or first == drive:
                    break
                if claimed := await self._claim_this(first):
                    return claimed
        return await self._claim_this(drive)

    async def _claim_this(self, drive: Drive) -> Drive | None:
        """The drive, once it owns its execution; None when another one does."""
        try:
            await patiently(lambda: self._claim(drive), self._draining)
        except (Fenced, StoreUnavailable) as error:
            log.info("drive gave way", drive=drive.id, why=str(error))
            return None
        return drive

    def reserve(self, execution_id: str) -> str | None:
        """Take a planning slot for an execution that is about to be admitted; the name of its owner, this replica.

        None when no slot is free or somebody waits for one: then it has to queue.
        """
        if not self._slots[PLANNING].take_now():
            return None
        self._enter(execution_id)
        return self._means.replica

    def begin(self, record: Record) -> None:
        """Drive an execution that was reserved and is stored now, by its first drive."""
        self._go(self._ride_of(Drive(record.execution_id, 1), Seat(self._slots[PLANNING]), record))
        self._leave(record.execution_id)

    def let_go(self, execution_id: str) -> None:
        """A reserved execution was not stored, or nobody knows: what is stored all the same will be found undriven."""
        self._slots[PLANNING].give_back()
        self._leave(execution_id)

    async def drain(self) -> None:
        """Tell every drive to stop where it is, and wait until all have.

        A drive that cannot write its last words, since the database is away, is told so by a closed journal.
        """
        self._draining.set()
        for slots in self._slots.values():
            slots.close()
        if not await self._is_idle():
            log.warning("the journal is closed before its time: drives wait for the database", drives=self.count)
            await self._means.journal.stop()
            if not await self._is_idle():
                log.error("drives do not stop and are left behind", drives=self.count)
        self._stopped.set()

    async def _is_idle(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await self._idle.wait()
        return self._idle.is_set()

    def _ride_of(self, drive: Drive, seat: Seat, record: Record | None = None) -> Ride:
        return Ride(self._means, drive, seat, running=self._slots[RUNNING], draining=self._draining, record=record)

    def _go(self, ride: Ride) -> None:
        """Ride in a context of its own: neither the queue's nor a caller's."""
        self._enter(ride.drive.execution_id)
        task = asyncio.create_task(self._ride(ride), name=ride.drive.id, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ride(self, ride: Ride) -> None:
        drive = ride.drive
        try:
            with structlog.contextvars.bound_contextvars(execution_id=drive.execution_id, drive=drive.id):
                await ride.ride()
        except Fenced as error:
            log.info("drive gave way", drive=drive.id, why=str(error))
        except StoreUnavailable as error:
            log.warning("drive lost its database", drive=drive.id, why=str(error))
        except Exception:
            # The boundary of a drive: a bug must not take its neighbours down.
            log.exception("drive failed", drive=drive.id)
            await asyncio.sleep(PAUSE)
        finally:
            ride.seat.leave()
            self._leave(drive.execution_id)

    async def _give_away(self, drive: Drive) -> None:
        """Claim a drive that came too late, so that it is taken over with all others of this replica.

        Its delivery stays open until the end: a queue that is long would otherwise run empty here, drive by drive.
        """
        with suppress(Fenced, StoreUnavailable):
            await self._claim(drive)
        await self._stopped.wait()

    async def _claim(self, drive: Drive) -> None:
        await self._means.journal.claim(drive.execution_id, drive.generation, self._means.replica)

    def _enter(self, execution_id: str) -> None:
        self._driving[execution_id] += 1
        self._idle.clear()

    def _leave(self, execution_id: str) -> None:
        self._driving[execution_id] -= 1
        if not self._driving[execution_id]:
            del self._driving[execution_id]
        if not self._driving:
            self._idle.set()
