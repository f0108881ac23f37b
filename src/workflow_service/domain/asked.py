"""What an explanation says of the steps that ask a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_service.domain.graph import Graph
from workflow_service.domain.guardrails_about import Finding
from workflow_service.domain.plan import StepKind
from workflow_service.domain.policy import Word
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import StepStatus

APPROVAL = "approval"  # the name of the rule
_NOBODYS = "nobody's word is no (approval_expired), and it is not for who asked for this workflow (four eyes)"


def words(graph: Graph, state: RunState) -> Iterator[Finding]:
    """A finding for each question of the plan, in its order."""
    for name in graph.order:
        if graph.steps[name].kind is StepKind.APPROVAL:
            yield word(graph, state, name)


def word(graph: Graph, state: RunState, name: str) -> Finding:
    """Where one question stands: not asked yet, asked until when and about which plan, allowed, or not and why."""
    at, field, plan = state.steps.get(name), f"steps.{name}", f"plan {graph.plan.hash}"
    if at is None or at.status is StepStatus.PENDING:
        return Finding(APPROVAL, Word.NEEDS_APPROVAL, f"a person will be asked about {plan}; {_NOBODYS}", field)
    if not at.final:
        when = f" until {at.not_before.isoformat()}" if at.not_before is not None else ""
        return Finding(APPROVAL, Word.NEEDS_APPROVAL, f"a person is asked about {plan}{when}; {_NOBODYS}", field)
    said = ": ".join(part for part in (at.reason, at.message) if part)
    if at.status in {StepStatus.SUCCEEDED, StepStatus.SKIPPED}:
        return Finding(APPROVAL, Word.ALLOWED, said or "a person has said yes", field, at.status.value)
    return Finding(APPROVAL, Word.DENIED, said or "nobody has said yes in time", field, at.status.value)
