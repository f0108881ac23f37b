"""What `decide` answers in the situations that matter most, one by one."""

import pytest

from tests.unit.factories import a_graph, a_run, a_step, at, begun, failed, key_of, started, succeeded
from workflow_service.domain import events as ev
from workflow_service.domain.bounds import must_end_by, run_deadline, step_deadline
from workflow_service.domain.decide import decide
from workflow_service.domain.decisions import (
    Action,
    Begin,
    BeginRollback,
    CancelStep,
    Decision,
    Finish,
    GiveUpUndo,
    ResumeStep,
    SkipStep,
    StartStep,
    StartUndo,
)
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import OnFailure
from workflow_service.domain.states import ExecutionStatus, RollbackStatus

LINE = a_graph(a_step("a"), a_step("b", "a"))
WIDE = a_graph(*(a_step(name) for name in "abcd"), max_parallel=2)
HEALING = a_graph(a_step("a", alternative="b"), a_step("b"), a_step("c", "a"))
UNDOING = a_graph(a_step("a"), a_step("b", on_failure=OnFailure.ROLLBACK), undo_timeout=60, max_parallel=1)


def ask(graph: Graph, *events: ev.Event, after: float = 0, live: str = "", held: float | None = None) -> Decision:
    """What is decided so many seconds after T0, with these events behind and these one-letter steps live."""
    hold_until = None if held is None else at(held)
    return decide(graph, a_run(graph, *events), at(after), live=frozenset(live), hold_until=hold_until)


def actions(
    graph: Graph, *events: ev.Event, after: float = 0, live: str = "", held: float | None = None
) -> list[Action]:
    """The actions of `ask`."""
    return list(ask(graph, *events, after=after, live=live, held=held).actions)


def verdict(graph: Graph, *events: ev.Event, after: float = 0) -> Finish:
    """The last word, which must be the only action."""
    (finish,) = actions(graph, *events, after=after)
    assert isinstance(finish, Finish)
    return finish


def done(*steps: str) -> tuple[ev.Event, ...]:
    """These steps succeeded."""
    return tuple(event for step in steps for event in (started(step), succeeded(step)))


def lost(step: str, *, after: float = 0) -> tuple[ev.Event, ...]:
    """The outcome of this step is unknown."""
    return started(step), ev.StepUnknown(at(after), step, key_of(step), "another ledger")


def wrong(step: str, *, after: float = 0) -> tuple[ev.Event, ...]:
    """The step failed for good."""
    return started(step), failed(step, after=after)


def test_a_queued_execution_begins() -> None:
    """The first thing is to start the run clock."""
    assert decide(LINE, fold_all(begun(LINE)[:2]), at(0)) == Decision((Begin(),))


@pytest.mark.requirement("BR-WF-001")
def test_steps_start_in_the_order_of_their_needs() -> None:
    """The first step starts; the second one when the first has succeeded."""
    assert actions(LINE) == [StartStep("a", 0)]
    assert actions(LINE, started("a"), live="a") == []
    assert actions(LINE, *done("a")) == [StartStep("b", 0)]
    assert verdict(LINE, *done("a", "b")) == Finish(
        ExecutionStatus.COMPLETED, "all_steps_succeeded", "", RollbackStatus.NONE
    )


@pytest.mark.requirement("BR-WF-003")
def test_no_more_than_max_parallel_start_and_a_free_place_is_filled() -> None:
    """Two of four at once; live steps and such as must be resumed hold their places."""
    assert actions(WIDE) == [StartStep("a", 0), StartStep("b", 0)]
    assert actions(WIDE, started("a"), started("b"), live="ab") == []
    assert actions(WIDE, *done("a"), started("b"), live="b") == [StartStep("c", 0)]
    assert actions(WIDE, started("a")) == [ResumeStep("a", 0, key_of("a"), "ledger-1"), StartStep("b", 0)]


def test_priority_decides_among_steps_that_are_ready_together() -> None:
    """1 goes before 9, equals keep plan order."""
    graph = a_graph(a_step("a", priority=9), a_step("b"), a_step("c", priority=1), a_step("d"), max_parallel=3)
    assert actions(graph) == [StartStep("c", 0), StartStep("b", 0), StartStep("d", 0)]


def test_a_step_that_is_being_started_is_not_started_again() -> None:
    """A live step whose `started` is not journalled yet gets no second start, and no cancellation either."""
    assert actions(WIDE, live="a") == [StartStep("b", 0)]
    assert CancelStep("c", "step b failed") not in actions(WIDE, *wrong("b"), live="c")


@pytest.mark.requirement("BR-WF-014")
def test_a_retry_starts_at_its_time_with_the_next_number() -> None:
    """Before its time `decide` asks to be woken; then attempt 1 starts."""
    again = (started("a"), failed("a", error_class=ErrorClass.TRANSIENT, retry_at=at(8)))
    assert ask(LINE, *again, after=2) == Decision((), wake_at=at(8))
    assert actions(LINE, *again, after=8) == [StartStep("a", 1)]


def test_an_unsent_attempt_is_sent_again_when_the_hold_is_over() -> None:
    """While the executor is away nothing is sent; afterwards the same attempt is."""
    unsent = (started("a"), ev.AttemptUnsent(at(1), "a", key_of("a")))
    assert ask(LINE, *unsent, after=1, held=5) == Decision((), wake_at=at(5))
    assert actions(LINE, *unsent, after=5, held=5) == [StartStep("a", 0)]


@pytest.mark.requirement("BR-WF-001")
def test_what_was_started_is_resumed_by_its_key_after_a_crash() -> None:
    """The next drive asks what became of the key, even while held, and even when the time is over."""
    resume = ResumeStep("a", 0, key_of("a"), "ledger-1")
    assert actions(LINE, started("a")) == [resume]
    assert actions(LINE, started("a"), held=9) == [resume]
    assert actions(LINE, started("a"), after=601) == [resume, CancelStep("b", "the execution's time is over")]


def test_waiting_ends_at_the_run_deadline_at_the_latest() -> None:
    """With something live there is still a time at which to ask again."""
    assert ask(LINE, started("a"), live="a").wake_at == at(600)


@pytest.mark.requirement("BR-WF-018", "BR-WF-020")
def test_an_alternative_runs_only_when_its_primary_failed() -> None:
    """It is skipped after a success; after a failure it runs, and its success lets the dependants go on."""
    assert actions(HEALING) == [StartStep("a", 0)]
    assert actions(HEALING, *done("a")) == [SkipStep("b", "a did not fail")]
    assert actions(HEALING, *wrong("a")) == [StartStep("b", 0)]
    assert actions(HEALING, *wrong("a"), *done("b")) == [StartStep("c", 0)]
    assert verdict(HEALING, *wrong("a"), *done("b", "c")).status is ExecutionStatus.COMPLETED


@pytest.mark.requirement("BR-WF-020")
def test_the_last_of_several_alternatives_heals_them_all() -> None:
    """When the alternative fails as well and its own alternative succeeds, the execution has completed."""
    graph = a_graph(a_step("a", alternative="b"), a_step("b", alternative="c"), a_step("c"))
    assert verdict(graph, *wrong("a"), *wrong("b"), *done("c")).status is ExecutionStatus.COMPLETED


def test_an_unknown_outcome_is_never_answered_by_an_alternative() -> None:
    """Doing it another way while the first may have happened would do it twice: the run stops."""
    assert actions(HEALING, *lost("a")) == [CancelStep("b", "step a failed"), CancelStep("c", "step a failed")]


def test_a_skipped_failure_lets_the_run_go_on() -> None:
    """A non-critical failure with the answer `skip` leaves the execution partially completed."""
    graph = a_graph(a_step("a", on_failure=OnFailure.SKIP, critical=False), a_step("b", "a"))
    assert actions(graph, *wrong("a")) == [StartStep("b", 0)]
    finish = verdict(graph, *wrong("a"), *done("b"))
    assert (finish.status, finish.reason) == (ExecutionStatus.PARTIALLY_COMPLETED, "non_critical_step_failed")
    assert finish.cause == "Action a failed: image not found"


def test_a_critical_failure_is_never_only_partial() -> None:
    """A critical step that failed for good makes the execution fail, even when the run went on without it."""
    graph = a_graph(a_step("a", on_failure=OnFailure.SKIP, critical=True), a_step("b", "a"))
    finish = verdict(graph, *wrong("a"), *done("b"))
    assert (finish.status, finish.reason) == (ExecutionStatus.FAILED, "critical_step_failed")
    assert finish.cause == "Critical action a failed: image not found"


def test_when_nothing_was_done_the_execution_failed() -> None:
    """Only skipped failures and no success: failed."""
    graph = a_graph(a_step("a", on_failure=OnFailure.SKIP, critical=False))
    assert verdict(graph, *wrong("a")).reason == "nothing_succeeded"


def test_a_failure_stops_new_steps_and_waits_for_those_in_flight() -> None:
    """The rest is cancelled, what is live may finish, and only then the execution ends."""
    assert actions(WIDE, *wrong("a"), started("b"), live="b") == [
        CancelStep("c", "step a failed"),
        CancelStep("d", "step a failed"),
    ]
    cancelled = (ev.StepCancelled(at(1), "c", "x"), ev.StepCancelled(at(1), "d", "x"))
    assert actions(WIDE, *wrong("a"), started("b"), *cancelled, live="b") == []
    finish = verdict(WIDE, *wrong("a"), started("b"), *cancelled, succeeded("b"))
    assert (finish.status, finish.reason) == (ExecutionStatus.FAILED, "critical_step_failed")


def test_the_cause_is_the_first_failure() -> None:
    """Of two failures the earlier one is named, not the one that comes later in the plan."""
    cancelled = (ev.StepCancelled(at(1), "c", "x"), ev.StepCancelled(at(1), "d", "x"))
    first_b = (started("a"), started("b"), failed("b", after=1, message="b broke"), *cancelled, failed("a", after=2))
    first_a = (started("a"), started("b"), failed("a", after=1, message="a broke"), *cancelled, failed("b", after=2))
    assert verdict(WIDE, *first_b).cause == "Critical action b failed: b broke"
    assert verdict(WIDE, *first_a).cause == "Critical action a failed: a broke"


def test_the_cause_of_a_failed_alternative_is_the_alternative() -> None:
    """The primary had handed its task on; what could not be healed is named."""
    cancelled = ev.StepCancelled(at(1), "c", "x")
    events = (*wrong("a"), started("b"), failed("b", message="b broke", after=1), cancelled)
    assert verdict(HEALING, *events, after=2).cause == "Critical action b failed: b broke"


@pytest.mark.requirement("BR-WF-001")
def test_an_execution_out_of_time_cancels_and_ends() -> None:
    """At the deadline nothing new starts; the last word names what was left."""
    assert actions(LINE, *done("a"), after=600) == [CancelStep("b", "the execution's time is over")]
    finish = verdict(LINE, *done("a"), ev.StepCancelled(at(600), "b", "x"), after=600)
    assert (finish.status, finish.reason) == (ExecutionStatus.TIMED_OUT, "execution_timeout")
    assert finish.cause == "not finished in time: b"


def test_an_execution_that_has_done_everything_is_not_late() -> None:
    """Asked after the deadline, a done execution has completed, and an alternative nobody needs is skipped."""
    assert verdict(LINE, *done("a", "b"), after=9999).status is ExecutionStatus.COMPLETED
    graph = a_graph(a_step("a", alternative="b"), a_step("b", alternative="c"), a_step("c"))
    assert actions(graph, *done("a"), after=9999) == [SkipStep("b", "a did not fail")]
    skipped = ev.StepSkipped(at(9999), "b", "x")
    assert actions(graph, *done("a"), skipped, after=9999) == [SkipStep("c", "b did not fail")]


@pytest.mark.requirement("BR-WF-015")
def test_a_failure_that_asks_for_it_rolls_back_what_was_done() -> None:
    """Undo begins, takes back what succeeded, and the execution ends as rolled back."""
    events = (*done("a"), *wrong("b"))
    assert actions(UNDOING, *events) == [BeginRollback("critical_step_failed")]
    events = (*events, ev.RollbackStarted(at(1), "critical_step_failed"))
    undo = StartUndo("a", key_of("a"), tries=0, settle=False, resumed=False)
    assert ask(UNDOING, *events, after=1) == Decision((undo,), wake_at=at(61))
    events = (*events, ev.UndoStarted(at(1), "a", key_of("a"), "k"))
    assert actions(UNDOING, *events, after=1, live="a") == []
    finish = verdict(UNDOING, *events, ev.UndoSucceeded(at(2), "a", key_of("a")), after=2)
    assert (finish.status, finish.rollback) == (ExecutionStatus.ROLLED_BACK, RollbackStatus.DONE)


def test_without_anything_to_undo_there_is_no_rollback() -> None:
    """A failure before the first change just fails."""
    assert verdict(UNDOING, started("a"), succeeded("a", changes=(), undo_available=False), *wrong("b")).status is (
        ExecutionStatus.FAILED
    )


def test_an_unknown_outcome_is_settled_before_it_is_undone() -> None:
    """The undo of a lost step says that its key must be cancelled first."""
    events = (*done("a"), *lost("b"), ev.RollbackStarted(at(1), "critical_step_failed"))
    assert actions(UNDOING, *events, after=1) == [StartUndo("b", key_of("b"), tries=0, settle=True, resumed=False)]


@pytest.mark.requirement("BR-WF-015")
def test_an_undo_under_way_is_resumed_before_another_one_is_sent() -> None:
    """After a crash the undo that was sent takes the only place, whatever the order of the plan says."""
    events = (
        *done("a"), *lost("b"), ev.RollbackStarted(at(1), "critical_step_failed"),
        ev.UndoStarted(at(1), "b", key_of("b"), "k"),
        ev.UndoFailed(at(2), "b", key_of("b"), ErrorClass.TRANSIENT, "busy", retry_at=at(5)),
        ev.UndoStarted(at(2), "a", key_of("a"), "k"),
    )  # fmt: skip
    assert actions(UNDOING, *events, after=6) == [StartUndo("a", key_of("a"), tries=0, settle=False, resumed=True)]


def test_an_undo_waits_for_its_next_try_and_for_the_executor() -> None:
    """A failed undo is sent again at its time, as the next try, and not while held."""
    events = (
        *done("a"), *wrong("b"), ev.RollbackStarted(at(1), "critical_step_failed"),
        ev.UndoStarted(at(1), "a", key_of("a"), "k"),
        ev.UndoFailed(at(2), "a", key_of("a"), ErrorClass.TRANSIENT, "busy", retry_at=at(5)),
    )  # fmt: skip
    assert ask(UNDOING, *events, after=2) == Decision((), wake_at=at(5))
    assert ask(UNDOING, *events, after=5, held=9) == Decision((), wake_at=at(9))
    assert actions(UNDOING, *events, after=5) == [StartUndo("a", key_of("a"), tries=1, settle=False, resumed=False)]


@pytest.mark.requirement("BR-WF-015")
def test_a_rollback_out_of_time_gives_up_and_says_so() -> None:
    """What is not undone within the bound is given up, and the execution ends with an incomplete rollback."""
    events = (*done("a"), *wrong("b"), ev.RollbackStarted(at(1), "critical_step_failed"))
    assert actions(UNDOING, *events, after=61) == [GiveUpUndo("a", key_of("a"))]
    finish = verdict(UNDOING, *events, ev.UndoFailed(at(61), "a", key_of("a"), ErrorClass.TIMEOUT, "over"), after=61)
    assert (finish.status, finish.reason) == (ExecutionStatus.FAILED, "rollback_incomplete")
    assert finish.rollback is RollbackStatus.INCOMPLETE


def test_a_timed_out_execution_stays_timed_out_after_its_rollback() -> None:
    """The rollback is told beside the status, not instead of it."""
    events = (*done("a"), started("b"), failed("b", after=600, error_class=ErrorClass.TIMEOUT, message="cut off"))
    assert actions(UNDOING, *events, after=600) == [BeginRollback("timed_out")]
    key = key_of("a")
    undone = (ev.UndoStarted(at(601), "a", key, "k"), ev.UndoSucceeded(at(602), "a", key))
    finish = verdict(UNDOING, *events, ev.RollbackStarted(at(600), "timed_out"), *undone, after=602)
    assert (finish.status, finish.rollback) == (ExecutionStatus.TIMED_OUT, RollbackStatus.DONE)
    assert finish.cause == "Critical action b failed: cut off"


def test_nothing_is_decided_about_the_past() -> None:
    """An execution that is over needs nothing and no wake-up."""
    ended = ev.Ended(at(9), ExecutionStatus.COMPLETED, "all_steps_succeeded")
    assert ask(LINE, *done("a", "b"), ended, after=9999) == Decision()


def test_deadlines_are_the_nearest_bound() -> None:
    """A step ends by its own deadline or the run's; an execution by its run's, or by its rollback's once that began."""
    graph = a_graph(a_step("a", deadline=50), a_step("b", deadline=9999), timeout=600, undo_timeout=60)
    queued = fold_all(begun(graph)[:2])
    assert (run_deadline(graph, queued), must_end_by(graph, queued)) == (None, at(3600))
    state = a_run(graph, started("a", after=10), started("b", after=10))
    assert (run_deadline(graph, state), must_end_by(graph, state)) == (at(600), at(630))
    assert (step_deadline(graph, state, "a"), step_deadline(graph, state, "b")) == (at(60), at(600))
    rolling = a_run(graph, *done("a"), *wrong("b"), ev.RollbackStarted(at(100), "critical_step_failed"))
    assert must_end_by(graph, rolling) == at(190)
