"""The facts of an execution's journal: a closed union of frozen dataclasses.

An event is something that happened, written down before anything is built on it. `fold` gives them meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflow_service.domain.recovery_events import (
    Escalated,
    RecoveryEvent,
    RecoveryPlanned,
    RecoveryRefused,
    RecoveryStarted,
)
from workflow_service.domain.run_state import Recovery, StepState
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, Verb
from workflow_service.domain.step_events import (
    AttemptFailed,
    AttemptUnsent,
    Cleared,
    StepBegan,
    StepBlocked,
    StepCancelled,
    StepDelayed,
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
    "TargetAwaited",
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
    "StepDelayed",
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
class TargetAwaited:
    """What it would change is another execution's: it waits for that, without a slot and before its first effect."""

    at: datetime
    target: str  # the identity of the first that is taken
    holder: str  # the workflow that has it; empty: those that waited before


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
class AlertResolved:
    """What it was about is over, says the source of its alerts."""

    at: datetime


@dataclass(frozen=True, slots=True)
class AlertCaused:
    """An alert about what it has changed has begun since: it speaks against it, unless it is over again."""

    at: datetime
    fingerprint: str
    name: str
    severity: str
    since: datetime
    over: bool = False


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
    | TargetAwaited
    | RecoveryEvent
    | RollbackStarted
    | CommandApplied
    | CommandRefused
    | AlertResolved
    | AlertCaused
    | Paused
    | Parked
    | Unparked
    | Verifying
    | Concluded
    | Ended
    | StepEvent
)
