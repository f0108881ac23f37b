"""An execution drive: fold what happened, decide, write it down, obey, wait for whatever comes first."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from workflow_service.domain import decide as do
from workflow_service.domain import events as ev
from workflow_service.domain.errors import ErrorClass, ExecutorError
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.run_state import RunState
from workflow_service.domain.verdict import Finish
from workflow_service.engine.attempt import Lost, Unsent
from workflow_service.engine.errands import Answer, Errand, Errands
from workflow_service.engine.means import Means
from workflow_service.engine.recorder import Recorder
from workflow_service.store.executions import Record

FIRST_HOLD, LAST_HOLD = 0.5, 5.0  # seconds between looks at an executor that is away


class Run:
    """One ride of one execution, from its rows to its end or its hand-over."""

    def __init__(self, means: Means, record: Record, recorder: Recorder, graph: Graph, draining: asyncio.Event) -> None:
        self._means, self._record, self._recorder, self._graph = means, record, recorder, graph
        self._draining = draining
        self._errands = Errands(record, graph, cluster=means.cluster, jitter=means.jitter)
        self._live: dict[asyncio.Task[Answer], Errand] = {}
        self._news: list[ev.Event] = []  # happened, not written yet
        self._hold_until: datetime | None = None
        self._hold = FIRST_HOLD

    async def ride(self) -> None:
        """Ride until the execution is over, or until this replica is to stop.

        Raises:
            Fenced: another drive owns the execution.
            StoreUnavailable: the journal was closed.
        """
        try:
            while True:
                wake_at = await self._advance()
                if self._recorder.state.final:
                    return
                if self._draining.is_set():
                    return  # this replica leaves the list of the living, and whoever stays takes the execution over
                await self._wait(wake_at)
        finally:
            await self._abandon()

    async def _advance(self) -> datetime | None:
        """Decide until nothing is left to do at once; write all of it in one entry; then start what was written."""
        events, self._news = self._news, []
        state = fold_all(events, self._recorder.state)
        errands: list[Errand] = []
        while True:
            busy = {errand.step for errand in (*self._live.values(), *errands)}
            hold = self._hold_until
            decision = do.decide(self._graph, state, self._means.clock(), live=busy, hold_until=hold)
            fresh: list[ev.Event] = []
            for action in decision.actions:
                fresh += await self._obey(action, state, errands)
            state = fold_all(fresh, state)
            events += fresh
            if not fresh and hold == self._hold_until:
                break
        if events:
            await self._recorder.write(events, graph=self._graph)
        for errand in errands:
            self._live[asyncio.create_task(self._carry(errand), name=errand.call.request.key)] = errand
        return decision.wake_at

    async def _obey(self, action: do.Action, state: RunState, errands: list[Errand]) -> list[ev.Event]:
        """The events that an action means; what it sends out is added to `errands`."""
        now = self._means.clock()
        match action:
            case do.ResumeStep():
                attempt = state.steps[action.step].attempts[-1]
                errands.append(self._errands.for_attempt(action.step, attempt, state, fresh=False))
                return []
            case do.StartStep() | do.StartUndo():
                try:
                    ledger = await self._means.executor.ledger_id()
                except ExecutorError as error:
                    return self._hold_on(str(error), state, now)
                return self._start(action, state, ledger, errands)
            case _:
                return [_fact(action, now)]

    def _start(
        self, action: do.StartStep | do.StartUndo, state: RunState, ledger: str | None, errands: list[Errand]
    ) -> list[ev.Event]:
        now = self._means.clock()
        if isinstance(action, do.StartUndo):
            errand = self._errands.for_undo(action, state, ledger, now)
            errands.append(errand)
            if action.resumed:
                return []
            return [ev.UndoStarted(now, action.step, action.key, errand.call.request.key)]
        key = self._errands.key(action.step, action.attempt)
        event = ev.StepStarted(now, action.step, action.attempt, key, ledger)
        after = fold_all([event], state)
        attempt = after.steps[action.step].attempts[-1]
        errands.append(self._errands.for_attempt(action.step, attempt, after, fresh=True))
        return [event]

    def _hold_on(self, why: str, state: RunState, now: datetime) -> list[ev.Event]:
        """Start nothing for a while: the executor is away. Said once in the journal, not at every look."""
        if self._hold_until is None or now >= self._hold_until:
            self._hold_until = now + timedelta(seconds=self._hold)
            self._hold = min(self._hold * 2, LAST_HOLD)
        return [] if state.held else [ev.Held(now, f"the executor is away: {why}")]

    async def _carry(self, errand: Errand) -> Answer:
        if errand.settle is not None:
            settled = await self._means.courier.settle(errand.settle)
            if isinstance(settled, Lost):
                return settled
        return await self._means.courier.carry(errand.call)

    async def _wait(self, wake_at: datetime | None) -> None:
        """Until an errand is back, the time has come, or this replica is to stop."""
        pause = None if wake_at is None else max(0.0, (wake_at - self._means.clock()).total_seconds())
        drained = asyncio.create_task(self._draining.wait())
        try:
            done, _ = await asyncio.wait({*self._live, drained}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            drained.cancel()
        now = self._means.clock()
        for task in [task for task in self._live if task in done]:
            errand, answer = self._live.pop(task), task.result()
            self._news.append(self._errands.outcome(errand, answer, self._recorder.state, now))
            if isinstance(answer, Unsent):
                held = any(isinstance(event, ev.Held) for event in self._news)
                self._news += [] if held else self._hold_on(answer.message, self._recorder.state, now)
            else:
                self._hold_until, self._hold = None, FIRST_HOLD

    async def _abandon(self) -> None:
        for task in self._live:
            task.cancel()
        await asyncio.gather(*self._live, return_exceptions=True)  # nobody reads them: their keys will be asked for
        self._live.clear()


def _fact(action: do.Action, now: datetime) -> ev.Event:
    """What an action means that needs nobody outside."""
    match action:
        case do.Begin():
            return ev.Started(now)
        case do.SkipStep():
            return ev.StepSkipped(now, action.step, action.reason)
        case do.CancelStep():
            return ev.StepCancelled(now, action.step, action.reason)
        case do.BeginRollback():
            return ev.RollbackStarted(now, action.reason)
        case do.GiveUpUndo():
            message = "the rollback's time is over"
            return ev.UndoFailed(now, action.step, action.key, ErrorClass.TIMEOUT, message)
        case Finish():
            return ev.Ended(now, action.status, action.reason, action.cause, action.rollback)
        case do.StartStep() | do.ResumeStep() | do.StartUndo():
            raise AssertionError(f"{action} is an errand")
