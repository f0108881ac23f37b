"""The format of the steps of a rule file as a JSON Schema, and of its times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.expression_source import MAX_SOURCE
from workflow_service.domain.plan import OnFailure, StepKind
from workflow_service.domain.step_rules import MAX_CONDITIONS, MAX_ITEMS, MAX_STEPS

Place = tuple[str | int, ...]
Flaw = tuple[Place, object, str]  # where, what was given, what would be right

_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d{1,8}(?:\.\d{1,3})?)(ms|s|m|h)")
_DURATION = re.compile(f"(?:{_PART.pattern}){{1,4}}")

ID = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9_]{0,61}[a-z0-9])?$"}
TEXT = {"type": "string", "pattern": r"\S", "maxLength": 2000}
_EXPRESSION = {"type": "string", "pattern": r"\S", "maxLength": MAX_SOURCE}
SPAN = {"type": ["number", "string"], "minimum": 0, "maximum": 86400, "pattern": f"^{_DURATION.pattern}$"}
TIME = {**SPAN, "exclusiveMinimum": 0}
_ON = {"enum": ["target", "owner"]}
_CONDITION = {
    "type": "object",
    "required": ["expression"],
    "properties": {
        "expression": _EXPRESSION,
        "message": TEXT,
        "critical": {"type": "boolean"},
        "within": SPAN,
        "poll": TIME,
        "on": _ON,
        "promql": TEXT,
    },
    "additionalProperties": False,
}
_CONDITIONS = {"type": "array", "items": _CONDITION, "minItems": 1, "maxItems": MAX_CONDITIONS}
STEPS = {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 1, "maxItems": MAX_STEPS}
RETRY: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "maxAttempts": {"type": "integer", "minimum": 1, "maximum": 21},
        "backoff": {"enum": ["exponential", "fixed"]},
        "delay": SPAN,
        "maxDelay": TIME,
        "on": {
            "type": "array",
            "items": {"enum": [one.value for one in ErrorClass]},
            "minItems": 1,
            "uniqueItems": True,
        },
    },
    "minProperties": 1,
    "additionalProperties": False,
}
STEP: Mapping[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": ID,
        "kind": {"enum": [kind.value for kind in StepKind]},
        "type": TEXT,
        "on": _ON,
        "parameters": {"type": "object"},
        "description": TEXT,
        "critical": {"type": "boolean"},
        "on_failure": {"enum": [answer.value for answer in OnFailure]},
        "alternative": ID,
        "needs": {"type": "array", "items": ID, "uniqueItems": True},
        "timeout": TIME,
        "retries": {"type": "integer", "minimum": 0, "maximum": 20},
        "when": _EXPRESSION,
        "preconditions": _CONDITIONS,
        "postconditions": _CONDITIONS,
        "settle": SPAN,
        "wait": TIME,
        "forEach": _EXPRESSION,
        "maxParallel": {"type": "integer", "minimum": 1, "maximum": MAX_ITEMS},
        "steps": STEPS,
        "approval": {
            "type": "object",
            "properties": {"when": _EXPRESSION, "timeout": TIME},
            "additionalProperties": False,
        },
        "retry": RETRY,
        "rollback": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": TEXT, "parameters": {"type": "object"}},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


def seconds(given: float | str) -> float:
    """A time: a number of seconds, or a text such as `500ms`, `30s`, `5m`, `1h30m`."""
    if not isinstance(given, str):
        return given  # 60 stays 60: a plan has the hash that it had
    given = given.strip()  # a pattern of the schema lets a last line break through
    if _DURATION.fullmatch(given) is None:
        raise ValueError(f"{given!r} is no time")  # the schema lets none through
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(given))


def against(schema: Mapping[str, Any], value: object, at: Place) -> Iterator[Flaw]:
    """What a JSON Schema says is wrong."""
    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        yield flaw_of(error, at)


def flaw_of(error: jsonschema.ValidationError, at: Place) -> Flaw:
    """One thing that a JSON Schema says is wrong."""
    short = len(error.message) <= 200  # it may repeat the value
    rule = error.message if short else f"{error.validator} {error.validator_value!r:.100}"
    return (*at, *error.absolute_path), error.instance, f"breaks the format: {rule}"
