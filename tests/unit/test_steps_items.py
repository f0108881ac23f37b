"""Steps that consist of others: forEach over items, templates with steps of their own, and how they end."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.factories import a_check, a_step, a_template, an_action, an_approval
from tests.unit.pretend_engine import PretendEngine, engine_of
from workflow_service.domain import events as ev
from workflow_service.domain import stepping
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.plan import OnFailure, RetryPolicy, Step
from workflow_service.domain.states import ExecutionStatus, StepStatus, UndoStatus, Verb

_E = ExecutionStatus
PATIENT = RetryPolicy(max_retries=2, first_delay=4.0)
pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-003")


def each(items: str, **values: Any) -> Step:
    """An action for each of these items, two at once."""
    named = an_action(parameters={"name": "${{ item }}"})
    return a_step("recycle", **{"action": named, "for_each": items, "max_parallel": 2, **values})


def test_items_are_worked_out_once_and_journalled() -> None:
    """A step for each item, by its path, with the item in its parameters; at most `max_parallel` at once."""
    engine = engine_of(each("['a', 'b', 'c']"))
    (opened,) = [event for event in engine.journal if isinstance(event, ev.StepOpened)]
    assert (opened.items, opened.inside) == (("a", "b", "c"), ("recycle[0]", "recycle[1]", "recycle[2]"))
    assert set(engine.live) == {"recycle[0]", "recycle[1]"}
    engine.succeed("recycle[0]")
    engine.obey()
    assert set(engine.live) == {"recycle[1]", "recycle[2]"}
    assert [event.parameters for event in engine.journal if isinstance(event, ev.StepStarted)] == [
        {"name": "a"},
        {"name": "b"},
        {"name": "c"},
    ]


def test_no_items_nothing_to_do() -> None:
    """Zero items: the step is skipped, and its dependants go on."""
    engine = engine_of(each("[]"), a_step("next", "recycle"))
    assert engine.statuses()["recycle"] == "skipped"
    assert set(engine.live) == {"next"}


def test_the_first_failed_item_of_a_critical_step_is_the_last_to_begin() -> None:
    """Those in flight finish, no further one begins, the step fails and says how many did."""
    engine = engine_of(each("['a', 'b', 'c', 'd']"), a_step("next", "recycle"))
    engine.fail("recycle[0]", ErrorClass.PERMANENT)
    engine.obey()
    assert set(engine.live) == {"recycle[1]"}
    assert engine.statuses()["recycle"] == "running"
    engine.succeed("recycle[1]")
    engine.obey()
    assert list(engine.statuses().values()) == [
        "failed",
        "cancelled",
        "failed",
        "succeeded",
        "cancelled",
        "cancelled",
    ]
    assert engine.state.steps["recycle"].reason == "items_failed"
    assert engine.state.steps["recycle"].message == "1 of 4 items failed; recycle[0]: no"
    assert (engine.state.status, engine.state.reason) == (_E.FAILED, "critical_step_failed")


def test_a_step_that_is_not_critical_tries_all_its_items() -> None:
    """It fails only if every item did; what failed on the way is told by the verdict."""
    engine = engine_of(each("['a', 'b', 'c']", critical=False), a_step("next", "recycle"))
    engine.fail("recycle[0]", ErrorClass.PERMANENT)
    engine.fail("recycle[1]", ErrorClass.PERMANENT)
    engine.obey()
    engine.succeed("recycle[2]")
    engine.obey()
    assert engine.state.steps["recycle"].message == "1 of 3 items done"
    engine.drive_to_the_end()
    assert (engine.state.status, engine.state.reason) == (_E.PARTIALLY_COMPLETED, "non_critical_step_failed")


def test_a_step_whose_items_all_failed_has_failed() -> None:
    """Critical or not: nothing of it was done."""
    engine = engine_of(each("['a', 'b']", critical=False, on_failure=OnFailure.SKIP), a_step("next", "recycle"))
    engine.fail("recycle[0]", ErrorClass.PERMANENT)
    engine.fail("recycle[1]", ErrorClass.PERMANENT)
    engine.obey()
    assert engine.statuses()["recycle"] == "failed"
    assert set(engine.live) == {"next"}


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ("params.many + ['one more']", "gives 201 items; 200 is the most"),
        ("alert.labels.nowhere", 'there is no field "nowhere"'),
        ("params.one", "must be a list"),
    ],
)
def test_items_that_cannot_be_worked_out_fail_the_step(items: str, why: str) -> None:
    """Too many, no list, or no answer: the step fails before anything of it has begun."""
    engine = engine_of(each(items, critical=False), parameters={"many": list(range(200)), "one": 1})
    assert engine.state.steps["recycle"].reason == "items_error"
    assert why in engine.state.steps["recycle"].message
    assert engine.state.final
    assert not any(isinstance(event, ev.StepStarted) for event in engine.journal)


def test_an_execution_has_a_thousand_steps_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would make more fails when it opens; two that open together are counted together."""
    monkeypatch.setattr(stepping, "MAX_NODES", 7)
    engine = engine_of(a_step("first", for_each="[1, 2, 3]", priority=1), each("[1, 2, 3]", on_failure=OnFailure.SKIP))
    assert engine.state.steps["recycle"].message == "for_each: makes 8 steps; 7 is the most"
    assert engine.statuses()["first"] == "running"


def heal(**values: Any) -> Step:
    """A template of two steps in a row."""
    inner = an_action(parameters={"replicas": "${{ params.replicas }}"})
    steps = (a_step("scale", action=inner), a_check("ready", "scale"))
    return a_template("heal", **{"steps": steps, "parameters": {"replicas": 4}, **values})


def test_a_template_runs_its_steps_by_their_paths() -> None:
    """Needs are those of its own level, `params` are its own parameters; it is done when they are."""
    engine = engine_of(heal(), a_step("next", "heal"), parameters={"replicas": 2})
    assert set(engine.live) == {"heal/scale"}
    (order,) = [event for event in engine.journal if isinstance(event, ev.StepStarted)]
    assert order.parameters == {"replicas": 4}
    engine.succeed("heal/scale")
    engine.obey()
    engine.see("heal/ready")
    engine.obey()
    assert engine.statuses()["heal"] == "succeeded"
    assert set(engine.live) == {"next"}


def test_parameters_of_a_template_are_worked_out_when_it_opens() -> None:
    """They are journalled, and what they are made of may be what came before; without a value the step fails."""
    made = {"replicas": "${{ steps.look.status }}"}
    engine = engine_of(a_step("look"), replace(heal(parameters=made), needs=("look",)))
    engine.succeed("look")
    engine.obey()
    assert engine.state.steps["heal"].given == {"replicas": "succeeded"}
    broken = engine_of(heal(parameters={"replicas": "${{ alert.labels.nowhere }}"}))
    assert broken.state.steps["heal"].reason == "parameter_error"
    assert broken.statuses()["heal/scale"] == "cancelled"


def test_a_template_for_each_item_has_parameters_of_its_own() -> None:
    """`item` is what a template for one item makes its parameters of, and its steps see those."""
    engine = engine_of(heal(for_each="[3, 4]", max_parallel=2, parameters={"replicas": "${{ item + 1 }}"}))
    assert set(engine.live) == {"heal[0]/scale", "heal[1]/scale"}
    orders = [event.parameters for event in engine.journal if isinstance(event, ev.StepStarted)]
    assert orders == [{"replicas": 4}, {"replicas": 5}]


def test_a_failure_inside_fails_the_template_and_its_own_answer_counts() -> None:
    """What is inside only fails it; whether that stops, is skipped, or is undone is the template's to say."""
    engine = engine_of(heal(on_failure=OnFailure.SKIP, critical=False), a_step("next", "heal"))
    engine.fail("heal/scale", ErrorClass.PERMANENT)
    engine.obey()
    assert engine.statuses() == {"heal": "failed", "heal/scale": "failed", "heal/ready": "cancelled", "next": "running"}
    assert engine.state.steps["heal"].message == "heal/scale: no"
    undone = engine_of(heal(on_failure=OnFailure.ROLLBACK))
    undone.succeed("heal/scale")
    undone.obey()
    undone.see("heal/ready", held=False)
    undone.drive_to_the_end()
    assert undone.state.status is _E.ROLLED_BACK


def test_a_failure_inside_that_was_passed_over_is_still_told() -> None:
    """A critical step inside that failed and was skipped is a critical failure of the whole."""
    passed = a_template("heal", steps=(a_step("a", on_failure=OnFailure.SKIP), a_step("b", "a")))
    engine = engine_of(passed)
    engine.fail("heal/a", ErrorClass.PERMANENT)
    engine.drive_to_the_end()
    assert engine.statuses()["heal"] == "succeeded"
    assert (engine.state.status, engine.state.reason) == (_E.FAILED, "critical_step_failed")


def test_a_doubt_inside_is_never_answered_by_an_alternative() -> None:
    """Nobody knows what a step inside has done: the template's stand-in does not run, so nothing is done twice."""
    engine = engine_of(heal(on_failure=OnFailure.ALTERNATIVE, alternative="other"), a_step("other"))
    engine.lose("heal/scale")
    engine.obey()
    assert engine.state.steps["heal"].reason == "outcome_unknown"
    assert engine.statuses()["other"] == "cancelled"
    assert engine.state.status is _E.FAILED


def test_a_refusal_inside_ends_as_rejected() -> None:
    """An approval inside a template that is refused refuses the template."""
    engine = engine_of(a_template("heal", steps=(an_approval("ask"), a_step("scale", "ask"))))
    assert engine.command(Verb.REJECT) is None
    engine.obey()
    assert (engine.state.status, engine.state.reason) == (_E.REJECTED, "approval_rejected")


@pytest.mark.parametrize(
    "values",
    [
        {"on_failure": OnFailure.SKIP},
        {"on_failure": OnFailure.SKIP, "critical": False},
        {"alternative": "other"},
        {"for_each": "[1, 2]", "max_parallel": 2, "critical": False, "on_failure": OnFailure.SKIP},
    ],
)
def test_a_refusal_inside_is_neither_skipped_nor_stood_in_for(values: dict[str, object]) -> None:
    """Who says no inside a template says it to the workflow, as at the top: whatever the template's own answer is."""
    template = a_template("heal", steps=(an_approval("ask"), a_step("scale", "ask")), **values)
    other = a_step("other", *(() if "alternative" in values else ("heal",)))
    engine = engine_of(template, other)
    assert engine.command(Verb.REJECT, step=engine.asking()[0]) is None
    engine.obey()
    assert (engine.state.status, engine.state.reason) == (_E.REJECTED, "approval_rejected")
    assert "reject by ana: told to" in engine.state.cause
    assert not any(isinstance(event, ev.StepStarted) for event in engine.journal)


def test_rollback_covers_what_is_inside_in_reverse() -> None:
    """Items and inner steps are undone before what they came after, and after what came after them."""
    engine = engine_of(
        a_step("first"),
        a_step("recycle", "first", for_each="[1, 2]", max_parallel=2),
        a_template("heal", "recycle", steps=(a_step("a"), a_step("b", "a"))),
        a_step("last", "heal", on_failure=OnFailure.ROLLBACK),
    )
    while not engine.live.keys() & {"last"}:
        engine.succeed(next(iter(engine.live)))
        engine.obey()
    engine.fail("last", ErrorClass.PERMANENT)
    engine.drive_to_the_end()
    undone = [event.step for event in engine.journal if isinstance(event, ev.UndoSucceeded)]
    assert undone[:2] == ["heal/b", "heal/a"]
    assert set(undone[2:4]) == {"recycle[0]", "recycle[1]"}
    assert undone[4:] == ["first"]
    assert engine.state.status is _E.ROLLED_BACK


def test_a_rollback_back_to_a_step_undoes_only_what_came_after_it() -> None:
    """The step itself and what it rests on stay; what is inside a later template does not."""
    engine = engine_of(a_step("first"), a_template("heal", "first", steps=(a_step("a"),)), a_step("last", "heal"))
    for step in ("first", "heal/a"):
        engine.succeed(step)
        engine.obey()
    assert engine.command(Verb.ROLLBACK, step="first") is None
    engine.succeed("last")
    engine.drive_to_the_end()
    undo = {name: step.undo for name, step in engine.state.steps.items() if step.attempts}
    assert undo == {"first": UndoStatus.AVAILABLE, "heal/a": UndoStatus.UNDONE, "last": UndoStatus.UNDONE}
    assert (engine.state.status, engine.state.reason) == (_E.PARTIALLY_COMPLETED, "rolled_back_to_step")


def test_what_is_inside_a_skipped_step_is_skipped() -> None:
    """A template whose condition is false takes its steps with it."""
    engine = engine_of(heal(when="false"), a_step("next", "heal"))
    assert {engine.statuses()[name] for name in ("heal", "heal/scale", "heal/ready")} == {"skipped"}


def test_items_that_wait_for_a_retry_hold_their_place() -> None:
    """An item in back-off counts among those at work."""
    engine: PretendEngine = engine_of(each("[1, 2]", max_parallel=1, retry=PATIENT))
    engine.fail("recycle[0]", ErrorClass.TRANSIENT)
    engine.obey()
    assert (engine.statuses()["recycle[0]"], engine.live) == ("waiting", {})
    assert engine.state.steps["recycle[1]"].status is StepStatus.PENDING


def test_a_stand_in_within_a_group_that_stops_is_ended_once() -> None:
    """Nobody needs it since its step was left out, and its group goes no further: two reasons, and one end."""
    inside = (
        a_step("spare"),
        a_step("one", when="false", alternative="spare"),
        a_step("two", when="1 / 0 == 1"),
    )
    engine = engine_of(a_template("group", steps=inside, critical=False, on_failure=OnFailure.SKIP))
    assert engine.statuses()["group/spare"] == "skipped"
    assert engine.state.final
