"""Steps that verify what all the others have done, and last steps that run whatever the end is."""

from typing import Any

import pytest

from tests.unit.factories import a_check, a_step, a_template, a_wait, at
from tests.unit.pretend_engine import PretendEngine, engine_of
from workflow_service.domain import events as ev
from workflow_service.domain.bounds import must_end_by
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.plan import OnFailure, Phase, Step
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, Verb

_E = ExecutionStatus


def verifying(step_id: str = "verify", **values: Any) -> Step:
    """A check of the phase verify."""
    return a_check(step_id, phase=Phase.VERIFY, **values)


def last(step_id: str = "tell", *needs: str, **values: Any) -> Step:
    """An action of the phase finally."""
    return a_step(step_id, *needs, phase=Phase.FINALLY, **values)


def test_verification_begins_when_all_else_went_well() -> None:
    """It waits for every step of the main phase, and the status says that it has begun."""
    engine = engine_of(a_step("a"), a_step("b"), verifying())
    engine.succeed("a")
    engine.obey()
    assert (engine.state.status, engine.looks) == (_E.RUNNING, {})
    engine.succeed("b")
    engine.obey()
    assert (engine.state.status, set(engine.looks)) == (_E.VERIFYING, {"verify"})
    engine.see("verify")
    engine.obey()
    assert engine.state.status is _E.COMPLETED


@pytest.mark.parametrize(
    ("answer", "end"), [(OnFailure.ROLLBACK, _E.ROLLED_BACK), (OnFailure.STOP, _E.FAILED), (OnFailure.SKIP, _E.FAILED)]
)
def test_what_was_not_verified_is_answered_as_any_failure(answer: OnFailure, end: ExecutionStatus) -> None:
    """The workflow has not helped: undone where the plan says so, failed in any case when it is critical."""
    engine = engine_of(a_step("a"), verifying(on_failure=answer))
    engine.succeed("a")
    engine.obey()
    engine.see("verify", held=False)
    engine.drive_to_the_end()
    assert engine.state.status is end


def test_after_a_failure_nothing_is_verified() -> None:
    """It is cancelled with all the rest."""
    engine = engine_of(a_step("a"), verifying())
    engine.fail("a", ErrorClass.PERMANENT)
    engine.obey()
    assert engine.statuses() == {"a": "failed", "verify": "cancelled"}


def test_a_template_may_verify_too() -> None:
    """All inside it belongs to the verification."""
    engine = engine_of(a_step("a"), a_template("verify", phase=Phase.VERIFY, steps=(a_check("ready"),)))
    assert engine.looks == {}
    engine.succeed("a")
    engine.obey()
    assert (engine.state.status, set(engine.looks)) == (_E.VERIFYING, {"verify/ready"})


def concluded(engine: PretendEngine) -> tuple[str, str]:
    """How it was known to end before its last steps."""
    (event,) = [event for event in engine.journal if isinstance(event, ev.Concluded)]
    return event.status.value, event.reason


def test_last_steps_run_at_the_very_end() -> None:
    """When the end is known and something was changed; the end is then as it was known."""
    engine = engine_of(a_step("a"), verifying(), last())
    engine.succeed("a")
    engine.obey()
    engine.see("verify")
    engine.obey()
    assert (concluded(engine), set(engine.live)) == (("completed", "all_steps_succeeded"), {"tell"})
    assert must_end_by(engine.graph, engine.state) == at(330)
    engine.succeed("tell")
    engine.obey()
    assert engine.state.status is _E.COMPLETED


def test_without_a_change_there_is_nothing_to_put_in_order() -> None:
    """Last steps are skipped when nothing was changed."""
    engine = engine_of(a_step("a"), last())
    engine.succeed("a", changed=False)
    engine.obey()
    assert (engine.state.status, engine.state.steps["tell"].message) == (_E.COMPLETED, "nothing was changed")


def test_last_steps_run_after_a_rollback_and_are_not_undone() -> None:
    """Whatever the end: rolled back here, and the last step's own change stays."""
    engine = engine_of(a_step("a"), a_step("b", "a", on_failure=OnFailure.ROLLBACK), last())
    engine.succeed("a")
    engine.obey()
    engine.fail("b", ErrorClass.PERMANENT)
    engine.drive_to_the_end()
    assert (engine.state.status, engine.state.rollback) == (_E.ROLLED_BACK, RollbackStatus.DONE)
    assert engine.statuses()["tell"] == "succeeded"
    assert engine.state.steps["tell"].undo.value == "available"


@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.ROLLBACK])
def test_last_steps_run_though_somebody_wanted_the_end(verb: Verb) -> None:
    """Cancelled or rolled back: they still have their chance, from a pause too."""
    engine = engine_of(a_step("a"), a_step("b", "a"), last())
    engine.command(Verb.PAUSE)
    engine.succeed("a")
    engine.obey()
    assert engine.state.status is _E.PAUSED
    engine.command(verb)
    engine.drive_to_the_end()
    assert engine.statuses()["tell"] == "succeeded"
    assert engine.state.reason == f"{verb}_requested"


def test_last_steps_run_while_it_is_known_that_time_is_over() -> None:
    """A run that timed out has its last steps all the same, in their own five minutes."""
    engine = engine_of(a_step("a"), a_wait("b", "a", seconds=400), last(), timeout=20)
    engine.succeed("a")
    engine.obey()
    engine.after(400)
    engine.drive_to_the_end()
    assert engine.statuses()["tell"] == "succeeded"


def test_a_critical_last_step_that_fails_spoils_a_completed_end() -> None:
    """`completed` becomes `partially_completed` (finally_failed); any other end stays what it was."""
    engine = engine_of(a_step("a"), last())
    engine.succeed("a")
    engine.obey()
    engine.fail("tell", ErrorClass.PERMANENT)
    engine.obey()
    assert (engine.state.status, engine.state.reason) == (_E.PARTIALLY_COMPLETED, "finally_failed")
    assert engine.state.cause == "finally: tell failed: no"
    other = engine_of(a_step("a"), a_step("b"), last())
    other.succeed("a")
    other.fail("b", ErrorClass.PERMANENT)
    other.obey()
    other.fail("tell", ErrorClass.PERMANENT)
    other.obey()
    assert (other.state.status, other.state.reason) == (_E.FAILED, "critical_step_failed")


def test_a_last_step_that_is_not_critical_spoils_nothing() -> None:
    """Its failure is in the journal."""
    engine = engine_of(a_step("a"), last(critical=False))
    engine.succeed("a")
    engine.obey()
    engine.fail("tell", ErrorClass.PERMANENT)
    engine.obey()
    assert engine.state.status is _E.COMPLETED


def test_last_steps_have_five_minutes() -> None:
    """What has not begun by then is cancelled, what is in flight is waited for; a critical one left out tells."""
    engine = engine_of(a_step("a"), last("wait", settle=0), last("tell", "wait"))
    engine.succeed("a")
    engine.obey()
    engine.after(300)
    assert (engine.statuses()["tell"], set(engine.live)) == ("cancelled", {"wait"})
    engine.succeed("wait")
    engine.obey()
    assert (engine.state.status, engine.state.reason) == (_E.PARTIALLY_COMPLETED, "finally_failed")


def test_last_steps_wait_for_an_executor_that_is_away() -> None:
    """Held is not failed: they are sent when it is back, within their time."""
    engine = engine_of(a_step("a"), last())
    engine.succeed("a")
    engine.hold_until = at(50)
    engine.obey()
    assert (engine.statuses()["tell"], engine.wake_at) == ("pending", at(50))
    assert set(engine.after(50).live) == {"tell"}


def test_a_failed_last_step_does_not_hold_up_its_neighbours() -> None:
    """Only those that wait for it are cancelled."""
    engine = engine_of(a_step("a"), last("one"), last("two"), last("three", "one"), max_parallel=1)
    engine.succeed("a")
    engine.obey()
    engine.fail("one", ErrorClass.PERMANENT)
    engine.obey()
    assert set(engine.live) == {"two"}
    engine.succeed("two")
    engine.obey()
    assert engine.statuses()["three"] == "cancelled"
    assert engine.state.final


def test_a_crash_during_the_last_steps_goes_on_with_them() -> None:
    """What was sent is asked for by its key, nothing of the run begins again."""
    engine = engine_of(a_step("a"), a_step("b", "a"), last())
    engine.succeed("a")
    engine.obey()
    engine.fail("b", ErrorClass.PERMANENT)
    engine.obey()
    engine.crash()
    engine.obey()
    assert set(engine.live) == {"tell"}
    engine.drive_to_the_end()
    assert engine.state.status is _E.FAILED
