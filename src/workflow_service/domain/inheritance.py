"""What a new execution takes over from one that has ended: good results to keep, or changes to undo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import StepKind
from workflow_service.domain.run_state import Attempt, RunState, StepState
from workflow_service.domain.states import StepStatus, UndoStatus
from workflow_service.domain.verdict import BROKEN, failed_for_good

_LEFT_BEHIND = frozenset({UndoStatus.AVAILABLE, UndoStatus.UNDOING, UndoStatus.UNDO_FAILED, UndoStatus.IRREVERSIBLE})
INHERITED = -1  # the number of an attempt that an earlier execution made; the next one is 0 again


def for_rollback(state: RunState) -> Mapping[str, StepState]:
    """Every step as it ended; an undo that failed may be tried again, under a key of its own."""
    return {
        name: replace(
            step,
            attempts=tuple(
                replace(attempt, undo=UndoStatus.AVAILABLE, undo_at=None, undo_sent=False)
                if attempt.undo in {UndoStatus.UNDO_FAILED, UndoStatus.UNDOING}
                else attempt
                for attempt in step.attempts
            ),
        )
        for name, step in state.steps.items()
    }


def for_retry(graph: Graph, state: RunState) -> Mapping[str, StepState]:
    """Good results stay, the rest is to be done; a key whose outcome nobody knows is settled first.

    A group that was opened goes on with what is not done inside. An approval holds for what it let through, not for
    what is done anew.
    """
    again: dict[str, StepState] = {}
    for name in reversed(graph.order):
        again[name] = _group(graph, state, again, name) if graph.group(name) else _again(graph, state, name)
    for name in graph.order:
        asked = graph.steps[name].kind is StepKind.APPROVAL
        if asked and not all(again[later].final for later in graph.descendants[name]):
            again[name] = StepState()
    return {name: again[name] for name in graph.steps}


def _group(graph: Graph, state: RunState, again: Mapping[str, StepState], name: str) -> StepState:
    step = state.steps[name]
    if step.started_at is None:
        return StepState()
    if step.status is not StepStatus.FAILED and all(again[child].final for child in graph.children[name]):
        return step
    if step.status is StepStatus.FAILED and not failed_for_good(graph, state, name):
        return step  # its alternative stood in for it, and still does
    return StepState(status=StepStatus.RUNNING, started_at=step.started_at)


def _again(graph: Graph, state: RunState, name: str) -> StepState:
    step = state.steps[name]
    undone = any(attempt.undo is UndoStatus.UNDONE for attempt in step.attempts)
    if step.status is StepStatus.SUCCEEDED and not undone:
        return replace(step, attempts=tuple(_kept(step)))
    if step.status is StepStatus.UNKNOWN and not undone:
        *earlier, last = step.attempts
        asked = replace(last, number=INHERITED, undo=UndoStatus.NONE, undo_reason=None)
        return StepState(status=StepStatus.RUNNING, attempts=(*earlier, asked))
    if step.status in BROKEN and not failed_for_good(graph, state, name):
        return replace(step, attempts=tuple(_kept(step)))  # its alternative stood in for it, and still does
    return StepState(attempts=tuple(_kept(step)))


def _kept(step: StepState) -> list[Attempt]:
    """The attempts that left something in the cluster: a later rollback must know them."""
    return [replace(attempt, number=INHERITED) for attempt in step.attempts if attempt.undo in _LEFT_BEHIND]
