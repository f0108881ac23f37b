"""An execution drive: fold what happened, decide, write it down, obey, wait for whatever comes first."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain import decisions as do
from workflow_service.domain import events as ev
from workflow_service.domain.decide import decide
from workflow_service.domain.errors import BudgetSpent, ErrorClass, ExecutorError, TargetsTaken
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.mending import Mended
from workflow_service.domain.run_state import RunState
from workflow_service.engine.attempt import Lost, Unsent
from workflow_service.engine.classing import classed
from workflow_service.engine.errands import Errands, remembers
from workflow_service.engine.facts import fact
from workflow_service.engine.gating import Gate
from workflow_service.engine.guarding import Guarding
from workflow_service.engine.handover import LANES, enqueue_next, lane, release
from workflow_service.engine.hearing import Hearing
from workflow_service.engine.holding import Holding
from workflow_service.engine.looking import Outlook, Seen
from workflow_service.engine.means import Means
from workflow_service.engine.recorder import NewPlan, Recorder
from workflow_service.engine.recovering import Asking, answered, asking
from workflow_service.engine.under_way import Back, Sent, UnderWay
from workflow_service.ports import NoRemedy
from workflow_service.store.entry import Also, KeptPlan, kept_plan
from workflow_service.store.executions import Record

# What needs an execution's slot; a stop, a skip, a person's word does not.
_WORK = (
    *(do.StartStep, do.ResumeStep, do.StartUndo, do.Look, do.Begin, do.BeginRollback, do.Unpark, do.Conclude),
    *(do.BeginRecovery, do.AskRecovery),
)
Told = tuple[list[ev.Event], RunState]  # what an action means, and where that leads
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
        self._in_slot = record.queue in LANES  # else only commands are heard here, and what they end at once
        self._errands = Errands(record, graph, cluster=means.site.cluster, jitter=means.jitter, patterns=means.patterns)
        self._holding = Holding(means, graph, recorder.state)
        self._guarding = Guarding(means.guards, record, means.metrics.guardrails)
        self._under_way = UnderWay(draining, hearing.heard)
        self._kept: KeptPlan | None = None  # with what is written next
        self._news: list[ev.Event] = []  # happened, not written yet
        self._hold_until: datetime | None = None
        self._hold = FIRST_HOLD
        self._revision: Mended | None = None  # of the plan, heard of and not written yet

    async def ride(self, new: NewPlan | None = None) -> None:
        """Ride until the execution is over, stands still, or belongs into another queue; or this replica is to stop.

        `new`: the plan was only just made, and is kept with what is written first.

        Raises:
            Fenced: another drive owns the execution.
            StoreUnavailable: the journal was closed.
        """
        if new is not None:
            self._kept, self._news = new.kept, [*new.events]
        try:
            while True:
                if self._hearing.heard.is_set():
                    self._news += await self._hearing.news(fold_all(self._news, self._recorder.state))
                await self._means.way.give()
                wake_at = await self._advance()
                if self._recorder.state.final or self._stands_still(self._recorder.state) or not self._in_slot:
                    return
                if self._draining.is_set():
                    return  # this replica leaves the list of the living, and whoever stays takes the execution over
                pause = None if wake_at is None else (wake_at - self._means.clock()).total_seconds()
                for errand, answer in await self._under_way.back(pause):
                    self._hear(errand, answer)
        finally:
            await self._under_way.abandon()

    async def _advance(self) -> datetime | None:
        """What has happened and what follows from it; once more, when a target of that is another execution's."""
        news, self._news = self._news, []
        self._take_up_revision()
        while True:
            try:
                return await self._go_on([*news])
            except TargetsTaken as taken:
                await self._holding.refused(taken.targets)
            except BudgetSpent as spent:
                self._guarding.refused(spent)

    async def _go_on(self, events: list[ev.Event]) -> datetime | None:
        """Decide until nothing is left to do at once; write all of it in one entry; then start what was written."""
        before = self._recorder.state
        state = fold_all(events, before)
        if waits := self._holding.wait(before, self._means.clock()):
            await self._write([*events, *waits], fold_all(waits, state), still=True)
            return None
        errands: list[Sent] = []
        while True:
            self._grow(state)
            hold = self._hold_until
            decision = self._decide(state, errands)
            onward = not self._in_slot and any(isinstance(action, _WORK) for action in decision.actions)
            if onward:
                break
            sent = len(errands)
            for action in decision.actions:
                told, state = await self._obey(action, state, errands)
                events += told
            if hold == self._hold_until and len(errands) - sent == len(decision.actions):
                break  # what is only sent out changes nothing that another decision could rest on
        still = self._stands_still(state) and not onward
        if events or still or not self._in_slot:
            await self._write(events, state, still=still)
        for errand in () if still else errands:
            self._under_way.send(errand, self._carry(errand))
        return decision.wake_at

    async def _write(self, events: list[ev.Event], after: RunState, *, still: bool) -> None:
        """Commit, unless another execution has a target of it.

        Raises:
            TargetsTaken: nothing was written.
        """
        grip = self._holding.grip(self._recorder.state, after, events)
        also = self._guarding.counting(events, self._graph, self._afterwards(after, still=still))
        await self._recorder.write(events, graph=self._graph, also=also, after=after, kept=self._kept, grip=grip)
        self._kept = None
        self._holding.written(grip)
        await self._hearing.tell()

    def _take_up_revision(self) -> None:
        """From here on the plan is the one that was heard of; it is kept with the facts that say so."""
        if self._revision is None:
            return
        graph, self._revision = self._revision.graph, None
        self._go_by(graph.grown(self._graph.items))
        self._kept = kept_plan(self._record.workflow_id, graph.plan, self._means.clock(), queue=None)

    def _grow(self, state: RunState) -> None:
        """The plan has the steps that its forEach steps have found."""
        if state.items != self._graph.items:
            self._go_by(self._graph.grown(state.items))

    def _go_by(self, graph: Graph) -> None:
        self._graph = graph
        self._errands.grow(graph)
        self._holding.grow(graph)

    def _decide(self, state: RunState, errands: list[Sent]) -> do.Decision:
        live = self._under_way.steps.union(errand.step for errand in errands)
        now, alert = self._means.clock(), self._record.alert
        return decide(self._graph, state, now, live=live, hold_until=self._hold_until, alert=alert)

    def _stands_still(self, state: RunState) -> bool:
        return (state.stopped_at is not None or state.awaits != "") and not state.final

    def _afterwards(self, state: RunState, *, still: bool) -> Also | None:
        """In the same transaction: commands are answered, and an execution that is left here is nobody's any more."""
        if self._in_slot and not self._hearing.owes_answers and not still:
            return None

        async def also(connection: AsyncConnection) -> None:
            await self._hearing.answer(connection)
            if state.final:
                return
            if still:
                await release(connection, self._record.execution_id)
            elif not self._in_slot:
                await enqueue_next(
                    connection,
                    self._means.engine,
                    execution_id=self._record.execution_id,
                    after=self._recorder.generation,
                    queue=lane(self._record.events),
                    now=self._means.clock(),
                )

        return also

    async def _obey(self, action: do.Action, state: RunState, errands: list[Sent]) -> Told:
        """The events that an action means; what it sends out is added to `errands`."""
        match action:
            case do.ResumeStep() | do.Look() | do.AskRecovery():
                errands.append(self._errand(action, state))
                return [], state
            case do.StopLook():
                errands[:] = [errand for errand in errands if errand.step != action.step]  # not begun yet
                self._under_way.call_off(action.step)
                return [], state
            case do.StartStep() | do.StartUndo():
                return await self._order(action, state, errands)
            case _:
                event = fact(action, self._means.clock())
                return _told(state, classed(event, self._graph, self._means.patterns))

    def _errand(self, action: do.ResumeStep | do.Look | do.AskRecovery, state: RunState) -> Sent:
        """What is carried though nothing is journalled of it."""
        match action:
            case do.ResumeStep():
                return self._errands.for_attempt(action.step, state.steps[action.step].attempts[-1], state, fresh=False)
            case do.Look():
                return self._errands.outlook(action, state)
            case do.AskRecovery():
                return asking(action, self._graph.plan, state, self._record.alert)

    async def _order(self, action: do.StartStep | do.StartUndo, state: RunState, errands: list[Sent]) -> Told:
        now = self._means.clock()
        if self._hold_until is not None and now < self._hold_until:
            return [], state  # an earlier action of this very decision has found the executor away
        if isinstance(action, do.StartStep) and (delay := await self._delay(action, state, now)):
            return _told(state, *delay)
        try:
            ledger = await self._means.site.executor.ledger_id()
        except ExecutorError as error:
            return _told(state, *self._hold_on(str(error), state, now))
        return self._start(action, state, ledger, errands)

    async def _delay(self, action: do.StartStep, state: RunState, now: datetime) -> list[ev.Event]:
        return self._holding.delay(action, state, now) or await self._guarding.delay(action, self._graph, state)

    def _start(
        self, action: do.StartStep | do.StartUndo, state: RunState, ledger: str | None, errands: list[Sent]
    ) -> Told:
        now = self._means.clock()
        if isinstance(action, do.StartUndo) and not remembers(state, action, ledger):
            why = "the ledger that would know what it changed is gone"
            return _told(state, ev.UndoFailed(now, action.step, action.key, ErrorClass.UNKNOWN, why))
        if isinstance(action, do.StartUndo):
            errand = self._errands.for_undo(action, state, ledger, now)
            errands.append(errand)
            if action.resumed:
                return [], state
            return _told(state, ev.UndoStarted(now, action.step, action.key, errand.call.request.key))
        key = self._errands.key(action.step, action.attempt)
        event = ev.StepStarted(now, action.step, action.attempt, key, ledger, action.parameters)
        told, after = _told(state, event)
        attempt = after.steps[action.step].attempts[-1]
        errands.append(self._errands.for_attempt(action.step, attempt, after, fresh=True))
        return told, after

    def _hold_on(self, why: str, state: RunState, now: datetime) -> list[ev.Event]:
        """Start nothing for a while: the executor is away. Said once in the journal, not at every look."""
        if self._hold_until is None or now >= self._hold_until:
            self._hold_until = now + timedelta(seconds=self._hold)
            self._hold = min(self._hold * 2, LAST_HOLD)
        return [] if state.held else [ev.Held(now, f"the executor is away: {why}")]

    async def _carry(self, errand: Sent) -> Back:
        if isinstance(errand, Asking):
            return await self._means.site.recoveries.ask(errand, Gate(self._means.guards, self._record.workflow_id))
        if isinstance(errand, Outlook):
            return await self._means.site.lookout.watch(errand)
        if errand.settle is not None:
            settled = await self._means.site.courier.settle(errand.settle)
            if isinstance(settled, Lost):
                return settled
        return await self._means.site.courier.carry(
            errand.call, lambda: self._errands.unwanted(errand, self._recorder.state)
        )

    def _hear(self, errand: Sent, answer: Back) -> None:
        now, state = self._means.clock(), self._recorder.state
        event: ev.Event | None = None
        if isinstance(errand, Asking):
            told = answered(errand, answer, fold_all(self._news, state), now)
            self._news, self._revision = [*self._news, *told.events], told.revision
        elif isinstance(errand, Outlook):
            event = self._errands.seen(errand, answer, now) if isinstance(answer, Seen | Unsent) else None
        elif not isinstance(answer, Seen | Mended | NoRemedy):
            event = self._errands.outcome(errand, answer, state, now)
        self._news += [classed(event, self._graph, self._means.patterns)] if event else []
        if isinstance(answer, Unsent):
            held = any(isinstance(event, ev.Held) for event in self._news)
            self._news += [] if held else self._hold_on(answer.message, state, now)
        elif not isinstance(errand, Asking):
            self._hold_until, self._hold = None, FIRST_HOLD


def _told(state: RunState, *events: ev.Event) -> Told:
    return [*events], fold_all(events, state)
