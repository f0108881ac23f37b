"""A plan from its beginning to its end: what is decided is noted and sent to the world, as the engine would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from workflow_service.domain import decisions as do
from workflow_service.domain import events as ev
from workflow_service.domain.bounds import wake_at
from workflow_service.domain.controls import Command, refusal
from workflow_service.domain.decide import decide
from workflow_service.domain.failure_class import Patterns
from workflow_service.domain.fold import fold
from workflow_service.domain.graph import Graph
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import Verb
from workflow_service.engine.attempt import Courier, Unsent
from workflow_service.engine.classing import classed
from workflow_service.engine.errands import Errand, Errands
from workflow_service.engine.facts import fact
from workflow_service.engine.looking import Lookout, Outlook, Seen
from workflow_service.engine.recovering import Asking, answered, asking
from workflow_service.engine.under_way import Back, Sent, UnderWay
from workflow_service.ports import Executor, NoRemedy
from workflow_service.rehearsal.cases import CLUSTER
from workflow_service.rehearsal.virtual_time import Clock, StandsStill
from workflow_service.rehearsal.world import LEDGER
from workflow_service.store.executions import Record

EXECUTION = "rehearsal"
MANY = 10_000  # far more rounds than any plan can need
_NO_OTHER_WAY = NoRemedy("no_recovery_option", "a rehearsal knows no other ways")


class Watches(Protocol):
    """Who sees whether conditions hold."""

    async def watch(self, outlook: Outlook) -> Seen | Unsent:
        """How they stand in the end."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a plan is played. `instead` says what comes instead of a step's beginning; None: it begins."""

    execution: str = EXECUTION
    cluster: str = CLUSTER
    lookout: Watches | None = None  # None: as the engine looks, at the world
    instead: Callable[[do.StartStep, Graph, RunState, datetime], ev.Event | None] = lambda *_: None


@dataclass
class Play:
    """One execution of a plan. `people` say for approvals by their step: approve, reject, nobody; unsaid: approve."""

    graph: Graph
    alert: Mapping[str, Any]
    world: Executor
    clock: Clock
    people: Mapping[str, str]
    patterns: Patterns
    stage: Stage = field(default_factory=Stage)
    journal: list[ev.Event] = field(default_factory=list)
    state: RunState = field(default_factory=RunState)
    decided: list[tuple[datetime, do.Action]] = field(default_factory=list)  # all, in order

    async def play(self) -> None:
        """Go on until it is over.

        Raises:
            StandsStill: it never would be.
        """
        self._begin()
        try:
            for _ in range(MANY):
                wake = self._decide_all()
                if self.state.final:
                    return
                if self._speak():
                    continue
                pause = None if wake is None else (wake - self.clock.now()).total_seconds()
                for errand, answer in await self._under_way.back(pause):
                    self._hear(errand, answer)
        finally:
            await self._under_way.abandon()
        raise StandsStill("it never comes to an end")

    def _begin(self) -> None:
        now, plan, stage = self.clock.now(), self.graph.plan, self.stage
        record = Record(stage.execution, stage.execution, self.alert, "", "running", 1, now, 0, plan, ())
        self._errands = Errands(record, self.graph, cluster=stage.cluster, jitter=lambda: 0.5, patterns=self.patterns)
        self._courier = Courier(self.world, lease_held=_held, clock=self.clock.now)
        self._lookout: Watches = stage.lookout or Lookout(self.world, clock=self.clock.now)
        self._under_way = UnderWay()
        self._note(ev.PlanningStarted(now))
        self._note(ev.Planned(now, plan.hash, tuple(self.graph.steps)))

    def _decide_all(self) -> datetime | None:
        """Obey until nothing is to be done at once; when something is, unless anybody answers before."""
        for _ in range(MANY):
            live = frozenset(self._under_way.steps)
            decision = decide(self.graph, self.state, self.clock.now(), live=live, hold_until=None, alert=self.alert)
            if not decision.actions:
                return decision.wake_at or wake_at(self.graph, self.state)
            for action in decision.actions:
                self._obey(action)
        raise StandsStill("what is decided never comes to rest")

    def _obey(self, action: do.Action) -> None:
        now = self.clock.now()
        self.decided.append((now, action))
        match action:
            case do.StartStep():
                self._start(action, now)
            case do.StartUndo():
                errand = self._errands.for_undo(action, self.state, LEDGER, now)
                self._note(ev.UndoStarted(now, action.step, action.key, errand.call.request.key))
                self._send(errand)
            case do.Look():
                self._send(self._errands.outlook(action, self.state))
            case do.AskRecovery():
                self._send(asking(action, self.graph.plan, self.state, self.alert))
            case do.StopLook():
                self._under_way.call_off(action.step)
            case _:
                self._note(fact(action, now))

    def _start(self, action: do.StartStep, now: datetime) -> None:
        instead = self.stage.instead(action, self.graph, self.state, now)
        if instead is not None:
            self._note(instead)
            return
        key = self._errands.key(action.step, action.attempt)
        self._note(ev.StepStarted(now, action.step, action.attempt, key, LEDGER, action.parameters))
        attempt = self.state.steps[action.step].attempts[-1]
        self._send(self._errands.for_attempt(action.step, attempt, self.state, fresh=True))

    def _send(self, errand: Sent) -> None:
        self._under_way.send(errand, self._carry(errand))

    async def _carry(self, errand: Sent) -> Back:
        if isinstance(errand, Outlook):
            return await self._lookout.watch(errand)
        if isinstance(errand, Errand):
            return await self._courier.carry(errand.call, lambda: self._errands.unwanted(errand, self.state))
        return _NO_OTHER_WAY

    def _hear(self, errand: Sent, answer: Back) -> None:
        now = self.clock.now()
        if isinstance(errand, Asking):
            for event in answered(errand, _NO_OTHER_WAY, self.state, now).events:
                self._note(event)
        elif isinstance(errand, Outlook):
            seen = self._errands.seen(errand, answer, now) if isinstance(answer, Seen) else None
            if seen is not None:
                self._note(seen)
        elif not isinstance(answer, Seen | NoRemedy) and not hasattr(answer, "graph"):
            self._note(self._errands.outcome(errand, answer, self.state, now))

    def _speak(self) -> bool:
        """Somebody says the word that is waited for, if anybody does; whether it was said."""
        for name, step in self.state.steps.items():
            verb = {"approve": Verb.APPROVE, "reject": Verb.REJECT}.get(self.people.get(name, "approve"))
            if not step.asking or verb is None:
                continue
            order = Command(id=f"word-{len(self.journal)}", verb=verb, actor="somebody", arguments={"step": name})
            if refusal(self.state, order) is None:
                self._note(ev.CommandApplied(self.clock.now(), order.id, verb, order.actor, "", order.arguments))
                return True
        return False

    def _note(self, event: ev.Event) -> None:
        event = classed(event, self.graph, self.patterns)
        self.state = fold(self.state, event)
        self.journal.append(event)
        if self.state.items != self.graph.items:
            self.graph = self.graph.grown(self.state.items)
            self._errands.grow(self.graph)


async def _held() -> None:
    """There is nobody else."""
