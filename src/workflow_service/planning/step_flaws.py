"""How the steps of a rule or a template must agree with each other and with their kinds, beyond their schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from workflow_service.domain.controls import START_STEP
from workflow_service.domain.expression_source import SourceRefused
from workflow_service.domain.interpolation import has_expressions, outside
from workflow_service.domain.plan import OnFailure
from workflow_service.domain.scope import nameable
from workflow_service.planning.situation import PLACEHOLDER, PLACEHOLDERS
from workflow_service.planning.step_format import TEXT, Flaw, Place, against

# Which kinds of step a key belongs to, where it is not all of them.
_BELONGS: Mapping[str, frozenset[str]] = {
    "type": frozenset({"action"}),
    "retries": frozenset({"action"}),
    "settle": frozenset({"action"}),
    "approval": frozenset({"action", "template"}),
    "on": frozenset({"action", "check", "approval", "template"}),
    "parameters": frozenset({"action", "template"}),
    "timeout": frozenset({"action", "check", "approval"}),
    "preconditions": frozenset({"action", "approval", "template"}),
    "postconditions": frozenset({"action", "check"}),
    "forEach": frozenset({"action", "check", "template"}),
    "maxParallel": frozenset({"action", "check", "template"}),
    "wait": frozenset({"wait"}),
    "steps": frozenset({"template"}),
    "retry": frozenset({"action"}),
    "rollback": frozenset({"action"}),
}
_NEEDED: Mapping[str, str] = {"action": "type", "wait": "wait", "check": "postconditions", "template": "steps"}
_OBSERVED = {
    "type": "object",
    "properties": {
        "observed": TEXT,
        "plus": {"type": "integer"},
        "at_least": {"type": "integer"},
        "at_most": {"type": "integer"},
    },
    "additionalProperties": False,
}
# Which secret is used stands in the file: neither an alert nor an expression chooses one.
_SECRET_WORD = {"type": "string", "pattern": r"^[-._a-zA-Z0-9]+$", "maxLength": 253}
_SECRET = {
    "type": "object",
    "properties": {
        "secretRef": {
            "type": "object",
            "properties": {"name": _SECRET_WORD, "key": _SECRET_WORD},
            "required": ["name", "key"],
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}

_ELSEWHERE = frozenset({"observed", "secretRef"})


def flaws(rule: Mapping[str, Any], at: Place) -> Iterator[Flaw]:
    """What is wrong with the steps of one rule or template, expressions aside; the schema holds."""
    sections = [(rule[key], (*at, key)) for key in ("actions", "verify", "finally") if key in rule]
    taken: set[str] = set()
    for steps, here in sections:
        for index, step in enumerate(steps):
            if step["id"] in taken:
                yield (*here, index, "id"), step["id"], "is the id of an earlier step too"
            if step["id"] == START_STEP:
                yield (*here, index, "id"), step["id"], "is kept for the step that waits to be started"
            taken.add(step["id"])
        yield from _level(steps, here)
    if any(_expressive(step) for steps, _ in sections for step in steps):
        for steps, here in sections:
            yield from _names(steps, here)


def _level(steps: Sequence[Mapping[str, Any]], at: Place) -> Iterator[Flaw]:
    """What is wrong with steps that stand beside each other, and with what is inside them."""
    ids = [step["id"] for step in steps]
    stand_ins: set[str] = set()
    for index, step in enumerate(steps):
        here: Place = (*at, index)
        for need in step.get("needs", ()):
            if need not in ids:
                yield (*here, "needs"), need, "is no step beside it"
        yield from _alternative(step, ids, stand_ins, at=here)
        yield from _step(step, here)
        inner = step.get("steps", ())
        yield from _repeated([one["id"] for one in inner], (*here, "steps"))
        yield from _level(inner, (*here, "steps"))
    for index, step in enumerate(steps):
        if "approval" in step and step["id"] in stand_ins:
            rule = "cannot be asked for before an alternative: put both into a step of kind template"
            yield (*at, index, "approval"), step["id"], rule
    yield from _cycle(steps, at)


def _repeated(ids: Sequence[str], at: Place) -> Iterator[Flaw]:
    for index, word in enumerate(ids):
        if word in ids[:index]:
            yield (*at, index, "id"), word, "is the id of an earlier step too"


def _step(step: Mapping[str, Any], at: Place) -> Iterator[Flaw]:
    yield from _kind(step, at)
    yield from _parameters(step.get("parameters", {}), (*at, "parameters"), can_look="on" in step)
    undo = step.get("rollback", {}).get("parameters", {})
    yield from _parameters(undo, (*at, "rollback", "parameters"), can_look="on" in step)
    yield from _placeholders(step.get("description", ""), (*at, "description"))
    for name in ("preconditions", "postconditions"):
        for index, condition in enumerate(step.get(name, ())):
            yield from _condition(condition, (*at, name, index))


def _kind(step: Mapping[str, Any], at: Place) -> Iterator[Flaw]:
    kind = step.get("kind", "action")
    for key in step:
        if key in _BELONGS and kind not in _BELONGS[key]:
            yield (*at, key), step[key], f"does not belong to a step of kind {kind}"
    needed = _NEEDED.get(kind)
    if needed is not None and needed not in step:
        yield at, step["id"], f"needs `{needed}`, being a step of kind {kind}"
    if "maxParallel" in step and "forEach" not in step:
        yield (*at, "maxParallel"), step["maxParallel"], "belongs to a step with forEach"
    if "retries" in step and "retry" in step:
        yield (*at, "retries"), step["retries"], "must not be given together with `retry`, which has maxAttempts"
    if "settle" in step and "postconditions" not in step:
        yield (*at, "settle"), step["settle"], "belongs to a step with postconditions"


def _condition(condition: Mapping[str, Any], at: Place) -> Iterator[Flaw]:
    if "promql" in condition:
        yield from _placeholders(condition["promql"], (*at, "promql"))
        if "on" in condition:
            yield (*at, "on"), condition["on"], "must not be given together with promql"


def _expressive(step: Mapping[str, Any]) -> bool:
    """Whether any expression is written in it."""
    keys = {"when", "preconditions", "postconditions", "forEach"}
    inside = any(_expressive(one) for one in step.get("steps", ()))
    return (
        inside
        or not keys.isdisjoint(step)
        or "when" in step.get("approval", {})
        or has_expressions(step.get("parameters", {}))
        or has_expressions(step.get("rollback", {}))
    )


def _names(steps: Sequence[Mapping[str, Any]], at: Place) -> Iterator[Flaw]:
    """Where there are expressions, they must be able to name every step and every parameter."""
    for index, step in enumerate(steps):
        if not nameable(step["id"]):
            yield (*at, index, "id"), step["id"], "cannot be named by the expressions here: use a-z 0-9 _ only"
        for name in step.get("parameters", {}) if step.get("kind") == "template" else ():
            if not nameable(name):
                yield (*at, index, "parameters"), name, "cannot be named by expressions: use a-z 0-9 _ only"
        yield from _names(step.get("steps", ()), (*at, index, "steps"))


def _alternative(step: Mapping[str, Any], ids: list[str], stand_ins: set[str], *, at: Place) -> Iterator[Flaw]:
    other, answer = step.get("alternative"), step.get("on_failure")
    if other is None:
        if answer == OnFailure.ALTERNATIVE:
            yield (*at, "on_failure"), answer, "needs an `alternative`"
        return
    if answer not in (None, OnFailure.ALTERNATIVE):
        yield (*at, "on_failure"), answer, "must be alternative where there is an `alternative`"
    if other not in ids or other == step["id"]:
        yield (*at, "alternative"), other, "must be another step beside it"
    if other in stand_ins:
        yield (*at, "alternative"), other, "already stands in for another action"
    stand_ins.add(other)


def _cycle(steps: Sequence[Mapping[str, Any]], at: Place) -> Iterator[Flaw]:
    graph: TopologicalSorter[str] = TopologicalSorter()
    for step in steps:
        graph.add(step["id"], *step.get("needs", ()))
        if "alternative" in step:
            graph.add(step["alternative"], step["id"])
    try:
        graph.prepare()
    except CycleError as error:
        yield at, " -> ".join(error.args[1]), "wait for each other in a cycle"


def _parameters(value: object, at: Place, *, can_look: bool) -> Iterator[Flaw]:
    if isinstance(value, str):
        yield from _placeholders(value, at)
    elif isinstance(value, Mapping) and not _ELSEWHERE.isdisjoint(value):
        yield from _elsewhere(value, at, can_look=can_look)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _parameters(item, (*at, key), can_look=can_look)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _parameters(item, (*at, index), can_look=can_look)


def _elsewhere(value: Mapping[str, Any], at: Place, *, can_look: bool) -> Iterator[Flaw]:
    """A value that is to be found elsewhere."""
    if "secretRef" in value:
        yield from against(_SECRET, value, at)
        return
    yield from against(_OBSERVED, value, at)
    if not can_look:
        yield at, value["observed"], "needs `on: target` or `on: owner`, to say of what it was observed"


def _placeholders(text: str, at: Place) -> Iterator[Flaw]:
    try:
        parts = outside(text)
    except SourceRefused as refused:
        yield at, text, str(refused)
        return
    for name, _ in (found for part in parts for found in PLACEHOLDER.findall(part)):
        if name not in PLACEHOLDERS:
            yield at, f"{{{name}}}", "is no placeholder; there are " + " ".join(sorted(PLACEHOLDERS))
