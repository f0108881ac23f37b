"""Where an execution stands: its steps, their attempts, and what they left behind in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar

from workflow_service.domain.errors import ErrorClass, IllegalTransition
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.states import (
    FINAL_EXECUTION,
    FINAL_STEP,
    ExecutionStatus,
    RollbackStatus,
    StepStatus,
    UndoStatus,
    Verb,
)

Changes = tuple[Mapping[str, Any], ...]
INHERITED = -1  # the number of an attempt that an earlier execution made; the next one is 0 again
Part = TypeVar("Part", "RunState", "StepState", "Attempt")  # without slots, which make a changed copy slow


@dataclass(frozen=True)
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
    parameters: Mapping[str, Any] | None = None  # what was sent, where the plan says it by expressions
    undo_sent: bool = False  # an undo was started and its outcome is not journalled yet


@dataclass(frozen=True, slots=True)
class Caused:
    """An alert that the execution seems to have caused."""

    fingerprint: str
    name: str
    severity: str
    since: datetime
    over: bool  # it has resolved


@dataclass(frozen=True)
class StepState:
    """Where one step stands."""

    status: StepStatus = StepStatus.PENDING
    attempts: tuple[Attempt, ...] = ()
    not_before: datetime | None = None
    started_at: datetime | None = None
    stood_still_before: float = 0.0  # seconds for which the run clock had been stopped when the step started
    ended_at: datetime | None = None
    waived: bool = False  # skipped because somebody said so, whether it was needed or not
    asking: bool = False  # it waits for a person's word
    delayed: bool = False  # it waits for what it would change, before its first attempt
    given: Mapping[str, Any] | None = None  # of an opened template, its parameters as they were worked out
    cleared: bool = False  # its condition and preconditions held
    proving_from: datetime | None = None  # its action is done; from then on its postconditions are looked at
    reason: str = ""  # why it ended, for machines, where its status does not say it
    message: str = ""
    error_class: ErrorClass | None = None
    failure_class: FailureClass | None = None  # of its last failure
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


UNTOUCHED = StepState()  # one for all steps that nothing has happened to: it never changes

_WORST_FIRST = (
    UndoStatus.UNDO_FAILED,
    UndoStatus.UNDOING,
    UndoStatus.AVAILABLE,
    UndoStatus.IRREVERSIBLE,
    UndoStatus.UNDONE,
)


class RecoveryOutcome(StrEnum):
    """What has become of a recovery that was asked for."""

    ASKED = "asked"
    PLANNED = "planned"  # its steps are a part of the plan
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Recovery:
    """One recovery: which step had failed, how, and what came of asking."""

    step: str  # of the top level
    attempt: int  # 1 is the first of the workflow
    signature: str  # equal for failures that are the same
    failure_class: FailureClass | None
    outcome: RecoveryOutcome = RecoveryOutcome.ASKED
    reason: str = ""  # why it was refused, for machines
    why: str = ""
    option: str = ""  # what was chosen
    group: str = ""  # the step that was added to the plan


@dataclass(frozen=True)
class RunState:
    """Where an execution stands, whole."""

    status: ExecutionStatus = ExecutionStatus.CREATED
    steps: Mapping[str, StepState] = field(default_factory=dict)
    plan_hash: str | None = None
    waiting_since: datetime | None = None  # for a plan and a slot
    started_at: datetime | None = None
    rollback_started_at: datetime | None = None
    ended_at: datetime | None = None
    held: str | None = None
    awaits: str = ""  # what it would change is another's; in words
    reason: str = ""
    cause: str = ""
    rollback: RollbackStatus = RollbackStatus.NONE
    wanted: Verb | None = None  # pause, cancel or rollback: asked for and not reached yet
    wanted_undo: bool = False  # whether what was done is to be undone as well
    wanted_why: str = ""
    back_to: str | None = None  # of a rollback: only what came after this step is undone
    paused_at: datetime | None = None
    parked_at: datetime | None = None  # waiting for nothing but time or a person's word
    parked_until: datetime | None = None
    stood_still: timedelta = timedelta()  # how long the run clock has been stopped so far
    items: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # what the opened forEach steps have to do
    concluded_at: datetime | None = None  # how it ends is known; from here on only `finally` steps run
    conclusion: ExecutionStatus | None = None
    recoveries: tuple[Recovery, ...] = ()  # of the whole workflow, earlier executions included
    escalated: str = ""  # why nothing more is tried, for machines
    resolved_at: datetime | None = None  # when its alert's end was heard of
    caused: tuple[Caused, ...] = ()  # what speaks against it

    @property
    def recovering(self) -> Recovery | None:
        """The recovery that was asked for and is not answered yet."""
        last = self.recoveries[-1] if self.recoveries else None
        return last if last is not None and last.outcome is RecoveryOutcome.ASKED else None

    @property
    def final(self) -> bool:
        """Nothing can change any more."""
        return self.status in FINAL_EXECUTION

    @cached_property
    def by_status(self) -> Mapping[StepStatus, frozenset[str]]:
        """The steps by where they stand; a status that none has is not there. `with_steps` carries it along."""
        found: dict[StepStatus, list[str]] = {}
        for name, step in self.steps.items():
            found.setdefault(step.status, []).append(name)
        return {status: frozenset(names) for status, names in found.items()}

    def asked(self, named: object = None) -> str:
        """The step that waits for a person's word: the one that was named, or the only one.

        Raises:
            IllegalTransition: there is none, or nobody knows which.
        """
        waiting = [name for name, step in self.steps.items() if step.asking and named in {None, name}]
        if len(waiting) != 1:
            raise IllegalTransition(f"{len(waiting)} steps wait for a person's word")
        return waiting[0]

    @property
    def stopped_at(self) -> datetime | None:
        """Since when the run clock stands still."""
        if self.paused_at is None or self.parked_at is None:
            return self.paused_at or self.parked_at
        return min(self.paused_at, self.parked_at)


_NOBODY: frozenset[str] = frozenset()


def changed(part: Part, **values: Any) -> Part:
    """`dataclasses.replace` for these three, at a fraction of its cost: every event makes three such copies.

    Raises:
        TypeError: there is no such field.
    """
    before: dict[str, Any] = part.__dict__
    after = before | values
    if len(after) != len(before):
        raise TypeError(f"{type(part).__name__} has no {', '.join(values.keys() - before.keys())}")
    if "steps" in values:
        after.pop("by_status", None)
    copy: Part = object.__new__(type(part))
    object.__setattr__(copy, "__dict__", after)
    return copy


def with_steps(state: RunState, steps: Mapping[str, StepState]) -> RunState:
    """The state in which these steps stand so, whether they are new or not.

    Who knew where all steps stand knows it of the copy without looking at them all again.
    """
    copy = changed(state, steps={**state.steps, **steps})
    if (known := vars(state).get("by_status")) is not None:
        found = dict(known)
        for name, step in steps.items():
            before = state.steps.get(name)
            if before is not None and before.status is step.status:
                continue
            if before is not None and (left := found.pop(before.status) - {name}):
                found[before.status] = left
            found[step.status] = found.get(step.status, _NOBODY) | {name}
        vars(copy)["by_status"] = found
    return copy


def step_from_json(raw: Mapping[str, Any]) -> StepState:
    """Read a step that was stored as plain JSON."""
    return StepState(
        status=StepStatus(raw["status"]),
        attempts=tuple(_attempt_from_json(attempt) for attempt in raw["attempts"]),
        not_before=_moment(raw["not_before"]),
        started_at=_moment(raw["started_at"]),
        stood_still_before=raw["stood_still_before"],
        ended_at=_moment(raw["ended_at"]),
        waived=raw["waived"],
        asking=raw.get("asking", False),
        given=raw.get("given"),
        cleared=raw.get("cleared", False),  # an older version wrote no such thing
        proving_from=_moment(raw.get("proving_from")),
        reason=raw.get("reason", ""),
        message=raw["message"],
        error_class=ErrorClass(raw["error_class"]) if raw["error_class"] else None,
        failure_class=FailureClass(raw["failure_class"]) if raw.get("failure_class") else None,
        result=raw["result"],
    )


def recovery_from_json(raw: Mapping[str, Any]) -> Recovery:
    """Read a recovery that was stored as plain JSON."""
    found = FailureClass(raw["failure_class"]) if raw["failure_class"] else None
    return Recovery(**{**raw, "failure_class": found, "outcome": RecoveryOutcome(raw["outcome"])})


def _attempt_from_json(raw: Mapping[str, Any]) -> Attempt:
    moments = {"started_at": _moment(raw["started_at"]), "undo_at": _moment(raw["undo_at"])}
    return Attempt(**{**raw, **moments, "changes": tuple(raw["changes"]), "undo": UndoStatus(raw["undo"])})


def _moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
