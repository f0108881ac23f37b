"""The format of a template as a JSON Schema, made of that of the step language, and what of a document breaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from workflow_service.domain.expression_source import MAX_SOURCE
from workflow_service.domain.plan import OnFailure, OnResolved
from workflow_service.domain.target import KINDS
from workflow_service.domain.template import API_VERSION, KIND, NAME, VERSION, Lifecycle
from workflow_service.planning.step_format import STEP, TEXT, TIME, Flaw, flaw_of

ID = "https://workflow.kubernaut.io/schemas/workflowtemplate-v1alpha1.json"
PATH = "/api/v1/schemas/workflowtemplate-v1alpha1.json"
# How a template calls what the rule file calls otherwise.
CALLED: Mapping[str, str] = {"type": "action", "parameters": "with", "on_failure": "onFailure"}
_NOT_HERE = frozenset({"retries"})  # `retry` says it
STEP_ID = {"type": "string", "pattern": r"^[a-z]([a-z0-9_]{0,61}[a-z0-9])?$"}
_CEL = {"type": "string", "pattern": r"\S", "maxLength": MAX_SOURCE}
_REFERENCE = {"type": "string", "pattern": f"^{NAME}@{VERSION}$", "examples": ["restart-deployment@1.0.0"]}
_GLOBS = {
    "type": "array",
    "items": {"type": "string", "pattern": r"^\S+$", "maxLength": 253},
    "minItems": 1,
    "maxItems": 100,
    "uniqueItems": True,
}
_WORDS = {**_GLOBS, "items": {"type": "string", "pattern": r"^[A-Za-z0-9_.-]+$", "maxLength": 63}}
_LIST = {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 1, "maxItems": 100}
_MEANING: Mapping[str, str] = {
    "id": "Unique; expressions name it: a-z 0-9 _",
    "kind": "action asks the executor; wait, check, approval; template runs steps of its own",
    "action": "An action of the executor's catalogue, or an alias",
    "with": "The action's parameters; ${{ CEL }} and {placeholders} inside of strings",
    "needs": "Steps that must have settled well before; omitted: the step above; []: at once",
    "on": "What the step is about: target is what the alert names, owner is who decides about it",
    "when": "CEL; false: the step is skipped",
    "critical": "false: its failure does not end the workflow",
    "onFailure": "The one answer to its failure, after its retries",
    "alternative": "The step that takes its place when it has failed",
    "rollback": "What takes its changes back; omitted: the executor's own undo",
    "approval": "A person's word before it begins; nobody's word in time is a no",
    "forEach": "CEL that gives a list: the step is done once for each `item`",
    "preconditions": "Must hold before it begins",
    "postconditions": "Must hold after it: the proof of its effect",
    "template": "A step of kind template: another template's steps, as name@version",
    "timeout": "Of one attempt; of a check or an approval, all of its time",
}


def _step() -> dict[str, Any]:
    own: dict[str, Any] = {
        CALLED.get(key, key): dict(value) for key, value in STEP["properties"].items() if key not in _NOT_HERE
    }
    own |= {"id": STEP_ID, "alternative": STEP_ID, "steps": _LIST, "template": _REFERENCE}
    own["needs"] = {"type": "array", "items": STEP_ID, "uniqueItems": True}
    own["rollback"] = {
        "type": "object",
        "required": ["action"],
        "properties": {"action": TEXT, "with": {"type": "object"}},
        "additionalProperties": False,
    }
    described = {
        key: {"description": _MEANING[key], **value} if key in _MEANING else value for key, value in own.items()
    }
    return {"type": "object", "required": ["id"], "properties": described, "additionalProperties": False}


def _closed(required: list[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": dict(properties), "additionalProperties": False}


_MATCH = {
    "type": "object",
    "description": "Which alerts lead here: all that is given must hold; without it only orders do",
    "properties": {
        "alertname": {**_GLOBS, "description": "Names of alerts; * stands for anything"},
        "severity": _WORDS,
        "environment": {**_GLOBS, "description": "The alert's label environment, or env"},
        "namespace": _GLOBS,
        "kinds": {"type": "array", "items": {"enum": [*sorted(set(KINDS.values())), "none"]}, "minItems": 1},
        "owners": {
            "type": "array",
            "items": {"enum": [*sorted(set(KINDS.values())), "none", "unknown"]},
            "minItems": 1,
        },
        "observed": {**_WORDS, "description": "Facts that must have been seen and not be zero"},
        "when": {**_CEL, "description": "CEL over alert, target, owner, environment and params"},
    },
    "required": ["alertname"],
    "additionalProperties": False,
}
_SOURCES = {"anyOf": [_CEL, {"type": "array", "items": _CEL, "minItems": 1, "maxItems": 10}]}
_SPEC = {
    "extends": {**_REFERENCE, "description": "Another template: what is said here is said over it"},
    "description": _closed(["what", "whenToUse"], dict.fromkeys(("what", "whenToUse", "whenNotToUse"), TEXT)),
    "match": _MATCH,
    "parameters": {"type": "object", "description": "A JSON Schema of type object: what steps know as params"},
    "derive": {
        "type": "object",
        "description": "CEL by parameter: where its value comes from; of several the first that gives one",
        "additionalProperties": _SOURCES,
    },
    "target": {
        **_closed(["kind", "name"], {"kind": {"enum": sorted(set(KINDS.values()))}, "namespace": _CEL, "name": _CEL}),
        "description": "What an order by hand is about, as CEL over params",
    },
    "timeout": {**TIME, "description": "Of the whole run"},
    "onFailure": {"enum": [OnFailure.ROLLBACK.value, OnFailure.STOP.value], "default": OnFailure.ROLLBACK.value},
    "onResolved": {"enum": [answer.value for answer in OnResolved], "default": OnResolved.FINISH.value},
    "steps": _LIST,
    "verify": {**_LIST, "description": "Whether the workflow as a whole has helped"},
    "finally": {**_LIST, "description": "At the very end, once something was changed"},
}
SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": ID,
    "title": KIND,
    **_closed(
        ["apiVersion", "kind", "metadata", "spec"],
        {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": KIND},
            "metadata": _closed(
                ["name", "version"],
                {
                    "name": {"type": "string", "pattern": f"^{NAME}$"},
                    "version": {"type": "string", "pattern": f"^{VERSION}$", "examples": ["1.0.0"]},
                    "lifecycle": {"enum": [one.value for one in Lifecycle], "default": Lifecycle.ACTIVE.value},
                },
            ),
            "spec": _closed([], _SPEC),
        },
    ),
    "$defs": {"step": _step()},
}


def flaws(document: object) -> Iterator[Flaw]:
    """What of a document breaks the schema; what is unknown is named itself, not what it stands in."""
    for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(document):
        if error.validator != "additionalProperties" or not isinstance(error.instance, Mapping):
            yield flaw_of(error, ())
            continue
        known = error.schema["properties"] if isinstance(error.schema, Mapping) else {}
        for key in error.instance:
            if key not in known:
                rule = f"is not known here; known are {' '.join(sorted(known))}"
                yield (*error.absolute_path, key), error.instance[key], rule
