"""The rules of commands, told from the journal and the plan alone, never with the code under test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from workflow_service.domain import events as ev
from workflow_service.domain.plan import OnResolved, Plan, Step
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, StepStatus, UndoStatus, Verb

PAUSE_BOUND = timedelta(hours=24)
LAST_BOUND = timedelta(minutes=5)
UNDO_STORIES = {UndoStatus.AVAILABLE, UndoStatus.UNDOING, UndoStatus.UNDONE, UndoStatus.UNDO_FAILED}


@dataclass
class Told:
    """What people have said so far, and what the clock did meanwhile."""

    wish: ev.CommandApplied | None = None  # the last cancel or rollback
    pausing: bool = False  # asked for and not reached
    paused_at: datetime | None = None
    parked_at: datetime | None = None
    concluded_at: datetime | None = None
    started_at: datetime | None = None
    stood_still: timedelta = timedelta()
    waived: set[str] = field(default_factory=set)  # steps skipped by hand
    sent: set[str] = field(default_factory=set)  # steps that were started at least once
    resolved: bool = False  # the alert is over

    @property
    def undo_wanted(self) -> bool:
        """Whether the last word was to take back what was done."""
        wish = self.wish
        return wish is not None and (wish.verb is Verb.ROLLBACK or wish.arguments.get("undo") is True)

    def bound(self, timeout: float) -> datetime | None:
        """When the run's time is over; a clock that stands still has none. The last steps have a time of their own."""
        if self.concluded_at is not None:
            return self.concluded_at + LAST_BOUND
        if self.started_at is None or self.paused_at is not None or self.parked_at is not None:
            return None
        return self.started_at + timedelta(seconds=timeout) + self.stood_still

    def resolved_for_good(self, steps: Mapping[str, Step], answer: OnResolved) -> bool:
        """Whether the end of the alert is the end of the run: nothing was changed yet, or the plan says so."""
        if not self.resolved or self.wish is not None:
            return False
        return answer is not OnResolved.FINISH or not any(steps[name].changes for name in self.sent)

    def pause_is_over(self, now: datetime) -> bool:
        """Whether a pause has lasted too long."""
        return self.paused_at is not None and now >= self.paused_at + PAUSE_BOUND

    def hear(self, event: ev.Event) -> None:
        """Go on by one event."""
        match event:
            case ev.Started(at) if self.started_at is None:
                self.started_at = at
            case ev.Started(at):  # again, after it had to wait for its targets
                self._moves_on(at)
            case ev.TargetAwaited(at) if self.started_at is not None:
                since = min(filter(None, (self.paused_at, self.parked_at)), default=at)
                self.paused_at, self.parked_at = None, since
            case ev.CommandApplied():
                self._hear_command(event)
            case ev.StepStarted(step=step):
                self.sent.add(step)
            case ev.AlertResolved():
                self.resolved = True
            case ev.Paused() | ev.Parked() | ev.Unparked() | ev.RollbackStarted() | ev.Concluded():
                self._hear_halt(event)
            case _:
                pass

    def _hear_halt(self, event: ev.Event) -> None:
        match event:
            case ev.Paused(at):
                self.pausing, self.paused_at = False, at
            case ev.Parked(at):
                self.parked_at = self.parked_at or at
            case _:
                self._moves_on(event.at)
        if isinstance(event, ev.Concluded):
            self.concluded_at = event.at

    def _hear_command(self, event: ev.CommandApplied) -> None:
        match event.verb:
            case Verb.PAUSE:
                self.pausing = True
            case Verb.RESUME:
                self.pausing = False
                if self.paused_at is not None:
                    self._moves_on(event.at)
            case Verb.CANCEL | Verb.ROLLBACK:
                self.wish, self.pausing = event, False
            case Verb.SKIP_STEP:
                self.waived.add(str(event.arguments["step"]))
            case _:
                pass

    def _moves_on(self, at: datetime) -> None:
        since = min(filter(None, (self.paused_at, self.parked_at)), default=at)
        if self.started_at is not None:
            self.stood_still += at - since
        self.paused_at = self.parked_at = None


def told(journal: list[ev.Event]) -> Told:
    """What people have said in this journal."""
    story = Told()
    for event in journal:
        story.hear(event)
    return story


def check_obeyed(plan: Plan, steps: Mapping[str, Step], journal: list[ev.Event]) -> None:
    """Nothing starts against a command or out of time, nothing in flight goes untold, and each word comes in time."""
    story, in_flight = Told(), set[str]()
    for event in journal:
        match event:
            case ev.StepStarted(key=key) if story.concluded_at is not None:
                assert event.at < story.concluded_at + LAST_BOUND, "a last step was started out of time"
                in_flight.add(key)
            case ev.StepStarted(key=key, step=step):
                assert story.paused_at is None, f"{step} was started while paused"
                assert not story.wish, f"{step} was started after {story.wish}"
                assert not story.resolved_for_good(steps, plan.on_resolved), f"{step} was started though all was over"
                assert not story.pausing, f"{step} was started though a pause was asked for"
                assert step not in story.waived, f"{step} was started though it was to be skipped"
                bound = story.bound(plan.timeout)
                assert bound is not None, f"{step} was started before the run clock"
                assert event.at < bound, f"{step} was started out of time"
                in_flight.add(key)
            case ev.StepSucceeded() | ev.AttemptFailed() | ev.AttemptUnsent() | ev.StepUnknown():
                in_flight.discard(event.key)
            case ev.Paused() | ev.Parked() | ev.Concluded():
                assert not isinstance(event, ev.Paused) or story.pausing, "it stands still and nobody asked for it"
                assert not in_flight, "it stands still while something is in flight"
            case ev.RollbackStarted() | ev.Ended():
                assert not in_flight, "what was in flight is not journalled"
            case _:
                pass
        story.hear(event)


def check_asked(story: Told, state: RunState, undos: set[UndoStatus]) -> None:
    """Whether the end is the one that was asked for, and a pause that ended it had lasted too long.

    `undos` are those of all attempts but the last steps'.
    """
    ended = (state.status, state.reason)
    if state.reason == "pause_expired":
        assert ended == (ExecutionStatus.CANCELLED, "pause_expired")
        assert story.wish is None
        assert any(step.status is StepStatus.CANCELLED for step in state.steps.values())
    if state.reason == "alert_resolved":
        assert story.resolved
        undone = UndoStatus.UNDONE in undos
        assert ended[0] is (ExecutionStatus.ROLLED_BACK if undone else ExecutionStatus.RESOLVED)
    if story.wish is None:
        assert state.reason not in {"cancel_requested", "rollback_requested"}, "nobody asked for it"
        return
    assert (state.rollback is not RollbackStatus.NONE) == (story.undo_wanted and bool(undos & UNDO_STORIES))
    if story.wish.verb is Verb.CANCEL:
        done = state.status is ExecutionStatus.COMPLETED or state.reason == "finally_failed"
        assert (done and not story.undo_wanted) or ended == (ExecutionStatus.CANCELLED, "cancel_requested")
    elif UndoStatus.UNDO_FAILED in undos:
        assert ended == (ExecutionStatus.FAILED, "rollback_incomplete")
    elif UndoStatus.UNDONE in undos:
        assert ended == (ExecutionStatus.ROLLED_BACK, "rollback_requested")
    else:
        assert ended == (ExecutionStatus.CANCELLED, "rollback_requested")
