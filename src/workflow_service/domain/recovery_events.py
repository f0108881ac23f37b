"""The facts about recoveries: another way was asked for, found, or not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from workflow_service.domain.failure_class import FailureClass


@dataclass(frozen=True, slots=True)
class RecoveryStarted:
    """Another way is asked for, since a step of the top level is broken for good."""

    at: datetime
    step: str
    attempt: int  # 1 is the workflow's first
    failed: str  # the step at the bottom of it: the same, or one inside it
    signature: str
    failure_class: FailureClass | None
    message: str


@dataclass(frozen=True, slots=True)
class RecoveryPlanned:
    """There is another way: from here on the plan is that revision, with a step that stands in for the broken one."""

    at: datetime
    step: str
    attempt: int
    option: str
    source: str  # who knew of it
    reason: str
    plan_hash: str
    revision: int
    group: str  # the step that was added
    steps: tuple[str, ...]  # it, and all that is inside


@dataclass(frozen=True, slots=True)
class RecoveryRefused:
    """There is no other way: what was to be done about the failure without one is done now."""

    at: datetime
    step: str
    attempt: int
    signature: str
    failure_class: FailureClass | None
    reason: str  # for machines
    why: str


@dataclass(frozen=True, slots=True)
class Escalated:
    """A person is needed: it was tried as often as it may be, or trying would harm."""

    at: datetime
    step: str
    reason: str  # for machines, as in the refusal
    why: str


RecoveryEvent = RecoveryStarted | RecoveryPlanned | RecoveryRefused | Escalated
