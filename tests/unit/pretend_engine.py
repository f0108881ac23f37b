"""An engine without network, database or clock: obeys `decide` by journalling, and holds every step against the rules.

What it is told to do must obey `journal_rules` at every step.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.unit.control_rules import PAUSE_BOUND, told
from tests.unit.factories import CHANGE, T0, key_of
from tests.unit.journal_rules import check_journal, dependants, may_cancel, may_start, open_undo, stored_and_read
from workflow_service.domain import events as ev
from workflow_service.domain import retry
from workflow_service.domain.bounds import step_deadline
from workflow_service.domain.controls import Command, refusal
from workflow_service.domain.decide import decide
from workflow_service.domain.decisions import (
    Action,
    Begin,
    BeginRollback,
    CancelStep,
    Decision,
    Finish,
    GiveUpUndo,
    Pause,
    ResumeStep,
    SkipStep,
    StartStep,
    StartUndo,
)
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.fold import fold, fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import Plan
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import StepStatus, UndoStatus, Verb

MANY = 1000  # far more rounds than any plan of the tests can need


@dataclass
class PretendEngine:
    """One execution. `live` maps a step to the key whose attempt or undo is under way in this drive."""

    graph: Graph
    now: datetime = T0
    hold_until: datetime | None = None
    live: dict[str, str] = field(default_factory=dict)
    journal: list[ev.Event] = field(default_factory=list)
    state: RunState = field(default_factory=RunState)
    wake_at: datetime | None = None

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
    def held(self) -> bool:
        """Whether nothing new may be sent."""
        return self.hold_until is not None and self.now < self.hold_until

    def note(self, event: ev.Event) -> None:
        """Journal and fold."""
        self.state = fold(self.state, event)
        self.journal.append(event)

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
        self._check_rest()

    def _check_rest(self) -> None:
        """It progresses: something is under way or somebody will ask again, and no free place stays empty."""
        resting = self.state.final or self.live or (self.wake_at is not None and self.wake_at > self.now)
        assert resting, f"nothing is under way and nobody will ask again: {self.state}"
        story = told(self.journal)
        if story.paused_at is not None and story.wish is None and not self.state.final:
            assert self.wake_at == story.paused_at + PAUSE_BOUND, "nobody will end the pause"
            return
        if self.state.final:
            return
        told_to_stop = story.pausing or story.wish is not None
        assert self.live or self.undoing or not told_to_stop, "a command is not obeyed"
        if told_to_stop and not self.undoing:
            return
        for waiting in self._retries():
            assert self.wake_at is not None
            assert self.wake_at <= waiting, "a retry is slept through"
        if self.undoing or self.held or len(self.live) >= self.plan.max_parallel:
            return
        for name in self._startable():
            not_before = self.state.steps[name].not_before
            assert not_before is not None, f"{name} could run and does not"
            assert not_before > self.now, f"{name} could run and does not"

    def _startable(self) -> list[str]:
        """Steps that wait for nothing but a place and their time."""
        idle = {StepStatus.PENDING, StepStatus.WAITING}
        steps = [name for name, step in self.state.steps.items() if step.status in idle and name not in self.live]
        return [name for name in steps if may_start(self.plan, self.state, name)]

    def _retries(self) -> list[datetime]:
        """The times to come at which an attempt or an undo may be tried again."""
        times = [self.state.steps[name].not_before for name in self._startable()]
        if self.undoing and not self.live:
            times = [a.undo_at for step in self.state.steps.values() for a in step.attempts if open_undo(a.undo)]
            times = times if all(times) else []  # one that builds on the others may hold them back
        return [time for time in times if time is not None and time > self.now]

    def check(self) -> None:
        """Hold the journal so far against the rules."""
        check_journal(self.graph, self.journal, self.state)

    def check_stored(self) -> None:
        """A journal that went through the database tells the same."""
        assert fold_all(stored_and_read(self.journal)) == self.state

    def ask(self) -> Decision:
        """Decide twice: the same question has the same answer, whatever the order of the mappings."""
        reordered = RunState(
            **{name: getattr(self.state, name) for name in RunState.__slots__ if name != "steps"},
            steps=dict(reversed(list(self.state.steps.items()))),
        )
        live = frozenset(self.live)
        first = decide(self.graph, self.state, self.now, live=live, hold_until=self.hold_until)
        assert first == decide(self.graph, reordered, self.now, live=live, hold_until=self.hold_until)
        return first

    def _act(self, action: Action) -> None:
        match action:
            case StartStep(step, attempt):
                self._start(step, attempt)
            case ResumeStep(step, attempt, key):
                self._resume(step, attempt, key)
            case StartUndo():
                self._start_undo(action)
            case Pause():
                assert not self.live, "it stands still while something is under way"
                self.note(ev.Paused(self.now))
            case _:
                self.note(self._noted(action))

    def _noted(self, action: Action) -> ev.Event:
        match action:
            case Begin():
                return ev.Started(self.now)
            case SkipStep(step, reason):
                return ev.StepSkipped(self.now, step, reason)
            case CancelStep(step, reason):
                assert step not in self.live, "a live step was cancelled"
                needed = may_cancel(self.plan, self.state, told(self.journal), self.now)
                assert needed, f"{step} was cancelled without need"
                return ev.StepCancelled(self.now, step, reason)
            case BeginRollback(reason):
                return ev.RollbackStarted(self.now, reason)
            case GiveUpUndo(step, key):
                return ev.UndoFailed(self.now, step, key, ErrorClass.TIMEOUT, "the rollback's time is over")
            case Finish(status, reason, cause, rollback):
                assert not self.live, "an execution ended while something was under way"
                return ev.Ended(self.now, status, reason, cause, rollback)
            case _:
                raise AssertionError(f"{action} is sent, not noted")

    def _start(self, step: str, attempt: int) -> None:
        assert not self.held, "a step was sent while held"
        assert step not in self.live, "two live attempts of one step"
        assert self.state.steps[step].status is not StepStatus.RUNNING, "two live attempts of one step"
        assert not self.undoing, "a step was sent during the rollback"
        assert may_start(self.plan, self.state, step), f"{step} was started before its time"
        not_before = self.state.steps[step].not_before
        assert not_before is None or not_before <= self.now, "retried too early"
        self.note(ev.StepStarted(self.now, step, attempt, key_of(step, attempt), "ledger-1"))
        self._carry(step, key_of(step, attempt))

    def _resume(self, step: str, attempt: int, key: str) -> None:
        assert self.state.steps[step].status is StepStatus.RUNNING
        assert key == key_of(step, attempt) == self.state.steps[step].attempts[-1].key
        self._carry(step, key)

    def _start_undo(self, action: StartUndo) -> None:
        step, key = action.step, action.key
        attempts = {attempt.key: attempt for attempt in self.state.steps[step].attempts}
        assert not self.held, "an undo was sent while held"
        assert attempts[key].undo in {UndoStatus.AVAILABLE, UndoStatus.UNDOING}
        assert action.resumed == (attempts[key].undo is UndoStatus.UNDOING)
        not_before = attempts[key].undo_at
        assert not_before is None or not_before <= self.now, "an undo was retried too early"
        newer = list(attempts)[list(attempts).index(key) + 1 :]
        assert not any(open_undo(attempts[other].undo) for other in newer), "an older attempt was undone first"
        for below in dependants(self.plan, step):
            left = [a for a in self.state.steps[below].attempts if open_undo(a.undo)]
            assert not left, f"{step} was undone before its dependant {below}"
        suffix = f":r{action.tries}" if action.tries else ""
        self.note(ev.UndoStarted(self.now, step, key, f"{key}:undo{suffix}"))
        self._carry(step, key)

    def _carry(self, step: str, key: str) -> None:
        assert step not in self.live, "two live attempts of one step"
        self.live[step] = key
        in_flight = sum(
            (step.status is StepStatus.RUNNING) + sum(a.undo is UndoStatus.UNDOING for a in step.attempts)
            for step in self.state.steps.values()
        )
        assert len(self.live) <= self.plan.max_parallel, "more under way than the plan allows"
        assert in_flight <= self.plan.max_parallel, "more under way than the plan allows"

    # What the world answers.

    def succeed(self, step: str, *, changed: bool = True, undoable: bool = True) -> None:
        """The attempt, or the undo, is done."""
        key = self.live.pop(step)
        if self.undoing:
            self.note(ev.UndoSucceeded(self.now, step, key))
            return
        changes = (CHANGE,) if changed else ()
        self.note(ev.StepSucceeded(self.now, step, key, changes=changes, undo_available=changed and undoable))

    def fail(self, step: str, error: ErrorClass, *, changed: bool = False, jitter: float = 0.5) -> None:
        """The attempt, or the undo, is known to have failed."""
        key = self.live.pop(step)
        attempt = next(attempt for attempt in self.state.steps[step].attempts if attempt.key == key)
        tries = attempt.undo_tries if self.undoing else attempt.number
        policy, bound = self.graph.steps[step].retry, self._bound(step)
        again = retry.retry_at(policy, error=error, attempt=tries, now=self.now, jitter=jitter, before=bound)
        if self.undoing:
            self.note(ev.UndoFailed(self.now, step, key, error, "no", retry_at=again))
            return
        changes = (CHANGE,) if changed else ()
        event = ev.AttemptFailed(
            self.now, step, key, error, "no", retry_at=again, changes=changes, undo_available=changed
        )
        self.note(event)

    def _bound(self, step: str) -> datetime:
        if self.state.rollback_started_at is not None:
            return self.state.rollback_started_at + timedelta(seconds=self.plan.undo_timeout)
        bound = step_deadline(self.graph, self.state, step)
        assert bound is not None
        return bound

    def unsent(self, step: str, *, hold: float) -> None:
        """The call did not arrive; nothing is sent for `hold` seconds."""
        key = self.live.pop(step)
        self.note((ev.UndoUnsent if self.undoing else ev.AttemptUnsent)(self.now, step, key))
        if hold:
            self.hold_until = self.now + timedelta(seconds=hold)

    def lose(self, step: str) -> None:
        """Nobody can say what became of the attempt; an undo of which this is true has failed."""
        if self.undoing:
            self.fail(step, ErrorClass.UNKNOWN)
            return
        self.note(ev.StepUnknown(self.now, step, self.live.pop(step), "another ledger"))

    def command(self, verb: Verb, **arguments: str | bool) -> str | None:
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

    def crash(self) -> None:
        """The drive dies; the next one knows the journal only."""
        self.live.clear()
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
            for step in list(self.live):
                self.succeed(step)
                break
            else:
                assert self.wake_at is not None
                self.now = self.wake_at
        raise AssertionError("the execution never ended")
