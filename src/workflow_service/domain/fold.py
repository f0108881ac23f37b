"""What a journal means: `state = fold(state, event)`. The engine decides on it and the API shows it, so they agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import reduce, singledispatch
from typing import Any

from workflow_service.domain import events as ev
from workflow_service.domain.errors import ErrorClass, IllegalTransition
from workflow_service.domain.run_state import Attempt, RunState, StepState
from workflow_service.domain.states import (
    EXECUTION,
    STEP,
    UNDO,
    ExecutionStatus,
    StepStatus,
    UndoStatus,
    Verb,
    move,
)


def fold(state: RunState, event: ev.Event) -> RunState:
    """`state` after `event`.

    Raises:
        IllegalTransition: the event cannot follow; nothing changes.
    """
    if state.final:
        raise IllegalTransition(f"{type(event).__name__} cannot follow: the execution has {state.status.value}")
    return _apply(event, state)


def fold_all(events: Iterable[ev.Event], state: RunState | None = None) -> RunState:
    """The state that a whole journal tells."""
    return reduce(fold, events, state or RunState())


@singledispatch
def _apply(event: ev.Event, _state: RunState) -> RunState:
    raise TypeError(f"no meaning for {type(event).__name__}")


@_apply.register
def _(_event: ev.PlanningStarted, state: RunState) -> RunState:
    if state.status is ExecutionStatus.PLANNING:
        return state  # planning was begun again after a crash
    return replace(state, status=move(EXECUTION, state.status, ExecutionStatus.PLANNING))


@_apply.register
def _(event: ev.Planned, state: RunState) -> RunState:
    status = move(EXECUTION, state.status, ExecutionStatus.QUEUED)
    return replace(state, status=status, plan_hash=event.plan_hash, steps={step: StepState() for step in event.steps})


@_apply.register
def _(event: ev.Inherited, state: RunState) -> RunState:
    status = move(EXECUTION, state.status, ExecutionStatus.QUEUED)
    state = replace(state, status=status, plan_hash=event.plan_hash, steps=dict(event.inherited))
    if event.verb is not Verb.ROLLBACK:
        return state
    return replace(state, wanted=Verb.ROLLBACK, wanted_undo=True, wanted_why=_by(event))


@_apply.register
def _(event: ev.Started, state: RunState) -> RunState:
    return replace(state, status=move(EXECUTION, state.status, ExecutionStatus.RUNNING), started_at=event.at)


@_apply.register
def _(event: ev.Held, state: RunState) -> RunState:
    return replace(state, held=event.reason)


@_apply.register
def _(event: ev.StepStarted, state: RunState) -> RunState:
    step = state.steps[event.step]
    if step.status is StepStatus.RUNNING:
        _expect_live(step, event.key)  # only a resend of the same key may follow
    attempt = Attempt(key=event.key, number=event.attempt, started_at=event.at, ledger_id=event.ledger_id)
    attempts = tuple(known for known in step.attempts if known.key != event.key)
    step = replace(
        step,
        status=move(STEP, step.status, StepStatus.RUNNING),
        attempts=(*attempts, attempt),
        started_at=step.started_at or event.at,
        stood_still_before=step.stood_still_before if step.started_at else state.stood_still.total_seconds(),
        not_before=None,
    )
    return _with(replace(state, held=None), event.step, step)


@_apply.register
def _(event: ev.AttemptUnsent, state: RunState) -> RunState:
    step = state.steps[event.step]
    _expect_live(step, event.key)
    status = move(STEP, step.status, StepStatus.WAITING)
    begun = step.started_at if len(step.attempts) > 1 else None  # an outage must not eat the step's own time
    step = replace(step, status=status, error_class=None, message="not sent yet", started_at=begun)
    return _with(state, event.step, step)


@_apply.register
def _(event: ev.StepSucceeded, state: RunState) -> RunState:
    step = _settle_attempt(state.steps[event.step], event)
    step = replace(
        step,
        status=move(STEP, step.status, StepStatus.SUCCEEDED),
        message=event.message,
        result=event.result,
        error_class=None,
        ended_at=event.at,
    )
    return _with(state, event.step, step)


@_apply.register
def _(event: ev.AttemptFailed, state: RunState) -> RunState:
    step = _settle_attempt(state.steps[event.step], event)
    again = event.retry_at is not None
    step = replace(
        step,
        status=move(STEP, step.status, StepStatus.WAITING if again else StepStatus.FAILED),
        message=event.message,
        error_class=event.error_class,
        not_before=event.retry_at,
        ended_at=None if again else event.at,
    )
    return _with(state, event.step, step)


@_apply.register
def _(event: ev.StepUnknown, state: RunState) -> RunState:
    step = state.steps[event.step]
    _expect_live(step, event.key)
    step = _with_attempt(step, event.key, undo=UndoStatus.AVAILABLE, undo_reason="outcome unknown")
    step = replace(
        step,
        status=move(STEP, step.status, StepStatus.UNKNOWN),
        message=event.message,
        error_class=ErrorClass.UNKNOWN,
        ended_at=event.at,
    )
    return _with(state, event.step, step)


@_apply.register
def _(event: ev.StepSkipped, state: RunState) -> RunState:
    return _with_end(state, event.step, StepStatus.SKIPPED, event.reason, event.at)


@_apply.register
def _(event: ev.StepCancelled, state: RunState) -> RunState:
    return _with_end(state, event.step, StepStatus.CANCELLED, event.reason, event.at)


@_apply.register
def _(event: ev.RollbackStarted, state: RunState) -> RunState:
    status = move(EXECUTION, state.status, ExecutionStatus.ROLLING_BACK)
    return replace(state, status=status, rollback_started_at=event.at, reason=event.reason)


@_apply.register
def _(event: ev.UndoStarted, state: RunState) -> RunState:
    state = replace(state, held=None)
    return _with_undo(state, event.step, event.key, UndoStatus.UNDOING, undo_sent=True, undo_at=None)


@_apply.register
def _(event: ev.UndoUnsent, state: RunState) -> RunState:
    return _with_undo(state, event.step, event.key, UndoStatus.AVAILABLE, undo_sent=False)


@_apply.register
def _(event: ev.UndoSucceeded, state: RunState) -> RunState:
    return _with_undo(state, event.step, event.key, UndoStatus.UNDONE, undo_sent=False)


@_apply.register
def _(event: ev.UndoFailed, state: RunState) -> RunState:
    tries = _attempt(state.steps[event.step], event.key).undo_tries + 1
    status = UndoStatus.AVAILABLE if event.retry_at else UndoStatus.UNDO_FAILED
    return _with_undo(
        state,
        event.step,
        event.key,
        status,
        undo_sent=False,
        undo_tries=tries,
        undo_at=event.retry_at,
        undo_reason=event.message,
    )


@_apply.register
def _(event: ev.CommandApplied, state: RunState) -> RunState:
    match event.verb:
        case Verb.PAUSE:
            return replace(state, wanted=Verb.PAUSE, wanted_why=_by(event))
        case Verb.RESUME:
            return _resumed(state, event.at)
        case Verb.CANCEL | Verb.ROLLBACK:
            undo = event.verb is Verb.ROLLBACK or bool(event.arguments.get("undo"))
            return replace(state, wanted=event.verb, wanted_undo=undo, wanted_why=_by(event))
        case Verb.SKIP_STEP:
            step, reason = str(event.arguments["step"]), f"skipped by hand: {_by(event)}"
            return _with_end(state, step, StepStatus.SKIPPED, reason, event.at, waived=True)
        case Verb.RETRY:
            raise IllegalTransition("a retry is a new execution")


@_apply.register
def _(_event: ev.CommandRefused, state: RunState) -> RunState:
    return state


@_apply.register
def _(event: ev.Paused, state: RunState) -> RunState:
    status = move(EXECUTION, state.status, ExecutionStatus.PAUSED)
    return replace(state, status=status, wanted=None, paused_at=event.at)


@_apply.register
def _(event: ev.Ended, state: RunState) -> RunState:
    return replace(
        state,
        status=move(EXECUTION, state.status, event.status),
        ended_at=event.at,
        reason=event.reason,
        cause=event.cause,
        rollback=event.rollback,
        held=None,
        wanted=None,
    )


def _attempt(step: StepState, key: str) -> Attempt:
    for attempt in step.attempts:
        if attempt.key == key:
            return attempt
    raise IllegalTransition(f"no attempt was started with the key {key}")


def _expect_live(step: StepState, key: str) -> None:
    if not step.attempts or step.attempts[-1].key != key:
        raise IllegalTransition(f"{key} is not the key of the step's last attempt")


def _with_attempt(step: StepState, key: str, **values: Any) -> StepState:
    changed = replace(_attempt(step, key), **values)
    return replace(step, attempts=tuple(changed if attempt.key == key else attempt for attempt in step.attempts))


def _settle_attempt(step: StepState, event: ev.StepSucceeded | ev.AttemptFailed) -> StepState:
    """Note what the attempt left behind: what changed is either undoable or declared irreversible."""
    _expect_live(step, event.key)
    undo = UndoStatus.NONE
    if event.changes or event.undo_available:
        undo = UndoStatus.AVAILABLE if event.undo_available else UndoStatus.IRREVERSIBLE
    return _with_attempt(
        step, event.key, changes=event.changes, undo=undo, undo_reason=event.undo_reason, action_id=event.action_id
    )


def _by(event: ev.CommandApplied | ev.Inherited) -> str:
    return f"{event.verb} by {event.actor}" + (f": {event.reason}" if event.reason else "")


def _resumed(state: RunState, at: datetime) -> RunState:
    """The run clock goes on where it stopped; before it ever ran, the execution waits for a slot again."""
    if state.paused_at is None:
        return replace(state, wanted=None)  # it had not come to a standstill yet
    onward = ExecutionStatus.RUNNING if state.started_at else ExecutionStatus.QUEUED
    stood_still = state.stood_still + (at - state.paused_at) if state.started_at else state.stood_still
    status = move(EXECUTION, state.status, onward)
    return replace(state, status=status, wanted=None, paused_at=None, stood_still=stood_still)


def _with(state: RunState, step_id: str, step: StepState) -> RunState:
    return replace(state, steps={**state.steps, step_id: step})


def _with_end(
    state: RunState, step_id: str, status: StepStatus, reason: str, at: datetime, *, waived: bool = False
) -> RunState:
    step = state.steps[step_id]
    end = move(STEP, step.status, status)
    ended = replace(step, status=end, message=reason, ended_at=at, not_before=None, waived=waived)
    return _with(state, step_id, ended)


def _with_undo(state: RunState, step_id: str, key: str, status: UndoStatus, **values: Any) -> RunState:
    step = state.steps[step_id]
    undo = move(UNDO, _attempt(step, key).undo, status)
    return _with(state, step_id, _with_attempt(step, key, undo=undo, **values))
