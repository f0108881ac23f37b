"""What a step's expressions can see: the alert, its parameters, the steps before it, and what was found out for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from workflow_service.domain.errors import InvalidExpression, Violation
from workflow_service.domain.expressions import EvaluationFailed, Scope, Type, compile_expression
from workflow_service.domain.interpolation import check_interpolation, has_expressions, interpolate
from workflow_service.domain.plan import Condition, Step

if TYPE_CHECKING:
    from workflow_service.domain.graph import Graph
    from workflow_service.domain.run_state import RunState

_NAME = re.compile(r"(?!(?:true|false|null|in)$)[a-z_][a-z0-9_]*")
ALERT: Scope = {
    "alert.name": Type.STRING,
    "alert.severity": Type.STRING,
    "alert.status": Type.STRING,
    "alert.namespace": Type.STRING,
    "alert.resource": Type.STRING,
    "alert.labels": Type.MAP,
    "alert.annotations": Type.MAP,
}
_UNTYPED: Scope = {}
_LOOKS: Scope = {"observed": Type.MAP}
_RESULT: Scope = {"result": Type.MAP}
_AFTER: Scope = {**_LOOKS, **_RESULT}

Facts = Mapping[str, Any]


def nameable(word: str) -> bool:
    """Whether expressions can name a step or a parameter that is called so: `a-b` would be a subtraction."""
    return _NAME.fullmatch(word) is not None


def alert_values(alert: Mapping[str, Any]) -> dict[str, Any]:
    """What the names of `ALERT` stand for."""
    return {
        "alert.name": str(alert.get("name") or ""),
        "alert.severity": str(alert.get("severity") or ""),
        "alert.status": str(alert.get("status") or "firing"),
        "alert.namespace": str(alert.get("namespace") or ""),
        "alert.resource": str(alert.get("resource") or ""),
        "alert.labels": dict(alert.get("labels") or {}),
        "alert.annotations": dict(alert.get("annotations") or {}),
    }


def visible(graph: Graph, name: str, types: Scope = _UNTYPED) -> Scope:
    """What the expressions of a step can name: the alert, parameters, `item`, and the steps that come before it.

    `types`: what is known of the plan's own parameters; those of a template step may be anything.
    """
    found: dict[str, Type] = dict(ALERT)
    known = types if _owner(graph, name) is None else _UNTYPED
    for key in _parameters(graph, name):
        found[f"params.{key}"] = known.get(f"params.{key}", Type.DYN)
    if any(one in graph.item or graph.steps[one].for_each for one in (name, *graph.around(name))):
        found["item"] = Type.DYN
    for word in _before(graph, name):
        found |= {
            f"steps.{word}.status": Type.STRING,
            f"steps.{word}.message": Type.STRING,
            f"steps.{word}.output": Type.MAP,
        }
    return found


def values(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> dict[str, Any]:
    """What those names stand for now."""
    found = alert_values(alert)
    found |= {f"params.{key}": value for key, value in _given(graph, state, name).items()}
    inside = next((one for one in (name, *graph.around(name)) if one in graph.item), None)
    if inside is not None:
        found["item"] = graph.item[inside]
    for word, path in _before(graph, name).items():
        step = state.steps[path]
        found |= {
            f"steps.{word}.status": str(step.status),
            f"steps.{word}.message": step.message,
            f"steps.{word}.output": dict(step.result),
        }
    return found


def parameters(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a step's action, or of a template, with every expression in them resolved.

    Raises:
        EvaluationFailed: one of them has no value.
    """
    given = graph.steps[name].given_parameters
    if name in graph.literal:
        return given
    resolved: Mapping[str, Any] = interpolate(given, visible(graph, name), values(graph, state, name, alert))
    return resolved


def undo(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of what takes the step's changes back, with every expression in them resolved.

    Raises:
        EvaluationFailed: one of them has no value, or the step says nothing of how it is undone.
    """
    action = graph.steps[name].rollback
    if action is None:
        raise EvaluationFailed("the step does not say how it is undone")
    known = {**values(graph, state, name, alert), "result": dict(state.steps[name].result)}
    resolved: Mapping[str, Any] = interpolate(action.parameters, {**visible(graph, name), **_RESULT}, known)
    return resolved


def truth(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> bool:
    """Whether the step's `when` holds.

    Raises:
        EvaluationFailed: it has no answer.
    """
    when = graph.steps[name].when
    if when is None:
        return True
    program = compile_expression(when, visible(graph, name), expects=Type.BOOL, at="when")
    return bool(program.evaluate(values(graph, state, name, alert)))


def items(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> list[Any]:
    """What a forEach step has to do.

    Raises:
        EvaluationFailed: its expression gives no list, or one that is too long.
    """
    source = graph.steps[name].for_each or "[]"
    program = compile_expression(source, _outside(graph, name), expects=Type.LIST, at="for_each")
    found: list[Any] = program.evaluate(values(graph, state, name, alert))
    return found


def holds(condition: Condition, known: Mapping[str, Any], scope: Scope, found: Facts, result: Facts | None) -> bool:
    """Whether a condition holds for what was observed; `result` is the action's answer, once there is one.

    Raises:
        EvaluationFailed: it has no answer.
    """
    names = {**scope, **(_LOOKS if result is None else _AFTER)}
    program = compile_expression(condition.expression, names, expects=Type.BOOL, at="expression")
    given = {**known, "observed": dict(found), **({} if result is None else {"result": dict(result)})}
    return bool(program.evaluate(given))


def observes(condition: Condition, scope: Scope, *, after: bool) -> bool:
    """Whether the condition asks for anything that must be looked up."""
    names = {**scope, **(_AFTER if after else _LOOKS)}
    return "observed" in compile_expression(condition.expression, names, expects=Type.BOOL, at="expression").refs


def violations(graph: Graph, types: Scope = _UNTYPED) -> Iterator[Violation]:
    """Every expression of a plan that cannot be understood, or that names what the step cannot see.

    `types`: what is known of the plan's own parameters, by names such as `params.size`.
    """
    if has_expressions(graph.plan.parameters):
        yield Violation("parameters", "${{ }}", "of a plan must be values, not expressions")
    for name in graph.order:
        if name not in graph.item:  # a sample: what is said about its forEach step is said about it
            yield from _of_step(graph, name, f"steps.{name.replace('[0]', '')}", types)


def _of_step(graph: Graph, name: str, at: str, types: Scope) -> Iterator[Violation]:
    step = graph.steps[name]
    given, undo = step.given_parameters, step.rollback.parameters if step.rollback else {}
    conditions = step.when or step.for_each or step.preconditions or step.postconditions
    if not conditions and name in graph.literal and not has_expressions(undo):
        return
    outside, inside = _outside(graph, name, types), visible(graph, name, types)
    yield from _of_source(step.when, outside, Type.BOOL, f"{at}.when")
    yield from _of_source(step.for_each, outside, Type.LIST, f"{at}.for_each")
    for field, more in (("preconditions", _LOOKS), ("postconditions", _AFTER)):
        held: tuple[Condition, ...] = getattr(step, field)
        for index, one in enumerate(held):
            yield from _of_condition(step, one, {**inside, **more}, f"{at}.{field}.{index}")
    yield from check_interpolation(given, inside, at=f"{at}.parameters")[0]
    yield from check_interpolation(undo, {**inside, **_RESULT}, at=f"{at}.rollback.parameters")[0]


def _of_condition(step: Step, condition: Condition, names: Scope, at: str) -> Iterator[Violation]:
    wrong = list(_of_source(condition.expression, names, Type.BOOL, f"{at}.expression"))
    yield from wrong
    if wrong or condition.target or condition.promql or (step.action and step.action.target):
        return
    if "observed" in compile_expression(condition.expression, names, expects=Type.BOOL).refs:
        yield Violation(f"{at}.target", None, "must be given, or promql: the step has no target that could be observed")


def _of_source(source: str | None, scope: Scope, kind: Type, at: str) -> Iterator[Violation]:
    if source is None:
        return
    try:
        compile_expression(source, scope, expects=kind, at=at)
    except InvalidExpression as error:
        yield from error.violations


def _outside(graph: Graph, name: str, types: Scope = _UNTYPED) -> Scope:
    """What a forEach step itself sees: there is no item yet, unless it lies inside another."""
    scope = {**visible(graph, name, types)}
    if graph.steps[name].for_each and not any(one in graph.item for one in graph.around(name)):
        scope.pop("item", None)
    return scope


def _owner(graph: Graph, name: str) -> str | None:
    """The template that the step is one of the steps of; for an item of a forEach step, the one around that step."""
    around = (one for one in graph.around(name) if graph.steps[one].for_each is None)
    return next(around, None)


def _parameters(graph: Graph, name: str) -> Mapping[str, Any]:
    owner = _owner(graph, name)
    return graph.plan.parameters if owner is None else graph.steps[owner].parameters


def _given(graph: Graph, state: RunState, name: str) -> Mapping[str, Any]:
    """Their values: a template's were worked out when it opened."""
    owner = _owner(graph, name)
    return graph.plan.parameters if owner is None else state.steps[owner].given or {}


def _before(graph: Graph, name: str) -> dict[str, str]:
    """The steps that come before it because it waits for them, by the name it knows them by; inner names win."""
    found: dict[str, str] = {}
    for one in reversed((name, *graph.around(name))):
        for path in graph.ancestors(one):
            word = path.rpartition("/")[2]
            if nameable(word):
                found[word] = path
    return found
