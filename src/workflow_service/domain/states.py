"""Every state machine of the product: two enums, one literal table each, and the only function that moves.

Rules: (1) whatever changes a status goes through `move`; (2) an illegal move raises and changes nothing;
(3) these tables know nothing of roles, storage or time. docs/states.md is generated from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from workflow_service.domain.errors import IllegalTransition


class ExecutionStatus(StrEnum):
    """Where an execution stands."""

    CREATED = "created"
    PLANNING = "planning"
    QUEUED = "queued"
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    RECOVERING = "recovering"
    VERIFYING = "verifying"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    COMPLETED = "completed"
    PARTIALLY_COMPLETED = "partially_completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    RESOLVED = "resolved"
    ROLLED_BACK = "rolled_back"


class StepStatus(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class UndoStatus(StrEnum):
    """Where the undo of a step stands."""

    NONE = "none"
    AVAILABLE = "available"
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"
    IRREVERSIBLE = "irreversible"


class RollbackStatus(StrEnum):
    """What became of a rollback, beside the final status."""

    NONE = "none"
    DONE = "done"
    INCOMPLETE = "incomplete"


class Verb(StrEnum):
    """A command, by its name in the API."""

    START = "start"
    APPROVE = "approve"
    REJECT = "reject"
    EXTEND = "extend"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    ROLLBACK = "rollback"
    RETRY = "retry"
    SKIP_STEP = "skip-step"
    SET_PRIORITY = "set-priority"


_E = ExecutionStatus
_S = StepStatus
_U = UndoStatus

_ENDS = frozenset(
    {_E.COMPLETED, _E.PARTIALLY_COMPLETED, _E.FAILED, _E.CANCELLED, _E.TIMED_OUT, _E.RESOLVED, _E.ROLLED_BACK}
)
_BEFORE_EFFECT = frozenset({_E.FAILED, _E.CANCELLED, _E.TIMED_OUT, _E.REJECTED, _E.RESOLVED})

EXECUTION: Mapping[ExecutionStatus, frozenset[ExecutionStatus]] = {
    _E.CREATED: frozenset({_E.PLANNING, _E.QUEUED}) | _BEFORE_EFFECT,  # queued at once: it inherits a plan
    _E.PLANNING: frozenset({_E.QUEUED, _E.AWAITING_APPROVAL}) | _BEFORE_EFFECT,
    _E.QUEUED: frozenset({_E.RUNNING, _E.PAUSED, _E.ROLLING_BACK}) | _BEFORE_EFFECT,
    _E.AWAITING_APPROVAL: frozenset({_E.RUNNING, _E.QUEUED, _E.PAUSED, _E.ROLLING_BACK}) | _BEFORE_EFFECT | _ENDS,
    _E.RUNNING: frozenset(
        {_E.QUEUED, _E.RECOVERING, _E.VERIFYING, _E.PAUSED, _E.AWAITING_APPROVAL, _E.ROLLING_BACK, _E.REJECTED} | _ENDS
    ),
    _E.RECOVERING: frozenset({_E.RUNNING, _E.AWAITING_APPROVAL, _E.PAUSED, _E.ROLLING_BACK} | _ENDS),
    _E.VERIFYING: frozenset({_E.RUNNING, _E.RECOVERING, _E.PAUSED, _E.ROLLING_BACK} | _ENDS),
    _E.PAUSED: frozenset({_E.QUEUED, _E.RUNNING, _E.AWAITING_APPROVAL, _E.ROLLING_BACK, _E.REJECTED} | _ENDS),
    _E.ROLLING_BACK: _ENDS,
    _E.COMPLETED: frozenset(),
    _E.PARTIALLY_COMPLETED: frozenset(),
    _E.FAILED: frozenset(),
    _E.CANCELLED: frozenset(),
    _E.TIMED_OUT: frozenset(),
    _E.REJECTED: frozenset(),
    _E.RESOLVED: frozenset(),
    _E.ROLLED_BACK: frozenset(),
}

STEP: Mapping[StepStatus, frozenset[StepStatus]] = {
    _S.PENDING: frozenset({_S.RUNNING, _S.WAITING, _S.BLOCKED, _S.SKIPPED, _S.CANCELLED, _S.FAILED}),
    _S.RUNNING: frozenset({_S.RUNNING, _S.WAITING, _S.SUCCEEDED, _S.FAILED, _S.BLOCKED, _S.CANCELLED, _S.UNKNOWN}),
    _S.WAITING: frozenset({_S.RUNNING, _S.WAITING, _S.SUCCEEDED, _S.FAILED, _S.BLOCKED, _S.SKIPPED, _S.CANCELLED}),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset(),
    _S.BLOCKED: frozenset(),
    _S.SKIPPED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.UNKNOWN: frozenset(),
}

UNDO: Mapping[UndoStatus, frozenset[UndoStatus]] = {
    _U.NONE: frozenset({_U.AVAILABLE, _U.IRREVERSIBLE}),
    _U.AVAILABLE: frozenset({_U.UNDOING, _U.UNDO_FAILED}),
    _U.UNDOING: frozenset({_U.UNDOING, _U.AVAILABLE, _U.UNDONE, _U.UNDO_FAILED, _U.IRREVERSIBLE}),
    _U.UNDO_FAILED: frozenset({_U.UNDOING}),
    _U.UNDONE: frozenset(),
    _U.IRREVERSIBLE: frozenset(),
}

FINAL_EXECUTION = frozenset(status for status, onward in EXECUTION.items() if not onward)
FINAL_STEP = frozenset(status for status, onward in STEP.items() if not onward)
ACTIVE_EXECUTION = frozenset(EXECUTION) - FINAL_EXECUTION

Status = TypeVar("Status", ExecutionStatus, StepStatus, UndoStatus)


def move(table: Mapping[Status, frozenset[Status]], now: Status, to: Status) -> Status:
    """`to`, when the table has that move.

    Raises:
        IllegalTransition: it has not; nothing changes.
    """
    if to not in table[now]:
        raise IllegalTransition(f"{type(now).__name__} has no move from {now.value} to {to.value}")
    return to
