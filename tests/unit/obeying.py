"""An engine without network, database or clock: obeys `decide` by journalling, and holds every step against the rules.

What it is told to do must obey the rules at every step: `acting_rules`, `resting_rules`, `journal_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.unit.acting_rules import check_begin, check_noted, check_number, check_undo
from tests.unit.factories import ALERT, EXECUTION, T0, key_of
from tests.unit.journal_rules import check_journal, stored_and_read
from tests.unit.plan_shape import Shape, shape_of
from tests.unit.resting_rules import check_rest
from workflow_service.domain import decisions as do
from workflow_service.domain import events as ev
from workflow_service.domain import locking
from workflow_service.domain.bounds import must_end_by, wake_at
from workflow_service.domain.decide import ASKING, decide
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.fold import fold, fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import Plan, StepKind
from workflow_service.domain.run_state import INHERITED, RunState
from workflow_service.domain.states import StepStatus
from workflow_service.engine.facts import fact

FAILURES = ev.AttemptFailed | ev.StepFailed | ev.StepBlocked | ev.StepUnknown
MANY = 1000  # far more rounds than any plan of the tests can need


@dataclass
class Obeying:
    """One execution. `live` maps a step to the key whose attempt or undo is under way in this drive."""

    graph: Graph
    now: datetime = T0
    alert: Mapping[str, Any] = field(default_factory=lambda: dict(ALERT))
    hold_until: datetime | None = None
    live: dict[str, str] = field(default_factory=dict)
    looks: dict[str, do.Look] = field(default_factory=dict)  # what is being looked at, by step
    journal: list[ev.Event] = field(default_factory=list)
    state: RunState = field(default_factory=RunState)
    wake_at: datetime | None = None
    execution: str = EXECUTION
    taken: bool = False  # whether another execution has what this one changes
    delays: bool = False  # whether it has what becomes known only now
    says_yes: bool = True  # whether somebody approves what is asked, in the end
    asked: do.AskRecovery | None = None  # another way is being asked for
    failure_class: FailureClass | None = None  # of what fails from now on
    _laid_out: tuple[Mapping[str, Any], Plan, Shape] | None = None

    def __post_init__(self) -> None:
        self.note(ev.PlanningStarted(self.now))
        self.note(ev.Planned(self.now, self.plan.hash, tuple(self.graph.steps)))

    @property
    def plan(self) -> Plan:
        """What is carried out."""
        return self.graph.plan

    @property
    def undoing(self) -> bool:
        """Whether the rollback has begun."""
        return self.state.rollback_started_at is not None

    @property
    def taking_back(self) -> bool:
        """Whether what is sent now are undos."""
        return self.undoing and self.state.conclusion is None

    @property
    def under_way(self) -> set[str]:
        """The steps that this drive carries or looks at."""
        return {*self.live, *self.looks}

    @property
    def shape(self) -> Shape:
        """The plan laid out flat, as far as its items are known."""
        if self._laid_out is None or self._laid_out[0] != self.state.items or self._laid_out[1] is not self.plan:
            self._laid_out = (self.state.items, self.plan, shape_of(self.plan, self.state.items))
        return self._laid_out[2]

    @property
    def held(self) -> bool:
        """Whether nothing new may be sent."""
        return self.hold_until is not None and self.now < self.hold_until

    def note(self, event: ev.Event) -> None:
        """Journal and fold; a failure that has no class gets one."""
        if isinstance(event, FAILURES) and event.failure_class is None and self.failure_class is not None:
            event = replace(event, failure_class=self.failure_class)
        self.state = fold(self.state, event)
        self.journal.append(event)
        self.graph = self.graph.grown(self.state.items)

    def obey(self) -> None:
        """Decide and act until nothing is to be done at once."""
        for _ in range(MANY):
            decision = self.ask()
            if not decision.actions:
                break
            if self._must_wait(decision):
                return
            for action in decision.actions:
                self._act(action)
        else:
            raise AssertionError("decide never comes to rest")
        self.wake_at = decision.wake_at
        check_rest(self)

    def _must_wait(self, decision: do.Decision) -> bool:
        """Whether what is decided begins the work on a target that is another's: then it stands in line instead."""
        begins = any(isinstance(action, do.Begin | do.Unpark | do.BeginRollback) for action in decision.actions)
        if not (self.taken and begins) or locking.holds(self.graph, self.state):
            return False
        self.note(ev.TargetAwaited(self.now, "target:web", "workflow-1"))
        self.wake_at = wake_at(self.graph, self.state)
        assert self.wake_at is not None
        assert self.wake_at == must_end_by(self.graph, self.state)
        return True

    def check(self) -> None:
        """Hold the journal so far against the rules."""
        check_journal(self.plan, self.journal, self.state)

    def check_stored(self) -> None:
        """A journal that went through the database tells the same."""
        assert fold_all(stored_and_read(self.journal)) == self.state

    def ask(self) -> do.Decision:
        """Decide twice: the same question has the same answer, in any order of the mappings, remembered or not."""
        reordered = replace(self.state, steps=dict(reversed(list(self.state.steps.items()))))
        first = self._decide(self.state)
        assert first == self._decide(reordered)
        self._check_what_is_remembered(reordered)
        return first

    def _check_what_is_remembered(self, anew: RunState) -> None:
        """What state and graph carry along is what a look at all steps would give."""
        assert self.state.by_status == anew.by_status
        well = self.state.by_status.get(StepStatus.SUCCEEDED, frozenset())
        waiting = self.graph.waits_for.items()
        assert self.graph.ready(well) == {name for name, needs in waiting if needs <= well}

    def _decide(self, state: RunState) -> do.Decision:
        live = frozenset({*self.under_way, *([ASKING] if self.asked else [])})
        return decide(self.graph, state, self.now, live=live, hold_until=self.hold_until, alert=self.alert)

    def _act(self, action: do.Action) -> None:
        match action:
            case do.StartStep(step, attempt, parameters):
                self._start(step, attempt, parameters)
            case do.ResumeStep(step, attempt, key):
                self._resume(step, attempt, key)
            case do.StartUndo():
                self._start_undo(action)
            case do.Look(step):
                self._look(action)
            case do.AskRecovery():
                assert self.asked is None, "another way is asked for twice"
                self.asked = action
            case do.StopLook(step) if step == ASKING:
                assert self.asked is not None
                self.asked = None
            case do.StopLook(step):
                del self.looks[step]
            case _:
                check_noted(self, action)
                self.note(fact(action, self.now))

    def _look(self, look: do.Look) -> None:
        assert not self.held or look.after, "it was looked while held"
        check_begin(self, look.step)
        assert look.until >= look.since
        at = self.state.steps[look.step]
        before = at.status is StepStatus.PENDING or at.delayed
        assert before != look.after
        self.looks[look.step] = look
        check_number(self)

    def _start(self, step: str, attempt: int, parameters: Mapping[str, Any] | None) -> None:
        assert not self.held, "a step was sent while held"
        assert self.state.steps[step].status is not StepStatus.RUNNING, "two live attempts of one step"
        assert not self.undoing or self.state.conclusion is not None, "a step was sent during the rollback"
        assert self.shape.steps[step].kind is StepKind.ACTION
        check_begin(self, step)
        planned = self.shape.steps[step]
        fresh = self.state.steps[step].status is StepStatus.PENDING or self.state.steps[step].delayed
        assert self.state.steps[step].cleared or not (fresh and planned.preconditions), "sent without a look"
        if self.delays and not self.state.steps[step].attempts:
            self.note(ev.StepDelayed(self.now, step, self.now + timedelta(seconds=5), "taken"))
            return
        key = key_of(step, attempt, self.execution)
        self.note(ev.StepStarted(self.now, step, attempt, key, "ledger-1", parameters))
        self._carry(step, key)

    def _resume(self, step: str, attempt: int, key: str) -> None:
        assert self.state.steps[step].status is StepStatus.RUNNING
        inherited = attempt == INHERITED  # under a key of the execution that made it
        assert inherited or key == key_of(step, attempt, self.execution)
        assert key == self.state.steps[step].attempts[-1].key
        self._carry(step, key)

    def _start_undo(self, action: do.StartUndo) -> None:
        step, key = action.step, action.key
        check_undo(self, action)
        suffix = f":r{action.tries}" if action.tries else ""
        self.note(ev.UndoStarted(self.now, step, key, f"{key}:undo{suffix}"))
        self._carry(step, key)

    def _carry(self, step: str, key: str) -> None:
        assert step not in self.under_way, "two live attempts of one step"
        self.live[step] = key
        check_number(self)
