"""What it means for a run that its alert has resolved: nothing, its end, or its end and its undo."""

from __future__ import annotations

from enum import Enum, auto

from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import OnResolved
from workflow_service.domain.run_state import INHERITED, RunState
from workflow_service.domain.states import Verb

REASON = "alert_resolved"
WHY = "the alert has resolved"
_BY_HAND = frozenset({Verb.CANCEL, Verb.ROLLBACK})  # what a person has said goes first


class Resolution(Enum):
    """How a run ends because of it."""

    END = auto()  # nothing more is begun
    UNDO = auto()  # and what was done is undone


def resolution(graph: Graph, state: RunState) -> Resolution | None:
    """Before the first effect it is the end; after it the plan says what it is. None: the run goes on."""
    if state.resolved_at is None or state.wanted in _BY_HAND:
        return None
    if not _touched(graph, state) or graph.plan.on_resolved is OnResolved.STOP:
        return Resolution.END
    return Resolution.UNDO if graph.plan.on_resolved is OnResolved.ROLLBACK else None


def _touched(graph: Graph, state: RunState) -> bool:
    """Whether this execution may have changed something."""
    for name, step in state.steps.items():
        if step.attempts and graph.steps[name].changes and any(one.number != INHERITED for one in step.attempts):
            return True
    return False
