"""An execution drive: fold what happened, decide, write it down, obey, wait for whatever comes first."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain import decide as do
from workflow_service.domain import events as ev
from workflow_service.domain.errors import ErrorClass, ExecutorError
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus
from workflow_service.domain.verdict import Finish
from workflow_service.engine.attempt import Lost, Unsent
from workflow_service.engine.errands import Answer, Errand, Errands
from workflow_service.engine.handover import RUNNING, enqueue_next, release
from workflow_service.engine.hearing import Hearing
from workflow_service.engine.means import Means
from workflow_service.engine.recorder import Recorder
from workflow_service.store.executions import Record
from workflow_service.store.journal import Also

_ERRANDS = (do.StartStep, do.ResumeStep, do.StartUndo)
_WORK = (*_ERRANDS, do.Begin, do.BeginRollback)  # what needs an execution's slot
FIRST_HOLD, LAST_HOLD = 0.5, 5.0  # seconds between looks at an executor that is away


class Run:
    """One ride of one execution, from its rows to its end or its hand-over."""

    def __init__(
        self,
        means: Means,
        record: Record,
        recorder: Recorder,
        graph: Graph,
        *,
        hearing: Hearing,
        draining: asyncio.Event,
    ) -> None:
        self._means, self._record, self._recorder, self._graph = means, record, recorder, graph
        self._hearing, self._draining = hearing, draining
        self._in_slot = record.queue == RUNNING  # else only commands are heard here, and what they end at once
        self._errands = Errands(record, graph, cluster=means.cluster, jitter=means.jitter)
        self._live: dict[asyncio.Task[Answer], Errand] = {}
        self._news: list[ev.Event] = []  # happened, not written yet
        self._hold_until: datetime | None = None
        self._hold = FIRST_HOLD

    async def ride(self) -> None:
        """Ride until the execution is over, stands still, or belongs into another queue; or this replica is to stop.

        Raises:
            Fenced: another drive owns the execution.
            StoreUnavailable: the journal was closed.
        """
        try:
            while True:
                self._news += await self._hearing.news(fold_all(self._news, self._recorder.state))
                wake_at = await self._advance()
                if self._recorder.state.final or self._stands_still(self._recorder.state) or not self._in_slot:
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
            if not self._in_slot and any(isinstance(action, _WORK) for action in decision.actions):
                break
            fresh: list[ev.Event] = []
            sent = len(errands)
            for action in decision.actions:
                told = await self._obey(action, state, errands)
                state = fold_all(told, state)
                fresh += told
            events += fresh
            if hold == self._hold_until and len(errands) - sent == len(decision.actions):
                break  # what is only sent out changes nothing that another decision could rest on
        if events or not self._in_slot:
            await self._recorder.write(events, graph=self._graph, also=self._afterwards(state), after=state)
            await self._hearing.tell()
        for errand in errands:
            self._live[asyncio.create_task(self._carry(errand), name=errand.call.request.key)] = errand
        return decision.wake_at

    def _stands_still(self, state: RunState) -> bool:
        return state.status is ExecutionStatus.PAUSED

    def _afterwards(self, state: RunState) -> Also | None:
        """In the same transaction: commands are answered, and an execution that is left here is nobody's any more."""
        if self._in_slot and not self._hearing.owes_answers and not self._stands_still(state):
            return None

        async def also(connection: AsyncConnection) -> None:
            await self._hearing.answer(connection)
            if state.final:
                return
            if self._stands_still(state):
                await release(connection, self._record.execution_id)
            elif not self._in_slot:
                await enqueue_next(
                    connection,
                    self._means.engine,
                    execution_id=self._record.execution_id,
                    after=self._recorder.generation,
                    queue=RUNNING,
                    now=self._means.clock(),
                )

        return also

    async def _obey(self, action: do.Action, state: RunState, errands: list[Errand]) -> list[ev.Event]:
        """The events that an action means; what it sends out is added to `errands`."""
        now = self._means.clock()
        match action:
            case do.ResumeStep():
                attempt = state.steps[action.step].attempts[-1]
                errands.append(self._errands.for_attempt(action.step, attempt, state, fresh=False))
                return []
            case do.StartStep() | do.StartUndo():
                if self._hold_until is not None and now < self._hold_until:
                    return []  # an earlier action of this very decision has found the executor away
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
        if isinstance(action, do.StartUndo) and action.settle and not self._remembers(state, action, ledger):
            why = "its outcome is unknown, and the ledger that would know is gone"
            return [ev.UndoFailed(now, action.step, action.key, ErrorClass.UNKNOWN, why)]
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

    @staticmethod
    def _remembers(state: RunState, action: do.StartUndo, ledger: str | None) -> bool:
        """Whether the present ledger is the one that the attempt was sent to: another would call it never done."""
        return any(one.key == action.key and one.ledger_id == ledger for one in state.steps[action.step].attempts)

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
        return await self._means.courier.carry(
            errand.call, lambda: self._errands.unwanted(errand, self._recorder.state)
        )

    async def _wait(self, wake_at: datetime | None) -> None:
        """Until an errand is back, the time has come, somebody commands, or this replica is to stop."""
        pause = None if wake_at is None else max(0.0, (wake_at - self._means.clock()).total_seconds())
        calls = {asyncio.create_task(event.wait()) for event in (self._draining, self._hearing.heard)}
        try:
            done, _ = await asyncio.wait({*self._live, *calls}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for call in calls:
                call.cancel()
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
        case do.Pause():
            return ev.Paused(now)
        case do.BeginRollback():
            return ev.RollbackStarted(now, action.reason)
        case Finish():
            return ev.Ended(now, action.status, action.reason, action.cause, action.rollback)
        case _:
            return _step_fact(action, now)


def _step_fact(
    action: do.SkipStep | do.CancelStep | do.GiveUpUndo | do.StartStep | do.ResumeStep | do.StartUndo, now: datetime
) -> ev.Event:
    match action:
        case do.SkipStep():
            return ev.StepSkipped(now, action.step, action.reason)
        case do.CancelStep():
            return ev.StepCancelled(now, action.step, action.reason)
        case do.GiveUpUndo():
            message = "the rollback's time is over"
            return ev.UndoFailed(now, action.step, action.key, ErrorClass.TIMEOUT, message)
        case do.StartStep() | do.ResumeStep() | do.StartUndo():
            raise AssertionError(f"{action} is an errand")
