"""The body of every drive: claim, read the rows, ride until the execution ends or parks. It never raises."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.errors import Fenced, Rejected, StoreUnavailable
from workflow_service.domain.events import Ended, Planned, PlanningStarted
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import validate
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus
from workflow_service.engine.handover import RUNNING, enqueue_next
from workflow_service.engine.means import Means
from workflow_service.engine.recorder import Recorder
from workflow_service.engine.run import Run
from workflow_service.ports import Drive
from workflow_service.store.executions import Record, keep_plan, load

RETRY = 0.5  # seconds between tries to claim while the database is away
MAX_GENERATIONS = 50  # an execution whose drives keep dying here has met a bug of ours; it ends and says so

log = structlog.get_logger(__name__)


class Driver:
    """Runs drives, and knows which executions it drives right now."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._driving: Counter[str] = Counter()
        self._draining = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def driving(self, execution_id: str) -> bool:
        """Whether a drive of that execution runs in this process."""
        return self._driving[execution_id] > 0

    @property
    def count(self) -> int:
        """How many drives run now."""
        return self._driving.total()

    async def drain(self) -> None:
        """Tell every drive to stop where it is, and wait until all have."""
        self._draining.set()
        await self._idle.wait()

    async def body(self, drive: Drive) -> None:
        """One ride. Whatever goes wrong, the execution's rows stay as they are and the reconciler sends the next."""
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

    async def _ride(self, drive: Drive) -> None:
        await self._claim(drive)
        if self._draining.is_set():
            return  # claimed, so that it is taken over with all others of this replica
        record = await load(self._means.database, drive.execution_id)
        state = fold_all(record.events)
        recorder = Recorder(self._means, record, drive.generation, state)
        with structlog.contextvars.bound_contextvars(workflow_id=record.workflow_id):
            if drive.generation >= MAX_GENERATIONS:
                cause = f"{drive.generation} drives did not bring it to its end"
                await recorder.write([Ended(self._means.clock(), ExecutionStatus.FAILED, "internal_error", cause)])
            elif record.plan is None:
                await self._plan(recorder, record, state, drive)
            else:
                await Run(self._means, record, recorder, validate(record.plan), self._draining).ride()

    async def _claim(self, drive: Drive) -> None:
        while True:
            try:
                await self._means.journal.claim(drive.execution_id, drive.generation, self._means.replica)
            except StoreUnavailable:
                if self._draining.is_set():
                    raise
                await asyncio.sleep(RETRY)
            else:
                return

    async def _plan(self, recorder: Recorder, record: Record, state: RunState, drive: Drive) -> None:
        """Make the plan once; with it the execution moves to the queue of those that wait for a slot."""
        clock = self._means.clock
        if state.status is ExecutionStatus.CREATED:
            await recorder.write([PlanningStarted(clock())])
        try:
            began = clock()
            plan, *_ = await self._means.plan_for(alert_from_json(record.alert))
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
        planned = Planned(now, plan.hash, tuple(step.id for step in plan.steps))

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
