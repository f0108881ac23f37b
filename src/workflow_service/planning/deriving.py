"""The parameters of a template: from an order, from the alert by declared sources, or by default; never by guessing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
import referencing

from workflow_service.domain.alert import Alert, alert_to_json
from workflow_service.domain.errors import Violation
from workflow_service.domain.expressions import EvaluationFailed, Type, compile_expression
from workflow_service.domain.scope import alert_values
from workflow_service.domain.secret_references import FILE_ONLY, holds_secret
from workflow_service.domain.target import Target
from workflow_service.planning.situation import DoesNotFit, Situation
from workflow_service.planning.templates import KNOWN, Template

_NOWHERE: referencing.Registry[Any] = referencing.Registry()  # what a schema refers to is never fetched
_ENVIRONMENT = ("environment", "env")  # labels, the first that is there


@dataclass(frozen=True, slots=True)
class Derived:
    """The values of all parameters, and where each came from."""

    values: Mapping[str, Any]
    sources: Mapping[str, str]


def known(here: Situation) -> dict[str, Any]:
    """What the names of `KNOWN` stand for; what is not known is empty."""
    found = alert_values(alert_to_json(here.alert))
    for word, target in (("target", here.target), ("owner", here.owner)):
        found |= {f"{word}.{name}": _word(target, name) for name in ("kind", "name", "namespace")}
    return found | {
        "target.cluster": _word(here.target, "cluster"),
        "target.facts": dict(here.facts),
        "owner.facts": dict(here.owner_facts),
        "environment": environment(here.alert),
    }


def environment(alert: Alert) -> str:
    """What the alert says it happens in; empty: it does not say."""
    return next((alert.labels[name] for name in _ENVIRONMENT if alert.labels.get(name)), "")


def derived(template: Template, here: Situation) -> Derived:
    """The parameters for an alert.

    Raises:
        DoesNotFit: one of them has no value, or breaks its schema.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    facts = known(here)
    for name, schema in template.parameters.get("properties", {}).items():
        values[name], sources[name] = _derived(template, name, schema, facts)
    values = _doubles(template, values)
    if broken := violations(template, values):
        raise DoesNotFit("; ".join(map(str, broken)))
    return Derived(values, sources)


def ordered(template: Template, given: Mapping[str, Any]) -> Derived:
    """The parameters of an order by hand: what is given, else the default."""
    properties: Mapping[str, Any] = template.parameters.get("properties", {})
    defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
    values = _doubles(template, {**defaults, **given})
    return Derived(values, {name: "order" if name in given else "default" for name in values})


def violations(template: Template, values: Mapping[str, Any]) -> list[Violation]:
    """Every rule of the parameters' schema that the values break, and secrets that they would choose."""
    validator = jsonschema.Draft202012Validator(
        {"additionalProperties": False, **template.parameters}, registry=_NOWHERE
    )
    found = sorted(validator.iter_errors(dict(values)), key=lambda error: list(map(str, error.path)))
    broken = [
        Violation(".".join(("parameters", *map(str, error.absolute_path))), error.instance, error.message[:200])
        for error in found
    ]
    choosing = [(name, value) for name, value in values.items() if holds_secret({name: value})]
    return broken + [Violation(f"parameters.{name}", value, FILE_ONLY) for name, value in choosing]


def _derived(template: Template, name: str, schema: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[Any, str]:
    why: list[str] = []
    for source in template.derive.get(name, ()):
        try:
            value = compile_expression(source, KNOWN, expects=_expected(template, name)).evaluate(facts)
        except EvaluationFailed as failed:
            why.append(str(failed))
            continue
        if value not in ("", None):
            return value, source
        why.append(f"{source} is empty")
    if "default" in schema:
        return schema["default"], "default"
    raise DoesNotFit(f"parameter {name} has no value: {'; '.join(why) or 'it has no source'}")


def _expected(template: Template, name: str) -> Type:
    return template.types[f"params.{name}"]


def _doubles(template: Template, values: Mapping[str, Any]) -> dict[str, Any]:
    """Whole numbers of parameters that are numbers become doubles: that is how expressions were checked."""
    types = template.types
    return {
        name: float(value)
        if types.get(f"params.{name}") is Type.DOUBLE and isinstance(value, int) and not isinstance(value, bool)
        else value
        for name, value in values.items()
    }


def _word(target: Target | None, name: str) -> str:
    return str(getattr(target, name) or "") if target else ""
