"""One ride of one execution that is claimed: read its rows, plan it or run it, until it ends, parks or must queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.admission import DUPLICATE
from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.errors import Fenced, Rejected, StoreUnavailable
from workflow_service.domain.events import Ended, Event, Planned, PlanningStarted
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph, validate
from workflow_service.domain.held_back import held_back
from workflow_service.domain.locking import OWNERS
from workflow_service.domain.plan import Plan
from workflow_service.domain.queueing import QUEUE_BOUND
from workflow_service.domain.resolving import REASON, WHY
from workflow_service.domain.states import ExecutionStatus, Verb
from workflow_service.engine.giving_up import give_up
from workflow_service.engine.guarding import guard
from workflow_service.engine.handover import CONTROL, PLANNING, RUNNING, enqueue_next
from workflow_service.engine.hearing import Hearing
from workflow_service.engine.means import Means
from workflow_service.engine.recorder import NewPlan, Recorder
from workflow_service.engine.run import Run
from workflow_service.engine.slots import Seat, Slots
from workflow_service.ports import Drive
from workflow_service.store import identities
from workflow_service.store.entry import Also, kept_plan
from workflow_service.store.executions import Record, last_generation, load
from workflow_service.telemetry import tracing

SHOWN = 0.1  # seconds of planning after which it is seen to be planned, and not only when it is
RETRY = 0.5  # seconds between tries to begin while the database is away
MAX_FRUITLESS = 50  # drives in a row that wrote nothing: a bug of ours keeps killing them; it ends and says so

Found = TypeVar("Found")

log = structlog.get_logger(__name__)


async def patiently(do: Callable[[], Awaitable[Found]], draining: asyncio.Event) -> Found:
    """What `do` gives, as soon as the database is there.

    Raises:
        StoreUnavailable: the replica is to stop and the database is still away.
    """
    while True:
        try:
            return await do()
        except StoreUnavailable:
            if draining.is_set():
                raise
            await asyncio.sleep(RETRY)


@dataclass(frozen=True, slots=True)
class _Made:
    """A plan that was only just made, how long ordering it took, and how it ends where it may not begin."""

    plan: Plan
    graph: Graph
    took: float
    end: Ended | None


class Ride:
    """A drive under way. It has claimed its execution, and has a seat."""

    def __init__(
        self,
        means: Means,
        drive: Drive,
        seat: Seat,
        *,
        running: Slots,
        draining: asyncio.Event,
        record: Record | None = None,
    ) -> None:
        """`running`: the slots in which plans run. `record`: all there is, when the execution was only just stored."""
        self.drive, self.seat = drive, seat
        self._means, self._running, self._draining, self._new = means, running, draining, record

    async def ride(self) -> None:
        """Ride until the execution is over, stands still or has to queue; or this replica is to stop.

        Raises:
            Fenced: another drive owns the execution.
            StoreUnavailable: the journal was closed, or the database is away while this replica stops.
        """
        means, drive = self._means, self.drive
        if drive.generation >= MAX_FRUITLESS and await self._is_hopeless():
            await give_up(means, drive)
            return
        record = self._new if self._new is not None else await self._load()
        self._means = means = means.at(record.alert)
        recorder = Recorder(means, record, drive.generation, fold_all(record.events))
        with (
            structlog.contextvars.bound_contextvars(workflow_id=record.workflow_id),
            tracing.within(record.trace),
            means.listening.ear(record.execution_id, told=self._new is None) as heard,
        ):
            hearing = Hearing(means.database, means.bus, record.execution_id, heard=heard, clock=means.clock)
            if record.plan is not None:
                await self._run(record, recorder, validate(record.plan), hearing)
            elif not await self._heard_unplanned(record, recorder, hearing):
                await self._plan(record, recorder, hearing)

    async def _run(
        self, record: Record, recorder: Recorder, graph: Graph, hearing: Hearing, new: NewPlan | None = None
    ) -> None:
        await Run(self._means, record, recorder, graph, hearing=hearing, draining=self._draining).ride(new)

    async def _load(self) -> Record:
        return await patiently(lambda: load(self._means.database, self.drive.execution_id), self._draining)

    async def _is_hopeless(self) -> bool:
        execution_id = self.drive.execution_id
        last = await patiently(lambda: last_generation(self._means.database, execution_id), self._draining)
        return self.drive.generation - last >= MAX_FRUITLESS

    async def _heard_unplanned(self, record: Record, recorder: Recorder, hearing: Hearing) -> bool:
        """Before there is a plan, little can be commanded; the bound of waiting brings the end too.

        True: it is over, or it was brought here to listen only and has its place in the line for plans again.
        """
        told, now = await hearing.news(recorder.state), self._means.clock()
        state = fold_all(told, recorder.state)
        if state.wanted is Verb.CANCEL:
            told.append(Ended(now, ExecutionStatus.CANCELLED, "cancel_requested", state.wanted_why))
        elif state.resolved_at is not None:
            told.append(Ended(now, ExecutionStatus.RESOLVED, REASON, WHY))
        elif now >= record.created_at + QUEUE_BOUND:
            told.append(Ended(now, ExecutionStatus.TIMED_OUT, "queue_timeout", "it waited too long for its plan"))
        only_heard = record.queue == CONTROL and not isinstance(told[-1] if told else None, Ended)
        if told or only_heard:
            await recorder.write(told, also=self._back_in_line(hearing) if only_heard else hearing.answer)
            await hearing.tell()
        return only_heard or recorder.state.final

    def _back_in_line(self, hearing: Hearing) -> Also:
        async def also(connection: AsyncConnection) -> None:
            await hearing.answer(connection)
            await self._enqueue(connection, queue=PLANNING)

        return also

    async def _enqueue(self, connection: AsyncConnection, *, queue: str) -> None:
        """The next drive of this execution."""
        means, drive = self._means, self.drive
        after, now = drive.generation, means.clock()
        await enqueue_next(connection, means.engine, execution_id=drive.execution_id, after=after, queue=queue, now=now)

    async def _plan(self, record: Record, recorder: Recorder, hearing: Hearing) -> None:
        """Make the plan once; then run it in this very drive when a slot is free, else queue for one."""
        clock = self._means.clock
        told: list[Event] = []
        planning = asyncio.ensure_future(self._planned(record))
        try:
            if recorder.state.status is ExecutionStatus.CREATED:
                told = [PlanningStarted(clock(), since=record.created_at)]
                await asyncio.wait({planning}, timeout=SHOWN)
                if not planning.done():
                    await recorder.write(told)
                    told = []
            found = await planning
        except Rejected as error:
            await recorder.write([*told, Ended(clock(), ExecutionStatus.FAILED, "planning_failed", str(error))])
            return
        finally:
            planning.cancel()
        if isinstance(found, Ended):
            await recorder.write([*told, found])
        else:
            await self._begin(record, recorder, hearing, told, found)

    async def _begin(
        self, record: Record, recorder: Recorder, hearing: Hearing, told: list[Event], made: _Made
    ) -> None:
        """The plan is kept, and begins where guardrails let it and a slot is free."""
        seated = made.end is None and self.seat.move(self._running)
        kept = kept_plan(record.workflow_id, made.plan, self._means.clock(), queue=RUNNING if seated else None)
        graph, planned = made.graph, Planned(kept.at, kept.hash, tuple(made.graph.steps))
        new = NewPlan((*told, planned, *filter(None, [made.end])), kept)
        self._tell(made, kept.hash)
        if seated:
            await self._run(replace(record, queue=RUNNING, plan=made.plan), recorder, graph, hearing, new)
        elif made.end is None:
            await self._queue(recorder, new, graph)
        else:
            await recorder.write(new.events, graph=graph, kept=new.kept)

    async def _twin(self, record: Record, plan: Plan) -> identities.Holder | None:
        """Another workflow that runs for who decides about the target, which only planning has found out."""
        found = {str(owner) for target, owner in plan.metadata.get(OWNERS, {}).items() if owner != target}
        if not found:
            return None
        return await patiently(
            lambda: identities.hold(self._means.database, record.workflow_id, sorted(found)), self._draining
        )

    def _tell(self, made: _Made, plan_hash: str) -> None:
        plan, graph = made.plan, made.graph
        self._means.metrics.planned(
            steps=len(plan.steps),
            widest=max(map(len, graph.waves())),
            dependencies=sum(map(len, graph.waits_for.values())),
            seconds=made.took,
        )
        log.info("planned", actions=len(plan.steps), reason=plan.reason, rule=plan.rule, plan_hash=plan_hash)

    async def _planned(self, record: Record) -> _Made | Ended:
        """The plan as guardrails leave it; or the end, since another workflow turns out to be about the same thing."""
        await self._means.way.give()
        began = self._means.clock()
        planning = self._means.site.plan_for(alert_from_json(record.alert), record.ordered)
        plan, _, _, instead = await self._unless_drained(planning)
        took = f"{(self._means.clock() - began).total_seconds():.6f}s"
        plans = [replace(one, metadata={**one.metadata, "creation_duration": took}) for one in (plan, *instead)]
        if (twin := await self._twin(record, plan)) is not None:
            cause = f"workflow {twin.workflow_id} is about the same thing ({twin.identity})"
            return Ended(self._means.clock(), ExecutionStatus.CANCELLED, DUPLICATE, cause)
        means = self._means
        found = await patiently(lambda: guard(means.guards, record, plans, means.metrics.guardrails), self._draining)
        plan = held_back(found.plan) if record.waits_for_start and found.end is None else found.plan
        ordered_at = time.perf_counter()
        graph = validate(plan)
        return _Made(plan, graph, time.perf_counter() - ordered_at, found.end)

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

    async def _queue(self, recorder: Recorder, new: NewPlan, graph: Graph) -> None:
        """Journal the plan. With it the execution stands in line with those that run."""

        async def also(connection: AsyncConnection) -> None:
            await self._enqueue(connection, queue=RUNNING)

        await recorder.write(new.events, graph=graph, kept=new.kept, also=also)
