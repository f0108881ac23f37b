"""Everything the executor can do, what it tells callers about it, and the check of parameters against it."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from executor_service.actions import (
    auditing,
    autoscaling,
    backing_up,
    calling,
    debugging,
    diagnostics,
    draining,
    isolating,
    maintaining,
    migrating,
    nodes,
    notifications,
    optimizing,
    policies,
    resources,
    restarting_layers,
    restarts,
    rollouts,
    rotating,
    scaling,
    silencing,
    storage,
    tainting,
    undoing,
)
from executor_service.actions.requirements import Rule
from executor_service.actions.roles import needs_of
from executor_service.actions.spec import ActionSpec, Parameters
from executor_service.contract import Json
from executor_service.kubernetes.surroundings import Surroundings

_FAMILIES = (
    scaling,
    autoscaling,
    restarts,
    rollouts,
    resources,
    nodes,
    draining,
    tainting,
    isolating,
    policies,
    storage,
    rotating,
    migrating,
    debugging,
    silencing,
    calling,
    optimizing,
    backing_up,
    maintaining,
    restarting_layers,
    auditing,
    diagnostics,
    notifications,
)


class ParametersError(ValueError):
    """Parameters that break the schema; `errors` has {field, value, rule} per problem."""

    def __init__(self, errors: list[dict[str, Json]]) -> None:
        super().__init__("; ".join(f"{item['field']}: {item['rule']}" for item in errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be ordered here, and why the rest cannot. The digest covers what can."""

    entries: list[dict[str, Json]]
    unavailable: list[dict[str, Json]]
    digest: str

    def why_not(self, action_type: str) -> str | None:
        """Why an action of the catalogue is not offered here, or None when it is."""
        return next((entry["reason"] for entry in self.unavailable if entry["type"] == action_type), None)


class Catalogue:
    """All actions by canonical type and alias, plus `undo`, which every caller may order but no plan lists."""

    def __init__(self) -> None:
        declared = [spec for family in _FAMILIES for spec in family.SPECS]
        self.specs = sorted(declared, key=lambda spec: spec.name)
        self._specs: Mapping[str, ActionSpec] = {spec.name: spec for spec in [*declared, undoing.SPEC]}
        self._aliases = {alias: spec.name for spec in declared for alias in spec.aliases}

    def offer(self, here: Surroundings) -> Offer:
        """Which actions make sense in these surroundings."""
        reasons = {spec.name: _lacking(spec, here) for spec in self.specs}
        entries = [_entry(spec) for spec in self.specs if reasons[spec.name] is None]
        unavailable = [
            {"type": spec.name, "family": spec.family, "description": spec.description, "reason": reasons[spec.name]}
            for spec in self.specs
            if reasons[spec.name] is not None
        ]
        canonical = orjson.dumps(entries, option=orjson.OPT_SORT_KEYS)
        return Offer(entries, unavailable, f"sha256:{hashlib.sha256(canonical).hexdigest()}")

    @property
    def entries(self) -> list[dict[str, Json]]:
        """Every action as it is offered, wherever that is."""
        return [_entry(spec) for spec in self.specs]

    @property
    def undone_forwards(self) -> frozenset[str]:
        """The actions whose effects an undo takes back in the order in which they were made."""
        return frozenset(spec.name for spec in self.specs if spec.undone_forwards)

    @property
    def irreversible(self) -> dict[str, str]:
        """Why an action type cannot be undone, for those that cannot."""
        return {name: spec.irreversible_reason for name, spec in self._specs.items() if spec.irreversible_reason}

    def find(self, action_type: str) -> ActionSpec | None:
        """The action of that name or alias; upstream's hyphens count as underscores."""
        name = _plain(action_type)
        return self._specs.get(self._aliases.get(name, name))


def meant(spec: ActionSpec, action_type: str, raw: dict[str, Json]) -> dict[str, Json]:
    """The parameters under their own names, with what an alias of the action implies."""
    named = {
        name if (own := spec.parameter_aliases.get(name, name)) in raw else own: value for name, value in raw.items()
    }
    return {**spec.aliases.get(_plain(action_type), {}), **named}


def _plain(action_type: str) -> str:
    return action_type.strip().lower().replace("-", "_")


def _lacking(spec: ActionSpec, here: Surroundings) -> str | None:
    return "; ".join(reason for item in spec.requires if (reason := item.lacking(here))) or None


def _rule(rule: Rule) -> dict[str, Json]:
    return asdict(rule) | {"verbs": list(rule.verbs)}


def parse_parameters(spec: ActionSpec, raw: dict[str, Json]) -> Parameters:
    """The parameters as the action's model. Raises ParametersError naming field, value and rule."""
    try:
        return spec.parameters.model_validate(raw)
    except ValidationError as error:
        raise ParametersError([_problem(item) for item in error.errors(include_url=False)]) from None


def _problem(item: Any) -> dict[str, Json]:
    path = ".".join(str(part) for part in item["loc"]) or "parameters"
    value = item.get("input")
    shown = value if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return {"field": path, "value": shown, "rule": item["msg"]}


def _entry(spec: ActionSpec) -> dict[str, Json]:
    return {
        "type": spec.name,
        "family": spec.family,
        "description": spec.description,
        "parameters": schema_of(spec.parameters),
        "target_kinds": list(spec.target_kinds),
        "risk": spec.risk,
        "changes": spec.changes,
        "reversible": spec.reversible,
        "irreversible_reason": spec.irreversible_reason,
        "default_timeout_seconds": spec.timeout_seconds,
        "aliases": list(spec.aliases),
        "parameter_aliases": dict(spec.parameter_aliases),
        "needs": [_rule(rule) for rule in needs_of(spec, frozenset(spec.needs_with))],
        "requires": [item.text for item in spec.requires],
        "done_when": spec.done_when,
    }


def schema_of(model: type[Parameters]) -> dict[str, Json]:
    """The model's JSON Schema (draft 2020-12), flat: no titles, optional fields by absence instead of null."""
    schema = model.model_json_schema()
    parts = schema.get("$defs", {})
    flat = {name: _flat(value, parts) for name, value in schema["properties"].items()}
    kept = {name: schema[name] for name in ("required", "anyOf", "oneOf") if name in schema}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": flat,
        "additionalProperties": False,
    } | kept


def _flat(schema: dict[str, Json], parts: dict[str, Json]) -> dict[str, Json]:
    if "$ref" in schema:
        part = parts[schema["$ref"].rpartition("/")[2]]
        inner = {name: _flat(value, parts) for name, value in part["properties"].items()}
        kept = {name: value for name, value in part.items() if name not in {"title", "description", "properties"}}
        return kept | {"properties": inner} | {name: value for name, value in schema.items() if name != "$ref"}
    chosen = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    merged = {name: value for name, value in schema.items() if name not in {"title", "anyOf"}}
    if len(chosen) == 1:
        merged |= chosen[0]
    if patterns := merged.get("patternProperties"):
        named = {pattern: _flat(value, parts) for pattern, value in patterns.items()}
        merged |= {"patternProperties": named, "additionalProperties": False}
    if merged.get("default", ...) is None:
        del merged["default"]
    return merged
