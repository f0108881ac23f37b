"""What a template is once it has been read: its steps as those of a rule, and what is said around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workflow_service.domain.expressions import Scope, Type
from workflow_service.domain.scope import ALERT
from workflow_service.domain.template import Lifecycle, Reference
from workflow_service.planning.rules import Rule

# What is known of an alert when a plan is made for it: what `match.when` and `derive` may name.
KNOWN: Scope = {
    **ALERT,
    **dict.fromkeys(("target.kind", "target.name", "target.namespace", "target.cluster"), Type.STRING),
    **dict.fromkeys(("owner.kind", "owner.name", "owner.namespace"), Type.STRING),
    "target.facts": Type.MAP,
    "owner.facts": Type.MAP,
    "environment": Type.STRING,
}
_TYPES: Mapping[object, Type] = {
    "string": Type.STRING,
    "integer": Type.INT,
    "number": Type.DOUBLE,
    "boolean": Type.BOOL,
    "array": Type.LIST,
    "object": Type.MAP,
}


@dataclass(frozen=True, slots=True)
class Match:
    """Which alerts lead to a template, beside what its rule asks for. Empty: it does not matter."""

    alertnames: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What an order by hand is about: expressions over the parameters."""

    kind: str
    name: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """One version of a runbook. Times in seconds."""

    reference: Reference
    digest: str
    lifecycle: Lifecycle
    rule: Rule  # its steps; its name is the reference
    when_to_use: str
    when_not_to_use: str
    match: Match | None  # None: only orders lead to it
    parameters: Mapping[str, Any] = field(default_factory=dict)  # JSON Schema
    derive: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    target: Named | None = None
    timeout: float | None = None  # None: as for any plan
    body: str = ""  # as it was written
    made_of: tuple[Reference, ...] = ()  # what it extends or has steps of

    @property
    def types(self) -> Scope:
        """Its parameters as expressions know them."""
        return types_of(self.parameters)


@dataclass(frozen=True, slots=True)
class Order:
    """A template that somebody wants to be run, with the parameters that are not to be its defaults."""

    template: Template
    parameters: Mapping[str, Any]


def types_of(schema: Mapping[str, Any]) -> dict[str, Type]:
    """The parameters of a schema as expressions know them."""
    properties = schema.get("properties", {})
    return {f"params.{name}": _type(one) for name, one in properties.items() if isinstance(one, Mapping)}


def _type(schema: Mapping[str, Any]) -> Type:
    said = schema.get("type")
    return _TYPES.get(said, Type.DYN) if isinstance(said, str) else Type.DYN
