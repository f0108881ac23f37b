"""The action catalogue: what the executor says it can do, plus our aliases and risk floor on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import jsonschema
import referencing

from workflow_service.domain.errors import Violation
from workflow_service.domain.interpolation import has_expressions


class Risk(StrEnum):
    """How much an action may hurt when it is wrong."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


# A schema comes from outside: what it refers to is never fetched.
_NOWHERE: referencing.Registry[Any] = referencing.Registry()

# What a schema says about the names in an object, whatever their values are.
_OF_NAMES = frozenset(
    {"required", "additionalProperties", "dependentRequired", "minProperties", "maxProperties", "propertyNames"}
)

_ORDER = (Risk.LOW, Risk.MEDIUM, Risk.HIGH)

# Names that upstream documents, rules and models use for what the catalogue calls otherwise.
ALIASES: Mapping[str, str] = {
    "delete_pod": "restart_pod",
    "restart_deployment": "restart_pod",
    "restart_service": "restart_pod",
    "scale": "scale_deployment",
    "scale_replicas": "scale_deployment",
    "rollback": "rollback_deployment",
    "cordon": "cordon_node",
    "uncordon": "uncordon_node",
    "drain": "drain_node",
    "monitor": "collect_diagnostics",
    "notify": "notify_only",
    "log": "log_incident",
}

# We never believe an executor that calls one of these harmless.
RISK_FLOOR: Mapping[str, Risk] = {
    "drain_node": Risk.HIGH,
    "scale_statefulset": Risk.MEDIUM,
    "rollback_deployment": Risk.MEDIUM,
    "restart_pod": Risk.MEDIUM,
    "increase_resources": Risk.MEDIUM,
    "cordon_node": Risk.MEDIUM,
}


def canonical(name: str) -> str:
    """The catalogue's name for `name`: CamelCase and hyphens become underscores, then known aliases are followed."""
    snake = "".join(
        f"_{char.lower()}" if char.isupper() and index and not name[index - 1].isupper() else char.lower()
        for index, char in enumerate(name.strip())
    )
    snake = snake.replace("-", "_").replace(" ", "_")
    return ALIASES.get(snake, snake)


@dataclass(frozen=True, slots=True)
class ActionType:
    """One entry of the catalogue."""

    type: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)  # JSON Schema (2020-12)
    target_kinds: tuple[str, ...] = ()
    risk: Risk = Risk.HIGH
    changes: bool = True  # False: it only reads or tells
    reversible: bool = False
    irreversible_reason: str | None = None
    default_timeout: float | None = None  # seconds

    def violations(self, parameters: Mapping[str, Any], *, at: str) -> list[Violation]:
        """Every rule of the schema that `parameters` breaks; `at` prefixes the field names.

        What an expression gives is known only when the step begins: its value is not held against the schema here.
        """
        validator = jsonschema.Draft202012Validator(dict(self.parameters), registry=_NOWHERE)
        found = []
        for error in sorted(validator.iter_errors(dict(parameters)), key=lambda error: list(map(str, error.path))):
            if error.validator not in _OF_NAMES and has_expressions(error.instance):
                continue
            path = ".".join((at, *map(str, error.absolute_path)))
            found.append(Violation(path, error.instance, f"breaks {self.type}'s rule: {error.message[:200]}"))
        return found


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one executor offers, as of `digest`. The executor is the authority for schemas and reversibility."""

    digest: str
    actions: Mapping[str, ActionType]

    def get(self, name: str) -> ActionType | None:
        """The entry that `name` or its alias means, or None when the executor does not offer it."""
        return self.actions.get(canonical(name))


def catalogue_from_wire(document: Mapping[str, Any]) -> Catalogue:
    """Read the executor's `GET /api/v1/actions` answer; entries that make no sense are left out.

    The risk is raised to our floor, never lowered.
    """
    entries = [_sane_entry(raw) for raw in document.get("actions") or () if isinstance(raw, Mapping)]
    actions = {entry.type: entry for entry in entries if entry is not None}
    return Catalogue(digest=str(document.get("digest") or ""), actions=actions)


def _sane_entry(raw: Mapping[str, Any]) -> ActionType | None:
    try:
        jsonschema.Draft202012Validator.check_schema(raw.get("parameters") or {})
        return _entry(raw) if raw.get("type") else None
    except (jsonschema.SchemaError, TypeError, ValueError):
        return None


def _entry(raw: Mapping[str, Any]) -> ActionType:
    name = str(raw["type"])
    said = str(raw.get("risk") or "high")
    risk = Risk(said) if said in _ORDER else Risk.HIGH
    floor = RISK_FLOOR.get(name, Risk.LOW)
    return ActionType(
        type=name,
        description=str(raw.get("description") or ""),
        parameters=raw.get("parameters") or {},
        target_kinds=tuple(map(str, raw.get("target_kinds") or ())),
        risk=max(risk, floor, key=_ORDER.index),
        changes=bool(raw.get("changes", True)),
        reversible=bool(raw.get("reversible", False)),
        irreversible_reason=raw.get("irreversible_reason"),
        default_timeout=float(raw["default_timeout_seconds"]) if raw.get("default_timeout_seconds") else None,
    )
