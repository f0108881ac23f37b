"""What the steps of a run amount to: for those who wait for them, and as the last word."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum, auto

from workflow_service.domain.alert import severity_rank
from workflow_service.domain.answers import answer
from workflow_service.domain.decisions import Finish
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import OnFailure, StepKind
from workflow_service.domain.resolving import REASON, WHY, resolution
from workflow_service.domain.run_state import RecoveryOutcome, RunState, StepState
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, StepStatus, Verb


class Settled(Enum):
    """What a step means to those who wait for it."""

    WELL = auto()
    BADLY = auto()
    NOT_YET = auto()


REFUSED = frozenset({"approval_rejected", "approval_expired"})  # reasons of steps that a person did not allow
OUTCOME_UNKNOWN = "outcome_unknown"  # the reason of a step that failed because of what is inside it
CAUSED_ALERT = "caused_alert"
NO_ACTION = "no_action_needed"  # the reason of a workflow for which nothing was to be done; it is remembered
DONE = frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED})
BROKEN = frozenset({StepStatus.FAILED, StepStatus.BLOCKED, StepStatus.UNKNOWN})


def settled(graph: Graph, state: RunState, name: str) -> Settled:
    """What a step means to those who wait for it, alternatives included."""
    step, at = graph.steps[name], state.steps[name]
    status = at.status
    if status in DONE or passed_over(graph, state, name):
        return Settled.WELL  # what needs a word that nobody gave has been left out by then (`groups.unneeded`)
    if status is StepStatus.CANCELLED:
        return Settled.BADLY
    if status not in BROKEN:
        return Settled.NOT_YET
    if answer(step, at.failure_class) is OnFailure.SKIP:
        return Settled.BADLY if refused(at) else Settled.WELL
    if step.alternative is None or doubtful(at) or refused(at) or _declined(state, name, step.alternative):
        return Settled.BADLY
    return settled(graph, state, step.alternative)


def doubtful(step: StepState) -> bool:
    """Whether nobody knows what it has done: then nothing may be done in its place."""
    return step.status is StepStatus.UNKNOWN or step.reason == OUTCOME_UNKNOWN


def refused(step: StepState) -> bool:
    """Whether a person did not allow it, or what is inside it: that is neither passed over nor done otherwise."""
    return step.reason in REFUSED


def passed_over(graph: Graph, state: RunState, name: str) -> bool:
    """Whether nobody allowed it, and only what needs that very word is left out: the rest of the plan goes on.

    An approval that stands in for a step which has failed heals nothing when it is refused.
    """
    step = graph.steps[name]
    optional = step.kind is StepKind.APPROVAL and step.on_failure is OnFailure.SKIP and name not in graph.primary
    return optional and refused(state.steps[name])


def _declined(state: RunState, name: str, heir: str) -> bool:
    """Whether the alternative was left out: of itself, or by somebody before the failure that it should answer."""
    failed_at, skipped_at = state.steps[name].ended_at, state.steps[heir].ended_at
    if state.steps[heir].status is not StepStatus.SKIPPED:
        return False
    return not state.steps[heir].waived or bool(failed_at and skipped_at and skipped_at <= failed_at)


def broken_for_good(graph: Graph, state: RunState, name: str) -> bool:
    """A failure that nothing heals and that does not let the run go on."""
    return state.steps[name].status in BROKEN and settled(graph, state, name) is Settled.BADLY


def verdict(graph: Graph, state: RunState, broken: list[str], *, expired: bool, undone: RollbackStatus) -> Finish:
    """How a run ends in which nothing is left to do; `broken` are the steps that ended it early."""
    cause = _cause(graph, state, broken)
    left = sorted(name for name in graph.top if state.steps[name].status is StepStatus.CANCELLED)
    finished = _with_refusals(_on_finished(graph, state, undone), graph, state)
    all_done = not broken and not left and finished.status is ExecutionStatus.COMPLETED
    if state.wanted is Verb.ROLLBACK or (state.wanted is Verb.CANCEL and (state.wanted_undo or not all_done)):
        return _as_asked(state, undone)
    real = [name for name in broken if not _cut_short(graph, state, name)]  # a word can be refused during a pause, too
    if not real and (left or undone is not RollbackStatus.NONE) and resolution(graph, state) is not None:
        return _resolved(undone)
    if state.paused_at is not None and (left or broken) and not real:
        return Finish(ExecutionStatus.CANCELLED, "pause_expired", "the pause was not ended in time", undone)
    if expired or (left and not broken):  # clocks of replicas differ: what is left out tells as well that it was late
        why = cause or f"not finished in time: {', '.join(left)}"
        return Finish(ExecutionStatus.TIMED_OUT, "execution_timeout", why, undone)
    return _broken(state, broken, cause, undone) if broken else finished


def _cut_short(graph: Graph, state: RunState, name: str) -> bool:
    """Whether nothing has healed it only because what should have was left out, there or inside of it."""
    heir = graph.steps[name].alternative
    if heir is not None and not (doubtful(state.steps[name]) or refused(state.steps[name])):
        status = state.steps[heir].status
        return status is StepStatus.CANCELLED or (status in BROKEN and _cut_short(graph, state, heir))
    inside = [child for child in graph.children.get(name, ()) if broken_for_good(graph, state, child)]
    return bool(inside) and all(_cut_short(graph, state, child) for child in inside)


def _broken(state: RunState, broken: list[str], cause: str, undone: RollbackStatus) -> Finish:
    """A failure that counts has ended it; what a person refused, or nobody allowed, is no failure."""
    reason = next((state.steps[name].reason for name in broken if refused(state.steps[name])), None)
    if undone is RollbackStatus.DONE:
        return Finish(ExecutionStatus.ROLLED_BACK, reason or "critical_step_failed", cause, undone)
    if undone is RollbackStatus.INCOMPLETE:
        return Finish(ExecutionStatus.FAILED, "rollback_incomplete", cause, undone)
    if reason:
        return Finish(ExecutionStatus.REJECTED, reason, cause, undone)
    return Finish(ExecutionStatus.FAILED, "critical_step_failed", cause, undone)


def _resolved(undone: RollbackStatus) -> Finish:
    """The alert was over before the plan was."""
    if undone is RollbackStatus.INCOMPLETE:
        return Finish(ExecutionStatus.FAILED, "rollback_incomplete", WHY, undone)
    status = ExecutionStatus.ROLLED_BACK if undone is RollbackStatus.DONE else ExecutionStatus.RESOLVED
    return Finish(status, REASON, WHY, undone)


def _as_asked(state: RunState, undone: RollbackStatus) -> Finish:
    """Somebody has ended it. `rolled_back` only when that was asked for and everything reversible is undone."""
    if state.wanted is Verb.CANCEL:
        return Finish(ExecutionStatus.CANCELLED, "cancel_requested", state.wanted_why, undone)
    if undone is RollbackStatus.INCOMPLETE:
        return Finish(ExecutionStatus.FAILED, "rollback_incomplete", state.wanted_why, undone)
    if undone is RollbackStatus.NONE:
        cause = f"{state.wanted_why} (nothing had been changed that can be undone)"
        return Finish(ExecutionStatus.CANCELLED, "rollback_requested", cause, undone)
    if state.back_to is not None:
        cause = f"{state.wanted_why} (back to {state.back_to})"
        return Finish(ExecutionStatus.PARTIALLY_COMPLETED, "rolled_back_to_step", cause, undone)
    return Finish(ExecutionStatus.ROLLED_BACK, "rollback_requested", state.wanted_why, undone)


def _on_finished(graph: Graph, state: RunState, undone: RollbackStatus) -> Finish:
    """Everything that could run has run, and every failure was answered."""
    counted = list(_counted(graph, state))
    failed = [name for name in counted if failed_for_good(graph, state, name)]
    waived = [name for name in counted if _waived_for_good(graph, state, name)]
    cause = _cause(graph, state, failed) or "; ".join(f"{name} was {state.steps[name].message}" for name in waived)
    if any(_critical(graph, name) for name in failed):
        return Finish(ExecutionStatus.FAILED, "critical_step_failed", cause, undone)
    if not any(state.steps[name].status is StepStatus.SUCCEEDED for name in graph.top):
        skipped = "; ".join(f"{name} was skipped: {state.steps[name].message}" for name in graph.top)
        reason = "nothing_succeeded" if failed or waived else NO_ACTION
        return Finish(ExecutionStatus.FAILED, reason, cause or skipped, undone)
    if failed:
        return Finish(ExecutionStatus.PARTIALLY_COMPLETED, "non_critical_step_failed", cause, undone)
    if any(_critical(graph, name) for name in waived):
        return Finish(ExecutionStatus.PARTIALLY_COMPLETED, "critical_step_skipped", cause, undone)
    if (against := spoken_against(state)) is not None:
        return Finish(ExecutionStatus.PARTIALLY_COMPLETED, CAUSED_ALERT, against, undone)
    return Finish(ExecutionStatus.COMPLETED, "all_steps_succeeded", "", undone)


def _with_refusals(finish: Finish, graph: Graph, state: RunState) -> Finish:
    """What was not done since nobody allowed it spoils no end; its cause says so."""
    at = state.steps
    said = [f"{name} was not allowed ({at[name].reason})" for name in graph.order if passed_over(graph, state, name)]
    return replace(finish, cause="; ".join(filter(None, [finish.cause, *said]))) if said else finish


def spoken_against(state: RunState) -> str | None:
    """A critical alert that fires since what it is about was changed here; None: there is none.

    That the one has caused the other is a guess, so it undoes nothing; but nobody shall call it a success.
    """
    changes = [one.started_at for step in state.steps.values() for one in step.attempts if one.changes]
    for one in state.caused:
        if changes and not one.over and severity_rank(one.severity) == 1 and one.since >= min(changes):
            return f"alert {one.name} ({one.severity}) has fired since {one.since.isoformat()}, after the change"
    return None


def _counted(graph: Graph, state: RunState) -> Iterator[str]:
    """Every step that speaks for itself: one that has failed speaks for all that is inside it."""
    for name in graph.order:
        if name not in graph.last and not any(state.steps[one].status in BROKEN for one in graph.around(name)):
            yield name


def _critical(graph: Graph, name: str) -> bool:
    """Whether it counts as much as that, and so does all that it is a part of."""
    return all(graph.steps[one].critical for one in (name, *graph.around(name)))


def _waived_for_good(graph: Graph, state: RunState, name: str) -> bool:
    """Skipped by hand, and no mere stand-in: what that one stands in for tells whether it was needed."""
    return state.steps[name].waived and name not in graph.primary


def failed_for_good(graph: Graph, state: RunState, name: str) -> bool:
    """Failed, and no alternative took its place, nor the alternative's own, and so on."""
    if state.steps[name].status not in BROKEN or passed_over(graph, state, name):
        return False
    heir = graph.steps[name].alternative
    if heir is None or state.steps[heir].status in BROKEN:
        return heir is None or failed_for_good(graph, state, heir)
    return state.steps[heir].status is not StepStatus.SUCCEEDED


def _cause(graph: Graph, state: RunState, broken: list[str]) -> str:
    """The first failure in the specification's words (CoordinationResult.abort_reason).

    A step whose alternative failed too is not to blame: it had handed its task on.
    """
    blamed = [name for name in broken if graph.steps[name].alternative not in broken]
    if not blamed:
        return ""
    name = min(blamed, key=lambda name: at.timestamp() if (at := state.steps[name].ended_at) else math.inf)
    kind = "Critical action" if graph.steps[name].critical else "Action"
    last = state.recoveries[-1] if state.recoveries else None
    given_up = last is not None and last.outcome is RecoveryOutcome.REFUSED and last.step == name
    return f"{kind} {name} failed: {state.steps[name].message}" + (f" ({last.reason})" if last and given_up else "")
