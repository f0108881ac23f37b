"""What `decide` and the verdict make of commands: clocks that stand still, ends that were asked for, steps left out."""

import pytest

from tests.unit.factories import (
    a_graph,
    a_run,
    a_step,
    a_template,
    a_wait,
    at,
    begun,
    done,
    failed,
    key_of,
    said,
    started,
    succeeded,
)
from tests.unit.pretend_engine import PretendEngine, engine_of
from workflow_service.domain import events as ev
from workflow_service.domain.bounds import PAUSE_BOUND, must_end_by, run_deadline, step_deadline
from workflow_service.domain.decide import decide
from workflow_service.domain.decisions import BeginRollback
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import OnFailure
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, Verb

_E = ExecutionStatus
LINE = a_graph(a_step("a"), a_step("b", "a"), a_step("c", "b"))
RUN = begun(LINE)
HALF = (*RUN, *done("a"))
IN_FLIGHT = (*RUN, started("a"))
STANDING = (*HALF, said(Verb.PAUSE), ev.Paused(at(6)))


def last_word(graph: Graph, *events: ev.Event, after: float = 10) -> tuple[ExecutionStatus, str, RollbackStatus, str]:
    """How an engine that finds this run ends it."""
    engine = PretendEngine(graph, now=at(after))
    engine.journal = [*begun(graph), *events]
    engine.state = fold_all(engine.journal)
    engine.drive_to_the_end()
    engine.check()
    state = engine.state
    return state.status, state.reason, state.rollback, state.cause


ONE = a_graph(a_step("a"))
PAIR = a_graph(a_step("a", on_failure=OnFailure.ROLLBACK), a_step("b", on_failure=OnFailure.ROLLBACK), max_parallel=2)
HEALING = a_graph(a_step("a", alternative="b"), a_step("b"), a_step("c", "a"))
DONE, NONE = RollbackStatus.DONE, RollbackStatus.NONE


@pytest.mark.requirement("BR-WF-004")
def test_a_cancel_that_finds_everything_done_changes_nothing() -> None:
    """The last action was in flight and succeeded: nothing was left out, so the execution has completed."""
    assert last_word(ONE, started("a"), said(Verb.CANCEL))[:2] == (_E.COMPLETED, "all_steps_succeeded")
    assert last_word(ONE, started("a"), said(Verb.CANCEL, undo=True))[:3] == (_E.CANCELLED, "cancel_requested", DONE)
    assert last_word(ONE, started("a"), said(Verb.CANCEL), failed("a"))[:2] == (_E.CANCELLED, "cancel_requested")
    assert last_word(ONE, said(Verb.SKIP_STEP, step="a"), said(Verb.CANCEL))[0] is _E.CANCELLED


@pytest.mark.requirement("BR-WF-015")
def test_whoever_cancels_decides_about_the_undo() -> None:
    """Without undo nothing is undone, even where a failure would have asked for it; a rollback may still be asked."""
    broken = (*done("a"), started("b"), said(Verb.CANCEL), failed("b"))
    assert last_word(PAIR, *broken)[:3] == (_E.CANCELLED, "cancel_requested", NONE)
    assert last_word(PAIR, *broken, said(Verb.ROLLBACK))[:3] == (_E.ROLLED_BACK, "rollback_requested", DONE)
    undo = (*done("a"), started("b"), said(Verb.CANCEL, undo=True), failed("b"))
    assert last_word(PAIR, *undo)[:3] == (_E.CANCELLED, "cancel_requested", DONE)


def test_a_rollback_with_nothing_to_undo_says_so() -> None:
    """It is not `rolled_back`: nothing was."""
    status, reason, rolled, cause = last_word(LINE, said(Verb.ROLLBACK))
    assert (status, reason, rolled) == (_E.CANCELLED, "rollback_requested", NONE)
    assert cause == "rollback by ana: told to (nothing had been changed that can be undone)"


def test_a_rollback_by_hand_is_journalled_as_such_however_late_it_is() -> None:
    """Asked for before the deadline and begun after it: the reason is the person, not the clock."""
    state = a_run(ONE, *done("a"), said(Verb.ROLLBACK))
    assert decide(ONE, state, at(9999)).actions == (BeginRollback("rollback_requested"),)
    late = a_run(LINE, *done("a"), said(Verb.ROLLBACK), *(ev.StepCancelled(at(5), name, "x") for name in "bc"))
    assert decide(LINE, late, at(9999)).actions == (BeginRollback("rollback_requested"),)


def test_a_pause_that_nobody_ends_is_cancelled() -> None:
    """After its bound what is left is given up and the end says why; nothing is undone unasked."""
    status, reason, rolled, _ = last_word(LINE, *done("a"), said(Verb.PAUSE), ev.Paused(at(6)))
    assert (status, reason, rolled) == (_E.CANCELLED, "pause_expired", NONE)
    state = fold_all(STANDING)
    assert decide(LINE, state, at(7)).actions == ()
    assert decide(LINE, state, at(7)).wake_at == must_end_by(LINE, state) == at(6) + PAUSE_BOUND


@pytest.mark.parametrize("inside", [False, True])
def test_a_pause_that_cuts_an_alternative_short_has_expired(inside: bool) -> None:
    """What should have healed a failure never had its turn: that was the pause's end, not the failure's."""
    pair = (a_step("a", alternative="b"), a_wait("b", seconds=20))
    engine = engine_of(*((a_template("t", steps=pair),) if inside else pair))
    engine.fail("t/a" if inside else "a", ErrorClass.PERMANENT)
    engine.obey()
    engine.command(Verb.PAUSE)
    engine.obey()
    assert engine.state.status is _E.PAUSED
    engine.after(86400)
    assert (engine.state.status, engine.state.reason) == (_E.CANCELLED, "pause_expired")


def test_a_pause_whose_last_step_is_skipped_has_not_expired() -> None:
    """Nothing is left to wait for: the end tells what was done, not that somebody was late."""
    journal = (*done("a", "b"), said(Verb.PAUSE), ev.Paused(at(6)), said(Verb.SKIP_STEP, step="c"))
    assert last_word(LINE, *journal)[:2] == (_E.PARTIALLY_COMPLETED, "critical_step_skipped")
    assert last_word(LINE, *journal, after=90000)[:2] == (_E.PARTIALLY_COMPLETED, "critical_step_skipped")


@pytest.mark.requirement("BR-WF-004")
def test_a_critical_step_that_was_skipped_by_hand_is_not_completed() -> None:
    """`completed` means that every critical step held; a non-critical one may be left out; nothing done has failed."""
    skip = said(Verb.SKIP_STEP, step="b")
    status, reason, _, cause = last_word(LINE, *done("a"), skip, *done("c"))
    assert (status, reason) == (_E.PARTIALLY_COMPLETED, "critical_step_skipped")
    assert cause == "b was skipped by hand: skip-step by ana: told to"
    optional = a_graph(a_step("a"), a_step("b", critical=False))
    assert last_word(optional, *done("a"), skip)[:2] == (_E.COMPLETED, "all_steps_succeeded")
    assert last_word(ONE, said(Verb.SKIP_STEP, step="a"))[:2] == (_E.FAILED, "nothing_succeeded")


def test_an_alternative_skipped_in_advance_answers_no_failure() -> None:
    """The dependants of a failed step do not run because its stand-in was skipped before anyone knew of the failure."""
    skip = said(Verb.SKIP_STEP, step="b", after=1)
    assert last_word(HEALING, started("a"), skip, failed("a", after=2))[:2] == (_E.FAILED, "critical_step_failed")
    early = a_run(HEALING, started("a"), skip, failed("a", after=2))
    assert [action.step for action in decide(HEALING, early, at(3)).actions if hasattr(action, "step")] == ["c"]
    assert last_word(HEALING, started("a"), skip, succeeded("a", after=2))[0] is _E.COMPLETED


def test_an_alternative_skipped_after_the_failure_lets_the_run_go_on() -> None:
    """Who knows of the failure and skips the stand-in wants to go on; the end tells the failure all the same."""
    journal = (started("a"), failed("a", after=1), said(Verb.SKIP_STEP, step="b", after=2))
    assert last_word(HEALING, *journal, *done("c"))[:2] == (_E.FAILED, "critical_step_failed")
    engine = PretendEngine(HEALING, now=at(3))
    engine.journal = [*begun(HEALING), *journal]
    engine.state = fold_all(engine.journal)
    engine.obey()
    assert set(engine.live) == {"c"}


def test_what_is_left_out_was_late_whatever_the_clock_says_now() -> None:
    """A replica whose clock is behind ends what another one has cut off as timed out, not as completed."""
    cut = (*done("a"), *(ev.StepCancelled(at(600), name, "the execution's time is over") for name in "bc"))
    (finish,) = decide(LINE, a_run(LINE, *cut), at(599)).actions
    assert getattr(finish, "status", None) is _E.TIMED_OUT


def test_the_run_clock_stands_still_while_paused() -> None:
    """A pause moves the run's deadline by its own length; while it lasts there is none."""
    assert run_deadline(LINE, fold_all(STANDING)) is None
    resumed = fold_all((*STANDING, said(Verb.RESUME, after=1006)))
    assert run_deadline(LINE, resumed) == at(600 + 1000)
    again = (said(Verb.PAUSE, after=1100), ev.Paused(at(1100)), said(Verb.RESUME, after=1105))
    assert run_deadline(LINE, fold_all((*STANDING, said(Verb.RESUME, after=1006), *again))) == at(600 + 1005)


def test_a_pause_before_the_start_lends_the_run_no_time() -> None:
    """The run clock has not begun, so it cannot stand still."""
    early = (*RUN[:2], said(Verb.PAUSE), ev.Paused(at(6)), said(Verb.RESUME, after=3606))
    state = fold_all((*early, ev.Started(at(4000))))
    assert run_deadline(LINE, state) == at(4600)


def test_a_pause_lends_its_time_to_the_steps_that_had_begun_and_to_no_other() -> None:
    """A step in back-off gets the paused time back; one that starts afterwards has just its own deadline."""
    graph = a_graph(a_step("a", deadline=50), a_step("b", deadline=50), max_parallel=1)
    standing = (said(Verb.PAUSE), ev.Paused(at(6)), said(Verb.RESUME, after=1006))
    waiting = failed("a", error_class=ErrorClass.TRANSIENT, retry_at=at(20))
    again = a_run(graph, started("a"), waiting, *standing, started("a", 1, after=1006))
    assert step_deadline(graph, again, "a") == at(1050)
    later = a_run(graph, *done("a"), *standing, started("b", after=1010))
    assert step_deadline(graph, later, "b") == at(1060)
    unsent = ev.AttemptUnsent(at(1), "a", key_of("a"))
    fresh = a_run(graph, started("a"), unsent, *standing, started("a", after=1010))
    assert step_deadline(graph, fresh, "a") == at(1060)


def test_a_run_that_is_to_pause_is_told_at_its_deadline() -> None:
    """While something is in flight the clock still runs, and `decide` asks to be called again in time."""
    state = fold_all((*IN_FLIGHT, said(Verb.PAUSE)))
    assert decide(LINE, state, at(7), live=frozenset("a")).wake_at == at(600)


def test_a_resume_before_the_standstill_just_goes_on() -> None:
    """Nothing has stood still, so nothing is lent and the next step starts."""
    state = fold_all((*HALF, said(Verb.PAUSE), said(Verb.RESUME, after=50)))
    assert (state.status, state.wanted, run_deadline(LINE, state)) == (_E.RUNNING, None, at(600))
    assert [getattr(action, "step", "") for action in decide(LINE, state, at(51)).actions] == ["b"]
