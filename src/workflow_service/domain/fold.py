"""What a journal means: `state = fold(state, event)`. The engine decides on it and the API shows it, so they agree."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import reduce, singledispatch

from workflow_service.domain import events as ev
from workflow_service.domain import recovery_fold, step_fold
from workflow_service.domain.errors import IllegalTransition
from workflow_service.domain.run_state import UNTOUCHED, Caused, RunState, changed
from workflow_service.domain.states import EXECUTION, ExecutionStatus, StepStatus, Verb, move


def fold(state: RunState, event: ev.Event) -> RunState:
    """`state` after `event`.

    Raises:
        IllegalTransition: the event cannot follow; nothing changes.
    """
    if state.final:
        raise IllegalTransition(f"{type(event).__name__} cannot follow: the execution has {state.status.value}")
    return step_fold.apply(event, state) if isinstance(event, ev.StepEvent) else _apply(event, state)


def fold_all(events: Iterable[ev.Event], state: RunState | None = None) -> RunState:
    """The state that a whole journal tells."""
    return reduce(fold, events, state or RunState())


@singledispatch
def _apply(event: ev.Event, _state: RunState) -> RunState:
    raise TypeError(f"no meaning for {type(event).__name__}")


@_apply.register
def _(event: ev.PlanningStarted, state: RunState) -> RunState:
    if state.status is ExecutionStatus.PLANNING:
        return state  # planning was begun again after a crash
    planning = move(EXECUTION, state.status, ExecutionStatus.PLANNING)
    return changed(state, status=planning, waiting_since=event.since or event.at)


@_apply.register
def _(event: ev.Planned, state: RunState) -> RunState:
    if state.plan_hash is not None:
        raise IllegalTransition("it has a plan already")
    status = move(EXECUTION, state.status, ExecutionStatus.QUEUED)
    return changed(state, status=status, plan_hash=event.plan_hash, steps=dict.fromkeys(event.steps, UNTOUCHED))


@_apply.register
def _(event: ev.Inherited, state: RunState) -> RunState:
    status = move(EXECUTION, state.status, ExecutionStatus.QUEUED)
    state = changed(
        state,
        status=status,
        plan_hash=event.plan_hash,
        steps=dict(event.inherited),
        items=dict(event.items),
        waiting_since=event.at,
        recoveries=event.recoveries,
    )
    if event.verb is not Verb.ROLLBACK:
        return state
    return changed(state, wanted=Verb.ROLLBACK, wanted_undo=True, wanted_why=_by(event), back_to=event.back_to)


@_apply.register
def _(event: ev.Started, state: RunState) -> RunState:
    if state.started_at is not None:  # it had begun, and had to wait for its targets before its first effect
        return _goes_on(state, event.at)
    running = move(EXECUTION, state.status, ExecutionStatus.RUNNING)
    return changed(state, status=running, started_at=event.at, awaits="")


@_apply.register
def _(event: ev.Held, state: RunState) -> RunState:
    return changed(state, held=event.reason)


@_apply.register
def _(event: ev.TargetAwaited, state: RunState) -> RunState:
    """In line again; the run clock stands still."""
    queued = state.status is ExecutionStatus.QUEUED
    still = (state.stopped_at or event.at) if state.started_at is not None else None
    return changed(
        state,
        status=state.status if queued else move(EXECUTION, state.status, ExecutionStatus.QUEUED),
        waiting_since=state.waiting_since if queued else event.at,
        awaits=f"{event.target} is being changed by "
        + (f"workflow {event.holder}" if event.holder else "those that waited before"),
        paused_at=None,
        parked_at=still,
        parked_until=None,
    )


@_apply.register
def _(event: ev.RecoveryStarted, state: RunState) -> RunState:
    return recovery_fold.started(event, state)


@_apply.register
def _(event: ev.RecoveryPlanned, state: RunState) -> RunState:
    return recovery_fold.planned(event, state)


@_apply.register
def _(event: ev.RecoveryRefused, state: RunState) -> RunState:
    return recovery_fold.refused(event, state)


@_apply.register
def _(event: ev.Escalated, state: RunState) -> RunState:
    return changed(state, escalated=event.reason)


@_apply.register
def _(event: ev.RollbackStarted, state: RunState) -> RunState:
    state = _moving(state, event.at)
    status = move(EXECUTION, state.status, ExecutionStatus.ROLLING_BACK)
    return changed(state, status=status, rollback_started_at=event.at, reason=event.reason, awaits="")


@_apply.register
def _(event: ev.CommandApplied, state: RunState) -> RunState:
    match event.verb:
        case Verb.PAUSE:
            return changed(state, wanted=Verb.PAUSE, wanted_why=_by(event))
        case Verb.RESUME:
            return _resumed(state, event.at)
        case Verb.CANCEL | Verb.ROLLBACK:
            undo = event.verb is Verb.ROLLBACK or bool(event.arguments.get("undo"))
            back_to = event.arguments.get("step") if event.verb is Verb.ROLLBACK else None
            return changed(state, wanted=event.verb, wanted_undo=undo, wanted_why=_by(event), back_to=back_to)
        case Verb.SKIP_STEP:
            step, reason = str(event.arguments["step"]), f"skipped by hand: {_by(event)}"
            return step_fold.with_end(state, step, StepStatus.SKIPPED, reason, event.at, waived=True)
        case _:
            return _answered(event, state)


def _answered(event: ev.CommandApplied, state: RunState) -> RunState:
    """What a person's word means for the step that waits for it."""
    match event.verb:
        case Verb.APPROVE | Verb.START:
            step = state.asked(event.arguments.get("step"))
            return step_fold.with_end(state, step, StepStatus.SUCCEEDED, _by(event), event.at)
        case Verb.REJECT:
            step = state.asked(event.arguments.get("step"))
            why = "approval_rejected"
            return step_fold.with_end(state, step, StepStatus.FAILED, _by(event), event.at, reason=why)
        case Verb.EXTEND:
            step = state.asked(event.arguments.get("step"))
            return _extended(state, step, timedelta(seconds=float(event.arguments["seconds"])))
        case Verb.SET_PRIORITY:
            return state  # it moves the execution in its queue, which is not a part of it
        case _:
            raise IllegalTransition(f"{event.verb} is a new execution")


@_apply.register
def _(_event: ev.CommandRefused, state: RunState) -> RunState:
    return state


@_apply.register
def _(event: ev.AlertResolved, state: RunState) -> RunState:
    """Nothing settles any longer: what is to be proved is looked at from now on."""
    if state.resolved_at is not None:
        raise IllegalTransition("the alert has resolved already")
    steps = {name: step_fold.unsettled(step, event.at) for name, step in state.steps.items()}
    return changed(state, resolved_at=event.at, steps=steps)


@_apply.register
def _(event: ev.AlertCaused, state: RunState) -> RunState:
    """The last word about each alert counts; what it means is decided at the end."""
    others = tuple(one for one in state.caused if one.fingerprint != event.fingerprint)
    caused = Caused(event.fingerprint, event.name, event.severity, event.since, event.over)
    return changed(state, caused=(*others, caused))


@_apply.register
def _(event: ev.Paused, state: RunState) -> RunState:
    status = move(EXECUTION, state.status, ExecutionStatus.PAUSED)
    return changed(state, status=status, wanted=None, paused_at=event.at, awaits="")


@_apply.register
def _(event: ev.Parked, state: RunState) -> RunState:
    since = state.parked_at or event.at
    return changed(state, status=_waiting(state.status, event), parked_at=since, parked_until=event.until)


@_apply.register
def _(event: ev.Unparked, state: RunState) -> RunState:
    return _goes_on(state, event.at)


@_apply.register
def _(_event: ev.Verifying, state: RunState) -> RunState:
    return changed(state, status=move(EXECUTION, state.status, ExecutionStatus.VERIFYING))


@_apply.register
def _(event: ev.Concluded, state: RunState) -> RunState:
    if state.conclusion is not None:
        raise IllegalTransition("how it ends was said already")
    state = changed(_moving(state, event.at), conclusion=event.status, concluded_at=event.at)
    if state.status is ExecutionStatus.RECOVERING:  # nobody asks for another way any more
        state = changed(state, status=move(EXECUTION, state.status, ExecutionStatus.RUNNING))
    return changed(state, reason=event.reason, cause=event.cause, rollback=event.rollback, awaits="")


@_apply.register
def _(event: ev.Ended, state: RunState) -> RunState:
    return changed(
        state,
        status=move(EXECUTION, state.status, event.status),
        ended_at=event.at,
        reason=event.reason,
        cause=event.cause,
        rollback=event.rollback,
        held=None,
        awaits="",
        wanted=None,
    )


def _by(event: ev.CommandApplied | ev.Inherited) -> str:
    return f"{event.verb} by {event.actor}" + (f": {event.reason}" if event.reason else "")


def _extended(state: RunState, name: str, more: timedelta) -> RunState:
    step = state.steps[name]
    if step.not_before is None:
        raise IllegalTransition(f"{name} has no bound to extend")
    steps = {**state.steps, name: changed(step, not_before=step.not_before + more)}
    if state.parked_at is None:
        return changed(state, steps=steps)
    waits = (one.not_before for one in steps.values() if one.status is StepStatus.WAITING and one.not_before)
    return changed(state, steps=steps, parked_until=min(waits))


def _resumed(state: RunState, at: datetime) -> RunState:
    """The run clock goes on where it stopped; before it ever ran, the execution waits for a slot again."""
    if state.paused_at is None:
        return changed(state, wanted=None)  # it had not come to a standstill yet
    if state.started_at is not None:
        return _goes_on(state, at)
    state = changed(state, status=move(EXECUTION, state.status, ExecutionStatus.QUEUED))
    return changed(state, wanted=None, paused_at=None, waiting_since=at)


def _waiting(status: ExecutionStatus, event: ev.Parked) -> ExecutionStatus:
    """The status while it stands still: a person's word that is waited for shows, a mere wait does not."""
    if event.approval:
        asking = ExecutionStatus.AWAITING_APPROVAL
        return status if status is asking else move(EXECUTION, status, asking)
    return move(EXECUTION, status, ExecutionStatus.RUNNING) if status is ExecutionStatus.AWAITING_APPROVAL else status


def _moving(state: RunState, at: datetime) -> RunState:
    """The end has begun, and ends a standstill too."""
    if state.stopped_at is None:
        return state
    still = {ExecutionStatus.PAUSED, ExecutionStatus.AWAITING_APPROVAL}
    status = move(EXECUTION, state.status, ExecutionStatus.RUNNING) if state.status in still else state.status
    stood_still = state.stood_still + (at - state.stopped_at) if state.started_at is not None else state.stood_still
    return changed(state, status=status, paused_at=None, parked_at=None, parked_until=None, stood_still=stood_still)


def _goes_on(state: RunState, at: datetime) -> RunState:
    """After a standstill: what was found fit to start before must be found so again."""
    since = state.stopped_at
    if since is None:
        raise IllegalTransition("it does not stand still")
    status = state.status
    if status in {ExecutionStatus.PAUSED, ExecutionStatus.AWAITING_APPROVAL, ExecutionStatus.QUEUED}:
        status = move(EXECUTION, status, ExecutionStatus.RUNNING)
    steps = {name: changed(step, cleared=False) if step.cleared else step for name, step in state.steps.items()}
    stood_still = state.stood_still + (at - since)
    state = changed(state, paused_at=None, parked_at=None, parked_until=None, stood_still=stood_still)
    return changed(state, status=status, wanted=None, steps=steps, awaits="")
