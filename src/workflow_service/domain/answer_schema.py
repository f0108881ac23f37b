"""The JSON Schema of an answer to one question: closed, small, with the candidates as its enums. Pure.

It keeps to what servers that constrain answers understand (measured on llama.cpp): every object closed, every property
required and null where it may be left out, bounds on integers only, a longest length for every text and list. Numbers
would lose their bounds there, so confidence is a whole number of percent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_service.domain.advice import MOST_ACTIONS, MOST_SUGGESTIONS, STAGES, Candidate, Question, Task, told

SUMMARY = 600  # characters
ROOT_CAUSE = 400
WHY = 300
TEXT = 256  # the longest text that a parameter may have where its own schema names no length
LONGEST_DURATION = 86_400  # seconds
LOWEST_PRIORITY = 10


def answer_schema(task: Task, question: Question) -> dict[str, Any]:
    """The schema that the answer is asked for in, and that constrains it where the server can do that."""
    properties: dict[str, Any] = {
        "root_cause": {"type": "string", "maxLength": ROOT_CAUSE},
        "picks": _list([_pick(task, one) for one in question.candidates], most_picks(task, question)),
        "suggested": _list([_suggestion(one) for one in question.suggestible], MOST_SUGGESTIONS),
        "confidence_percent": {"type": "integer", "minimum": 0, "maximum": 100},
        "summary": {"type": "string", "maxLength": SUMMARY},
    }
    if not question.suggestible:
        del properties["suggested"]
    return _closed(properties)


def most_picks(task: Task, question: Question) -> int:
    """How many candidates one answer may name: each step once when a plan is enhanced, five of a new plan, else one."""
    most = {Task.ENHANCE: len(question.candidates), Task.GENERATE: MOST_ACTIONS}.get(task, 1)
    return min(most, len(question.candidates))


def _pick(task: Task, candidate: Candidate) -> dict[str, Any]:
    more = {"condition": {"enum": [*STAGES, None]}} if task is Task.GENERATE else {}
    return _closed(
        {
            "candidate": {"type": "string", "enum": [candidate.name]},
            "parameters": _parameters(candidate),
            "priority": {"type": ["integer", "null"], "minimum": 1, "maximum": LOWEST_PRIORITY},
            "estimated_seconds": {"type": ["integer", "null"], "minimum": 1, "maximum": LONGEST_DURATION},
            **more,
        }
    )


def _suggestion(action: Candidate) -> dict[str, Any]:
    return _closed(
        {
            "action": {"type": "string", "enum": [action.name]},
            "parameters": _parameters(action),
            "why": {"type": "string", "maxLength": WHY},
        }
    )


def _parameters(candidate: Candidate) -> dict[str, Any]:
    return _closed(
        {
            name: _value(schema, required=name in candidate.required)
            for name, schema in sorted(candidate.parameters.items())
        }
    )


def _value(schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    """What may be left out may be null: strict servers want every property to be there."""
    found = told(schema)
    found.pop("pattern", None)  # one that a server cannot turn into a grammar makes it refuse the whole form
    if "enum" in found:
        found.pop("type", None)
        return found if required else {**found, "enum": [*found["enum"], None]}
    if found["type"] == "string":
        found["maxLength"] = min(found.get("maxLength", TEXT), TEXT)
    if found["type"] == "number":
        found.pop("minimum", None)
        found.pop("maximum", None)
    return found if required else {**found, "type": [found["type"], "null"]}


def _list(kinds: list[dict[str, Any]], most: int) -> dict[str, Any]:
    if not kinds:
        return {"type": "array", "maxItems": 0, "items": {"type": "null"}}
    return {"type": "array", "maxItems": most, "items": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [*properties],
        "properties": properties,
    }
