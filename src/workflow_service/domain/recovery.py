"""Whether what is broken for good may still be healed by a recovery, and if not, why nobody is even asked.

A recovery is a new revision of the plan inside the same execution: other steps stand in for the one that is broken.
"""

from __future__ import annotations

from dataclasses import dataclass

from workflow_service.domain import halting
from workflow_service.domain.answers import recovers
from workflow_service.domain.bounds import run_deadline
from workflow_service.domain.decisions import (
    Action,
    AskRecovery,
    BeginRecovery,
    Decision,
    Escalate,
    RefuseRecovery,
    Unpark,
)
from workflow_service.domain.failures import Failure, failure_of
from workflow_service.domain.graph import Graph
from workflow_service.domain.moving import Here
from workflow_service.domain.run_state import RecoveryOutcome, RunState
from workflow_service.domain.states import ExecutionStatus
from workflow_service.domain.verdict import REFUSED, broken_for_good, doubtful

MAX_ATTEMPTS = 3  # of one workflow (upstream's BR-WF-RECOVERY-001)

# Upstream's reasons for which a person is told.
TOO_OFTEN = "max_recovery_attempts_exceeded"
THE_SAME_AGAIN = "repeated_failure_pattern_detected"
TOO_MANY_FAIL = "termination_rate_limit_reached"
ESCALATING = frozenset({TOO_OFTEN, THE_SAME_AGAIN, TOO_MANY_FAIL})


@dataclass(frozen=True, slots=True)
class Hope:
    """What is broken may be healed, unless `reason` says why nobody is to be asked."""

    attempt: int
    failure: Failure
    reason: str = ""
    why: str = ""


def hope(graph: Graph, state: RunState, broken: list[str]) -> Hope | None:
    """Whether all of the top level's `broken` steps may still be healed, beginning with one of them.

    None: one of them cannot, so healing another would be in vain.
    """
    blamed = [name for name in broken if graph.steps[name].alternative not in broken]
    if not blamed or not all(_may_be_healed(graph, state, name) for name in blamed):
        return None
    asked = state.recovering
    name = asked.step if asked is not None and asked.step in blamed else blamed[0]
    inside = [child for child in graph.parent if broken_for_good(graph, state, child)]
    failure = failure_of(graph, state, name, inside)
    tried = [one for one in state.recoveries if one.outcome is RecoveryOutcome.PLANNED]
    attempt = len(tried) + 1
    if asked is not None and asked.step == name:
        return Hope(attempt, failure)
    if attempt > MAX_ATTEMPTS:
        return Hope(attempt, failure, TOO_OFTEN, f"{len(tried)} recoveries were tried; {MAX_ATTEMPTS} is the most")
    same = next((one for one in tried if one.signature == failure.signature), None)
    if same is not None:
        return Hope(attempt, failure, THE_SAME_AGAIN, f"as before recovery {same.attempt}: {failure.signature}")
    return Hope(attempt, failure)


def expected(graph: Graph, state: RunState) -> bool:
    """Whether something is broken for good, and another way is being looked for or is about to be."""
    broken = [name for name in graph.top if broken_for_good(graph, state, name)]
    found = hope(graph, state, broken) if broken else None
    return found is not None and not found.reason


def look_for_another_way(graph: Graph, state: RunState, here: Here, resumes: tuple[Action, ...], by: Hope) -> Decision:
    """Ask, and begin nothing meanwhile: what is in flight finishes, and what was done is proved."""
    if state.parked_at is not None:
        return Decision((Unpark(),))
    if by.reason:
        refusal = RefuseRecovery(by.attempt, by.failure, by.reason, by.why)
        return Decision((*resumes, refusal, Escalate(by.failure.step, by.reason, by.why)))
    if state.status is not ExecutionStatus.RECOVERING:
        return Decision((*resumes, BeginRecovery(by.attempt, by.failure)))
    proofs = halting.proofs(graph, state, here, len(resumes))
    asks = () if here.asking else (AskRecovery(by.attempt, by.failure),)
    return Decision((*resumes, *proofs.actions, *asks), wake_at=proofs.wake_at(run_deadline(graph, state)))


def _may_be_healed(graph: Graph, state: RunState, name: str) -> bool:
    """Whether the plan allows it, nothing stands in for the step yet, and nobody has said no."""
    step, at = graph.steps[name], state.steps[name]
    if step.alternative is not None or doubtful(at) or at.reason in REFUSED:
        return False
    refused = any(one.step == name and one.outcome is RecoveryOutcome.REFUSED for one in state.recoveries)
    return recovers(step, at.failure_class) and not refused
