"""The facts of an execution's journal: a closed union of frozen dataclasses, and their stored form.

An event is something that happened, written down before anything is built on it. `fold` gives them meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.recovery_events import Escalated, RecoveryPlanned, RecoveryRefused, RecoveryStarted
from workflow_service.domain.run_state import Recovery, StepState, recovery_from_json, step_from_json
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, Verb
from workflow_service.domain.step_events import (
    AttemptFailed,
    AttemptUnsent,
    Cleared,
    StepBegan,
    StepBlocked,
    StepCancelled,
    StepEvent,
    StepFailed,
    StepOpened,
    StepProved,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepUnknown,
    UndoFailed,
    UndoStarted,
    UndoSucceeded,
    UndoUnsent,
)

__all__ = [
    "PlanningStarted",
    "Planned",
    "Inherited",
    "Started",
    "Held",
    "RecoveryStarted",
    "RecoveryPlanned",
    "RecoveryRefused",
    "Escalated",
    "RollbackStarted",
    "CommandApplied",
    "CommandRefused",
    "Paused",
    "Parked",
    "Unparked",
    "Verifying",
    "Concluded",
    "Ended",
    "StepStarted",
    "Cleared",
    "StepBlocked",
    "StepBegan",
    "StepOpened",
    "StepProved",
    "StepFailed",
    "AttemptUnsent",
    "StepSucceeded",
    "AttemptFailed",
    "StepUnknown",
    "StepSkipped",
    "StepCancelled",
    "UndoStarted",
    "UndoUnsent",
    "UndoSucceeded",
    "UndoFailed",
    "StepEvent",
    "Event",
    "KINDS",
    "describe",
    "event_from_json",
    "event_to_json",
]


@dataclass(frozen=True, slots=True)
class PlanningStarted:
    """A replica began to make a plan."""

    at: datetime
    since: datetime | None = None  # when the execution was made: its time to wait counts from then


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan is there; the execution waits for a slot."""

    at: datetime
    plan_hash: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inherited:
    """A retry or a later rollback begins where another execution of the same plan has ended."""

    at: datetime
    source: str  # the execution that ended
    verb: Verb
    actor: str
    reason: str
    plan_hash: str
    inherited: Mapping[str, StepState]
    items: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    back_to: str | None = None  # of a rollback: only what came after this step is undone
    recoveries: tuple[Recovery, ...] = ()  # they count for the whole workflow


@dataclass(frozen=True, slots=True)
class Started:
    """The run clock starts."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing new can be started for now, for a reason outside the plan (the executor is away)."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class RollbackStarted:
    """From here on only undoing happens."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class CommandApplied:
    """Somebody's command is obeyed from here on."""

    at: datetime
    command: str  # its id
    verb: Verb
    actor: str
    reason: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """Somebody's command could not be obeyed."""

    at: datetime
    command: str
    verb: Verb
    actor: str
    why: str


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing is in flight any more; the run clock stands still."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Parked:
    """All that is left now waits for time or for a person's word; the run clock stands still and no slot is held."""

    at: datetime
    until: datetime
    approval: bool = False  # a person's word is among what is waited for


@dataclass(frozen=True, slots=True)
class Unparked:
    """There is something to do again."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Verifying:
    """All was done; whether it has helped is looked at now."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Concluded:
    """How the execution ends is known; its `finally` steps run before it does."""

    at: datetime
    status: ExecutionStatus
    reason: str
    cause: str = ""
    rollback: RollbackStatus = RollbackStatus.NONE


@dataclass(frozen=True, slots=True)
class Ended:
    """The last word. `reason` is for machines, `cause` for people."""

    at: datetime
    status: ExecutionStatus
    reason: str
    cause: str = ""
    rollback: RollbackStatus = RollbackStatus.NONE


Event = (
    PlanningStarted
    | Planned
    | Inherited
    | Started
    | Held
    | RecoveryStarted
    | RecoveryPlanned
    | RecoveryRefused
    | Escalated
    | RollbackStarted
    | CommandApplied
    | CommandRefused
    | Paused
    | Parked
    | Unparked
    | Verifying
    | Concluded
    | Ended
    | StepEvent
)


def _moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _items(value: Any) -> Any:
    """Of one step, a list; of a whole execution, a list for each step."""
    if isinstance(value, Mapping):
        return {name: tuple(items) for name, items in value.items()}
    return None if value is None else tuple(value)


KINDS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in Event.__args__}
_FIELDS = {kind: tuple(item.name for item in fields(kind) if item.name != "at") for kind in Event.__args__}
_READ: Mapping[str, Any] = {
    "error_class": ErrorClass,
    "failure_class": lambda name: FailureClass(name) if name else None,
    "recoveries": lambda found: tuple(recovery_from_json(one) for one in found),
    "rollback": RollbackStatus,
    "status": ExecutionStatus,
    "verb": Verb,
    "steps": tuple,
    "inside": tuple,
    "changes": tuple,
    "evidence": tuple,
    "inherited": lambda steps: {name: step_from_json(step) for name, step in steps.items()},
    "retry_at": _moment,
    "prove_from": _moment,
    "until": _moment,
    "since": _moment,
    "items": _items,
}


def event_to_json(event: Event) -> dict[str, Any]:
    """Everything but kind and time, which are stored beside it."""
    return {name: getattr(event, name) for name in _FIELDS[type(event)]}


def event_from_json(kind: str, at: datetime, data: Mapping[str, Any]) -> Event:
    """Read a stored event.

    Raises:
        KeyError: no such kind of event is known here.
    """
    values = {name: _READ[name](value) if name in _READ else value for name, value in data.items()}
    return KINDS[kind](at=at, **values)


def describe(event: Event) -> dict[str, Any]:
    """One event as the API shows it."""
    return {"kind": type(event).__name__, **asdict(event)}
