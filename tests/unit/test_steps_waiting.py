"""Steps that wait for time or for a person, and executions that stand still meanwhile."""

import pytest

from tests.unit.factories import a_check, a_step, a_template, a_wait, an_approval, at
from tests.unit.pretend_engine import engine_of
from workflow_service.domain import events as ev
from workflow_service.domain.bounds import must_end_by, run_deadline, wake_at
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.plan import PASSING, OnFailure, Phase, plan_to_json
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, Verb
from workflow_service.domain.stored_plan import plan_from_json

_E = ExecutionStatus


def test_a_wait_lets_time_pass() -> None:
    """It is over when its time is; a short one keeps its slot."""
    engine = engine_of(a_wait("pause", seconds=20), a_step("next", "pause"))
    assert (engine.statuses()["pause"], engine.state.parked_at, engine.wake_at) == ("waiting", None, at(20))
    assert set(engine.after(20).live) == {"next"}


def test_a_long_wait_parks_the_execution() -> None:
    """Longer than 30 s with nothing else to do: the run clock stands still, and the status is what it was."""
    engine = engine_of(a_wait("pause", seconds=45), a_step("next", "pause"))
    state = engine.state
    assert (state.status, state.parked_at, state.parked_until) == (_E.RUNNING, at(0), at(45))
    assert (wake_at(engine.graph, state), run_deadline(engine.graph, state)) == (at(45), None)
    assert must_end_by(engine.graph, state) == at(45 + 600 + 30)
    engine.after(45)
    assert set(engine.live) == {"next"}
    assert run_deadline(engine.graph, engine.state) == at(645)


def test_a_wait_beside_work_does_not_park() -> None:
    """Other branches go on; only when the wait is all that is left, and long enough, it parks."""
    engine = engine_of(a_wait("pause", seconds=100), a_step("a"))
    assert not engine.state.stopped_at
    engine.wait(40)
    engine.succeed("a")
    engine.obey()
    assert (engine.state.parked_at, engine.state.parked_until) == (at(40), at(100))


@pytest.mark.parametrize(
    "busy", [a_check("other"), a_step("other", settle=50.0, postconditions=(a_check("x").postconditions))]
)
def test_a_look_and_a_proof_are_work(busy: object) -> None:
    """While something is looked at, or will be, the execution keeps its slot."""
    engine = engine_of(an_approval("ask"), busy)  # type: ignore[arg-type]
    if engine.live:
        engine.succeed("other")
        engine.obey()
    assert not engine.state.stopped_at
    engine.after(50).see("other")
    engine.obey()
    assert engine.stands(_E.AWAITING_APPROVAL)


@pytest.mark.requirement("BR-WF-004")
def test_an_approval_parks_as_soon_as_nothing_else_can_go_on() -> None:
    """Other branches go on first; then the execution awaits approval until the approval's own bound."""
    engine = engine_of(an_approval("ask"), a_step("a"), a_step("b", "ask", "a"))
    assert (engine.state.status, engine.statuses()["ask"]) == (_E.RUNNING, "waiting")
    engine.wait(30)
    engine.succeed("a")
    engine.obey()
    assert (engine.state.status, engine.state.parked_until) == (_E.AWAITING_APPROVAL, at(600))
    engine.wait(100)
    assert engine.command(Verb.APPROVE) is None
    engine.obey()
    assert (engine.state.status, set(engine.live)) == (_E.RUNNING, {"b"})
    assert engine.state.steps["ask"].message == "approve by ana: told to"
    assert run_deadline(engine.graph, engine.state) == at(700)


def test_a_refused_approval_rejects_the_execution() -> None:
    """Refused is no failure: the status is `rejected`, with who and why; nothing that waited for it begins."""
    engine = engine_of(an_approval("ask"), a_step("b", "ask"))
    assert engine.command(Verb.REJECT) is None
    engine.obey()
    assert (engine.state.status, engine.state.reason) == (_E.REJECTED, "approval_rejected")
    assert "reject by ana: told to" in engine.state.cause
    assert engine.statuses()["b"] == "cancelled"


def test_an_approval_that_nobody_gives_expires() -> None:
    """At its own bound it is refused by itself, and says so."""
    engine = engine_of(an_approval("ask"), a_step("b", "ask"))
    engine.after(600)
    assert (engine.state.status, engine.state.reason) == (_E.REJECTED, "approval_expired")


@pytest.mark.requirement("BR-WF-004")
@pytest.mark.parametrize("word", [Verb.REJECT, None])
def test_where_the_answer_is_skip_only_what_needs_the_word_is_left_out(word: Verb | None) -> None:
    """The rest is done and verified, the end is what it deserves, and its cause names what nobody has allowed."""
    verify = a_step("proof", phase=Phase.VERIFY)
    branch = (an_approval("ask", critical=False, on_failure=OnFailure.SKIP), a_step("b", "ask"), a_step("c", "b"))
    engine = engine_of(a_step("a"), *branch, verify)
    engine.succeed("a")
    engine.obey()
    assert engine.stands(_E.AWAITING_APPROVAL)
    if word is None:
        engine.after(600)
    else:
        engine.command(word)
    engine.drive_to_the_end()
    reason = "approval_expired" if word is None else "approval_rejected"
    assert (engine.state.status, engine.state.reason) == (_E.COMPLETED, "all_steps_succeeded")
    assert engine.state.cause == f"ask was not allowed ({reason})"
    assert engine.statuses() == {
        **dict.fromkeys(("a", "c", "proof"), "succeeded"),
        "ask": "failed",
        "b": "skipped",
    }


def test_a_word_whose_refusal_leaves_out_its_branch_inside_of_a_template() -> None:
    """A template whose optional branch nobody has allowed is done all the same."""
    ask = an_approval("ask", critical=False, on_failure=OnFailure.SKIP)
    engine = engine_of(a_template("heal", steps=(a_step("a"), ask, a_step("b", "ask"))))
    engine.succeed("heal/a")
    engine.obey()
    engine.command(Verb.REJECT)
    engine.drive_to_the_end()
    assert (engine.state.status, engine.statuses()["heal/b"]) == (_E.COMPLETED, "skipped")
    assert engine.state.cause == "heal/ask was not allowed (approval_rejected)"


def test_a_word_that_is_given_lets_the_optional_branch_begin() -> None:
    """Nothing else is different from any other approval; and the plan says that an older reader must not run it."""
    engine = engine_of(an_approval("ask", critical=False, on_failure=OnFailure.SKIP), a_step("b", "ask"))
    engine.command(Verb.APPROVE)
    engine.obey()
    assert set(engine.live) == {"b"}
    assert engine.graph.plan.format == PASSING
    assert plan_from_json(plan_to_json(engine.graph.plan)) == engine.graph.plan


@pytest.mark.parametrize("word", [Verb.REJECT, None])
def test_what_was_changed_before_a_refusal_is_rolled_back_where_the_plan_says_so(word: Verb | None) -> None:
    """With the answer `rollback` the changes are undone: `rolled_back`, for the reason of the refusal."""
    engine = engine_of(a_step("a"), an_approval("ask", "a", on_failure=OnFailure.ROLLBACK), a_step("b", "ask"))
    engine.succeed("a")
    engine.obey()
    if word is None:
        engine.after(600)
    else:
        engine.command(word)
    engine.says_yes = False
    engine.drive_to_the_end()
    assert (engine.state.status, engine.state.rollback) == (_E.ROLLED_BACK, RollbackStatus.DONE)
    assert engine.state.reason == ("approval_expired" if word is None else "approval_rejected")


def test_what_is_waited_for_may_change_while_it_is_parked() -> None:
    """Two approvals: the given one leaves the other's bound; more time moves it; and it never wakes for nothing."""
    engine = engine_of(an_approval("one"), an_approval("two", deadline=900.0), a_step("b", "one", "two"))
    assert engine.state.parked_until == at(600)
    engine.command(Verb.APPROVE, step="one")
    engine.obey()
    assert (engine.state.status, engine.state.parked_until) == (_E.AWAITING_APPROVAL, at(900))
    engine.command(Verb.EXTEND, step="two", seconds=1000.0)
    engine.obey()
    assert engine.state.parked_until == at(1900)
    assert engine.state.parked_at == at(0)
    engine.after(900)
    assert engine.stands(_E.AWAITING_APPROVAL)


def test_only_a_wait_is_left_when_the_word_was_given() -> None:
    """It stands still on, but awaits nobody's word any more."""
    engine = engine_of(an_approval("ask"), a_wait("pause", seconds=300), a_step("b", "ask", "pause"))
    assert engine.stands(_E.AWAITING_APPROVAL)
    engine.command(Verb.APPROVE)
    engine.obey()
    assert (engine.state.status, engine.state.parked_until) == (_E.RUNNING, at(300))
    assert set(engine.after(300).live) == {"b"}


def test_a_pause_of_what_is_parked_counts_once() -> None:
    """The clock has stood still since the parking, whatever came on top; after the pause it waits on."""
    engine = engine_of(an_approval("ask"), a_step("b", "ask"))
    engine.wait(100)
    engine.command(Verb.PAUSE)
    engine.obey()
    assert engine.stands(_E.PAUSED)
    engine.wait(100)
    engine.command(Verb.RESUME)
    engine.obey()
    assert engine.stands(_E.AWAITING_APPROVAL)
    engine.wait(100)
    engine.command(Verb.APPROVE)
    engine.obey()
    assert run_deadline(engine.graph, engine.state) == at(900)


def test_a_parked_execution_can_be_cancelled_and_rolled_back() -> None:
    """The standstill ends where the rollback begins: there is something to do again."""
    engine = engine_of(a_step("a"), an_approval("ask", "a"), a_step("b", "ask"))
    engine.succeed("a")
    engine.obey()
    assert engine.stands(_E.AWAITING_APPROVAL)
    engine.command(Verb.ROLLBACK)
    engine.obey()
    assert (engine.state.status, engine.state.stopped_at, set(engine.live)) == (_E.ROLLING_BACK, None, {"a"})
    engine.drive_to_the_end()
    assert engine.stands(_E.ROLLED_BACK)


def test_a_paused_execution_is_rolled_back_and_not_asleep() -> None:
    """The undo runs at once."""
    engine = engine_of(a_step("a"), a_step("b", "a"))
    engine.command(Verb.PAUSE)
    engine.succeed("a")
    engine.obey()
    engine.command(Verb.ROLLBACK)
    engine.obey()
    assert (engine.state.status, engine.state.stopped_at, set(engine.live)) == (_E.ROLLING_BACK, None, {"a"})


def test_a_failure_beside_an_approval_does_not_wait_for_it() -> None:
    """The run stops, the approval is cancelled, nobody is asked any more."""
    engine = engine_of(an_approval("ask"), a_step("a"))
    engine.fail("a", ErrorClass.PERMANENT)
    engine.obey()
    assert engine.statuses() == {"ask": "cancelled", "a": "failed"}
    assert engine.stands(_E.FAILED)


def test_an_approval_inside_a_template_parks_like_any_other() -> None:
    """It is named by its path."""
    engine = engine_of(a_template("heal", steps=(an_approval("ask"), a_step("a", "ask"))))
    assert engine.stands(_E.AWAITING_APPROVAL)
    assert engine.command(Verb.APPROVE, step="heal/ask") is None
    engine.obey()
    assert set(engine.live) == {"heal/a"}


def test_the_journal_tells_how_long_it_stood_still() -> None:
    """Every parking and its end is an event."""
    engine = engine_of(a_wait("pause", seconds=45))
    engine.drive_to_the_end()
    kinds = [type(event) for event in engine.journal]
    assert kinds[3:] == [ev.StepBegan, ev.Parked, ev.Unparked, ev.StepProved, ev.Ended]
