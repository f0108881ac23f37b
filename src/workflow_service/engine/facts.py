"""What a decision means as a fact, where nobody outside has to be asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from workflow_service.domain import decisions as do
from workflow_service.domain import events as ev
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failures import Failure

_GIVEN_UP = "the rollback's time is over"


def refusal(failure: Failure, attempt: int, reason: str, why: str, *, now: datetime) -> ev.RecoveryRefused:
    """There is no other way for what has failed."""
    return ev.RecoveryRefused(now, failure.step, attempt, failure.signature, failure.failure_class, reason, why)


def _recovery_started(begin: do.BeginRecovery, now: datetime) -> ev.RecoveryStarted:
    found = begin.failure
    return ev.RecoveryStarted(
        at=now,
        step=found.step,
        attempt=begin.attempt,
        failed=found.failed,
        signature=found.signature,
        failure_class=found.failure_class,
        message=found.message,
    )


_FACTS: Mapping[type[do.Action], Callable[[Any, datetime], ev.Event]] = {
    do.Begin: lambda _, now: ev.Started(now),
    do.Pause: lambda _, now: ev.Paused(now),
    do.Park: lambda park, now: ev.Parked(now, park.until, park.approval),
    do.Unpark: lambda _, now: ev.Unparked(now),
    do.BeginVerifying: lambda _, now: ev.Verifying(now),
    do.BeginRecovery: _recovery_started,
    do.RefuseRecovery: lambda no, now: refusal(no.failure, no.attempt, no.reason, no.why, now=now),
    do.Escalate: lambda loud, now: ev.Escalated(now, loud.step, loud.reason, loud.why),
    do.BeginRollback: lambda begin, now: ev.RollbackStarted(now, begin.reason),
    do.Conclude: lambda end, now: ev.Concluded(now, end.status, end.reason, end.cause, end.rollback),
    do.Finish: lambda end, now: ev.Ended(now, end.status, end.reason, end.cause, end.rollback),
    do.BeginStep: lambda step, now: ev.StepBegan(now, step.step, step.until, step.approval),
    do.OpenStep: lambda step, now: ev.StepOpened(now, step.step, step.items, step.inside, step.parameters),
    do.PassStep: lambda step, now: ev.StepProved(now, step.step, step.message),
    do.FailStep: lambda step, now: ev.StepFailed(
        now, step.step, step.reason, step.message, failure_class=step.failure_class
    ),
    do.SkipStep: lambda step, now: ev.StepSkipped(now, step.step, step.reason),
    do.CancelStep: lambda step, now: ev.StepCancelled(now, step.step, step.reason),
    do.LoseStep: lambda step, now: ev.StepUnknown(now, step.step, step.key, step.reason),
    do.GiveUpUndo: lambda undo, now: ev.UndoFailed(now, undo.step, undo.key, ErrorClass.TIMEOUT, _GIVEN_UP),
}


def fact(action: do.Action, now: datetime) -> ev.Event:
    """The event that a decision is, once it is written down.

    Raises:
        KeyError: the action has to be carried to somebody first.
    """
    return _FACTS[type(action)](action, now)
