"""What becomes of a run whose alert resolves: before its first effect, after it, by each answer of the plan."""

from __future__ import annotations

import pytest

from tests.unit.factories import a_graph, a_step, an_approval, at, begun, done, failed, said, started
from tests.unit.pretend_engine import PretendEngine
from workflow_service.domain import events as ev
from workflow_service.domain.errors import IllegalTransition
from workflow_service.domain.fold import fold, fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import Condition, OnResolved, Plan, plan_to_json
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, Verb
from workflow_service.domain.stored_plan import plan_from_json

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-018")]

_E = ExecutionStatus
OVER = ev.AlertResolved(at(8))
NONE, DONE = RollbackStatus.NONE, RollbackStatus.DONE


def line(answer: OnResolved = OnResolved.FINISH) -> Graph:
    """Two actions, one after the other, and what a resolved alert means."""
    return a_graph(a_step("a"), a_step("b", "a"), on_resolved=answer)


def last_word(graph: Graph, *events: ev.Event) -> tuple[ExecutionStatus, str, RollbackStatus]:
    """How an engine that finds this run ends it, when everything goes well from here on."""
    engine = PretendEngine(graph, now=at(10))
    engine.journal = [*begun(graph), *events]
    engine.state = fold_all(engine.journal)
    engine.drive_to_the_end()
    return engine.state.status, engine.state.reason, engine.state.rollback


@pytest.mark.parametrize("answer", OnResolved)
def test_before_the_first_effect_nothing_is_done(answer: OnResolved) -> None:
    """Nothing was changed, so nothing is: whatever the plan says about later."""
    assert last_word(line(answer), OVER) == (_E.RESOLVED, "alert_resolved", NONE)


def test_in_the_queue_it_does_not_begin() -> None:
    """A run that waits for its slot ends as resolved, without a run clock."""
    graph = line()
    planned = begun(graph)[:2]
    state = fold_all((*planned, OVER))
    assert state.status is _E.QUEUED
    engine = PretendEngine(graph, now=at(10))
    engine.journal, engine.state = [*planned, OVER], state
    engine.drive_to_the_end()
    assert (engine.state.status, engine.state.started_at) == (_E.RESOLVED, None)


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (OnResolved.FINISH, (_E.COMPLETED, "all_steps_succeeded", NONE)),
        (OnResolved.STOP, (_E.RESOLVED, "alert_resolved", NONE)),
        (OnResolved.ROLLBACK, (_E.ROLLED_BACK, "alert_resolved", DONE)),
    ],
)
def test_after_the_first_effect_the_plan_decides(answer: OnResolved, end: tuple[object, ...]) -> None:
    """All is done, nothing more is begun, or what was done is undone."""
    assert last_word(line(answer), *done("a"), OVER) == end
    assert last_word(line(answer), started("a"), OVER) == end  # what is in flight may have had its effect


def test_a_failure_is_not_hidden() -> None:
    """What had failed before is the cause of the end."""
    stopped = last_word(line(OnResolved.STOP), *done("a"), started("b"), failed("b"), OVER)
    assert stopped[:2] == (_E.FAILED, "critical_step_failed")


def test_everything_done_is_a_success() -> None:
    """The alert resolves because all was done, before the last word is written."""
    assert last_word(line(OnResolved.STOP), *done("a", "b"), OVER)[:2] == (_E.COMPLETED, "all_steps_succeeded")


def test_what_a_person_says_goes_first() -> None:
    """A cancel with its undo is obeyed as such, whether the alert has resolved or not."""
    end = last_word(line(), *done("a"), said(Verb.CANCEL, undo=True), OVER)
    assert end == (_E.CANCELLED, "cancel_requested", DONE)


def test_nobody_is_asked_any_more() -> None:
    """A run that waits for a person's word before its first effect ends without it."""
    graph = a_graph(an_approval("gate"), a_step("a", "gate"))
    asking = ev.StepBegan(at(3), "gate", at(603), approval=True)
    parked = ev.Parked(at(3), at(603), approval=True)
    assert last_word(graph, asking, parked, OVER) == (_E.RESOLVED, "alert_resolved", NONE)


def test_nothing_settles_any_longer() -> None:
    """The proof of what was done comes at once, now and later; it still has to hold."""
    proved = Condition("observed.ready_replicas >= 3", within=60)
    graph = a_graph(a_step("a", settle=300, postconditions=(proved,)))
    settling = (*begun(graph), started("a"), ev.StepSucceeded(at(6), "a", "exec-1:a", prove_from=at(306)))
    assert fold_all(settling).steps["a"].proving_from == at(306)
    assert fold_all((*settling, OVER)).steps["a"].proving_from == OVER.at
    later = (*settling[:-1], OVER, ev.StepSucceeded(at(9), "a", "exec-1:a", prove_from=at(309)))
    assert fold_all(later).steps["a"].proving_from == at(9)
    assert last_word(graph, *settling[3:], OVER)[:2] == (_E.COMPLETED, "all_steps_succeeded")


def test_it_resolves_once() -> None:
    """A second word about it is refused and changes nothing."""
    state = fold_all((*begun(line()), OVER))
    with pytest.raises(IllegalTransition):
        fold(state, OVER)


def test_a_plan_keeps_its_answer() -> None:
    """The default leaves form and hash of a plan as they were; any other answer is kept, and is another plan."""
    plain = line().plan
    assert "on_resolved" not in plan_to_json(plain)
    for answer in (OnResolved.STOP, OnResolved.ROLLBACK):
        stored = plan_to_json(line(answer).plan)
        again: Plan = plan_from_json(stored)
        assert (stored["format"], again) == (4, line(answer).plan)
        assert again.hash != plain.hash


def test_in_flight_it_is_heard_too() -> None:
    """What was under way when the alert resolved finishes and is journalled before the end."""
    graph = line(OnResolved.STOP)
    engine = PretendEngine(graph, now=at(10))
    engine.journal = [*begun(graph), started("a"), OVER]
    engine.state = fold_all(engine.journal)
    engine.obey()
    engine.succeed("a")
    engine.drive_to_the_end()
    assert [type(one).__name__ for one in engine.journal[-3:]] == ["StepCancelled", "StepSucceeded", "Ended"]
