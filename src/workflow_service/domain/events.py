"""The facts of an execution's journal: a closed union of frozen dataclasses, and their stored form.

An event is something that happened, written down before anything is built on it. `fold` gives them meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.run_state import Changes, StepState, step_from_json
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, Verb


@dataclass(frozen=True, slots=True)
class PlanningStarted:
    """A replica began to make a plan."""

    at: datetime


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
class StepStarted:
    """Written before the executor is called: from here on the outcome of `key` is unknown until it is journalled."""

    at: datetime
    step: str
    attempt: int  # 0 is the first
    key: str
    ledger_id: str | None


@dataclass(frozen=True, slots=True)
class AttemptUnsent:
    """The call of a started attempt certainly did not arrive; the same key will be sent later."""

    at: datetime
    step: str
    key: str


@dataclass(frozen=True, slots=True)
class StepSucceeded:
    """The executor says: done."""

    at: datetime
    step: str
    key: str
    action_id: str | None = None
    message: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    changes: Changes = ()
    undo_available: bool = False
    undo_reason: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The executor says: not done. With `retry_at` the step waits for its next attempt, without it the step failed."""

    at: datetime
    step: str
    key: str
    error_class: ErrorClass
    message: str
    action_id: str | None = None
    retry_at: datetime | None = None
    changes: Changes = ()
    undo_available: bool = False
    undo_reason: str | None = None


@dataclass(frozen=True, slots=True)
class StepUnknown:
    """Nobody can say what became of `key`; it is never sent again."""

    at: datetime
    step: str
    key: str
    message: str


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """The step is not needed."""

    at: datetime
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepCancelled:
    """The step will not be started (any more)."""

    at: datetime
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class RollbackStarted:
    """From here on only undoing happens."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class UndoStarted:
    """Written before the executor is asked to undo `key`."""

    at: datetime
    step: str
    key: str  # the attempt that is undone
    undo_key: str


@dataclass(frozen=True, slots=True)
class UndoUnsent:
    """The call of a started undo certainly did not arrive; the same undo key will be sent later."""

    at: datetime
    step: str
    key: str


@dataclass(frozen=True, slots=True)
class UndoSucceeded:
    """What `key` changed is as it was before."""

    at: datetime
    step: str
    key: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class UndoFailed:
    """What `key` changed is not as it was before. With `retry_at` it is tried again."""

    at: datetime
    step: str
    key: str
    error_class: ErrorClass
    message: str
    retry_at: datetime | None = None


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
    | StepStarted
    | AttemptUnsent
    | StepSucceeded
    | AttemptFailed
    | StepUnknown
    | StepSkipped
    | StepCancelled
    | RollbackStarted
    | UndoStarted
    | UndoUnsent
    | UndoSucceeded
    | UndoFailed
    | CommandApplied
    | CommandRefused
    | Paused
    | Ended
)

KINDS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in Event.__args__}
_FIELDS = {kind: tuple(item.name for item in fields(kind) if item.name != "at") for kind in Event.__args__}
_READ: Mapping[str, Any] = {
    "error_class": ErrorClass,
    "rollback": RollbackStatus,
    "status": ExecutionStatus,
    "verb": Verb,
    "steps": tuple,
    "changes": tuple,
    "inherited": lambda steps: {name: step_from_json(step) for name, step in steps.items()},
    "retry_at": lambda value: datetime.fromisoformat(value) if value else None,
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
