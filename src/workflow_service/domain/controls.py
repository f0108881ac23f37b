"""What people may tell a workflow to do, in which state, as data; and what is wrong with a command that is refused.

Pause and cancel take effect at the next step boundary: what is in flight finishes and is journalled. A final execution
never changes: `retry` and `rollback` of one make a new execution that inherits what was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workflow_service.domain.run_state import RunState, StepState
from workflow_service.domain.states import ExecutionStatus, StepStatus, UndoStatus, Verb

_E, _V = ExecutionStatus, Verb
_ENDED_UNWELL = frozenset({_V.RETRY, _V.ROLLBACK})
_ANSWERS = frozenset({_V.START, _V.APPROVE, _V.REJECT, _V.EXTEND})  # to a step that asks
_AT_WORK = frozenset({_V.PAUSE, _V.RESUME, _V.CANCEL, _V.ROLLBACK})

ALLOWED: Mapping[ExecutionStatus, frozenset[Verb]] = {
    _E.CREATED: frozenset({_V.CANCEL, _V.SET_PRIORITY}),
    _E.PLANNING: frozenset({_V.CANCEL, _V.SET_PRIORITY}),
    _E.QUEUED: frozenset({_V.PAUSE, _V.RESUME, _V.CANCEL, _V.SKIP_STEP, _V.SET_PRIORITY}),
    _E.AWAITING_APPROVAL: _AT_WORK | _ANSWERS | {_V.SKIP_STEP, _V.SET_PRIORITY},
    _E.RUNNING: _AT_WORK | _ANSWERS | {_V.SKIP_STEP},
    _E.RECOVERING: _AT_WORK,
    _E.VERIFYING: _AT_WORK | {_V.SKIP_STEP},
    _E.PAUSED: frozenset({_V.RESUME, _V.CANCEL, _V.ROLLBACK, _V.SKIP_STEP, _V.SET_PRIORITY}) | _ANSWERS,
    _E.ROLLING_BACK: frozenset(),  # an undo is finished, not interrupted
    _E.COMPLETED: frozenset({_V.ROLLBACK}),
    _E.PARTIALLY_COMPLETED: _ENDED_UNWELL,
    _E.FAILED: _ENDED_UNWELL,
    _E.CANCELLED: _ENDED_UNWELL,
    _E.TIMED_OUT: _ENDED_UNWELL,
    _E.REJECTED: _ENDED_UNWELL,
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
    # cancel: undo (bool); skip-step, rollback, start, approve, reject, extend: step (id); approve: plan_hash;
    # extend: seconds; set-priority: priority (1..9); retry: parameters ({step: {name: value}})
    arguments: Mapping[str, Any] = field(default_factory=dict)


def refusal(state: RunState, command: Command) -> str | None:
    """Why the command cannot be obeyed in this state, or None when it can."""
    refused = f"{command.verb} is not possible while the workflow is {state.status}"
    if state.status is ExecutionStatus.ROLLING_BACK:
        return f"{refused}: what was done is being undone already, and that is finished, not interrupted"
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
        if refusal(state, probe) is None
        or (probe.verb is Verb.SKIP_STEP and _skippable(state, probe.verb))
        or (probe.verb in _ANSWERS and _answerable(state, probe.verb))
    )


# What may still be said after a wish that has not taken effect yet.
_CHANGES_ITS_MIND: Mapping[Verb, frozenset[Verb]] = {
    Verb.PAUSE: frozenset({Verb.RESUME, Verb.CANCEL, Verb.ROLLBACK, Verb.SKIP_STEP}) | _ANSWERS,
    Verb.CANCEL: frozenset({Verb.ROLLBACK}),
    Verb.ROLLBACK: frozenset(),
}


START_STEP = "start"  # the approval step that holds back a workflow until somebody starts it


def _hindrance(state: RunState, command: Command) -> str | None:
    """What stands in the way of a verb that the status as such allows."""
    verb = command.verb
    if state.conclusion is not None:
        return "how it ends is known already"
    if state.wanted is not None and verb not in _CHANGES_ITS_MIND[state.wanted]:
        return f"{state.wanted} has been asked for already"
    if verb is Verb.RESUME and state.status is not ExecutionStatus.PAUSED and state.wanted is not Verb.PAUSE:
        return "nothing is paused"
    if verb is Verb.SKIP_STEP:
        return _cannot_skip(state, command.arguments.get("step"))
    if verb in _ANSWERS:
        return _cannot_answer(state, command)
    return _cannot_roll_back(state, command) if verb is Verb.ROLLBACK else None


def hears_of_the_end(state: RunState) -> bool:
    """Whether it still matters to the execution that its alert has resolved."""
    known = state.resolved_at is not None or state.conclusion is not None
    return not (known or state.final or state.status is ExecutionStatus.ROLLING_BACK)


def _skippable(state: RunState, verb: Verb) -> bool:
    open_ = any(_may_be_skipped(step) for step in state.steps.values())
    return open_ and verb in ALLOWED[state.status] and state.wanted in {None, Verb.PAUSE} and state.conclusion is None


def _may_be_skipped(step: StepState) -> bool:
    return step.status in {StepStatus.PENDING, StepStatus.WAITING} and not step.asking and step.proving_from is None


def _cannot_skip(state: RunState, step: object) -> str | None:
    if not isinstance(step, str) or step not in state.steps:
        return f"step: {step!r} is no step of this workflow ({', '.join(state.steps) or 'it has none yet'})"
    found = state.steps[step]
    if found.asking:
        return f"step: {step!r} waits for approval; that is given or refused, never skipped"
    if not _may_be_skipped(found):
        return f"step: {step!r} is {found.status}; only a step that is pending or waiting can be skipped"
    return None


def _answerable(state: RunState, verb: Verb) -> bool:
    asking = [name for name, step in state.steps.items() if step.asking and _answers(verb, name)]
    return bool(asking) and verb in ALLOWED[state.status] and state.wanted in {None, Verb.PAUSE}


def _answers(verb: Verb, step: str) -> bool:
    """Whether the verb is one that this step takes for an answer: one to be started is not approved."""
    return verb in {Verb.REJECT, Verb.EXTEND} or (verb is Verb.START) == (step == START_STEP)


def _cannot_answer(state: RunState, command: Command) -> str | None:
    named = command.arguments.get("step")
    asking = [name for name, step in state.steps.items() if step.asking]
    fitting = [name for name in asking if _answers(command.verb, name) and named in {None, name}]
    if not fitting:
        return f"step: {named!r} does not wait for that" if named else "nothing waits for that"
    if len(asking) > 1 and named is None:
        return f"step: must name one of {', '.join(asking)}"
    given = command.arguments.get("plan_hash")
    if given is not None and given != state.plan_hash:
        return f"plan_hash: {given!r} is not the plan's; that is {state.plan_hash}"
    return None


def _cannot_roll_back(state: RunState, command: Command) -> str | None:
    step = command.arguments.get("step")
    if step is not None and step not in state.steps:
        return f"step: {step!r} is no step of this workflow ({', '.join(state.steps) or 'it has none yet'})"
    if step is not None and state.steps[step].status is not StepStatus.SUCCEEDED:
        return f"step: {step!r} is {state.steps[step].status}; one can go back only to a step that has succeeded"
    if state.final and not _undoable(state):
        return "nothing was changed that can be undone"
    return None


def _undoable(state: RunState) -> bool:
    """Whether an undo is open: never tried, failed, or sent by a drive that did not live to hear its outcome."""
    return any(
        attempt.undo in {UndoStatus.AVAILABLE, UndoStatus.UNDOING, UndoStatus.UNDO_FAILED}
        for step in state.steps.values()
        for attempt in step.attempts
    )
