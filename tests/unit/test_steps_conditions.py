"""When a step runs, what must hold before it, and what proves afterwards that it has helped."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.factories import a_check, a_step, a_wait, an_approval, at
from tests.unit.pretend_engine import engine_of
from workflow_service.domain import events as ev
from workflow_service.domain.decisions import Look
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.plan import Condition, OnFailure, Step
from workflow_service.domain.states import ExecutionStatus, UndoStatus, Verb

_E = ExecutionStatus
FREE = Condition("observed.ready_replicas >= 1", "the deployment is up")
READY = Condition("observed.ready_replicas >= 3", "three are ready", within=60, poll=10)


def guarded(step_id: str = "scale", *needs: str, **values: Any) -> Step:
    """A step with a precondition."""
    return a_step(step_id, *needs, preconditions=(FREE,), **values)


def proven(step_id: str = "scale", *needs: str, **values: Any) -> Step:
    """A step with a postcondition that is looked at ten seconds after its action."""
    return a_step(step_id, *needs, **{"postconditions": (READY,), "settle": 10.0, **values})


def test_a_step_whose_condition_is_false_is_skipped_and_others_go_on() -> None:
    """False skips it, and who needs it goes on; true runs it; what came before can be asked about."""
    engine = engine_of(
        a_step("a", when="alert.severity == 'low'"), a_step("b", "a", when="steps.a.status == 'skipped'")
    )
    assert engine.state.steps["a"].message == "its condition is false: alert.severity == 'low'"
    assert set(engine.live) == {"b"}


@pytest.mark.parametrize("when", ["1 / 0 == 1", "alert.labels.nowhere == 'x'"])
def test_a_condition_without_an_answer_fails_the_step(when: str) -> None:
    """An error is no `false`: the step has failed, and its answer to failure counts."""
    engine = engine_of(a_step("a", when=when), a_step("b", "a"))
    assert engine.state.steps["a"].reason == "condition_error"
    assert (engine.state.status, engine.state.reason) == (_E.FAILED, "critical_step_failed")
    skipped = engine_of(a_step("a", when=when, on_failure=OnFailure.SKIP), a_step("b", "a"))
    assert set(skipped.live) == {"b"}


def test_preconditions_are_looked_at_before_the_first_attempt() -> None:
    """Nothing is sent before they hold; then the step starts, and the journal says what was seen."""
    engine = engine_of(guarded())
    assert engine.looks == {"scale": Look("scale", after=False, since=at(0), until=at(30))}
    assert engine.statuses() == {"scale": "pending"}
    engine.see("scale")
    engine.obey()
    assert set(engine.live) == {"scale"}
    (cleared,) = [event for event in engine.journal if isinstance(event, ev.Cleared)]
    assert cleared.evidence == ({"kind": "precondition", "held": True},)


def test_a_retry_does_not_look_again() -> None:
    """Preconditions are about beginning: the second attempt of a begun step needs no look."""
    engine = engine_of(guarded(retry=a_step().retry.__class__(max_retries=1, first_delay=1.0)))
    engine.see("scale")
    engine.obey()
    engine.fail("scale", ErrorClass.TRANSIENT)
    engine.after(1)
    assert set(engine.live) == {"scale"}


def test_a_failed_precondition_blocks_the_step() -> None:
    """Blocked: no attempt was made, nothing was changed; a stand-in may run, and the verdict calls it a failure."""
    engine = engine_of(guarded(), a_step("next", "scale"))
    engine.see("scale", held=False)
    engine.obey()
    step = engine.state.steps["scale"]
    assert (step.status.value, step.reason, step.attempts) == ("blocked", "precondition_failed", ())
    assert (engine.state.status, engine.state.cause) == (_E.FAILED, "Critical action scale failed: not so")
    healed = engine_of(guarded(on_failure=OnFailure.ALTERNATIVE, alternative="other"), a_step("other"))
    healed.see("scale", held=False)
    healed.obey()
    assert set(healed.live) == {"other"}


def test_while_nobody_can_look_the_step_is_held_not_blocked() -> None:
    """The executor is away: the step stays as it is, and is looked at again when the hold is over."""
    engine = engine_of(guarded())
    engine.see_nothing("scale", hold=5)
    engine.obey()
    assert (engine.statuses(), engine.looks, engine.wake_at) == ({"scale": "pending"}, {}, at(5))
    assert set(engine.after(5).looks) == {"scale"}


def test_after_a_standstill_what_has_not_begun_is_looked_at_again() -> None:
    """A pause and an approval take time in which everything may change; what has begun is left alone."""
    engine = engine_of(a_step("a"), guarded("b"), max_parallel=1)
    engine.looks.clear()
    paused = engine_of(guarded("b", priority=1), a_step("a"), max_parallel=1)
    paused.see("b")
    paused.command(Verb.PAUSE)
    paused.obey()
    assert paused.stands(_E.PAUSED)
    assert paused.state.steps["b"].cleared
    paused.wait(3600)
    paused.command(Verb.RESUME)
    paused.obey()
    assert set(paused.looks) == {"b"}


def test_a_pause_cuts_the_looks_before_a_step_and_not_the_proof_after_it() -> None:
    """What has not begun need not be known; what was done is proved before all stands still."""
    engine = engine_of(guarded("b"), proven("a"))
    engine.succeed("a")
    engine.after(10)
    assert set(engine.looks) == {"a", "b"}
    engine.command(Verb.PAUSE)
    engine.obey()
    assert set(engine.looks) == {"a"}
    assert engine.stands(_E.RUNNING)
    engine.see("a")
    engine.obey()
    assert engine.stands(_E.PAUSED)


def test_a_pause_waits_for_a_proof_that_is_still_settling() -> None:
    """Nothing is looked at yet, but there will be something to prove."""
    engine = engine_of(proven("a"), a_step("b", "a"))
    engine.succeed("a")
    engine.command(Verb.PAUSE)
    engine.obey()
    assert (engine.state.status, engine.wake_at) == (_E.RUNNING, at(10))
    engine.after(10).see("a")
    engine.obey()
    assert engine.stands(_E.PAUSED)


def test_postconditions_are_looked_at_after_settling_and_dependants_wait() -> None:
    """From `settle` after the success until `within` later; only the proof lets the next step begin."""
    engine = engine_of(proven(), a_step("next", "scale"))
    engine.succeed("scale")
    engine.obey()
    assert (engine.statuses()["scale"], engine.looks, engine.wake_at) == ("waiting", {}, at(10))
    assert engine.after(10).looks == {"scale": Look("scale", after=True, since=at(10), until=at(70))}
    assert engine.live == {}
    engine.see("scale")
    engine.obey()
    assert set(engine.live) == {"next"}


def test_a_proof_has_its_own_time_whatever_the_attempts_took() -> None:
    """The step's deadline is for its attempts; only the run's end cuts the proof short."""
    engine = engine_of(proven(deadline=12), timeout=50)
    engine.after(11).succeed("scale")
    engine.after(10)
    assert engine.looks["scale"].until == at(50)


def test_what_was_done_and_not_proved_has_failed_and_can_be_undone() -> None:
    """The step has failed with `postcondition_failed`, its change is still its own, and a rollback takes it back."""
    engine = engine_of(proven(on_failure=OnFailure.ROLLBACK))
    engine.succeed("scale")
    engine.after(10).see("scale", held=False)
    engine.obey()
    assert engine.state.steps["scale"].reason == "postcondition_failed"
    assert engine.state.steps["scale"].undo is UndoStatus.UNDOING
    engine.drive_to_the_end()
    assert (engine.state.status, engine.state.cause) == (_E.ROLLED_BACK, "Critical action scale failed: not so")


def test_after_a_crash_the_proof_goes_on_where_it_was() -> None:
    """The next drive looks again, in the time that was left: nothing is sent a second time."""
    engine = engine_of(proven())
    engine.succeed("scale")
    engine.after(10)
    engine.crash()
    engine.after(20)
    assert engine.looks == {"scale": Look("scale", after=True, since=at(10), until=at(70))}


def test_a_failure_elsewhere_lets_a_proof_go_on() -> None:
    """Nothing more begins, but what is done is proved, settling included, before the run ends."""
    engine = engine_of(proven("a"), a_step("b"), a_step("c", "a"))
    engine.succeed("a")
    engine.fail("b", ErrorClass.PERMANENT)
    engine.obey()
    assert engine.statuses() == {"a": "waiting", "b": "failed", "c": "cancelled"}
    assert engine.wake_at == at(10)
    engine.after(10).see("a")
    engine.obey()
    assert engine.statuses()["a"] == "succeeded"
    assert engine.state.final


@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.ROLLBACK])
def test_whoever_wants_the_end_need_not_wait_for_a_proof(verb: Verb) -> None:
    """Cancel and rollback cut the looks, before and after; what was changed stays undoable."""
    engine = engine_of(proven("a"), guarded("b"))
    engine.succeed("a")
    engine.after(10)
    assert set(engine.looks) == {"a", "b"}
    engine.command(verb)
    engine.obey()
    assert engine.looks == {}
    assert engine.statuses() == {"a": "cancelled", "b": "cancelled"}
    engine.drive_to_the_end()
    undone = UndoStatus.UNDONE if verb is Verb.ROLLBACK else UndoStatus.AVAILABLE
    assert engine.state.steps["a"].undo is undone


def test_the_end_of_the_run_cuts_a_proof() -> None:
    """Out of time: the execution says so, with the step that was left."""
    engine = engine_of(proven("a"), timeout=15)
    engine.succeed("a")
    engine.after(10).after(5)
    assert (engine.state.status, engine.state.cause) == (_E.TIMED_OUT, "not finished in time: a")


def test_a_check_looks_until_its_deadline_at_most() -> None:
    """It changes nothing, has no attempts, and ends with what it sees."""
    engine = engine_of(a_check("ready", deadline=120.0), a_step("next", "ready"))
    assert engine.looks == {"ready": Look("ready", after=True, since=at(0), until=at(120))}
    engine.see("ready")
    engine.obey()
    assert set(engine.live) == {"next"}
    failed = engine_of(a_check("ready"))
    failed.see("ready", held=False)
    failed.obey()
    assert failed.state.steps["ready"].reason == "postcondition_failed"
    assert failed.state.status is _E.FAILED


def test_a_check_is_cut_by_a_pause_and_goes_on_after_it() -> None:
    """It proves no effect of ours; the time of the pause is not its own."""
    engine = engine_of(a_check("ready", deadline=120.0), a_step("next", "ready"))
    engine.wait(20)
    engine.command(Verb.PAUSE)
    engine.obey()
    assert (engine.state.status, engine.looks) == (_E.PAUSED, {})
    engine.wait(1000)
    engine.command(Verb.RESUME)
    engine.obey()
    assert engine.looks["ready"].until == at(1120)


def test_a_check_is_cut_by_a_failure_beside_it() -> None:
    """Nobody waits minutes for a look when the run has failed already."""
    engine = engine_of(a_check("ready"), a_step("a"))
    engine.fail("a", ErrorClass.PERMANENT)
    engine.obey()
    assert engine.statuses() == {"ready": "cancelled", "a": "failed"}
    assert engine.state.final


def test_a_step_that_is_skipped_by_hand_is_looked_at_no_more() -> None:
    """What was seen of it does not matter any more, whenever it arrives."""
    engine = engine_of(guarded("a"), a_check("b"), a_step("c", "a", "b"))
    for step in ("a", "b"):
        assert engine.command(Verb.SKIP_STEP, step=step) is None
    engine.obey()
    assert engine.looks == {}
    assert set(engine.live) == {"c"}
    engine.hear_again(ev.Cleared(engine.now, "a"))
    engine.hear_again(ev.StepProved(engine.now, "b"))


def test_a_check_begins_only_with_a_place_to_look_from() -> None:
    """Its time does not run while others take all places."""
    engine = engine_of(a_step("a", priority=1), a_check("ready"), max_parallel=1)
    assert engine.statuses() == {"a": "running", "ready": "pending"}
    engine.succeed("a")
    engine.obey()
    assert engine.looks["ready"].since == at(0)


def test_waits_and_approvals_take_nobodys_place() -> None:
    """With one place, an action runs beside a wait and an approval."""
    engine = engine_of(a_wait("wait"), an_approval("ask"), a_step("a"), max_parallel=1)
    assert engine.statuses() == {"wait": "waiting", "ask": "waiting", "a": "running"}
    assert engine.wake_at == at(0) + timedelta(seconds=10)
