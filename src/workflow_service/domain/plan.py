"""A plan: a frozen DAG of steps with a hash. Any change is a new revision with a new hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.target import Target

FORMAT = 1  # raised when an older reader could misread a stored plan; an unknown format is refused


class OnFailure(StrEnum):
    """The one answer to a step's failure, after its retries."""

    ALTERNATIVE = "alternative"  # another step takes its place; its success heals the failure
    SKIP = "skip"  # go on without it (what a non-critical action means)
    STOP = "stop"  # start nothing more, end as failed
    ROLLBACK = "rollback"  # start nothing more, undo what was done


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a known failure is tried again. Delays in seconds."""

    max_retries: int = 3
    first_delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 30.0
    retry_on: tuple[ErrorClass, ...] = (ErrorClass.TRANSIENT, ErrorClass.THROTTLED)


@dataclass(frozen=True, slots=True)
class Action:
    """What a step asks of the executor."""

    type: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a plan. Times in seconds.

    `needs` are the steps that must have settled well before this one starts. A step named as another's `alternative`
    runs only when that other has failed, and is skipped when it has not.
    """

    id: str
    action: Action
    needs: tuple[str, ...] = ()
    description: str = ""
    critical: bool = True
    on_failure: OnFailure = OnFailure.STOP
    alternative: str | None = None
    timeout: float = 120.0  # one attempt
    deadline: float = 300.0  # all attempts together
    retry: RetryPolicy = RetryPolicy()
    priority: int = 5  # 1 first .. 9 last, among steps that are ready together
    estimated_duration: float | None = None
    changes: bool = True  # False: it only reads or tells
    reversible: bool | None = None  # None: no catalogue has said so yet
    irreversible_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done about one alert, why, and within which limits. Times in seconds."""

    steps: tuple[Step, ...]
    reason: str
    creation_method: str  # fallback | template | ai_selected | ai_enhanced | ai_generated
    revision: int = 1
    catalogue_digest: str | None = None  # None: the executor has never been reached
    rule: str | None = None  # the rule or template that made it
    max_parallel: int = 5
    timeout: float = 600.0
    undo_timeout: float = 600.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def hash(self) -> str:
        """sha256 over the canonical JSON of everything that decides what will happen."""
        body = plan_to_json(self)
        body.pop("metadata")
        return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def step(self, step_id: str) -> Step:
        """The step of that id.

        Raises:
            KeyError: there is none.
        """
        return next(step for step in self.steps if step.id == step_id) if self.has(step_id) else _missing(step_id)

    def has(self, step_id: str) -> bool:
        """Whether the plan has a step of that id."""
        return any(step.id == step_id for step in self.steps)


def _missing(step_id: str) -> Step:
    raise KeyError(step_id)


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The stored form of a plan: plain JSON values only."""
    return {**_values(plan), "steps": [_step_to_json(step) for step in plan.steps]}


def _step_to_json(step: Step) -> dict[str, Any]:
    action = _values(step.action)
    target = _values(step.action.target) if step.action.target else None
    return {**_values(step), "action": {**action, "target": target}, "retry": _values(step.retry)}


def _values(item: Plan | Step | Action | RetryPolicy | Target) -> dict[str, Any]:
    """Like `asdict`, but one level deep and without copying: many times faster for a hundred steps."""
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def plan_from_json(document: Mapping[str, Any]) -> Plan:
    """Read a stored plan.

    Raises:
        ValueError: written by a version whose format this one does not know.
    """
    if document.get("format") != FORMAT:
        raise ValueError(f"plan format {document.get('format')!r} is not known here (known: {FORMAT})")
    steps = tuple(_step(raw) for raw in document["steps"])
    return replace(Plan(steps=(), reason="", creation_method=""), **{**document, "steps": steps})


def _step(raw: Mapping[str, Any]) -> Step:
    action = raw["action"]
    target = Target(**action["target"]) if action.get("target") else None
    retry = {**raw["retry"], "retry_on": tuple(ErrorClass(name) for name in raw["retry"]["retry_on"])}
    return Step(
        **{
            **raw,
            "action": Action(type=action["type"], parameters=action["parameters"], target=target),
            "needs": tuple(raw["needs"]),
            "on_failure": OnFailure(raw["on_failure"]),
            "retry": RetryPolicy(**retry),
        }
    )
