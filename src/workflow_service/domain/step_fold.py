"""What the facts about single steps mean for the state."""

from __future__ import annotations

from datetime import datetime
from functools import singledispatch
from typing import Any

from workflow_service.domain import step_events as ev
from workflow_service.domain.errors import ErrorClass, IllegalTransition
from workflow_service.domain.run_state import UNTOUCHED, Attempt, RunState, StepState, changed, with_steps
from workflow_service.domain.states import STEP, UNDO, StepStatus, UndoStatus, move


@singledispatch
def apply(event: ev.StepEvent, _state: RunState) -> RunState:
    """`state` after a fact about one of its steps.

    Raises:
        IllegalTransition: the fact cannot follow.
    """
    raise TypeError(f"no meaning for {type(event).__name__}")


@apply.register
def _(event: ev.Cleared, state: RunState) -> RunState:
    step = state.steps[event.step]
    if step.status is not StepStatus.PENDING and not step.delayed:
        raise IllegalTransition(f"{event.step} is {step.status.value}: it was cleared before it began")
    return _with(state, event.step, changed(step, cleared=True))


@apply.register
def _(event: ev.StepBlocked, state: RunState) -> RunState:
    more = {"reason": "precondition_failed", "failure_class": event.failure_class}
    return with_end(state, event.step, StepStatus.BLOCKED, event.message, event.at, **more)


@apply.register
def _(event: ev.StepBegan, state: RunState) -> RunState:
    step = state.steps[event.step]
    return _with(
        state,
        event.step,
        changed(
            step,
            status=move(STEP, step.status, StepStatus.WAITING),
            started_at=event.at,
            stood_still_before=state.stood_still.total_seconds(),
            not_before=event.until,
            asking=event.approval,
        ),
    )


@apply.register
def _(event: ev.StepOpened, state: RunState) -> RunState:
    step = state.steps[event.step]
    running = move(STEP, step.status, StepStatus.RUNNING)
    opened = changed(step, status=running, started_at=event.at, given=event.parameters)
    inside = dict.fromkeys(event.inside, UNTOUCHED)
    items = state.items if event.items is None else {**state.items, event.step: event.items}
    return changed(with_steps(state, {event.step: opened, **inside}), items=items)


@apply.register
def _(event: ev.StepProved, state: RunState) -> RunState:
    step = state.steps[event.step]
    message = event.message or step.message
    return with_end(state, event.step, StepStatus.SUCCEEDED, message, event.at)


@apply.register
def _(event: ev.StepFailed, state: RunState) -> RunState:
    more = {"reason": event.reason, "failure_class": event.failure_class}
    return with_end(state, event.step, StepStatus.FAILED, event.message, event.at, **more)


@apply.register
def _(event: ev.StepStarted, state: RunState) -> RunState:
    step = state.steps[event.step]
    if step.status is StepStatus.RUNNING:
        _expect_live(step, event.key)  # only a resend of the same key may follow
    attempt = Attempt(
        key=event.key,
        number=event.attempt,
        started_at=event.at,
        ledger_id=event.ledger_id,
        parameters=event.parameters,
    )
    attempts = tuple(known for known in step.attempts if known.key != event.key)
    begun = None if step.delayed else step.started_at  # the wait for what it changes is not the attempts' time
    step = changed(
        step,
        status=move(STEP, step.status, StepStatus.RUNNING),
        attempts=(*attempts, attempt),
        started_at=begun or event.at,
        stood_still_before=step.stood_still_before if begun else state.stood_still.total_seconds(),
        not_before=None,
        delayed=False,
    )
    return _with(_unheld(state), event.step, step)


@apply.register
def _(event: ev.StepDelayed, state: RunState) -> RunState:
    """Whoever has it may change what was looked at: it is looked at again."""
    step = state.steps[event.step]
    first = step.started_at is None
    delayed = changed(
        step,
        status=move(STEP, step.status, StepStatus.WAITING),
        started_at=event.at if first else step.started_at,
        stood_still_before=state.stood_still.total_seconds() if first else step.stood_still_before,
        not_before=event.until,
        message=event.message,
        delayed=True,
        cleared=False,
    )
    return _with(state, event.step, delayed)


@apply.register
def _(event: ev.AttemptUnsent, state: RunState) -> RunState:
    step = state.steps[event.step]
    _expect_live(step, event.key)
    status = move(STEP, step.status, StepStatus.WAITING)
    begun = step.started_at if len(step.attempts) > 1 else None  # an outage must not eat the step's own time
    step = changed(step, status=status, error_class=None, message="not sent yet", started_at=begun)
    return _with(state, event.step, step)


@apply.register
def _(event: ev.StepSucceeded, state: RunState) -> RunState:
    step = state.steps[event.step]
    proving = event.prove_from is not None
    prove_from = event.at if proving and state.resolved_at is not None else event.prove_from
    step = changed(
        step,
        attempts=_settled(step, event),
        status=move(STEP, step.status, StepStatus.WAITING if proving else StepStatus.SUCCEEDED),
        message=event.message,
        result=event.result,
        error_class=None,
        failure_class=None,
        proving_from=prove_from,
        ended_at=None if proving else event.at,
    )
    return _with(state, event.step, step)


@apply.register
def _(event: ev.AttemptFailed, state: RunState) -> RunState:
    step = state.steps[event.step]
    again = event.retry_at is not None
    step = changed(
        step,
        attempts=_settled(step, event),
        status=move(STEP, step.status, StepStatus.WAITING if again else StepStatus.FAILED),
        message=event.message,
        error_class=event.error_class,
        failure_class=event.failure_class,
        not_before=event.retry_at,
        ended_at=None if again else event.at,
    )
    return _with(state, event.step, step)


@apply.register
def _(event: ev.StepUnknown, state: RunState) -> RunState:
    step = state.steps[event.step]
    _expect_live(step, event.key)
    step = _with_attempt(step, event.key, undo=UndoStatus.AVAILABLE, undo_reason="outcome unknown")
    step = changed(
        step,
        status=move(STEP, step.status, StepStatus.UNKNOWN),
        message=event.message,
        error_class=ErrorClass.UNKNOWN,
        failure_class=event.failure_class,
        ended_at=event.at,
    )
    return _with(state, event.step, step)


@apply.register
def _(event: ev.StepSkipped, state: RunState) -> RunState:
    return with_end(state, event.step, StepStatus.SKIPPED, event.reason, event.at)


@apply.register
def _(event: ev.StepCancelled, state: RunState) -> RunState:
    return with_end(state, event.step, StepStatus.CANCELLED, event.reason, event.at)


@apply.register
def _(event: ev.UndoStarted, state: RunState) -> RunState:
    state = _unheld(state)
    return _with_undo(state, event.step, event.key, UndoStatus.UNDOING, undo_sent=True, undo_at=None)


@apply.register
def _(event: ev.UndoUnsent, state: RunState) -> RunState:
    return _with_undo(state, event.step, event.key, UndoStatus.AVAILABLE, undo_sent=False)


@apply.register
def _(event: ev.UndoSucceeded, state: RunState) -> RunState:
    return _with_undo(state, event.step, event.key, UndoStatus.UNDONE, undo_sent=False)


@apply.register
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


def unsettled(step: StepState, at: datetime) -> StepState:
    """The step without the rest of the time that its effect was given to settle."""
    if step.proving_from is None or step.final or step.proving_from <= at:
        return step
    return changed(step, proving_from=at)


def with_end(state: RunState, step_id: str, status: StepStatus, message: str, at: datetime, **more: Any) -> RunState:
    """The state in which that step has ended.

    Raises:
        IllegalTransition: it cannot end so.
    """
    step = state.steps[step_id]
    end = move(STEP, step.status, status)
    ended = changed(
        step, status=end, message=message, ended_at=at, not_before=None, asking=False, delayed=False, **more
    )
    return _with(state, step_id, ended)


def _attempt(step: StepState, key: str) -> Attempt:
    for attempt in step.attempts:
        if attempt.key == key:
            return attempt
    raise IllegalTransition(f"no attempt was started with the key {key}")


def _expect_live(step: StepState, key: str) -> None:
    if step.status is not StepStatus.RUNNING or step.attempts[-1].key != key:
        raise IllegalTransition(f"{key} is not the key of an attempt that is under way")


def _with_attempt(step: StepState, key: str, **values: Any) -> StepState:
    meant = changed(_attempt(step, key), **values)
    return changed(step, attempts=tuple(meant if attempt.key == key else attempt for attempt in step.attempts))


def _settled(step: StepState, event: ev.StepSucceeded | ev.AttemptFailed) -> tuple[Attempt, ...]:
    """The attempts, the last with what it left behind: what changed is either undoable or declared irreversible."""
    _expect_live(step, event.key)
    undo = UndoStatus.NONE
    if event.changes or event.undo_available:
        undo = UndoStatus.AVAILABLE if event.undo_available else UndoStatus.IRREVERSIBLE
    last = changed(
        step.attempts[-1],
        changes=event.changes,
        undo=undo,
        undo_reason=event.undo_reason,
        action_id=event.action_id,
    )
    return (*step.attempts[:-1], last)


def _unheld(state: RunState) -> RunState:
    return state if state.held is None else changed(state, held=None)


def _with(state: RunState, step_id: str, step: StepState) -> RunState:
    return with_steps(state, {step_id: step})


def _with_undo(state: RunState, step_id: str, key: str, status: UndoStatus, **values: Any) -> RunState:
    step = state.steps[step_id]
    undo = move(UNDO, _attempt(step, key).undo, status)
    return _with(state, step_id, _with_attempt(step, key, undo=undo, **values))
