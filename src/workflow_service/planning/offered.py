"""Whether the executor offers what the steps of a rule ask for, as far as that can be said without an alert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workflow_service.domain.catalogue import Catalogue, canonical
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.plan import StepKind
from workflow_service.domain.secret_references import holds_secret
from workflow_service.planning.rules import Rule, RuleAction
from workflow_service.planning.situation import PLACEHOLDER
from workflow_service.planning.step_format import Flaw, Place

_LATER = "${{ later }}"  # stands for what is known only when a plan is made
_WRITTEN_OUT = "must be written out, {secretRef: {name, key}}: nothing else chooses a secret"


def unfit(rule: Rule, at: Place, catalogue: Catalogue) -> Iterator[Flaw]:
    """Actions that are not offered, and parameters that break their schema whatever the alert is."""
    for key, _, actions in rule.phases:
        yield from _level(actions, (*at, key), catalogue)


def _level(actions: Sequence[RuleAction], at: Place, catalogue: Catalogue) -> Iterator[Flaw]:
    for index, action in enumerate(actions):
        here = (*at, index)
        yield from _level(action.steps, (*here, "steps"), catalogue)
        if action.kind is StepKind.ACTION:
            yield from _action(action.type, action.parameters, here, catalogue)
        if action.rollback is not None:
            yield from _action(action.rollback.type, action.rollback.parameters, (*here, "rollback"), catalogue)


def _action(name: str, parameters: Mapping[str, Any], at: Place, catalogue: Catalogue) -> Iterator[Flaw]:
    entry = catalogue.get(name)
    if entry is None:
        yield (*at, "type"), name, f"is no action of the executor's catalogue: there is no {canonical(name)}"
        return
    offered = entry.parameters.get("properties", {})
    for key, value in parameters.items():
        if holds_secret(offered.get(key)):
            yield from _chosen(value, (*at, "parameters", key))
    for violation in entry.violations({key: _settled(value) for key, value in parameters.items()}, at="parameters"):
        yield (*at, *violation.field.split(".")), violation.value, violation.rule


def _chosen(value: Any, at: Place) -> Iterator[Flaw]:
    """What would choose a secret, where the action takes one: everything there stands in the file as it is."""
    if isinstance(value, Mapping):
        if "observed" in value:
            yield at, value, _WRITTEN_OUT
        for key, item in value.items():
            yield from _chosen(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _chosen(item, (*at, index))
    elif isinstance(value, str) and (PLACEHOLDER.search(value) or has_expressions(value)):
        yield at, value, _WRITTEN_OUT


def _settled(value: Any) -> Any:
    """The value, or what stands for one that is known only later."""
    if isinstance(value, str):
        return _LATER if PLACEHOLDER.search(value) else value
    if isinstance(value, Mapping):
        return _LATER if "observed" in value else {key: _settled(item) for key, item in value.items()}
    return [_settled(item) for item in value] if isinstance(value, list | tuple) else value
