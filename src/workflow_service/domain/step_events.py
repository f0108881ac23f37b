"""The facts about single steps: what was begun, what came of it, what was taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.run_state import Changes

Evidence = tuple[Mapping[str, Any], ...]  # of each condition: kind, expression, held, observed, at, trouble


@dataclass(frozen=True, slots=True)
class StepStarted:
    """Written before the executor is called: from here on the outcome of `key` is unknown until it is journalled."""

    at: datetime
    step: str
    attempt: int  # 0 is the first
    key: str
    ledger_id: str | None
    parameters: Mapping[str, Any] | None = None  # None: those of the plan, as they are


@dataclass(frozen=True, slots=True)
class Cleared:
    """The step's condition and preconditions hold: it may start."""

    at: datetime
    step: str
    evidence: Evidence = ()


@dataclass(frozen=True, slots=True)
class StepBlocked:
    """A required precondition does not hold; nothing was done."""

    at: datetime
    step: str
    message: str
    evidence: Evidence = ()
    failure_class: FailureClass | None = None


@dataclass(frozen=True, slots=True)
class StepBegan:
    """A step that asks nobody for an action began: a wait, a check, an approval. It waits at most until `until`."""

    at: datetime
    step: str
    until: datetime
    approval: bool = False  # it waits for a person's word


@dataclass(frozen=True, slots=True)
class StepOpened:
    """A step that consists of others began; for a forEach step, with what it has to do."""

    at: datetime
    step: str
    items: tuple[Any, ...] | None = None
    inside: tuple[str, ...] = ()  # the steps inside that were not known before
    parameters: Mapping[str, Any] | None = None  # of a template, worked out once


@dataclass(frozen=True, slots=True)
class StepProved:
    """What had to be true after the step is true."""

    at: datetime
    step: str
    message: str = ""
    evidence: Evidence = ()


@dataclass(frozen=True, slots=True)
class StepFailed:
    """The step failed for a reason that is no action's answer."""

    at: datetime
    step: str
    reason: str  # for machines
    message: str
    evidence: Evidence = ()
    failure_class: FailureClass | None = None


@dataclass(frozen=True, slots=True)
class StepDelayed:
    """What it would change became known only now, and is another execution's: it is tried again at `until`."""

    at: datetime
    step: str
    until: datetime
    message: str


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
    prove_from: datetime | None = None  # the step is not over: its postconditions are looked at from then on


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
    failure_class: FailureClass | None = None


@dataclass(frozen=True, slots=True)
class StepUnknown:
    """Nobody can say what became of `key`; it is never sent again."""

    at: datetime
    step: str
    key: str
    message: str
    failure_class: FailureClass | None = None


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


StepEvent = (
    StepStarted
    | Cleared
    | StepBlocked
    | StepBegan
    | StepOpened
    | StepProved
    | StepFailed
    | StepDelayed
    | AttemptUnsent
    | StepSucceeded
    | AttemptFailed
    | StepUnknown
    | StepSkipped
    | StepCancelled
    | UndoStarted
    | UndoUnsent
    | UndoSucceeded
    | UndoFailed
)
