"""Reading a plan back as it was stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.plan import (
    CLASSED,
    PASSING,
    PLAIN,
    RESOLVING,
    UNDOING,
    WHOLE,
    Action,
    ByClass,
    Condition,
    OnFailure,
    OnResolved,
    Phase,
    Plan,
    RetryPolicy,
    Step,
    StepKind,
)
from workflow_service.domain.target import Target


def plan_from_json(document: Mapping[str, Any]) -> Plan:
    """Read a stored plan.

    Raises:
        ValueError: written by a version whose format this one does not know.
    """
    if document.get("format") not in (known := (PLAIN, WHOLE, CLASSED, RESOLVING, UNDOING, PASSING)):
        raise ValueError(f"plan format {document.get('format')!r} is not known here (known: {known})")
    values = {**document, "steps": tuple(_step(raw) for raw in document["steps"])}
    del values["format"]
    if "on_resolved" in values:
        values["on_resolved"] = OnResolved(values["on_resolved"])
    return replace(Plan(steps=(), reason="", creation_method=""), **values)


def _step(raw: Mapping[str, Any]) -> Step:
    read = {name: reading(raw[name]) for name, reading in _READ.items() if name in raw}
    return Step(**{**raw, **read})


def _action(raw: Mapping[str, Any] | None) -> Action | None:
    return Action(type=raw["type"], parameters=raw["parameters"], target=_target(raw.get("target"))) if raw else None


def _target(raw: Mapping[str, Any] | None) -> Target | None:
    return Target(**raw) if raw else None


def _conditions(raw: list[Mapping[str, Any]]) -> tuple[Condition, ...]:
    return tuple(Condition(**{**one, "target": _target(one["target"])}) for one in raw)


def _retry(raw: Mapping[str, Any]) -> RetryPolicy:
    return RetryPolicy(**{**raw, "retry_on": tuple(ErrorClass(name) for name in raw["retry_on"])})


def _by_class(raw: Mapping[str, Mapping[str, Any]]) -> dict[FailureClass, ByClass]:
    answers = {name: OnFailure(one["on_failure"]) if one["on_failure"] else None for name, one in raw.items()}
    return {FailureClass(name): ByClass(**{**one, "on_failure": answers[name]}) for name, one in raw.items()}


_READ: Mapping[str, Any] = {
    "action": _action,
    "needs": tuple,
    "on_failure": OnFailure,
    "retry": _retry,
    "kind": StepKind,
    "phase": Phase,
    "preconditions": _conditions,
    "postconditions": _conditions,
    "steps": lambda steps: tuple(_step(raw) for raw in steps),
    "by_class": _by_class,
    "rollback": _action,
}
