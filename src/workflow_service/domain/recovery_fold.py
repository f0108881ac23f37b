"""What the facts about recoveries mean for the state."""

from __future__ import annotations

from dataclasses import replace

from workflow_service.domain import events as ev
from workflow_service.domain.errors import IllegalTransition
from workflow_service.domain.run_state import UNTOUCHED, Recovery, RecoveryOutcome, RunState
from workflow_service.domain.states import EXECUTION, ExecutionStatus, move


def started(event: ev.RecoveryStarted, state: RunState) -> RunState:
    """Another way is asked for; after a pause, once more for the same failure."""
    asked = Recovery(event.step, event.attempt, event.signature, event.failure_class)
    if event.step not in state.steps or (state.recovering is not None and state.recovering != asked):
        raise IllegalTransition("another recovery is not answered yet")
    status = move(EXECUTION, state.status, ExecutionStatus.RECOVERING)
    earlier = state.recoveries if state.recovering is None else state.recoveries[:-1]
    return replace(state, status=status, recoveries=(*earlier, asked))


def planned(event: ev.RecoveryPlanned, state: RunState) -> RunState:
    """The plan is another one, with more steps, and goes on."""
    asked = _asked(event.step, state)
    answered = replace(asked, outcome=RecoveryOutcome.PLANNED, option=event.option, group=event.group)
    if twice := set(event.steps) & set(state.steps):
        raise IllegalTransition(f"{min(twice)} is a step of the plan already")
    return replace(
        state,
        status=move(EXECUTION, state.status, ExecutionStatus.RUNNING),
        plan_hash=event.plan_hash,
        steps={**state.steps, **dict.fromkeys(event.steps, UNTOUCHED)},
        recoveries=(*state.recoveries[:-1], answered),
    )


def refused(event: ev.RecoveryRefused, state: RunState) -> RunState:
    """There is no other way, whether it was asked for or not worth asking."""
    answered = Recovery(
        step=event.step,
        attempt=event.attempt,
        signature=event.signature,
        failure_class=event.failure_class,
        outcome=RecoveryOutcome.REFUSED,
        reason=event.reason,
        why=event.why,
    )
    if state.recovering is None:
        return replace(state, recoveries=(*state.recoveries, answered))
    _asked(event.step, state)
    status = move(EXECUTION, state.status, ExecutionStatus.RUNNING)
    return replace(state, status=status, recoveries=(*state.recoveries[:-1], answered))


def _asked(step: str, state: RunState) -> Recovery:
    asked = state.recovering
    if asked is None or asked.step != step or state.status is not ExecutionStatus.RECOVERING:
        raise IllegalTransition(f"no recovery of {step} is waited for")
    return asked
