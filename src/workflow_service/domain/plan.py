"""A plan: a frozen DAG of steps with a hash. Any change is a new revision with a new hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.target import Target

# The format of a stored plan. It is raised when an older reader could misread one; an unknown format is refused.
# 1: actions only. 2: kinds of steps, conditions, forEach, phases; written only by plans that use one of them.
# 3: what the class of a failure decides; written only by plans in which it does.
# 4: what a resolved alert means, where that is not the default.
# 5: a step that says itself how it is undone.
# 6: an approval without which only what needs it is left out.
PLAIN, WHOLE, CLASSED, RESOLVING, UNDOING, PASSING = 1, 2, 3, 4, 5, 6


class OnFailure(StrEnum):
    """The one answer to a step's failure, after its retries."""

    ALTERNATIVE = "alternative"  # another step takes its place; its success heals the failure
    SKIP = "skip"  # go on without it (what a non-critical action means)
    STOP = "stop"  # start nothing more, end as failed
    ROLLBACK = "rollback"  # start nothing more, undo what was done


class OnResolved(StrEnum):
    """What it means that the alert has resolved after something was changed already."""

    FINISH = "finish"  # all is done as planned, but nothing settles any longer
    STOP = "stop"  # nothing more is begun
    ROLLBACK = "rollback"  # nothing more is begun, and what was done is undone


class StepKind(StrEnum):
    """What a step does."""

    ACTION = "action"  # asks the executor for an action
    WAIT = "wait"  # lets time pass
    CHECK = "check"  # looks until its postconditions hold
    APPROVAL = "approval"  # waits for a person's word
    TEMPLATE = "template"  # runs steps of its own: a sub-workflow


class Phase(StrEnum):
    """When a step of the top level has its turn."""

    MAIN = "main"
    VERIFY = "verify"  # after all of main: whether the workflow as a whole has helped
    FINALLY = "finally"  # at the very end, whatever it is, once something was changed


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
    """What a step asks of the executor. A string of the parameters may hold `${{ expression }}`."""

    type: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that must be true, in CEL. Times in seconds.

    `observed` in the expression is looked up anew at every look: the facts of `target` (None: of the step's own), or
    the answer to `promql` where one is given. What cannot be observed is not true.
    """

    expression: str
    message: str = ""
    critical: bool = True  # False: when it does not hold, that is noted and nothing else
    within: float = 0.0  # how long to go on looking; 0: one look
    poll: float = 5.0
    target: Target | None = None
    promql: str | None = None


@dataclass(frozen=True, slots=True)
class ByClass:
    """What a step's failures of one class lead to, where neither step nor catalogue says it."""

    on_failure: OnFailure | None = None
    max_retries: int | None = None
    recover: bool = False  # whether a recovery is asked for before the answer to failure is followed


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a plan. Times in seconds.

    `needs` are the steps that must have settled well before this one starts. A step named as another's `alternative`
    runs only when that other has failed, and is skipped when it has not.
    """

    id: str
    action: Action | None = None  # exactly when kind is action
    needs: tuple[str, ...] = ()
    description: str = ""
    critical: bool = True
    on_failure: OnFailure = OnFailure.STOP
    alternative: str | None = None
    timeout: float = 120.0  # one attempt
    deadline: float = 300.0  # all attempts together; for an approval, how long it waits
    retry: RetryPolicy = RetryPolicy()
    priority: int = 5  # 1 first .. 9 last, among steps that are ready together
    estimated_duration: float | None = None
    changes: bool = True  # False: it only reads or tells
    reversible: bool | None = None  # None: no catalogue has said so yet
    irreversible_reason: str | None = None
    kind: StepKind = StepKind.ACTION
    phase: Phase = Phase.MAIN
    when: str | None = None  # an expression; false: the step is skipped
    preconditions: tuple[Condition, ...] = ()
    postconditions: tuple[Condition, ...] = ()
    settle: float = 0.0  # between the action's success and the first look at its postconditions
    wait: float | None = None  # exactly when kind is wait
    for_each: str | None = None  # an expression that gives a list: the step is done once for each `item`
    max_parallel: int = 1  # items at once
    steps: tuple[Step, ...] = ()  # exactly when kind is template
    parameters: Mapping[str, Any] = field(default_factory=dict)  # of a template, known to its steps as `params`
    by_class: Mapping[FailureClass, ByClass] = field(default_factory=dict)
    rollback: Action | None = None  # what takes its changes back; None: the executor's own undo, if it has one

    @property
    def given_parameters(self) -> Mapping[str, Any]:
        """Its action's parameters, or a template's own."""
        return self.parameters if self.action is None else self.action.parameters


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
    parameters: Mapping[str, Any] = field(default_factory=dict)  # known to its steps as `params`
    on_resolved: OnResolved = OnResolved.FINISH

    @property
    def format(self) -> int:
        """The oldest format that can hold it."""
        if all(map(_is_plain, self.steps)):
            fitting = WHOLE if self.parameters else PLAIN
            return fitting if self.on_resolved is OnResolved.FINISH else RESOLVING
        if any(map(_passing, self.steps)):
            return PASSING
        if any(map(_undoing, self.steps)):
            return UNDOING
        if self.on_resolved is not OnResolved.FINISH:
            return RESOLVING
        if any(map(_classed, self.steps)):
            return CLASSED
        return WHOLE

    @property
    def hash(self) -> str:
        """sha256 over the canonical JSON of everything that decides what will happen."""
        return hash_of(plan_to_json(self))

    def step(self, step_id: str) -> Step:
        """The step of that id.

        Raises:
            KeyError: there is none.
        """
        found = next((step for step in self.steps if step.id == step_id), None)
        if found is None:
            raise KeyError(step_id)
        return found

    def has(self, step_id: str) -> bool:
        """Whether the plan has a step of that id."""
        return any(step.id == step_id for step in self.steps)


# What format 1 does not know. Only what differs from its default is written, so a plan that uses none of it keeps the
# hash that an older version gave it.
_NAMES = tuple(one.name for one in fields(Step))
_STEP_PLAIN = _NAMES[: _NAMES.index("kind")]
_SINCE_WHOLE: Mapping[str, Any] = {
    one.name: {} if one.name in {"parameters", "by_class"} else one.default for one in fields(Step)[len(_STEP_PLAIN) :]
}
_step_plain = attrgetter(*_STEP_PLAIN)
_since_whole, _DEFAULTS = attrgetter(*_SINCE_WHOLE), tuple(_SINCE_WHOLE.values())


def hash_of(document: Mapping[str, Any]) -> str:
    """The hash of the plan whose stored form this is."""
    body = {name: value for name, value in document.items() if name != "metadata"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The stored form of a plan: plain JSON values only."""
    body = {**_values(plan), "steps": [_step_to_json(step) for step in plan.steps], "format": plan.format}
    defaults = {"parameters": {}, "on_resolved": OnResolved.FINISH}
    return {name: value for name, value in body.items() if name not in defaults or value != defaults[name]}


def _step_to_json(step: Step) -> dict[str, Any]:
    body = dict(zip(_STEP_PLAIN, _step_plain(step), strict=True))
    body["retry"] = _values(step.retry)
    if step.action is not None:
        body["action"] = _action_to_json(step.action)
    for name, value in _extras(step).items():
        body[name] = _WRITE[name](value) if name in _WRITE else value
    return body


def _is_plain(step: Step) -> bool:
    """Whether format 1 knows all of it."""
    return _since_whole(step) == _DEFAULTS


def _extras(step: Step) -> dict[str, Any]:
    if _is_plain(step):
        return {}
    return {name: value for name, default in _SINCE_WHOLE.items() if (value := getattr(step, name)) != default}


def _classed(step: Step) -> bool:
    return bool(step.by_class) or any(map(_classed, step.steps))


def _undoing(step: Step) -> bool:
    return step.rollback is not None or any(map(_undoing, step.steps))


def _passing(step: Step) -> bool:
    asks = step.kind is StepKind.APPROVAL and step.on_failure is OnFailure.SKIP
    return asks or any(map(_passing, step.steps))


def _action_to_json(action: Action) -> dict[str, Any]:
    return {**_values(action), "target": _values(action.target) if action.target else None}


def _condition_to_json(condition: Condition) -> dict[str, Any]:
    return {**_values(condition), "target": _values(condition.target) if condition.target else None}


_WRITE: Mapping[str, Any] = {
    "preconditions": lambda conditions: [_condition_to_json(one) for one in conditions],
    "postconditions": lambda conditions: [_condition_to_json(one) for one in conditions],
    "steps": lambda steps: [_step_to_json(step) for step in steps],
    "rollback": _action_to_json,
    "by_class": lambda classes: {name.value: _values(one) for name, one in classes.items()},
}


def _values(item: Plan | Action | ByClass | Condition | RetryPolicy | Target) -> dict[str, Any]:
    """Like `asdict`, but one level deep and without copying: many times faster for a hundred steps."""
    names, get = _GETTERS[type(item)]
    return dict(zip(names, get(item), strict=True))


def _getter(kind: type[Plan | Action | ByClass | Condition | RetryPolicy | Target]) -> tuple[tuple[str, ...], Any]:
    names = tuple(one.name for one in fields(kind))
    return names, attrgetter(*names)


_GETTERS: Mapping[type, tuple[tuple[str, ...], Any]] = {
    kind: _getter(kind) for kind in (Plan, Action, ByClass, Condition, RetryPolicy, Target)
}
