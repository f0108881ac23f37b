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

_NAME = re.compile(r"[a-z_][a-z0-9_]*")  # what CEL takes for a name; a step called otherwise cannot be referred to
_ALERT: Scope = {
    "alert.name": Type.STRING,
    "alert.severity": Type.STRING,
    "alert.status": Type.STRING,
    "alert.namespace": Type.STRING,
    "alert.resource": Type.STRING,
    "alert.labels": Type.MAP,
    "alert.annotations": Type.MAP,
}
_LOOKS: Scope = {"observed": Type.MAP}
_AFTER: Scope = {**_LOOKS, "result": Type.MAP}

Facts = Mapping[str, Any]


def visible(graph: Graph, name: str) -> Scope:
    """What the expressions of a step can name: the alert, parameters, `item`, and the steps that come before it."""
    found: dict[str, Type] = dict(_ALERT)
    for key in _parameters(graph, name):
        found[f"params.{key}"] = Type.DYN
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
    found: dict[str, Any] = {
        "alert.name": str(alert.get("name") or ""),
        "alert.severity": str(alert.get("severity") or ""),
        "alert.status": str(alert.get("status") or "firing"),
        "alert.namespace": str(alert.get("namespace") or ""),
        "alert.resource": str(alert.get("resource") or ""),
        "alert.labels": dict(alert.get("labels") or {}),
        "alert.annotations": dict(alert.get("annotations") or {}),
    }
    found |= {f"params.{key}": value for key, value in _given(graph, state, name, alert).items()}
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
    """The parameters of a step's action with every expression in them resolved.

    Raises:
        EvaluationFailed: one of them has no value.
    """
    action = graph.steps[name].action
    given: Mapping[str, Any] = action.parameters if action else {}
    if not has_expressions(given):
        return given
    resolved: Mapping[str, Any] = interpolate(given, visible(graph, name), values(graph, state, name, alert))
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
    program = compile_expression(source, _outside(graph, name), at="for_each")
    found = program.evaluate(values(graph, state, name, alert))
    if not isinstance(found, list):
        raise EvaluationFailed(f"for_each: {source!r} gives no list")
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


def violations(graph: Graph) -> Iterator[Violation]:
    """Every expression of a plan that cannot be understood, or that names what the step cannot see."""
    for index, name in enumerate(graph.order):
        yield from _of_step(graph, name, f"steps.{name}", graph.steps[name])
        if index == 0 and has_expressions(graph.plan.parameters):
            yield Violation("parameters", "${{ }}", "of a plan must be values, not expressions")


def _of_step(graph: Graph, name: str, at: str, step: Step) -> Iterator[Violation]:
    given = step.action.parameters if step.action else step.parameters
    if not (step.when or step.for_each or step.preconditions or step.postconditions or has_expressions(given)):
        return
    outside, inside = _outside(graph, name), visible(graph, name)
    sources = [("when", step.when, outside, Type.BOOL), ("for_each", step.for_each, outside, None)]
    for field, more in (("preconditions", _LOOKS), ("postconditions", _AFTER)):
        conditions: tuple[Condition, ...] = getattr(step, field)
        names: Scope = {**inside, **more}
        sources += [(f"{field}.{i}.expression", one.expression, names, Type.BOOL) for i, one in enumerate(conditions)]
    for field, source, scope, kind in sources:
        if source is not None:
            yield from _of_source(source, scope, kind, f"{at}.{field}")
    wrong, _ = check_interpolation(given, inside, at=f"{at}.parameters")
    yield from wrong


def _of_source(source: str, scope: Scope, kind: Type | None, at: str) -> Iterator[Violation]:
    try:
        compile_expression(source, scope, expects=kind, at=at)
    except InvalidExpression as error:
        yield from error.violations


def _outside(graph: Graph, name: str) -> Scope:
    """What a forEach step itself sees: there is no item yet, unless it lies inside another."""
    scope = {**visible(graph, name)}
    if graph.steps[name].for_each and not any(one in graph.item for one in graph.around(name)):
        scope.pop("item", None)
    return scope


def _parameters(graph: Graph, name: str) -> Mapping[str, Any]:
    """The parameters of the nearest template around the step, or the plan's."""
    around = (graph.steps[one].parameters for one in graph.around(name) if graph.steps[one].steps)
    return next(around, graph.plan.parameters)


def _given(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> Mapping[str, Any]:
    """Their values: a template's own are resolved where the template stands."""
    owner = next((one for one in graph.around(name) if graph.steps[one].steps), None)
    if owner is None:
        return graph.plan.parameters
    raw = graph.steps[owner].parameters
    if not has_expressions(raw):
        return raw
    resolved: Mapping[str, Any] = interpolate(raw, visible(graph, owner), values(graph, state, owner, alert))
    return resolved


def _before(graph: Graph, name: str) -> dict[str, str]:
    """The steps that come before it because it waits for them, by the name it knows them by; inner names win."""
    found: dict[str, str] = {}
    for one in reversed((name, *graph.around(name))):
        for path in _ancestors(graph, one):
            word = path.rpartition("/")[2]
            if _NAME.fullmatch(word):
                found[word] = path
    return found


def _ancestors(graph: Graph, name: str) -> set[str]:
    found: set[str] = set()
    open_ = set(graph.waits_for[name])
    while open_:
        one = open_.pop()
        found.add(one)
        open_ |= graph.waits_for[one] - found
    return found
