"""Everything the executor can do, what it tells callers about it, and the check of parameters against it."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from executor_service.actions import (
    diagnostics,
    draining,
    nodes,
    notifications,
    resources,
    restarts,
    rollouts,
    scaling,
    undoing,
)
from executor_service.actions.spec import ActionSpec, Parameters
from executor_service.contract import Json

_FAMILIES = (scaling, restarts, rollouts, resources, nodes, draining, diagnostics, notifications)


class ParametersError(ValueError):
    """Parameters that break the schema; `errors` has {field, value, rule} per problem."""

    def __init__(self, errors: list[dict[str, Json]]) -> None:
        super().__init__("; ".join(f"{item['field']}: {item['rule']}" for item in errors))
        self.errors = errors


class Catalogue:
    """The offered actions by canonical type, plus `undo`, which every caller may order but no plan lists."""

    def __init__(self) -> None:
        offered = [spec for family in _FAMILIES for spec in family.SPECS]
        self._specs: Mapping[str, ActionSpec] = {spec.name: spec for spec in [*offered, undoing.SPEC]}
        self.entries = [_entry(spec) for spec in sorted(offered, key=lambda spec: spec.name)]
        canonical = orjson.dumps(self.entries, option=orjson.OPT_SORT_KEYS)
        self.digest = f"sha256:{hashlib.sha256(canonical).hexdigest()}"

    @property
    def irreversible(self) -> dict[str, str]:
        """Why an action type cannot be undone, for those that cannot."""
        return {name: spec.irreversible_reason for name, spec in self._specs.items() if spec.irreversible_reason}

    def find(self, action_type: str) -> ActionSpec | None:
        """The action of that name; upstream's hyphens count as underscores."""
        return self._specs.get(action_type.strip().lower().replace("-", "_"))


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
    }


def schema_of(model: type[Parameters]) -> dict[str, Json]:
    """The model's JSON Schema (draft 2020-12), flat: no titles, optional fields by absence instead of null."""
    schema = model.model_json_schema()
    flat = {name: _flat(value) for name, value in schema["properties"].items()}
    kept = {name: schema[name] for name in ("required", "anyOf") if name in schema}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": flat,
        "additionalProperties": False,
    } | kept


def _flat(schema: dict[str, Json]) -> dict[str, Json]:
    chosen = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    merged = {name: value for name, value in schema.items() if name not in {"title", "anyOf"}}
    if len(chosen) == 1:
        merged |= chosen[0]
    if merged.get("default", ...) is None:
        del merged["default"]
    return merged
