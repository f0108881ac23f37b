"""The body of every drive: claim, read the rows, ride until the execution ends or parks. It never raises."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.errors import Fenced, Rejected, StoreUnavailable
from workflow_service.domain.events import Ended, Planned, PlanningStarted
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import validate
from workflow_service.domain.queueing import QUEUE_BOUND
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, Verb
from workflow_service.engine.giving_up import give_up
from workflow_service.engine.handover import RUNNING, enqueue_next
from workflow_service.engine.hearing import Hearing
from workflow_service.engine.means import Means
from workflow_service.engine.recorder import Recorder
from workflow_service.engine.run import Run
from workflow_service.ports import Drive
from workflow_service.store.executions import Record, keep_plan, last_generation, load

RETRY = 0.5  # seconds between tries to begin while the database is away
LAST_WORDS = 5.0  # seconds that drives which are to stop get for what they still have to write
MAX_FRUITLESS = 50  # drives in a row that wrote nothing: a bug of ours keeps killing them; it ends and says so

Found = TypeVar("Found")

log = structlog.get_logger(__name__)


class Driver:
    """Runs drives, and knows which executions it drives right now."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._driving: Counter[str] = Counter()
        self._draining = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped = asyncio.Event()

    def driving(self, execution_id: str) -> bool:
        """Whether a drive of that execution runs in this process."""
        return self._driving[execution_id] > 0

    @property
    def count(self) -> int:
        """How many drives run now."""
        return self._driving.total()

    async def drain(self) -> None:
        """Tell every drive to stop where it is, and wait until all have.

        A drive that cannot write its last words, since the database is away, is told so by a closed journal.
        """
        self._draining.set()
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

    async def body(self, drive: Drive) -> None:
        """One ride. Whatever goes wrong, the execution's rows stay as they are and the reconciler sends the next."""
        if self._draining.is_set():
            await self._give_away(drive)
            return
        self._driving[drive.execution_id] += 1
        self._idle.clear()
        try:
            with structlog.contextvars.bound_contextvars(execution_id=drive.execution_id, drive=drive.id):
                await self._ride(drive)
        except Fenced as error:
            log.info("drive gave way", drive=drive.id, why=str(error))
        except StoreUnavailable as error:
            log.warning("drive lost its database", drive=drive.id, why=str(error))
        except Exception:
            # The boundary of a drive: a bug must not take its neighbours down.
            log.exception("drive failed", drive=drive.id)
            await asyncio.sleep(RETRY)
        finally:
            self._driving[drive.execution_id] -= 1
            self._driving += Counter()  # forget the zeros
            if not self._driving:
                self._idle.set()

    async def _give_away(self, drive: Drive) -> None:
        """Claim a drive that came too late, so that it is taken over with all others of this replica.

        Its slot stays taken until the end: a queue that is long would otherwise run empty here, drive by drive.
        """
        with suppress(Fenced, StoreUnavailable):
            await self._means.journal.claim(drive.execution_id, drive.generation, self._means.replica)
        await self._stopped.wait()

    async def _ride(self, drive: Drive) -> None:
        journal, database = self._means.journal, self._means.database
        await self._patiently(lambda: journal.claim(drive.execution_id, drive.generation, self._means.replica))
        if drive.generation >= MAX_FRUITLESS and await self._is_hopeless(drive):
            await give_up(self._means, drive)
            return
        record = await self._patiently(lambda: load(database, drive.execution_id))
        state = fold_all(record.events)
        recorder = Recorder(self._means, record, drive.generation, state)
        means = self._means
        with (
            structlog.contextvars.bound_contextvars(workflow_id=record.workflow_id),
            means.listening.ear(record.execution_id) as heard,
        ):
            hearing = Hearing(database, means.bus, record.execution_id, heard=heard, clock=means.clock)
            if record.plan is not None:
                run = Run(means, record, recorder, validate(record.plan), hearing=hearing, draining=self._draining)
                await run.ride()
            elif not await self._ended_unplanned(recorder, record, hearing):
                await self._plan(recorder, record, state, drive)

    async def _is_hopeless(self, drive: Drive) -> bool:
        last = await self._patiently(lambda: last_generation(self._means.database, drive.execution_id))
        return drive.generation - last >= MAX_FRUITLESS

    async def _patiently(self, do: Callable[[], Awaitable[Found]]) -> Found:
        """What `do` gives, as soon as the database is there."""
        while True:
            try:
                return await do()
            except StoreUnavailable:
                if self._draining.is_set():
                    raise
                await asyncio.sleep(RETRY)

    async def _unless_drained(self, planning: Awaitable[Found]) -> Found:
        """What planning gives, unless this replica is to stop first; whoever takes the execution over plans again."""
        plan, drained = asyncio.ensure_future(planning), asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait({plan, drained}, return_when=asyncio.FIRST_COMPLETED)
            if plan.done():
                return plan.result()
        finally:
            drained.cancel()
            plan.cancel()
        raise Fenced("this replica is being stopped")

    async def _ended_unplanned(self, recorder: Recorder, record: Record, hearing: Hearing) -> bool:
        """Before there is a plan, all that can be commanded is the end; the bound of waiting brings it too."""
        told, now = await hearing.news(recorder.state), self._means.clock()
        state = fold_all(told, recorder.state)
        if state.wanted is Verb.CANCEL:
            told.append(Ended(now, ExecutionStatus.CANCELLED, "cancel_requested", state.wanted_why))
        elif now >= record.created_at + QUEUE_BOUND:
            told.append(Ended(now, ExecutionStatus.TIMED_OUT, "queue_timeout", "it waited too long for its plan"))
        if not told:
            return False
        await recorder.write(told, also=hearing.answer)
        await hearing.tell()
        return recorder.state.final

    async def _plan(self, recorder: Recorder, record: Record, state: RunState, drive: Drive) -> None:
        """Make the plan once; with it the execution moves to the queue of those that wait for a slot."""
        clock = self._means.clock
        if state.status is ExecutionStatus.CREATED:
            await recorder.write([PlanningStarted(clock())])
        try:
            began = clock()
            plan, *_ = await self._unless_drained(self._means.plan_for(alert_from_json(record.alert)))
            plan = replace(
                plan, metadata={**plan.metadata, "creation_duration": f"{(clock() - began).total_seconds():.6f}s"}
            )
            ordered_at = time.perf_counter()
            graph = validate(plan)
            took = time.perf_counter() - ordered_at
        except Rejected as error:
            await recorder.write([Ended(clock(), ExecutionStatus.FAILED, "planning_failed", str(error))])
            return
        now = clock()
        planned = Planned(now, plan.hash, tuple(graph.steps))

        async def also(connection: AsyncConnection) -> None:
            await keep_plan(connection, workflow_id=record.workflow_id, plan=plan, now=now)
            await enqueue_next(
                connection,
                self._means.engine,
                execution_id=record.execution_id,
                after=drive.generation,
                queue=RUNNING,
                now=now,
            )

        await recorder.write([planned], graph=graph, also=also)
        self._means.metrics.planned(
            steps=len(plan.steps),
            widest=max(map(len, graph.waves())),
            dependencies=sum(map(len, graph.waits_for.values())),
            seconds=took,
        )
        log.info("planned", actions=len(plan.steps), reason=plan.reason, rule=plan.rule, plan_hash=plan.hash)
