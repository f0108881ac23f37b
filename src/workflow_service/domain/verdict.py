"""What the steps of a run amount to: for those who wait for them, and as the last word."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import OnFailure
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, StepStatus


@dataclass(frozen=True, slots=True)
class Finish:
    """The last word."""

    status: ExecutionStatus
    reason: str
    cause: str
    rollback: RollbackStatus


class Settled(Enum):
    """What a step means to those who wait for it."""

    WELL = auto()
    BADLY = auto()
    NOT_YET = auto()


DONE = frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED})
BROKEN = frozenset({StepStatus.FAILED, StepStatus.BLOCKED, StepStatus.UNKNOWN})


def settled(graph: Graph, state: RunState, name: str) -> Settled:
    """What a step means to those who wait for it, alternatives included."""
    step, status = graph.steps[name], state.steps[name].status
    if status in DONE:
        return Settled.WELL
    if status is StepStatus.CANCELLED:
        return Settled.BADLY
    if status not in BROKEN:
        return Settled.NOT_YET
    if step.on_failure is OnFailure.SKIP:
        return Settled.WELL
    if step.on_failure is OnFailure.ALTERNATIVE and step.alternative is not None and status is not StepStatus.UNKNOWN:
        return settled(graph, state, step.alternative)
    return Settled.BADLY


def broken_for_good(graph: Graph, state: RunState, name: str) -> bool:
    """A failure that nothing heals and that does not let the run go on."""
    return state.steps[name].status in BROKEN and settled(graph, state, name) is Settled.BADLY


def verdict(graph: Graph, state: RunState, broken: list[str], *, expired: bool, undone: RollbackStatus) -> Finish:
    """How a run ends in which nothing is left to do; `broken` are the steps that ended it early."""
    cause = _cause(graph, state, broken)
    if expired:
        left = sorted(name for name, step in state.steps.items() if step.status is StepStatus.CANCELLED)
        why = cause or f"not finished in time: {', '.join(left)}"
        return Finish(ExecutionStatus.TIMED_OUT, "execution_timeout", why, undone)
    if broken:
        if undone is RollbackStatus.DONE:
            return Finish(ExecutionStatus.ROLLED_BACK, "critical_step_failed", cause, undone)
        reason = "rollback_incomplete" if undone is RollbackStatus.INCOMPLETE else "critical_step_failed"
        return Finish(ExecutionStatus.FAILED, reason, cause, undone)
    return _on_finished(graph, state, undone)


def _on_finished(graph: Graph, state: RunState, undone: RollbackStatus) -> Finish:
    """Everything that could run has run, and every failure was answered."""
    failed = [name for name in graph.order if _failed_for_good(graph, state, name)]
    if not failed:
        return Finish(ExecutionStatus.COMPLETED, "all_steps_succeeded", "", undone)
    cause = _cause(graph, state, failed)
    if any(graph.steps[name].critical for name in failed):
        return Finish(ExecutionStatus.FAILED, "critical_step_failed", cause, undone)
    if any(step.status is StepStatus.SUCCEEDED for step in state.steps.values()):
        return Finish(ExecutionStatus.PARTIALLY_COMPLETED, "non_critical_step_failed", cause, undone)
    return Finish(ExecutionStatus.FAILED, "nothing_succeeded", cause, undone)


def _failed_for_good(graph: Graph, state: RunState, name: str) -> bool:
    """Failed, and no alternative took its place, nor the alternative's own, and so on."""
    if state.steps[name].status not in BROKEN:
        return False
    heir = graph.steps[name].alternative
    if heir is None or state.steps[heir].status in BROKEN:
        return heir is None or _failed_for_good(graph, state, heir)
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
    return f"{kind} {name} failed: {state.steps[name].message}"
