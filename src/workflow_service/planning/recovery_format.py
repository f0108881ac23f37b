"""The format of what the rule file says about failures and recovery, and what a JSON Schema cannot say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failure_class import NO_ERROR, FailureClass, fits
from workflow_service.domain.plan import OnFailure

Path = tuple[str | int, ...]
Flaws = Iterator[tuple[Path, object, str]]
Steps = Callable[[Sequence[Mapping[str, Any]], Path], Flaws]  # what is wrong with the actions of a rule

_CLASSES = [one.value for one in FailureClass]
_GLOBS = {
    "type": "array",
    "items": {"type": "string", "pattern": r"[^*\s]", "maxLength": 200},
    "minItems": 1,
    "maxItems": 100,
}
_TEXT = {"type": "string", "pattern": r"\S", "maxLength": 2000}
_PATTERN = {
    "type": "object",
    "required": ["class"],
    "properties": {"class": {"enum": _CLASSES}, "errors": _GLOBS, "messages": _GLOBS, "actions": _GLOBS},
    "minProperties": 2,
    "additionalProperties": False,
}


def options_schema(action: Mapping[str, Any], identifier: Mapping[str, Any]) -> dict[str, Any]:
    """The format of a list of recovery options, given that of an action and that of an id."""
    option = {
        "type": "object",
        "required": ["name", "reason", "actions"],
        "properties": {
            "name": identifier,
            "reason": _TEXT,
            "after": {"type": "array", "items": identifier, "minItems": 1, "uniqueItems": True},
            "classes": {"type": "array", "items": {"enum": _CLASSES}, "minItems": 1, "uniqueItems": True},
            "actions": {"type": "array", "items": action, "minItems": 1, "maxItems": 20},
        },
        "additionalProperties": False,
    }
    return {"type": "array", "items": option, "maxItems": 20}


def failures_schema(options: Mapping[str, Any]) -> dict[str, Any]:
    """The format of the section `failures`, given that of a list of options."""
    answers = [answer.value for answer in OnFailure if answer is not OnFailure.ALTERNATIVE]
    of_class = {
        "type": "object",
        "properties": {
            "on_failure": {"enum": answers},
            "retries": {"type": "integer", "minimum": 0, "maximum": 20},
            "recover": {"type": "boolean"},
            "recovery": options,
        },
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "patterns": {"type": "array", "items": _PATTERN, "maxItems": 200},
            "classes": {
                "type": "object",
                "properties": dict.fromkeys(_CLASSES, of_class),
                "additionalProperties": False,
            },
        },
        "additionalProperties": False,
    }


def flaws(document: Mapping[str, Any], steps: Steps) -> Flaws:
    """What is wrong with recovery options and failure patterns of the right shape."""
    for index, rule in enumerate(document["rules"]):
        yield from _options(rule.get("recovery", ()), ("rules", index, "recovery"), steps, actions=rule["actions"])
    failures = document.get("failures", {})
    for name, one in failures.get("classes", {}).items():
        yield from _options(one.get("recovery", ()), ("failures", "classes", name, "recovery"), steps, actions=None)
    errors = [NO_ERROR, *(error.value for error in ErrorClass)]
    for index, pattern in enumerate(failures.get("patterns", ())):
        for place, glob in enumerate(pattern.get("errors", ())):
            if not any(fits(glob, error) for error in errors):
                at = ("failures", "patterns", index, "errors", place)
                yield at, glob, f"fits no error class; there are {' '.join(errors)}"


def _options(
    options: Sequence[Mapping[str, Any]], at: Path, steps: Steps, *, actions: Sequence[Mapping[str, Any]] | None
) -> Flaws:
    """`actions` are those of the rule; None: the options are for any."""
    names: set[str] = set()
    for index, option in enumerate(options):
        here = (*at, index)
        if option["name"] in names:
            yield (*here, "name"), option["name"], "is the name of an earlier option too"
        names.add(option["name"])
        for name in option.get("after", ()):
            yield from _after(name, actions, (*here, "after"))
        yield from steps(option["actions"], here)


def _after(name: str, actions: Sequence[Mapping[str, Any]] | None, at: Path) -> Flaws:
    found = next((action for action in actions or () if action["id"] == name), None)
    if actions is None:
        yield at, name, "belongs to the options of a rule: those of a class are for any action"
    elif found is None:
        yield at, name, "is no action of this rule"
    elif "alternative" in found:
        yield at, name, f"has an alternative; name that one ({found['alternative']}), it fails last"
