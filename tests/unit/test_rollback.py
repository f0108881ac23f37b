"""What is undone, in which order, and what is said about it."""

import pytest

from tests.unit.factories import CHANGE, a_graph, a_run, a_step, at, failed, key_of, started, succeeded
from workflow_service.domain import events as ev
from workflow_service.domain import rollback
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.graph import Graph
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import RollbackStatus

DIAMOND = a_graph(a_step("top"), a_step("left", "top"), a_step("right", "top"), a_step("end", "left", "right"))
ALL_DONE = tuple(event for name in DIAMOND.order for event in (started(name), succeeded(name)))
BEGUN = ev.RollbackStarted(at(1), "critical_step_failed")


def undone(step: str, attempt: int = 0) -> tuple[ev.Event, ...]:
    """One undo that works."""
    key = key_of(step, attempt)
    return ev.UndoStarted(at(2), step, key, f"{key}:undo"), ev.UndoSucceeded(at(3), step, key)


def undo_failed(step: str) -> tuple[ev.Event, ...]:
    """One undo that is given up."""
    key = key_of(step)
    return ev.UndoStarted(at(2), step, key, f"{key}:undo"), ev.UndoFailed(
        at(3), step, key, ErrorClass.CONFLICT, "drift"
    )


def ready(graph: Graph, state: RunState) -> list[str]:
    """The keys that may be undone now."""
    return [item.attempt.key for item in rollback.ready(graph, state)]


def keys(*steps: str) -> list[str]:
    """The keys of the first attempts of these steps."""
    return [key_of(step) for step in steps]


@pytest.mark.requirement("BR-WF-015")
def test_dependants_are_undone_first_and_siblings_together() -> None:
    """A diamond is undone from its end: end, then both sides at once, then the top."""
    assert ready(DIAMOND, a_run(DIAMOND, *ALL_DONE, BEGUN)) == keys("end")
    sides = a_run(DIAMOND, *ALL_DONE, BEGUN, *undone("end"))
    assert ready(DIAMOND, sides) == keys("right", "left")
    one_left = a_run(DIAMOND, *ALL_DONE, BEGUN, *undone("end"), *undone("left"))
    assert ready(DIAMOND, one_left) == keys("right")
    top = a_run(DIAMOND, *ALL_DONE, BEGUN, *undone("end"), *undone("left"), *undone("right"))
    assert ready(DIAMOND, top) == keys("top")


def test_an_undo_under_way_holds_back_those_it_builds_on() -> None:
    """While a dependant's undo is sent but not answered, it alone is listed."""
    sent = ev.UndoStarted(at(2), "end", key_of("end"), "undo")
    assert ready(DIAMOND, a_run(DIAMOND, *ALL_DONE, BEGUN, sent)) == keys("end")


@pytest.mark.requirement("BR-WF-015")
def test_a_failed_undo_does_not_stop_the_others() -> None:
    """What could not be undone is passed over, and the rollback is incomplete."""
    state = a_run(DIAMOND, *ALL_DONE, BEGUN, *undo_failed("end"))
    assert ready(DIAMOND, state) == keys("right", "left")
    done = (*undone("left"), *undone("right"), *undone("top"))
    assert (
        rollback.outcome(DIAMOND, a_run(DIAMOND, *ALL_DONE, BEGUN, *undo_failed("end"), *done))
        is RollbackStatus.INCOMPLETE
    )


def test_attempts_of_a_step_are_undone_newest_first() -> None:
    """A failed attempt that changed something is undone after the retry that came later."""
    graph = a_graph(a_step("scale"))
    half = failed("scale", error_class=ErrorClass.TRANSIENT, retry_at=at(1), changes=(CHANGE,), undo_available=True)
    events = (started("scale"), half, started("scale", 1), succeeded("scale", 1), BEGUN)
    assert ready(graph, a_run(graph, *events)) == [key_of("scale", 1)]
    assert ready(graph, a_run(graph, *events, *undone("scale", 1))) == [key_of("scale")]


@pytest.mark.requirement("BR-WF-015")
@pytest.mark.parametrize(
    ("outcome", "covered"),
    [
        (succeeded("scale"), True),
        (succeeded("scale", changes=(), undo_available=False), False),
        (succeeded("scale", undo_available=False), False),
        (failed("scale", changes=(CHANGE,), undo_available=True), True),
        (failed("scale"), False),
        (ev.StepUnknown(at(1), "scale", key_of("scale"), "another ledger"), True),
    ],
)
def test_every_step_that_may_have_changed_something_is_covered(outcome: ev.Event, covered: bool) -> None:
    """Whatever its status: changes that can be taken back, or an unknown outcome, are undone; nothing else is."""
    graph = a_graph(a_step("scale"))
    state = a_run(graph, started("scale"), outcome)
    assert rollback.needed(graph, state) is covered
    assert ready(graph, state) == (keys("scale") if covered else [])


def test_the_outcome_counts_what_is_left() -> None:
    """Nothing undone is `none`, all undone is `done`, and anything still open is `incomplete`."""
    graph = a_graph(a_step("a"), a_step("b"))
    nothing = succeeded("a", changes=(), undo_available=False)
    assert rollback.outcome(graph, a_run(graph, started("a"), nothing)) is RollbackStatus.NONE
    both = (started("a"), succeeded("a"), started("b"), succeeded("b", undo_available=False), BEGUN)
    assert rollback.outcome(graph, a_run(graph, *both)) is RollbackStatus.INCOMPLETE
    assert rollback.outcome(graph, a_run(graph, *both, *undone("a"))) is RollbackStatus.DONE


def test_an_alternative_that_stood_in_is_undone_before_what_it_built_on() -> None:
    """A dependant of a healed step holds back the alternative's undo, and that the failed primary's."""
    graph = a_graph(a_step("a", alternative="b"), a_step("b"), a_step("c", "a"))
    half = failed("a", changes=(CHANGE,), undo_available=True)
    events = (started("a"), half, started("b"), succeeded("b"), started("c"), succeeded("c"), BEGUN)
    assert ready(graph, a_run(graph, *events)) == keys("c")
    assert ready(graph, a_run(graph, *events, *undone("c"))) == keys("b")
    assert ready(graph, a_run(graph, *events, *undone("c"), *undone("b"))) == keys("a")
