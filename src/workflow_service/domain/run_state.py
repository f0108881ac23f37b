"""Where an execution stands: its steps, their attempts, and what they left behind in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.events import Changes
from workflow_service.domain.states import (
    FINAL_EXECUTION,
    FINAL_STEP,
    ExecutionStatus,
    RollbackStatus,
    StepStatus,
    UndoStatus,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One key that was used for a step, and what it left behind in the cluster."""

    key: str
    number: int  # 0 is the first
    started_at: datetime
    ledger_id: str | None
    action_id: str | None = None
    changes: Changes = ()
    undo: UndoStatus = UndoStatus.NONE
    undo_reason: str | None = None
    undo_tries: int = 0
    undo_at: datetime | None = None  # not before
    undo_sent: bool = False  # an undo was started and its outcome is not journalled yet


@dataclass(frozen=True, slots=True)
class StepState:
    """Where one step stands."""

    status: StepStatus = StepStatus.PENDING
    attempts: tuple[Attempt, ...] = ()
    not_before: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    message: str = ""
    error_class: ErrorClass | None = None
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Nothing but its undo can still change."""
        return self.status in FINAL_STEP

    @property
    def next_attempt(self) -> int:
        """The number of the attempt that would come next: one more after every known failure, the same otherwise."""
        if not self.attempts:
            return 0
        resend = self.status is StepStatus.WAITING and self.error_class is None
        return self.attempts[-1].number + (0 if resend else 1)

    @property
    def undo(self) -> UndoStatus:
        """The undo of the step as a whole: its worst attempt speaks for it."""
        present = {attempt.undo for attempt in self.attempts}
        return next((status for status in _WORST_FIRST if status in present), UndoStatus.NONE)


_WORST_FIRST = (
    UndoStatus.UNDO_FAILED,
    UndoStatus.UNDOING,
    UndoStatus.AVAILABLE,
    UndoStatus.IRREVERSIBLE,
    UndoStatus.UNDONE,
)


@dataclass(frozen=True, slots=True)
class RunState:
    """Where an execution stands, whole."""

    status: ExecutionStatus = ExecutionStatus.CREATED
    steps: Mapping[str, StepState] = field(default_factory=dict)
    plan_hash: str | None = None
    started_at: datetime | None = None
    rollback_started_at: datetime | None = None
    ended_at: datetime | None = None
    held: str | None = None
    reason: str = ""
    cause: str = ""
    rollback: RollbackStatus = RollbackStatus.NONE

    @property
    def final(self) -> bool:
        """Nothing can change any more."""
        return self.status in FINAL_EXECUTION
