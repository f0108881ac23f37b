"""The format of the rule file as a JSON Schema, and what it cannot say: how the parts of a rule must agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workflow_service.domain.plan import OnResolved
from workflow_service.planning import recovery_format, step_flaws
from workflow_service.planning.rules import words
from workflow_service.planning.step_format import ID, STEP, STEPS, TEXT, Flaw, Place, against

_WORDS = {"type": "array", "items": {"type": "string", "pattern": r"\S", "maxLength": 100}, "maxItems": 100}
_WHEN = {
    "type": "object",
    "properties": dict.fromkeys(("keywords", "name_keywords", "kinds", "owners", "severities", "observed"), _WORDS),
    "additionalProperties": False,
}
_RECOVERY = recovery_format.options_schema({"$ref": "#/$defs/step"}, ID)
_RULE = {
    "type": "object",
    "required": ["name", "reason", "actions"],
    "properties": {
        "name": ID,
        "reason": TEXT,
        "when": _WHEN,
        "actions": STEPS,
        "verify": STEPS,
        "finally": STEPS,
        "onResolved": {"enum": [answer.value for answer in OnResolved]},
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
    "$defs": {"step": STEP},
}


def flaws(document: object) -> Iterator[Flaw]:
    """Every broken rule of the format: where, what was given, what would be right."""
    shape = [*against(SCHEMA, document, ())]
    yield from shape
    if shape or not isinstance(document, Mapping):  # parts of the wrong shape cannot be held against each other
        return
    names: set[str] = set()
    for index, rule in enumerate(document["rules"]):
        at: Place = ("rules", index)
        yield from _keywords(rule.get("when", {}), (*at, "when"))
        if rule["name"] in names:
            yield (*at, "name"), rule["name"], "is the name of an earlier rule too"
        names.add(rule["name"])
        yield from step_flaws.flaws(rule, at)
    yield from recovery_format.flaws(document, _of_option)


def _of_option(actions: Sequence[Mapping[str, Any]], at: Place) -> Iterator[Flaw]:
    """What is wrong with the steps of a recovery option, which are held against each other as those of a rule are."""
    return step_flaws.flaws({"actions": actions}, at)


def _keywords(when: Mapping[str, Any], at: Place) -> Iterator[Flaw]:
    for name in ("keywords", "name_keywords"):
        for index, keyword in enumerate(when.get(name, ())):
            if not all(words(part.rstrip("*")) for part in keyword.split()):
                yield (
                    (*at, name, index),
                    keyword,
                    "must be words, of letters and digits, each with a * at its end or not",
                )
