"""The format of the rule file as a JSON Schema, and what it cannot say: how the parts of a rule must agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import jsonschema

from workflow_service.domain.controls import START_STEP
from workflow_service.domain.plan import OnFailure
from workflow_service.planning import recovery_format
from workflow_service.planning.rules import words
from workflow_service.planning.situation import PLACEHOLDER, PLACEHOLDERS

Path = tuple[str | int, ...]

_WORDS = {"type": "array", "items": {"type": "string", "pattern": r"\S", "maxLength": 100}, "maxItems": 100}
_ID = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9_]{0,61}[a-z0-9])?$"}
_TEXT = {"type": "string", "pattern": r"\S", "maxLength": 2000}
_WHEN = {
    "type": "object",
    "properties": dict.fromkeys(("keywords", "name_keywords", "kinds", "owners", "severities", "observed"), _WORDS),
    "additionalProperties": False,
}
_ACTION = {
    "type": "object",
    "required": ["id", "type"],
    "properties": {
        "id": _ID,
        "type": _TEXT,
        "on": {"enum": ["target", "owner"]},
        "parameters": {"type": "object"},
        "description": _TEXT,
        "critical": {"type": "boolean"},
        "on_failure": {"enum": [answer.value for answer in OnFailure]},
        "alternative": _ID,
        "needs": {"type": "array", "items": _ID, "uniqueItems": True},
        "timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 86400},
        "retries": {"type": "integer", "minimum": 0, "maximum": 20},
    },
    "additionalProperties": False,
}
_RECOVERY = recovery_format.options_schema(_ACTION, _ID)
_RULE = {
    "type": "object",
    "required": ["name", "reason", "actions"],
    "properties": {
        "name": _ID,
        "reason": _TEXT,
        "when": _WHEN,
        "actions": {"type": "array", "items": _ACTION, "minItems": 1, "maxItems": 100},
        "recovery": _RECOVERY,
    },
    "additionalProperties": False,
}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["version", "rules"],
    "properties": {
        "version": {"const": 1},
        "rules": {"type": "array", "items": _RULE, "minItems": 1, "maxItems": 500},
        "failures": recovery_format.failures_schema(_RECOVERY),
    },
    "additionalProperties": False,
}
_OBSERVED = {
    "type": "object",
    "properties": {
        "observed": _TEXT,
        "plus": {"type": "integer"},
        "at_least": {"type": "integer"},
        "at_most": {"type": "integer"},
    },
    "additionalProperties": False,
}


def flaws(document: object) -> Iterator[tuple[Path, object, str]]:
    """Every broken rule of the format: where, what was given, what would be right."""
    shape = [*_against(SCHEMA, document, ())]
    yield from shape
    if shape or not isinstance(document, Mapping):  # parts of the wrong shape cannot be held against each other
        return
    names: set[str] = set()
    for index, rule in enumerate(document["rules"]):
        at: Path = ("rules", index)
        yield from _keywords(rule.get("when", {}), (*at, "when"))
        if rule["name"] in names:
            yield (*at, "name"), rule["name"], "is the name of an earlier rule too"
        names.add(rule["name"])
        yield from _steps(rule["actions"], at)
    yield from recovery_format.flaws(document, _steps)


def _against(schema: Mapping[str, Any], value: object, at: Path) -> Iterator[tuple[Path, object, str]]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        yield (*at, *error.absolute_path), error.instance, f"breaks the format: {error.message[:200]}"


def _keywords(when: Mapping[str, Any], at: Path) -> Iterator[tuple[Path, object, str]]:
    for name in ("keywords", "name_keywords"):
        for index, keyword in enumerate(when.get(name, ())):
            if not all(words(part.rstrip("*")) for part in keyword.split()):
                yield (
                    (*at, name, index),
                    keyword,
                    "must be words, of letters and digits, each with a * at its end or not",
                )


def _steps(actions: Sequence[Mapping[str, Any]], at: Path) -> Iterator[tuple[Path, object, str]]:
    ids = [action["id"] for action in actions]
    stand_ins: set[str] = set()
    for index, action in enumerate(actions):
        here: Path = (*at, "actions", index)
        if action["id"] in ids[:index]:
            yield (*here, "id"), action["id"], "is the id of an earlier action too"
        if action["id"] == START_STEP:
            yield (*here, "id"), action["id"], "is kept for the step that waits to be started"
        for need in action.get("needs", ()):
            if need not in ids:
                yield (*here, "needs"), need, "is no action of this rule"
        yield from _alternative(action, ids, stand_ins, at=here)
        yield from _parameters(action.get("parameters", {}), (*here, "parameters"), can_look="on" in action)
        yield from _placeholders(action.get("description", ""), (*here, "description"))
    yield from _cycle(actions, (*at, "actions"))


def _alternative(
    action: Mapping[str, Any], ids: list[str], stand_ins: set[str], *, at: Path
) -> Iterator[tuple[Path, object, str]]:
    other, answer = action.get("alternative"), action.get("on_failure")
    if other is None:
        if answer == OnFailure.ALTERNATIVE:
            yield (*at, "on_failure"), answer, "needs an `alternative`"
        return
    if answer not in (None, OnFailure.ALTERNATIVE):
        yield (*at, "on_failure"), answer, "must be alternative where there is an `alternative`"
    if other not in ids or other == action["id"]:
        yield (*at, "alternative"), other, "must be another action of this rule"
    if other in stand_ins:
        yield (*at, "alternative"), other, "already stands in for another action"
    stand_ins.add(other)


def _cycle(actions: Sequence[Mapping[str, Any]], at: Path) -> Iterator[tuple[Path, object, str]]:
    graph: TopologicalSorter[str] = TopologicalSorter()
    for action in actions:
        graph.add(action["id"], *action.get("needs", ()))
        if "alternative" in action:
            graph.add(action["alternative"], action["id"])
    try:
        graph.prepare()
    except CycleError as error:
        yield at, " -> ".join(error.args[1]), "wait for each other in a cycle"


def _parameters(value: object, at: Path, *, can_look: bool) -> Iterator[tuple[Path, object, str]]:
    if isinstance(value, str):
        yield from _placeholders(value, at)
    elif isinstance(value, Mapping) and "observed" in value:
        yield from _against(_OBSERVED, value, at)
        if not can_look:
            yield at, value["observed"], "needs `on: target` or `on: owner`, to say of what it was observed"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _parameters(item, (*at, key), can_look=can_look)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _parameters(item, (*at, index), can_look=can_look)


def _placeholders(text: str, at: Path) -> Iterator[tuple[Path, object, str]]:
    for name, _ in PLACEHOLDER.findall(text):
        if name not in PLACEHOLDERS:
            yield at, f"{{{name}}}", "is no placeholder; there are " + " ".join(sorted(PLACEHOLDERS))
