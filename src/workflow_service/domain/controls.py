"""What people may tell a workflow to do, in which state, as data; and what is wrong with a command that is refused.

Pause and cancel take effect at the next step boundary: what is in flight finishes and is journalled. A final execution
never changes: `retry` and `rollback` of one make a new execution that inherits what was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, StepStatus, UndoStatus, Verb

_E, _V = ExecutionStatus, Verb
_ENDED_UNWELL = frozenset({_V.RETRY, _V.ROLLBACK})

ALLOWED: Mapping[ExecutionStatus, frozenset[Verb]] = {
    _E.CREATED: frozenset({_V.CANCEL}),
    _E.PLANNING: frozenset({_V.CANCEL}),
    _E.QUEUED: frozenset({_V.PAUSE, _V.RESUME, _V.CANCEL, _V.SKIP_STEP}),
    _E.AWAITING_APPROVAL: frozenset({_V.CANCEL, _V.SKIP_STEP}),
    _E.RUNNING: frozenset({_V.PAUSE, _V.RESUME, _V.CANCEL, _V.ROLLBACK, _V.SKIP_STEP}),
    _E.RECOVERING: frozenset({_V.PAUSE, _V.RESUME, _V.CANCEL, _V.ROLLBACK}),
    _E.VERIFYING: frozenset({_V.PAUSE, _V.RESUME, _V.CANCEL, _V.ROLLBACK}),
    _E.PAUSED: frozenset({_V.RESUME, _V.CANCEL, _V.ROLLBACK, _V.SKIP_STEP}),
    _E.ROLLING_BACK: frozenset(),  # an undo is finished, not interrupted
    _E.COMPLETED: frozenset({_V.ROLLBACK}),
    _E.PARTIALLY_COMPLETED: _ENDED_UNWELL,
    _E.FAILED: _ENDED_UNWELL,
    _E.CANCELLED: _ENDED_UNWELL,
    _E.TIMED_OUT: _ENDED_UNWELL,
    _E.REJECTED: frozenset(),
    _E.RESOLVED: frozenset({_V.ROLLBACK}),
    _E.ROLLED_BACK: frozenset({_V.RETRY}),
}


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody wants of a workflow."""

    id: str
    verb: Verb
    actor: str
    reason: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)  # cancel: undo (bool); skip-step: step (id)


def refusal(state: RunState, command: Command) -> str | None:
    """Why the command cannot be obeyed in this state, or None when it can."""
    refused = f"{command.verb} is not possible while the workflow is {state.status}"
    if command.verb not in ALLOWED[state.status]:
        return refused
    hindrance = _hindrance(state, command)
    return f"{refused}: {hindrance}" if hindrance else None


def allowed(state: RunState) -> tuple[Verb, ...]:
    """The verbs that would be obeyed now, given sensible arguments."""
    probes = (Command(id="", verb=verb, actor="") for verb in Verb)
    return tuple(
        probe.verb
        for probe in probes
        if refusal(state, probe) is None or (probe.verb is Verb.SKIP_STEP and _skippable(state, probe.verb))
    )


# What may still be said after a wish that has not taken effect yet.
_CHANGES_ITS_MIND: Mapping[Verb, frozenset[Verb]] = {
    Verb.PAUSE: frozenset({Verb.RESUME, Verb.CANCEL, Verb.ROLLBACK, Verb.SKIP_STEP}),
    Verb.CANCEL: frozenset({Verb.ROLLBACK}),
    Verb.ROLLBACK: frozenset(),
}


def _hindrance(state: RunState, command: Command) -> str | None:
    """What stands in the way of a verb that the status as such allows."""
    verb = command.verb
    if state.wanted is not None and verb not in _CHANGES_ITS_MIND[state.wanted]:
        return f"{state.wanted} has been asked for already"
    if verb is Verb.RESUME and state.status is not ExecutionStatus.PAUSED and state.wanted is not Verb.PAUSE:
        return "nothing is paused"
    if verb is Verb.SKIP_STEP:
        return _cannot_skip(state, command.arguments.get("step"))
    if state.final and verb is Verb.ROLLBACK and not _undoable(state):
        return "nothing was changed that can be undone"
    return None


def _skippable(state: RunState, verb: Verb) -> bool:
    open_ = any(step.status in {StepStatus.PENDING, StepStatus.WAITING} for step in state.steps.values())
    return open_ and verb in ALLOWED[state.status] and state.wanted in {None, Verb.PAUSE}


def _cannot_skip(state: RunState, step: object) -> str | None:
    if not isinstance(step, str) or step not in state.steps:
        return f"step: {step!r} is no step of this workflow ({', '.join(state.steps) or 'it has none yet'})"
    status = state.steps[step].status
    if status not in {StepStatus.PENDING, StepStatus.WAITING}:
        return f"step: {step!r} is {status}; only a step that is pending or waiting can be skipped"
    return None


def _undoable(state: RunState) -> bool:
    """Whether an undo is open: never tried, failed, or sent by a drive that did not live to hear its outcome."""
    return any(
        attempt.undo in {UndoStatus.AVAILABLE, UndoStatus.UNDOING, UndoStatus.UNDO_FAILED}
        for step in state.steps.values()
        for attempt in step.attempts
    )
