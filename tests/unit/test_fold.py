"""What each event means, which cannot follow, and that a stored journal reads back the same."""

from dataclasses import fields, replace
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.factories import CHANGE, T0, a_graph, a_run, a_step, at, begun, failed, key_of, started, succeeded
from workflow_service.domain import events as ev
from workflow_service.domain import stored_events
from workflow_service.domain.errors import ErrorClass, IllegalTransition
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.fold import fold, fold_all
from workflow_service.domain.run_state import Attempt, Changes, Recovery, RunState, StepState, changed
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, StepStatus, UndoStatus, Verb

GRAPH = a_graph(a_step("scale"), a_step("log", "scale"))
KEY = key_of("scale")
ROLLING_BACK = (started("scale"), succeeded("scale"), ev.RollbackStarted(at(1), "critical_step_failed"))
PAUSED = ev.Paused(at(2))
SKIPPED = ev.CommandApplied(at(1), "c-1", Verb.SKIP_STEP, "ana", "done by hand", {"step": "scale"})
ENDED = ev.Ended(at(9), ExecutionStatus.FAILED, "critical_step_failed", "Critical action scale failed: no")


@pytest.mark.requirement("BR-WF-004")
def test_a_plan_waits_for_its_slot_and_then_runs() -> None:
    """Planning, planned, started: created becomes planning, queued, running; a crash while planning may repeat it."""
    journal = begun(GRAPH)
    states = [fold_all(journal[:count]) for count in range(4)]
    assert [state.status.value for state in states] == ["created", "planning", "queued", "running"]
    assert fold(states[1], journal[0]) == states[1]
    assert (states[3].plan_hash, states[3].started_at) == (GRAPH.plan.hash, T0)
    assert {name: step.status.value for name, step in states[3].steps.items()} == {"scale": "pending", "log": "pending"}


@pytest.mark.requirement("BR-WF-004")
def test_a_success_keeps_what_the_executor_said() -> None:
    """Result, message, changes and times of a succeeded attempt are in the state."""
    state = a_run(
        GRAPH, started("scale", after=1), succeeded("scale", after=3, result={"replicas": 3}, action_id="a-1")
    )
    step = state.steps["scale"]
    assert (step.status, step.started_at, step.ended_at) == (StepStatus.SUCCEEDED, at(1), at(3))
    assert step.result == {"replicas": 3}
    attempt = step.attempts[0]
    assert (attempt.key, attempt.action_id, attempt.changes) == (KEY, "a-1", (CHANGE,))
    assert (attempt.undo, attempt.ledger_id) == (UndoStatus.AVAILABLE, "ledger-1")


@pytest.mark.requirement("BR-WF-014")
def test_a_known_failure_with_a_time_waits_for_the_next_attempt() -> None:
    """The step waits until that time, and the next attempt has a number of its own."""
    again = failed("scale", after=1, error_class=ErrorClass.TRANSIENT, retry_at=at(5))
    waiting = a_run(GRAPH, started("scale"), again).steps["scale"]
    assert (waiting.status, waiting.not_before, waiting.next_attempt) == (StepStatus.WAITING, at(5), 1)
    running = a_run(GRAPH, started("scale"), again, started("scale", 1, after=5)).steps["scale"]
    assert (running.status, running.not_before, running.started_at) == (StepStatus.RUNNING, None, T0)
    assert [attempt.key for attempt in running.attempts] == [KEY, key_of("scale", 1)]


def test_a_known_failure_without_a_time_stands() -> None:
    """The step has failed, with the class and words of its last attempt."""
    step = a_run(GRAPH, started("scale"), failed("scale", after=2)).steps["scale"]
    assert (step.status, step.ended_at) == (StepStatus.FAILED, at(2))
    assert (step.error_class, step.message) == (ErrorClass.PERMANENT, "image not found")


def test_an_unsent_attempt_keeps_its_number_and_key() -> None:
    """What certainly did not arrive is sent again as the same attempt, after a retry too, and is known once."""
    first = a_run(GRAPH, started("scale"), ev.AttemptUnsent(at(1), "scale", KEY))
    assert (first.steps["scale"].status, first.steps["scale"].next_attempt) == (StepStatus.WAITING, 0)
    assert len(fold(first, started("scale", after=2)).steps["scale"].attempts) == 1
    again = failed("scale", error_class=ErrorClass.TRANSIENT, retry_at=at(1))
    second = a_run(
        GRAPH, started("scale"), again, started("scale", 1), ev.AttemptUnsent(at(2), "scale", key_of("scale", 1))
    )
    assert second.steps["scale"].next_attempt == 1


def test_an_unknown_outcome_may_have_changed_something() -> None:
    """Nobody knows: the step is final, and its undo is open."""
    step = a_run(GRAPH, started("scale"), ev.StepUnknown(at(1), "scale", KEY, "another ledger")).steps["scale"]
    assert (step.status, step.undo) == (StepStatus.UNKNOWN, UndoStatus.AVAILABLE)
    assert step.error_class is ErrorClass.UNKNOWN


@pytest.mark.requirement("BR-WF-015")
@pytest.mark.parametrize(
    ("changes", "available", "undo"),
    [
        ((), False, UndoStatus.NONE),
        ((CHANGE,), False, UndoStatus.IRREVERSIBLE),
        ((CHANGE,), True, UndoStatus.AVAILABLE),
        ((), True, UndoStatus.AVAILABLE),
    ],
)
@pytest.mark.parametrize("outcome", [succeeded, failed])
def test_what_an_attempt_left_is_undoable_or_declared_irreversible(
    outcome: type[ev.StepSucceeded], changes: Changes, available: bool, undo: UndoStatus
) -> None:
    """Changes count whatever the status of the step that made them."""
    step = a_run(GRAPH, started("scale"), outcome("scale", changes=changes, undo_available=available)).steps["scale"]  # type: ignore[arg-type,call-arg]
    assert step.undo is undo


def test_an_executor_that_is_away_is_shown_until_something_is_sent() -> None:
    """`held` says why nothing starts; the next start, undo or end takes it away."""
    held = ev.Held(at(2), "executor unreachable")
    assert a_run(GRAPH, held).held == "executor unreachable"
    assert a_run(GRAPH, held, started("scale")).held is None
    assert a_run(GRAPH, *ROLLING_BACK, held, ev.UndoStarted(at(3), "scale", KEY, f"{KEY}:undo")).held is None
    assert a_run(GRAPH, held, ENDED).held is None


@pytest.mark.requirement("BR-WF-015")
def test_an_undo_is_tried_again_until_it_is_done_or_given_up() -> None:
    """Sent, not arrived, sent, failed for now, sent, done: each step of the way is in the state."""
    sent = ev.UndoStarted(at(2), "scale", KEY, f"{KEY}:undo")
    events: list[ev.Event] = [
        sent,
        ev.UndoUnsent(at(3), "scale", KEY),
        sent,
        ev.UndoFailed(at(4), "scale", KEY, ErrorClass.TRANSIENT, "busy", retry_at=at(6)),
        sent,
        ev.UndoSucceeded(at(7), "scale", KEY),
    ]
    undos = [a_run(GRAPH, *ROLLING_BACK, *events[:count]).steps["scale"].attempts[0] for count in range(7)]
    assert [undo.undo.value for undo in undos] == [
        "available", "undoing", "available", "undoing", "available", "undoing", "undone",
    ]  # fmt: skip
    assert [undo.undo_tries for undo in undos] == [0, 0, 0, 0, 1, 1, 1]
    assert (undos[4].undo_at, undos[4].undo_reason, undos[5].undo_at) == (at(6), "busy", None)
    given_up = ev.UndoFailed(at(4), "scale", KEY, ErrorClass.CONFLICT, "drifted")
    assert a_run(GRAPH, *ROLLING_BACK, sent, given_up).steps["scale"].undo is UndoStatus.UNDO_FAILED


def test_the_worst_attempt_speaks_for_the_undo_of_a_step() -> None:
    """Of two attempts that changed something, one undone and one not, the step is not undone."""
    again = failed("scale", error_class=ErrorClass.TRANSIENT, retry_at=at(1), changes=(CHANGE,), undo_available=True)
    attempts = (started("scale"), again, started("scale", 1), succeeded("scale", 1))
    key = key_of("scale", 1)
    undo = (ev.UndoStarted(at(3), "scale", key, f"{key}:undo"), ev.UndoSucceeded(at(4), "scale", key))
    rolling = a_run(GRAPH, *attempts, ev.RollbackStarted(at(2), "critical_step_failed"), *undo)
    assert [attempt.undo.value for attempt in rolling.steps["scale"].attempts] == ["available", "undone"]
    assert rolling.steps["scale"].undo is UndoStatus.AVAILABLE


def test_the_end_is_kept_whole() -> None:
    """Status, reason, cause, rollback and time of the last word are the state's."""
    state = a_run(GRAPH, replace(ENDED, rollback=RollbackStatus.INCOMPLETE))
    assert (state.status, state.final, state.ended_at) == (ExecutionStatus.FAILED, True, at(9))
    assert (state.reason, state.cause) == (ENDED.reason, ENDED.cause)
    assert state.rollback is RollbackStatus.INCOMPLETE


@pytest.mark.requirement("BR-WF-004")
@pytest.mark.parametrize(
    "late",
    [
        ev.Held(at(10), "x"),
        started("scale"),
        ev.StepSkipped(at(10), "log", "x"),
        ev.RollbackStarted(at(10), "x"),
        ev.CommandApplied(at(10), "c-1", Verb.ROLLBACK, "ana"),
        ev.CommandRefused(at(10), "c-1", Verb.PAUSE, "ana", "x"),
        ev.Paused(at(10)),
        ev.Started(at(10)),
        replace(ENDED, status=ExecutionStatus.COMPLETED),
    ],
)
def test_nothing_follows_the_end(late: ev.Event) -> None:
    """Final means final: any event after the last word is refused."""
    with pytest.raises(IllegalTransition, match="failed"):
        fold(a_run(GRAPH, ENDED), late)


@pytest.mark.parametrize(
    "events",
    [
        (succeeded("scale"),),
        (started("scale"), succeeded("scale"), succeeded("scale")),
        (started("scale"), succeeded("scale"), failed("scale")),
        (started("scale"), succeeded("scale"), started("scale", 1)),
        (started("scale"), started("scale", 1)),
        (started("scale"), succeeded("scale", 1)),
        (started("scale"), ev.AttemptUnsent(at(1), "scale", key_of("scale", 1))),
        (started("scale"), ev.StepUnknown(at(1), "scale", key_of("scale", 1), "x")),
        (started("scale"), ev.StepSkipped(at(1), "scale", "x")),
        (*ROLLING_BACK, ev.UndoSucceeded(at(2), "scale", KEY)),
        (*ROLLING_BACK, ev.UndoStarted(at(2), "scale", "another key", "x")),
        (*ROLLING_BACK, ev.UndoFailed(at(2), "scale", "another key", ErrorClass.UNKNOWN, "x")),
        (ev.Planned(at(1), "x", ("scale",)),),
        (ev.PlanningStarted(at(1)),),
        (PAUSED, PAUSED),
        (*ROLLING_BACK, PAUSED),
        (SKIPPED, SKIPPED),
        (SKIPPED, started("scale")),
        (started("scale"), SKIPPED),
        (ev.CommandApplied(at(1), "c-1", Verb.RETRY, "ana"),),
    ],
)
def test_what_cannot_follow_is_refused(events: tuple[ev.Event, ...]) -> None:
    """Second outcomes, second live attempts, strangers' keys and moves outside the tables raise and change nothing."""
    state = a_run(GRAPH, *events[:-1])
    with pytest.raises(IllegalTransition):
        fold(state, events[-1])
    assert state == a_run(GRAPH, *events[:-1])


def test_a_wish_is_kept_until_it_is_reached() -> None:
    """Asked for, it is in the state with who and why; a pause is over with its standstill, anything with the end."""
    pause = ev.CommandApplied(at(1), "c-1", Verb.PAUSE, "ana", "look first")
    asked = a_run(GRAPH, pause)
    assert (asked.status, asked.wanted) == (ExecutionStatus.RUNNING, Verb.PAUSE)
    assert asked.wanted_why == "pause by ana: look first"
    standing = fold(asked, PAUSED)
    assert (standing.status, standing.wanted, standing.paused_at) == (ExecutionStatus.PAUSED, None, at(2))
    resumed = fold(standing, ev.CommandApplied(at(7), "c-2", Verb.RESUME, "bob"))
    assert (resumed.status, resumed.paused_at) == (ExecutionStatus.RUNNING, None)
    assert resumed.stood_still.total_seconds() == 5
    cancelled = fold(resumed, ev.CommandApplied(at(8), "c-3", Verb.CANCEL, "bob"))
    assert (cancelled.wanted, cancelled.wanted_undo, cancelled.wanted_why) == (Verb.CANCEL, False, "cancel by bob")
    assert fold(cancelled, ENDED).wanted is None


def test_a_refused_command_means_nothing() -> None:
    """It is in the journal for people only."""
    refused = ev.CommandRefused(at(1), "c-1", Verb.RESUME, "ana", "nothing is paused")
    assert a_run(GRAPH, refused) == a_run(GRAPH)


def test_a_step_skipped_by_hand_says_by_whom_and_why() -> None:
    """It is skipped whether it was needed or not, and the step tells."""
    step = a_run(GRAPH, SKIPPED).steps["scale"]
    assert (step.status, step.waived, step.ended_at) == (StepStatus.SKIPPED, True, at(1))
    assert step.message == "skipped by hand: skip-step by ana: done by hand"


def test_a_resend_of_the_same_key_is_no_second_attempt() -> None:
    """After a restart a running attempt may be journalled as started once more."""
    step = a_run(GRAPH, started("scale"), started("scale", after=5)).steps["scale"]
    assert [attempt.key for attempt in step.attempts] == [KEY]


def test_every_kind_of_event_has_a_name_and_a_meaning() -> None:
    """No kind is missing from the stored names, and none is unknown to `fold`."""
    assert set(stored_events.KINDS.values()) == set(get_args(ev.Event))
    assert all(stored_events.KINDS[name].__name__ == name for name in stored_events.KINDS)
    with pytest.raises(TypeError, match="no meaning for str"):
        fold(RunState(), "planned")  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        stored_events.event_from_json("NeverHeardOf", T0, {})


_TIMES = st.integers(0, 10**9).map(at)
_JSON = st.dictionaries(st.text(max_size=4), st.integers(-9, 9) | st.text(max_size=4) | st.none(), max_size=2)
_SOMETIMES = st.none() | _TIMES
_ATTEMPTS = st.builds(
    Attempt,
    number=st.integers(-1, 100),
    started_at=_TIMES,
    changes=st.lists(_JSON, max_size=2).map(tuple),
    undo=st.sampled_from(UndoStatus),
    undo_at=_SOMETIMES,
)
_STEPS = st.builds(
    StepState,
    status=st.sampled_from(StepStatus),
    attempts=st.lists(_ATTEMPTS, max_size=2).map(tuple),
    started_at=_SOMETIMES,
    stood_still_before=st.sampled_from([0.0, 3600.5]),
    ended_at=_SOMETIMES,
    waived=st.booleans(),
    error_class=st.none() | st.sampled_from(ErrorClass),
    failure_class=st.none() | st.sampled_from(FailureClass),
    result=_JSON,
)
_RECOVERIES = st.builds(Recovery, attempt=st.integers(1, 3), failure_class=st.none() | st.sampled_from(FailureClass))
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "arguments": st.fixed_dictionaries({}, optional={"undo": st.booleans(), "step": st.text(max_size=4)}),
    "at": _TIMES,
    "attempt": st.integers(0, 100),
    "changes": st.lists(_JSON, max_size=2).map(tuple),
    "inherited": st.dictionaries(st.sampled_from(["a", "b"]), _STEPS, max_size=2),
    "result": _JSON,
    "failure_class": st.none() | st.sampled_from(FailureClass),
    "prove_from": _SOMETIMES,
    "recoveries": st.lists(_RECOVERIES, max_size=2).map(tuple),
    "retry_at": _SOMETIMES,
    "revision": st.integers(1, 100),
    "since": _SOMETIMES,
    "steps": st.lists(st.sampled_from(["a", "b"])).map(tuple),
    "until": _TIMES,
}
_EVENTS: list[st.SearchStrategy[Any]] = [
    st.builds(kind, **{field.name: _FIELDS[field.name] for field in fields(kind) if field.name in _FIELDS})
    for kind in get_args(ev.Event)
]


@given(st.one_of(_EVENTS))
def test_every_event_survives_the_database(event: ev.Event) -> None:
    """Stored as JSON and read back, an event is equal to itself, types included."""
    stored = orjson.dumps(stored_events.event_to_json(event))
    read = stored_events.event_from_json(type(event).__name__, event.at, orjson.loads(stored))
    assert read == event
    assert repr(read) == repr(event)
    assert stored_events.describe(event)["kind"] == type(event).__name__


def test_an_attempt_that_was_never_sent_has_not_begun() -> None:
    """While the executor is away the step's own time does not run; after a real attempt it goes on running."""
    unsent = a_run(GRAPH, started("scale"), ev.AttemptUnsent(at(1), "scale", KEY))
    assert unsent.steps["scale"].started_at is None
    again = ev.AttemptFailed(at(1), "scale", KEY, ErrorClass.TRANSIENT, "busy", retry_at=at(2))
    resent = ev.AttemptUnsent(at(3), "scale", key_of("scale", 1))
    assert a_run(GRAPH, started("scale"), again, started("scale", 1), resent).steps["scale"].started_at is not None


@pytest.mark.parametrize("part", [RunState(), RunState(steps={"a": StepState()}), StepState()])
def test_a_copy_has_the_same_fields(part: Any) -> None:
    """A name that is none of them is refused, whatever is known of the original already."""
    if isinstance(part, RunState):
        assert part.by_status is not None
    with pytest.raises(TypeError, match=f"{type(part).__name__} has no statsu"):
        changed(part, statsu="running")
