"""What a step's expressions can see, and which plans are refused because they name something else."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.factories import a_check, a_graph, a_plan, a_run, a_step, a_template, a_wait, an_action, done
from workflow_service.domain import scope
from workflow_service.domain.errors import InvalidPlan
from workflow_service.domain.expressions import EvaluationFailed, Type
from workflow_service.domain.graph import Graph, validate
from workflow_service.domain.plan import Condition, Phase, Step

ALERT = {"name": "HighCPU", "severity": "critical", "labels": {"app": "web"}}
INNER = a_template("heal", "first", parameters={"size": 4}, steps=(a_step("a"), a_step("first", "a")))
NESTED = a_graph(a_step("first"), INNER, a_step("last", "heal"), parameters={"who": "sre"})


def flaws(*steps: Step, **values: Any) -> dict[str, str]:
    """What is wrong with a plan of these steps, by field."""
    with pytest.raises(InvalidPlan) as caught:
        validate(a_plan(*steps, **values))
    return {violation.field: violation.rule for violation in caught.value.violations}


def known(graph: Graph, name: str) -> dict[str, Any]:
    """What the names of a step stand for when all that comes before it is done."""
    before = tuple(step for step in graph.order if step in graph.ancestors(name))
    return scope.values(graph, a_run(graph, *done(*before)), name, ALERT)


def test_the_alert_is_visible_everywhere_as_text_and_maps() -> None:
    """Every field has a value of its type, also where the alert does not carry it."""
    values = known(NESTED, "first")
    assert (values["alert.name"], values["alert.status"], values["alert.namespace"]) == ("HighCPU", "firing", "")
    assert (values["alert.labels"], values["alert.annotations"]) == ({"app": "web"}, {})
    assert scope.visible(NESTED, "first")["alert.labels"] is Type.MAP


def test_a_step_sees_only_those_that_come_before_it() -> None:
    """Whoever it waits for, however far; nobody beside or after it."""
    graph = a_graph(a_step("a"), a_step("b", "a"), a_step("c", "b"), a_step("beside"))
    seen = {name for name in scope.visible(graph, "c") if name.startswith("steps.")}
    assert seen == {f"steps.{step}.{field}" for step in "ab" for field in ("status", "message", "output")}
    assert known(graph, "c")["steps.a.status"] == "succeeded"


def test_inside_a_template_its_own_steps_and_parameters_win() -> None:
    """`params` are the template's; `steps.first` is the one of its own level, else the one outside."""
    inside = scope.visible(NESTED, "heal/first")
    assert ("params.size" in inside, "params.who" in inside) == (True, False)
    assert "params.who" in scope.visible(NESTED, "heal")
    assert scope._before(NESTED, "heal/a") == {"first": "first"}
    assert scope._before(NESTED, "heal/first") == {"first": "first", "a": "heal/a"}


def test_only_items_know_an_item() -> None:
    """Neither the expression that makes them nor a step after them does; the innermost wins."""
    graph = a_graph(
        a_step("each", for_each="[1, 2]", action=an_action(parameters={"n": "${{ item }}"})), a_step("next", "each")
    ).grown({"each": (1, 2)})
    assert known(graph, "each[1]")["item"] == 2
    assert "item" not in scope.visible(graph, "next")
    assert "undeclared" in flaws(a_step("each", for_each="item"))["steps.each.for_each"]
    assert "undeclared" in flaws(a_step("a", when="item == 1"))["steps.a.when"]


def test_a_template_in_a_template_sees_the_outer_parameters_only_through_its_own() -> None:
    """What is inside knows the nearest template's parameters, and those are made of the ones around it."""
    inner = a_template("inner", steps=(a_step("a", when="params.x == 1"),), parameters={"x": "${{ params.y }}"})
    outer = a_template("outer", steps=(inner,), parameters={"y": 1})
    graph = a_graph(outer)
    assert set(scope.visible(graph, "outer/inner/a")) & {"params.x", "params.y"} == {"params.x"}
    wrong = replace(inner, steps=(a_step("a", when="params.y == 1"),))
    assert "undeclared" in flaws(replace(outer, steps=(wrong,)))["steps.outer/inner/a.when"]


@pytest.mark.parametrize(
    ("step", "field", "rule"),
    [
        (a_step("a", when="alert.sverity == 'x'"), "steps.a.when", "undeclared"),
        (a_step("a", when="alert.name"), "steps.a.when", "must give a bool"),
        (a_step("a", when="steps.b.status == 'succeeded'"), "steps.a.when", "undeclared"),
        (a_step("a", for_each="alert.name"), "steps.a.for_each", "must give a list"),
        (a_step("a", when="observed.x == 1"), "steps.a.when", "undeclared"),
        (
            a_step("a", preconditions=(Condition("result.x == 1"),)),
            "steps.a.preconditions.0.expression",
            "undeclared",
        ),
        (
            a_step("a", action=an_action(parameters={"x": "${{ params.no }}"})),
            "steps.a.parameters.x",
            "undeclared",
        ),
        (
            a_step("a", action=an_action(target=None), postconditions=(Condition("observed.x == 1"),)),
            "steps.a.postconditions.0.target",
            "must be given, or promql",
        ),
        (
            a_check("a", postconditions=(Condition("observed.x == 1"),)),
            "steps.a.postconditions.0.target",
            "must be given, or promql",
        ),
    ],
)
def test_a_plan_that_names_what_cannot_be_seen_is_refused(step: Step, field: str, rule: str) -> None:
    """The field, and what is wrong with it; said once, also for what is done for each item."""
    found = flaws(step, a_step("b"))
    assert list(found) == [field]
    assert rule in found[field]


def test_what_is_wrong_inside_items_is_said_by_the_plans_own_paths() -> None:
    """Items are not known when a plan is made: their steps are named as the plan does."""
    broken = a_template("heal", for_each="[1]", steps=(a_step("a", when="nonsense"),))
    assert list(flaws(broken)) == ["steps.heal/a.when"]


def test_parameters_of_a_plan_are_values() -> None:
    """Nobody could say what an expression in them means."""
    assert flaws(a_step("a"), parameters={"x": "${{ alert.name }}"}) == {
        "parameters": "of a plan must be values, not expressions"
    }


def test_verification_sees_all_of_main_and_last_steps_only_each_other() -> None:
    """Who waits for everything may ask about everything; the last steps wait for nothing of the run."""
    graph = a_graph(a_step("a"), a_check("v", phase=Phase.VERIFY), a_wait("f", phase=Phase.FINALLY))
    assert "steps.a.status" in scope.visible(graph, "v")
    assert "steps.a.status" not in scope.visible(graph, "f")


def test_conditions_hold_or_have_no_answer() -> None:
    """`observed` is what was seen, `result` the action's answer; what is not there is an error, not false."""
    graph = a_graph(a_step("a", preconditions=(Condition("true"),)))
    names, values = scope.visible(graph, "a"), known(graph, "a")
    up = Condition("observed.ready >= 1")
    assert scope.holds(up, values, names, {"ready": 1}, None)
    assert not scope.holds(up, values, names, {"ready": 0}, None)
    with pytest.raises(EvaluationFailed, match="there is no field"):
        scope.holds(up, values, names, {}, None)
    assert scope.holds(Condition("result.n == observed.n"), values, names, {"n": 1}, {"n": 1})
    assert scope.observes(up, names, after=False)
    assert not scope.observes(Condition("alert.name == 'x'"), names, after=True)
