"""Which plans are sound, and what the graph tells about a sound one."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tests.unit.factories import a_graph, a_plan, a_step, an_action
from tests.unit.plan_shape import dependants, shape_of
from tests.unit.strategies import graphs
from workflow_service.domain.errors import InvalidPlan
from workflow_service.domain.graph import Graph, validate
from workflow_service.domain.plan import OnFailure, Plan, RetryPolicy
from workflow_service.domain.step_rules import MAX_STEPS


def broken_fields(plan: Plan) -> list[str]:
    """The fields that `validate` complains about."""
    with pytest.raises(InvalidPlan) as caught:
        validate(plan)
    return [violation.field for violation in caught.value.violations]


def test_an_ordinary_plan_is_sound() -> None:
    """One step with defaults makes a graph of one wave."""
    assert a_graph(a_step("scale")).waves() == (("scale",),)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"max_parallel": 0}, "max_parallel"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 86401}, "timeout"),
        ({"timeout": math.nan}, "timeout"),
        ({"undo_timeout": -1}, "undo_timeout"),
        ({"undo_timeout": math.inf}, "undo_timeout"),
    ],
)
def test_a_plan_out_of_bounds_is_refused(values: dict[str, Any], field: str) -> None:
    """Each limit of a plan is checked, and the error names the field."""
    assert broken_fields(a_plan(**values)) == [field]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"action": an_action(type="")}, "steps.0.action.type"),
        ({"action": an_action(parameters={"note": "x" * 70_000})}, "steps.0.action.parameters"),
        ({"timeout": 0}, "steps.0.timeout"),
        ({"timeout": math.nan}, "steps.0.timeout"),
        ({"deadline": -5}, "steps.0.deadline"),
        ({"deadline": math.inf}, "steps.0.deadline"),
        ({"retry": RetryPolicy(max_retries=-1)}, "steps.0.retry.max_retries"),
        ({"retry": RetryPolicy(max_retries=5000)}, "steps.0.retry.max_retries"),
        ({"retry": RetryPolicy(first_delay=-0.1)}, "steps.0.retry.first_delay"),
        ({"retry": RetryPolicy(max_delay=-1)}, "steps.0.retry.max_delay"),
        ({"retry": RetryPolicy(max_delay=math.inf)}, "steps.0.retry.max_delay"),
        ({"retry": RetryPolicy(factor=0.5)}, "steps.0.retry.factor"),
        ({"retry": RetryPolicy(factor=1e200)}, "steps.0.retry.factor"),
        ({"on_failure": OnFailure.ALTERNATIVE}, "steps.0.alternative"),
        ({"alternative": "scale", "on_failure": OnFailure.SKIP}, "steps.0.alternative"),
        ({"alternative": "scale"}, "steps.0.alternative"),
        ({"alternative": "nowhere"}, "steps.0.alternative"),
        ({"needs": ("nowhere",)}, "steps.0.needs"),
    ],
)
def test_a_step_out_of_bounds_is_refused(values: dict[str, Any], field: str) -> None:
    """Each rule of a step is checked, and the error names the step's field."""
    assert field in broken_fields(a_plan(a_step("scale", **values)))


@pytest.mark.parametrize("step_id", ["", "-a", "a-", "Scale", "a b", "ä", "a" * 64, "a\n", "a/b", "a:r1"])
def test_an_odd_step_id_is_refused(step_id: str) -> None:
    """Ids become parts of idempotency keys: nothing but 1 to 63 of a-z 0-9 - _ will do."""
    assert broken_fields(a_plan(a_step(step_id))) == ["steps.0.id"]


@pytest.mark.parametrize("step_id", ["a", "0", "a" * 63, "scale-up_2"])
def test_a_plain_step_id_is_taken(step_id: str) -> None:
    """The shortest and the longest id, and all kinds of characters, are fine."""
    assert validate(a_plan(a_step(step_id))).order == (step_id,)


def test_the_number_of_steps_is_bounded() -> None:
    """1 to 100 steps: the bound itself is sound, none and one more are not."""
    many = [a_step(f"s{index}") for index in range(MAX_STEPS + 1)]
    assert len(a_graph(*many[:-1]).order) == MAX_STEPS
    assert broken_fields(a_plan(*many)) == ["steps"]
    assert broken_fields(replace(a_plan(), steps=())) == ["steps"]


def test_every_violation_is_named_at_once() -> None:
    """A plan with several faults is refused once, with all of them."""
    plan = a_plan(a_step("a", "x"), a_step("a", timeout=0), a_step("b", alternative="y"), timeout=0)
    assert broken_fields(plan) == ["timeout", "steps.1.id", "steps.1.timeout", "steps.0.needs", "steps.2.alternative"]


@pytest.mark.parametrize(
    ("plan", "cycle"),
    [
        (a_plan(a_step("a", "a")), ["a"]),
        (a_plan(a_step("a", "b"), a_step("b", "a")), ["a", "b"]),
        (a_plan(a_step("a", "b"), a_step("b", "a"), a_step("c", "b"), a_step("d", "c")), ["a", "b"]),
        (a_plan(a_step("a", alternative="b"), a_step("b", alternative="a")), ["a", "b"]),
        (a_plan(a_step("a", "b", alternative="b"), a_step("b")), ["a", "b"]),
        (a_plan(a_step("a", alternative="c"), a_step("b", "a"), a_step("c", "b")), ["b", "c"]),
    ],
)
def test_a_cycle_is_refused_and_named(plan: Plan, cycle: list[str]) -> None:
    """Steps that wait for each other, through alternatives too, are named without those that only wait for them."""
    with pytest.raises(InvalidPlan) as caught:
        validate(plan)
    assert [violation.value for violation in caught.value.violations] == [cycle]


def test_two_steps_cannot_share_an_alternative() -> None:
    """An alternative stands in for one step only."""
    plan = a_plan(a_step("a", alternative="c"), a_step("b", alternative="c"), a_step("c"))
    assert broken_fields(plan) == ["steps.1.alternative"]


@pytest.mark.requirement("BR-WF-003")
def test_waves_show_what_can_run_together() -> None:
    """A diamond has three waves; within a wave priority goes first, then plan order."""
    graph = a_graph(
        a_step("end", "left", "right"), a_step("left", "start"), a_step("right", "start", priority=1), a_step("start")
    )
    assert graph.waves() == (("start",), ("right", "left"), ("end",))
    assert graph.order == ("start", "right", "left", "end")


@pytest.mark.requirement("BR-WF-020")
def test_who_needs_a_step_waits_for_its_alternatives_too() -> None:
    """Whatever may stand in for a need is waited for as well, and an alternative waits for its primary."""
    graph = a_graph(a_step("a", alternative="b"), a_step("b", alternative="c"), a_step("c"), a_step("d", "a"))
    assert graph.waits_for == {
        "a": frozenset(),
        "b": frozenset({"a"}),
        "c": frozenset({"b"}),
        "d": frozenset({"a", "b", "c"}),
    }
    assert graph.primary == {"b": "a", "c": "b"}


def test_the_critical_path_is_the_longest_by_estimate() -> None:
    """Estimates count where there are any, else the attempt's timeout."""
    graph = a_graph(
        a_step("a", estimated_duration=1.0),
        a_step("short", "a", estimated_duration=5.0),
        a_step("long", "a", timeout=30.0),
        a_step("end", "short", "long", estimated_duration=2.0),
    )
    assert graph.critical_path() == (("a", "long", "end"), 33.0)


@given(graphs(max_steps=9))
def test_the_order_respects_every_need(graph: Graph) -> None:
    """Each step comes once, after all it waits for; each wave depends on earlier waves only."""
    place = {name: index for index, name in enumerate(graph.order)}
    assert sorted(place) == sorted(step.id for step in graph.plan.steps)
    for name, parents in graph.waits_for.items():
        assert all(place[parent] < place[name] for parent in parents)
        assert set(graph.steps[name].needs) <= parents
    wave = {name: depth for depth, names in enumerate(graph.waves()) for name in names}
    assert sorted(wave) == sorted(place)
    assert all(wave[parent] < wave[name] for name, parents in graph.waits_for.items() for parent in parents)


@given(graphs(max_steps=9))
def test_descendants_are_all_who_build_on_a_step(graph: Graph) -> None:
    """Descendants are found through needs and alternatives, however far."""
    assert {name: set(below) for name, below in graph.descendants.items()} == {
        name: dependants(shape_of(graph.plan, graph.items), name) for name in graph.order
    }
