"""When another way is looked for, what happens meanwhile, and every reason for which nobody is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.factories import a_check, a_step, a_template, an_action, an_approval
from tests.unit.pretend_engine import PretendEngine, engine_of
from workflow_service.domain import decisions as do
from workflow_service.domain import events as ev
from workflow_service.domain.errors import ErrorClass, IllegalTransition
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.fold import fold
from workflow_service.domain.plan import ByClass, OnFailure, Phase, Step
from workflow_service.domain.states import ExecutionStatus, Verb

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-015")
HIGH, LOW = FailureClass.HIGH, FailureClass.LOW
RECOVERS = {HIGH: ByClass(recover=True)}
E = ExecutionStatus


def mendable(name: str, *needs: str, **values: Any) -> Step:
    """A step that undoes what was done when it fails, unless another way is found for failures of class high."""
    return a_step(name, *needs, **{"on_failure": OnFailure.ROLLBACK, "by_class": RECOVERS, **values})


def engine(*steps: Step, **values: Any) -> PretendEngine:
    """An execution whose failures are of class high."""
    begun = engine_of(*steps, **values)
    begun.failure_class = HIGH
    return begun


def fails(running: PretendEngine, step: str, message: str = "no") -> None:
    """It has failed for good, with those words."""
    key = running.live.pop(step)
    running.note(ev.AttemptFailed(running.now, step, key, ErrorClass.PERMANENT, message))
    running.obey()


def does(running: PretendEngine, *steps: str) -> None:
    """They succeed."""
    for step in steps:
        running.succeed(step)
        running.obey()


def reasons(running: PretendEngine) -> list[str]:
    """Why there was no other way, and why a person is needed, in order."""
    return [event.reason for event in running.journal if isinstance(event, ev.RecoveryRefused | ev.Escalated)]


def test_a_broken_step_is_recovered_before_anything_is_cancelled_or_undone() -> None:
    """What is in flight finishes, nothing new begins, and after the answer the plan goes on."""
    running = engine(mendable("a"), a_step("b"), a_step("c", "a"), a_step("d", "b"))
    fails(running, "a")
    assert running.stands(E.RECOVERING)
    assert running.asked is not None
    does(running, "b")
    assert running.statuses() == {"a": "failed", "b": "succeeded", "c": "pending", "d": "pending"}
    assert running.mend(a_step("cure"))
    running.obey()
    assert running.stands(E.RUNNING)
    assert set(running.live) == {"recovery-1/cure", "d"}
    does(running, "recovery-1/cure", "d", "c")
    assert running.stands(E.COMPLETED)
    running.check_stored()


def test_without_another_way_the_steps_own_answer_is_followed() -> None:
    """As if nobody had been asked; the end says that somebody was."""
    running = engine(a_step("x"), mendable("a", "x"))
    does(running, "x")
    fails(running, "a", "image not found")
    running.know_nothing()
    running.obey()
    assert running.undoing
    does(running, "x")
    assert (running.state.status, running.state.cause) == (
        E.ROLLED_BACK,
        "Critical action a failed: image not found (no_recovery_option)",
    )
    assert reasons(running) == ["no_recovery_option"]


def test_a_failed_recovery_is_undone_with_the_rest() -> None:
    """What it had changed is taken back first; the whole is answered as the broken step says."""
    running = engine(a_step("x"), mendable("a", "x"))
    does(running, "x")
    fails(running, "a", "one")
    running.mend(a_step("first"), a_step("second", "first"))
    running.obey()
    does(running, "recovery-1/first")
    fails(running, "recovery-1/second", "two")
    running.know_nothing()
    running.obey()
    assert set(running.live) == {"recovery-1/first"}
    does(running, "recovery-1/first", "x")
    assert running.state.status is E.ROLLED_BACK
    assert "recovery-1 failed" in running.state.cause


def test_the_same_failure_twice_escalates() -> None:
    """No third try of the same sort: a person is needed, and what was done is undone."""
    running = engine(mendable("a"))
    fails(running, "a", "pod web-12345 is not ready")
    running.mend(a_step("cure"))
    running.obey()
    fails(running, "recovery-1/cure", "pod web-67890 is not ready")
    assert reasons(running) == ["repeated_failure_pattern_detected"] * 2
    assert running.state.escalated == "repeated_failure_pattern_detected"
    assert running.stands(E.FAILED)
    assert "repeated_failure_pattern_detected" in running.state.cause
    assert not any(isinstance(event, ev.RecoveryStarted) and event.attempt == 2 for event in running.journal)


def test_the_fourth_recovery_is_refused() -> None:
    """Three are tried, whatever their failures; then a person is needed."""
    running = engine(mendable("a"))
    fails(running, "a", "no")
    for number in range(1, 4):
        assert running.mend(a_step("cure"), option=f"option {number}")
        running.obey()
        fails(running, f"recovery-{number}/cure", "otherwise " * number)
    assert reasons(running) == ["max_recovery_attempts_exceeded"] * 2
    assert running.stands(E.FAILED)


def test_too_many_executions_that_end_badly_escalate() -> None:
    """It was asked at a bad time: refused with its own reason, and loud."""
    running = engine(mendable("a"))
    fails(running, "a")
    running.know_nothing("termination_rate_limit_reached")
    running.obey()
    assert reasons(running) == ["termination_rate_limit_reached"] * 2


@pytest.mark.parametrize("found", [FailureClass.CRITICAL, FailureClass.MEDIUM, LOW])
def test_only_the_classes_that_the_plan_names_are_recovered(found: FailureClass) -> None:
    """All others are answered at once."""
    running = engine(mendable("a"))
    running.failure_class = found
    fails(running, "a")
    assert running.stands(E.FAILED)
    assert reasons(running) == []


def test_the_class_decides_the_answer_only_where_the_plan_says_so() -> None:
    """A low failure is passed over, a high one is not; an alternative comes before either."""
    by_class = {LOW: ByClass(on_failure=OnFailure.SKIP)}
    for found, status in ((LOW, E.FAILED), (HIGH, E.ROLLED_BACK)):
        running = engine(a_step("x"), mendable("a", "x", by_class=by_class), a_step("after", "a"))
        running.failure_class = found
        does(running, "x")
        fails(running, "a")
        if found is LOW:
            does(running, "after")
            assert running.state.reason == "critical_step_failed"
        else:
            does(running, "x")
        assert running.state.status is status


def test_one_failure_that_cannot_be_healed_ends_it_all() -> None:
    """Nothing is tried for the other one, and what was asked for is not awaited."""
    running = engine(mendable("a"), a_step("b"))
    fails(running, "a")
    assert running.stands(E.RECOVERING)
    fails(running, "b")
    assert running.asked is None
    assert running.stands(E.FAILED)


def test_two_failures_are_recovered_one_after_the_other() -> None:
    """Each with a revision of its own; nothing begins in between."""
    running = engine(mendable("a"), mendable("b"))
    fails(running, "a", "one")
    fails(running, "b", "two")
    assert running.mend(a_step("cure"), option="for a")
    running.obey()
    assert running.stands(E.RECOVERING)
    assert running.live == {}
    assert running.mend(a_step("cure"), option="for b")
    running.obey()
    assert set(running.live) == {"recovery-1/cure", "recovery-2/cure"}
    does(running, "recovery-1/cure", "recovery-2/cure")
    assert running.stands(E.COMPLETED)


def test_the_last_of_a_chain_of_alternatives_is_recovered() -> None:
    """What the plan itself has as another way comes first."""
    running = engine(a_step("a", alternative="b"), mendable("b"))
    fails(running, "a", "one")
    assert set(running.live) == {"b"}
    fails(running, "b", "two")
    running.mend(a_step("cure"))
    running.obey()
    assert running.plan.step("b").alternative == "recovery-1"
    does(running, "recovery-1/cure")
    assert running.stands(E.COMPLETED)


def test_a_group_fails_by_what_is_inside_it() -> None:
    """Its class is the worst inside; the signature is that of the step at the bottom."""
    inner = a_template("deep", steps=(a_step("a", action=an_action(type="restart_pod")),))
    running = engine(a_template("heal", steps=(inner,), by_class=RECOVERS))
    fails(running, "heal/deep/a", "not ready")
    assert running.state.steps["heal"].failure_class is HIGH
    started = next(event for event in running.journal if isinstance(event, ev.RecoveryStarted))
    assert (started.step, started.failed) == ("heal", "heal/deep/a")
    assert started.signature == "restart_pod|permanent|not ready"


def test_a_verification_that_does_not_hold_may_be_recovered() -> None:
    """Its stand-in belongs to the same phase."""
    running = engine(a_step("a"), a_check("seen", phase=Phase.VERIFY, by_class=RECOVERS))
    does(running, "a")
    running.see("seen", held=False)
    running.obey()
    assert running.stands(E.RECOVERING)
    assert running.mend(a_step("cure"))
    running.obey()
    assert running.stands(E.VERIFYING)
    does(running, "recovery-1/cure")
    assert running.stands(E.COMPLETED)


def test_nobody_is_asked_after_a_persons_no_or_an_unknown_outcome() -> None:
    """A refusal is no failure, and what may have been done is not done in another way."""
    asked = engine(an_approval("ask", on_failure=OnFailure.STOP, by_class=RECOVERS), a_step("a", "ask"))
    asked.command(Verb.REJECT, step="ask")
    asked.obey()
    assert asked.stands(E.REJECTED)
    lost = engine(mendable("a"))
    lost.lose("a")
    lost.obey()
    assert not any(isinstance(event, ev.RecoveryStarted) for event in [*asked.journal, *lost.journal])


@pytest.mark.parametrize(("verb", "status"), [(Verb.CANCEL, E.CANCELLED), (Verb.ROLLBACK, E.CANCELLED)])
def test_a_persons_word_beats_it(verb: Verb, status: ExecutionStatus) -> None:
    """Nobody waits for the answer any more."""
    running = engine(mendable("a"), a_step("b", "a"))
    fails(running, "a")
    assert running.command(verb) is None
    running.obey()
    assert running.asked is None
    assert running.stands(status)


def test_a_pause_holds_it_and_afterwards_it_is_asked_again() -> None:
    """The same attempt: a pause costs no recovery."""
    running = engine(mendable("a"))
    fails(running, "a")
    running.command(Verb.PAUSE)
    running.obey()
    assert (running.state.status, running.asked) == (E.PAUSED, None)
    running.command(Verb.RESUME)
    running.obey()
    assert running.stands(E.RECOVERING)
    assert [event.attempt for event in running.journal if isinstance(event, ev.RecoveryStarted)] == [1, 1]
    running.mend(a_step("cure"))
    running.obey()
    does(running, "recovery-1/cure")
    assert running.stands(E.COMPLETED)


def test_a_pause_that_nobody_ends_leaves_the_failure_as_it_is() -> None:
    """It is answered as the plan says: the pause was not what went wrong."""
    running = engine(a_step("x"), mendable("a", "x"))
    does(running, "x")
    fails(running, "a")
    running.command(Verb.PAUSE)
    running.obey()
    running.after(86400)
    assert running.undoing
    does(running, "x")
    assert (running.state.status, running.state.reason) == (E.ROLLED_BACK, "critical_step_failed")


def test_the_runs_bound_beats_it() -> None:
    """However long somebody thinks."""
    running = engine(mendable("a"), timeout=60)
    fails(running, "a")
    assert running.wake_at is not None
    running.after(61)
    assert (running.state.status, running.asked) == (E.TIMED_OUT, None)


def test_a_crash_while_it_is_asked_asks_again() -> None:
    """Nothing was journalled, so nothing is known."""
    running = engine(mendable("a"))
    fails(running, "a")
    running.crash()
    running.obey()
    assert running.asked is not None
    assert sum(isinstance(event, ev.RecoveryStarted) for event in running.journal) == 1


def test_an_answer_that_nobody_waits_for_is_refused() -> None:
    """It is no recovery of this step, or there was one already."""
    running = engine(mendable("a"), mendable("b"))
    fails(running, "a")
    planned = ev.RecoveryPlanned(running.now, "b", 1, "x", "test", "", "hash", 2, "recovery-1", ("recovery-1",))
    with pytest.raises(IllegalTransition, match="no recovery of b"):
        fold(running.state, planned)
    running.mend(a_step("cure"))
    with pytest.raises(IllegalTransition, match="no recovery of a"):
        fold(running.state, ev.RecoveryPlanned(running.now, "a", 1, "x", "test", "", "h", 2, "r", ("r",)))


def test_an_order_in_flight_is_not_withdrawn_while_there_is_hope() -> None:
    """A step beside the broken one is needed afterwards: it is resumed, not cancelled."""
    running = engine(mendable("a"), a_step("b"))
    fails(running, "a")
    running.crash()
    running.obey()
    assert set(running.live) == {"b"}
    assert not any(isinstance(action, do.CancelStep) for action in running.ask().actions)
