"""The format of upstream's multi-stage answer as a JSON Schema, and the bounds on what a stranger may send in it.

Upstream: jordigilh/kubernaut, the structures of its multi-stage remediation test (BR-WF-017 to BR-WF-024).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from workflow_service.domain.advice import STAGES
from workflow_service.domain.errors import InvalidAdvice, Violation
from workflow_service.domain.step_rules import MAX_CONDITIONS
from workflow_service.planning.step_format import TIME, against

MAX_CHARACTERS = 256 * 1024  # of the whole answer
MAX_VALUES = 2000
MAX_NESTING = 12
MAX_TEXT = 4000  # characters of one string
MAX_SECONDARY = 20
CONDITIONS = STAGES

_WORDS = {"type": "array", "items": {"type": "string", "pattern": r"\S", "maxLength": 500}, "maxItems": 20}
_SHORT = {"type": "string", "maxLength": 253}
_STAGE = {
    "action": {"type": "string", "pattern": r"^[A-Za-z][-A-Za-z0-9_ ]{0,62}$"},
    "parameters": {"type": "object", "maxProperties": 50},
    "execution_order": {"type": "integer", "minimum": 0, "maximum": 1000},
    "timeout": TIME,
}
_PRIMARY = {
    **_STAGE,
    "urgency": _SHORT,
    "expected_duration": TIME,
    "success_criteria": {**_WORDS, "maxItems": MAX_CONDITIONS},
}
_SECONDARY = {**_STAGE, "condition": {"enum": [*CONDITIONS]}, "prerequisites": _WORDS}


def _closed(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


SCHEMA: Mapping[str, Any] = _closed(
    {
        "workflow_id": _SHORT,
        "primary_action": _closed(_PRIMARY, "action", "parameters"),
        "secondary_actions": {
            "type": "array",
            "items": _closed(_SECONDARY, "action", "parameters", "condition"),
            "maxItems": MAX_SECONDARY,
        },
        "monitoring_plan": _closed(
            {
                "success_criteria": _WORDS,
                "validation_commands": _WORDS,
                "monitoring_duration": TIME,
                "check_interval": TIME,
                "escalation_rules": _WORDS,
            }
        ),
        "rollback_plan": _closed(
            {
                "rollback_triggers": _WORDS,
                "rollback_actions": {"type": "array", "items": _closed(_STAGE, "action"), "maxItems": MAX_SECONDARY},
                "rollback_timeout": TIME,
                "safety_checks": _WORDS,
            }
        ),
        "context_requirements": {"type": "object", "maxProperties": 50},
        "metadata": {
            "type": "object",
            "maxProperties": 50,
            "properties": {"confidence": {"type": "number", "minimum": 0, "maximum": 1}},
        },
    },
    "primary_action",
)
_OPEN = frozenset({"parameters", "context_requirements", "metadata"})  # what is in them is kept as it is


def parse(text: str) -> object:
    """The document that a text holds.

    Raises:
        InvalidAdvice: it is too long, or no JSON.
    """
    if len(text) > MAX_CHARACTERS:
        rule = f"must be at most {MAX_CHARACTERS} characters"
        raise InvalidAdvice("the answer is too long", [Violation("answer", f"{len(text)} characters", rule)])
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidAdvice(
            "the answer is not JSON", [Violation("answer", text[:40], f"is not JSON: {error}")]
        ) from None


def read(document: object) -> tuple[Mapping[str, Any], list[Violation]]:
    """The answer without what Go's encoder writes for what is not there, and every rule of the format it breaks."""
    broken = list(_unbounded(document))
    if broken:  # nothing else looks at what has no bounds
        return {}, broken
    answer = _present(document)
    return answer, [
        Violation(".".join(map(str, at)) or "answer", value, rule) for at, value, rule in against(SCHEMA, answer, ())
    ]


def _present(value: Any) -> Any:
    if isinstance(value, list):
        return [_present(item) for item in value]
    if not isinstance(value, dict):
        return value
    there = {key: item for key, item in value.items() if item is not None and item != ""}
    return {key: item if key in _OPEN else _present(item) for key, item in there.items()}


def _unbounded(document: object) -> Iterator[Violation]:
    """What is too much, too deep, or nothing that JSON between strangers can hold."""
    left: list[tuple[str, object, int]] = [("answer", document, 0)]
    seen = 0
    while left:
        at, value, depth = left.pop()
        seen += 1
        if seen > MAX_VALUES or depth > MAX_NESTING:
            what = f"{MAX_VALUES} values" if seen > MAX_VALUES else f"{MAX_NESTING} levels"
            yield Violation(at[:200], "...", f"is more than {what} into the answer")
            return
        if isinstance(value, dict):
            texts = [key for key in value if (flaw := _bad_text(key))]
            if texts:
                yield Violation(at[:200], repr(texts[0])[:80], _bad_text(texts[0]) or "")
            left.extend((f"{at}.{str(key)[:80]}", item, depth + 1) for key, item in value.items())
        elif isinstance(value, list):
            left.extend((f"{at}.{index}", item, depth + 1) for index, item in enumerate(value))
        elif flaw := _bad(value):
            yield Violation(at[:200], repr(value)[:80], flaw)


def _bad(value: object) -> str | None:
    if isinstance(value, str):
        return _bad_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "must be a number of at most 64 bits"
    return None if value is None or isinstance(value, int | float) else "is no JSON value"


def _bad_text(text: object) -> str | None:
    if not isinstance(text, str):
        return "must be a string"
    if len(text) > MAX_TEXT:
        return f"must be at most {MAX_TEXT} characters"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "must be valid Unicode"
    return "must not hold a NUL character" if "\0" in text else None
