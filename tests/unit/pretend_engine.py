"""An engine without network, database or clock: obeys `decide` by journalling, and holds every step against the rules.

What it is told to do must obey `journal_rules` at every step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.unit.control_rules import told
from tests.unit.factories import ALERT, CHANGE, T0, key_of
from tests.unit.journal_rules import check_journal, may_cancel, open_undo, stored_and_read
from tests.unit.plan_shape import BEGUN, Shape, dependants, goes_on_at, has_room, may_begin, shape_of
from tests.unit.resting_rules import check_rest
from workflow_service.domain import decisions as do
from workflow_service.domain import events as ev
from workflow_service.domain import retry
from workflow_service.domain.bounds import step_deadline
from workflow_service.domain.controls import Command, refusal
from workflow_service.domain.decide import decide
from workflow_service.domain.errors import ErrorClass, IllegalTransition
from workflow_service.domain.fold import fold, fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import Plan, StepKind
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import StepStatus, UndoStatus, Verb
from workflow_service.engine.facts import fact

MANY = 1000  # far more rounds than any plan of the tests can need


@dataclass
class PretendEngine:
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
    says_yes: bool = True  # whether somebody approves what is asked, in the end
    _laid_out: tuple[Mapping[str, Any], Shape] | None = None

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
        if self._laid_out is None or self._laid_out[0] != self.state.items:
            self._laid_out = (self.state.items, shape_of(self.plan, self.state.items))
        return self._laid_out[1]

    @property
    def held(self) -> bool:
        """Whether nothing new may be sent."""
        return self.hold_until is not None and self.now < self.hold_until

    def note(self, event: ev.Event) -> None:
        """Journal and fold."""
        self.state = fold(self.state, event)
        self.journal.append(event)
        self.graph = self.graph.grown(self.state.items)

    def obey(self) -> None:
        """Decide and act until nothing is to be done at once."""
        for _ in range(MANY):
            decision = self.ask()
            if not decision.actions:
                break
            for action in decision.actions:
                self._act(action)
        else:
            raise AssertionError("decide never comes to rest")
        self.wake_at = decision.wake_at
        check_rest(self)

    def check(self) -> None:
        """Hold the journal so far against the rules."""
        check_journal(self.plan, self.journal, self.state)

    def check_stored(self) -> None:
        """A journal that went through the database tells the same."""
        assert fold_all(stored_and_read(self.journal)) == self.state

    def ask(self) -> do.Decision:
        """Decide twice: the same question has the same answer, whatever the order of the mappings."""
        reordered = RunState(
            **{name: getattr(self.state, name) for name in RunState.__slots__ if name != "steps"},
            steps=dict(reversed(list(self.state.steps.items()))),
        )
        first = self._decide(self.state)
        assert first == self._decide(reordered)
        return first

    def _decide(self, state: RunState) -> do.Decision:
        live = frozenset(self.under_way)
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
            case do.StopLook(step):
                del self.looks[step]
            case _:
                self._allow(action)
                self.note(fact(action, self.now))

    def _allow(self, action: do.Action) -> None:
        """Hold against the rules what is only noted."""
        match action:
            case do.CancelStep(step):
                assert step not in self.under_way, "a live step was cancelled"
                needed = may_cancel(self.shape, self.state, step, told(self.journal), self.plan.timeout, self.now)
                assert needed, f"{step} was cancelled without need"
            case do.BeginStep(step) | do.OpenStep(step):
                self._may_begin(step)
            case do.Pause() | do.Park() | do.Conclude() | do.Finish() | do.BeginRollback():
                assert not self.under_way, f"{action} while something is under way"
            case _:
                pass

    def _may_begin(self, step: str) -> None:
        assert step not in self.under_way, "two live attempts of one step"
        assert self.state.parked_at is None, f"{step} begins while it is parked"
        assert may_begin(self.shape, self.state, step), f"{step} was begun before its time"
        assert has_room(self.shape, self.state, step, self.under_way), f"{step} was begun beside too many others"
        not_before = goes_on_at(self.shape, self.state, step)
        assert not_before is None or not_before <= self.now, f"{step} went on too early"

    def _look(self, look: do.Look) -> None:
        assert not self.held or look.after, "it was looked while held"
        self._may_begin(look.step)
        assert look.until >= look.since
        before = self.state.steps[look.step].status is StepStatus.PENDING
        assert before != look.after
        self.looks[look.step] = look
        self._check_number()

    def _start(self, step: str, attempt: int, parameters: Mapping[str, Any] | None) -> None:
        assert not self.held, "a step was sent while held"
        assert self.state.steps[step].status is not StepStatus.RUNNING, "two live attempts of one step"
        assert not self.undoing or self.state.conclusion is not None, "a step was sent during the rollback"
        assert self.shape.steps[step].kind is StepKind.ACTION
        self._may_begin(step)
        planned = self.shape.steps[step]
        fresh = self.state.steps[step].status is StepStatus.PENDING
        assert self.state.steps[step].cleared or not (fresh and planned.preconditions), "sent without a look"
        self.note(ev.StepStarted(self.now, step, attempt, key_of(step, attempt), "ledger-1", parameters))
        self._carry(step, key_of(step, attempt))

    def _resume(self, step: str, attempt: int, key: str) -> None:
        assert self.state.steps[step].status is StepStatus.RUNNING
        assert key == key_of(step, attempt) == self.state.steps[step].attempts[-1].key
        self._carry(step, key)

    def _start_undo(self, action: do.StartUndo) -> None:
        step, key = action.step, action.key
        attempts = {attempt.key: attempt for attempt in self.state.steps[step].attempts}
        assert not self.held, "an undo was sent while held"
        assert attempts[key].undo in {UndoStatus.AVAILABLE, UndoStatus.UNDOING}
        assert action.resumed == (attempts[key].undo is UndoStatus.UNDOING)
        not_before = attempts[key].undo_at
        assert not_before is None or not_before <= self.now, "an undo was retried too early"
        newer = list(attempts)[list(attempts).index(key) + 1 :]
        assert not any(open_undo(attempts[other].undo) for other in newer), "an older attempt was undone first"
        for below in dependants(self.shape, step):
            left = [a for a in self.state.steps[below].attempts if open_undo(a.undo)]
            assert not left, f"{step} was undone before its dependant {below}"
        suffix = f":r{action.tries}" if action.tries else ""
        self.note(ev.UndoStarted(self.now, step, key, f"{key}:undo{suffix}"))
        self._carry(step, key)

    def _carry(self, step: str, key: str) -> None:
        assert step not in self.under_way, "two live attempts of one step"
        self.live[step] = key
        self._check_number()

    def _check_number(self) -> None:
        groups = {name for name in self.state.steps if self.shape.group(name)}
        in_flight = sum(
            (step.status is StepStatus.RUNNING and name not in groups)
            + sum(a.undo is UndoStatus.UNDOING for a in step.attempts)
            for name, step in self.state.steps.items()
        )
        assert len(self.under_way) <= self.plan.max_parallel, "more under way than the plan allows"
        assert in_flight <= self.plan.max_parallel, "more under way than the plan allows"
        for name in groups:
            children = [self.state.steps[child].status in BEGUN for child in self.shape.children(name)]
            each = self.shape.steps[name].for_each is not None
            assert not each or sum(children) <= self.shape.steps[name].max_parallel, "too many items at once"

    # What the world answers.

    def succeed(self, step: str, *, changed: bool = True, undoable: bool = True) -> None:
        """The attempt, or the undo, is done."""
        key = self.live.pop(step)
        if self.taking_back:
            self.note(ev.UndoSucceeded(self.now, step, key))
            return
        changes = (CHANGE,) if changed else ()
        planned = self.shape.steps[step]
        prove = self.now + timedelta(seconds=planned.settle) if planned.postconditions else None
        answer = ev.StepSucceeded(self.now, step, key, changes=changes, undo_available=changed and undoable)
        self.note(replace(answer, prove_from=prove))

    def fail(self, step: str, error: ErrorClass, *, changed: bool = False, jitter: float = 0.5) -> None:
        """The attempt, or the undo, is known to have failed."""
        key = self.live.pop(step)
        attempt = next(attempt for attempt in self.state.steps[step].attempts if attempt.key == key)
        tries = attempt.undo_tries if self.taking_back else attempt.number
        policy, bound = self.graph.steps[step].retry, self._bound(step)
        again = retry.retry_at(policy, error=error, attempt=tries, now=self.now, jitter=jitter, before=bound)
        if self.taking_back:
            self.note(ev.UndoFailed(self.now, step, key, error, "no", retry_at=again))
            return
        changes = (CHANGE,) if changed else ()
        event = ev.AttemptFailed(
            self.now, step, key, error, "no", retry_at=again, changes=changes, undo_available=changed
        )
        self.note(event)

    def _bound(self, step: str) -> datetime:
        if self.taking_back and self.state.rollback_started_at is not None:
            return self.state.rollback_started_at + timedelta(seconds=self.plan.undo_timeout)
        bound = step_deadline(self.graph, self.state, step)
        assert bound is not None
        return bound

    def unsent(self, step: str, *, hold: float) -> None:
        """The call did not arrive; nothing is sent for `hold` seconds."""
        key = self.live.pop(step)
        self.note((ev.UndoUnsent if self.taking_back else ev.AttemptUnsent)(self.now, step, key))
        if hold:
            self.hold_until = self.now + timedelta(seconds=hold)

    def lose(self, step: str) -> None:
        """Nobody can say what became of the attempt; an undo of which this is true has failed."""
        if self.taking_back:
            self.fail(step, ErrorClass.UNKNOWN)
            return
        self.note(ev.StepUnknown(self.now, step, self.live.pop(step), "another ledger"))

    def see(self, step: str, *, held: bool = True) -> None:
        """What is looked at is found so, or not."""
        look = self.looks.pop(step)
        evidence = ({"kind": "postcondition" if look.after else "precondition", "held": held},)
        match look.after, held:
            case True, True:
                self.note(ev.StepProved(self.now, step, evidence=evidence))
            case True, False:
                self.note(ev.StepFailed(self.now, step, "postcondition_failed", "not so", evidence))
            case False, True:
                self.note(ev.Cleared(self.now, step, evidence))
            case _:
                self.note(ev.StepBlocked(self.now, step, "not so", evidence))

    def see_nothing(self, step: str, *, hold: float) -> None:
        """Nobody answers who could look; before the step has begun, that is for later."""
        if self.looks[step].after:
            self.see(step, held=False)
            return
        del self.looks[step]
        self.hold_until = self.now + timedelta(seconds=hold)

    def hear_again(self, event: ev.Event) -> None:
        """An answer comes a second time, or far too late: it is refused and changes nothing."""
        before = self.state
        try:
            fold(self.state, event)
        except IllegalTransition:
            assert self.state == before
        else:
            raise AssertionError(f"{event} was heard twice")

    def command(self, verb: Verb, **arguments: str | bool | float) -> str | None:
        """Somebody says what is to be done: obeyed or refused, and journalled, unless all is over."""
        order = Command(id=f"c{len(self.journal)}", verb=verb, actor="ana", arguments=arguments)
        why, before = refusal(self.state, order), self.state
        if self.state.final:
            return why
        if why is None:
            self.note(ev.CommandApplied(self.now, order.id, verb, order.actor, "told to", arguments))
        else:
            self.note(ev.CommandRefused(self.now, order.id, verb, order.actor, why))
            assert self.state == before, "a refused command had an effect"
        return why

    def asking(self) -> list[str]:
        """The steps that wait for a person's word."""
        return sorted(name for name, step in self.state.steps.items() if step.asking)

    def crash(self) -> None:
        """The drive dies; the next one knows the journal only."""
        self.live.clear()
        self.looks.clear()
        self.hold_until = None
        self.state = fold_all(self.journal)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    def drive_to_the_end(self) -> None:
        """From here on all goes well: the execution must end."""
        for _ in range(MANY):
            self.obey()
            if self.state.final:
                return
            if self.says_yes and self.asking() and self.command(Verb.APPROVE, step=self.asking()[0]) is None:
                continue
            if self.looks:
                self.see(min(self.looks))
            elif self.live:
                self.succeed(next(iter(self.live)))
            else:
                assert self.wake_at is not None
                self.now = self.wake_at
        raise AssertionError("the execution never ended")
