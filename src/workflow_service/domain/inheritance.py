"""What a new execution takes over from one that has ended: good results to keep, or changes to undo."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import Phase, StepKind
from workflow_service.domain.run_state import INHERITED, Attempt, Recovery, RecoveryOutcome, RunState, StepState
from workflow_service.domain.states import StepStatus, UndoStatus
from workflow_service.domain.verdict import BROKEN, failed_for_good

_LEFT_BEHIND = frozenset({UndoStatus.AVAILABLE, UndoStatus.UNDOING, UndoStatus.UNDO_FAILED, UndoStatus.IRREVERSIBLE})


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

    A group that was opened goes on with what is not done inside. What was skipped, looked at or approved is so only as
    long as nothing that it rests on is done anew. The last steps are for the end that is still to come.
    """
    kept = {name for name in graph.steps if _good(graph, state, name)}
    while disturbed := {name for name in kept if _disturbed(graph, state, name, kept)}:
        kept -= disturbed
    return {
        name: replace(state.steps[name], attempts=tuple(_kept(state.steps[name])))
        if name in kept
        else _again(graph, state, name)
        for name in graph.steps
    }


def recoveries_tried(state: RunState) -> tuple[Recovery, ...]:
    """They count for the whole workflow; what was refused may be asked for again."""
    return tuple(one for one in state.recoveries if one.outcome is RecoveryOutcome.PLANNED)


def _good(graph: Graph, state: RunState, name: str) -> bool:
    """Whether what came of a step is worth keeping as such."""
    step = state.steps[name]
    if name in graph.last:
        return False
    if any(_healed(graph, state, one) for one in (name, *graph.around(name))):
        return step.final
    if step.status is StepStatus.SKIPPED:
        return not step.waived  # whoever said so said it of one execution
    return step.status is StepStatus.SUCCEEDED and not _undone(step)


def _healed(graph: Graph, state: RunState, name: str) -> bool:
    """Whether its alternative stood in for it, and still does."""
    return state.steps[name].status in BROKEN and not failed_for_good(graph, state, name)


def _disturbed(graph: Graph, state: RunState, name: str, kept: Set[str]) -> bool:
    """Whether a result does not outlive that something else is done anew."""
    step, at = graph.steps[name], state.steps[name]
    parent = graph.parent.get(name)
    opened = graph.group(name) and at.started_at is not None
    if opened and not kept >= set(graph.children[name]):
        return True
    if parent is not None and state.steps[parent].started_at is None and parent not in kept:
        return True  # nothing inside it has ever begun
    if step.kind is StepKind.APPROVAL:
        let_through = {one for one in graph.descendants[name] if parent is None or parent in graph.around(one)}
        return not kept >= let_through
    around = (name, *graph.around(name))
    verifies = any(graph.steps[one].phase is Phase.VERIFY for one in around)
    if at.status is StepStatus.SKIPPED or step.kind is StepKind.CHECK or verifies:
        return any(not kept >= graph.ancestors(one) for one in around)
    return False


def _again(graph: Graph, state: RunState, name: str) -> StepState:
    step = state.steps[name]
    opened = graph.group(name) and step.started_at is not None and name not in graph.last
    # A stand-in waits for the failure of what it stands in for, which is done anew as well.
    if opened and not any(one in graph.primary for one in (name, *graph.around(name))):
        return StepState(status=StepStatus.RUNNING, started_at=step.started_at, given=step.given)
    if step.status is StepStatus.UNKNOWN and not _undone(step):
        *earlier, last = step.attempts
        asked = replace(last, number=INHERITED, undo=UndoStatus.NONE, undo_reason=None)
        return StepState(status=StepStatus.RUNNING, attempts=(*earlier, asked))
    return StepState(attempts=tuple(_kept(step)))


def _undone(step: StepState) -> bool:
    return any(attempt.undo is UndoStatus.UNDONE for attempt in step.attempts)


def _kept(step: StepState) -> list[Attempt]:
    """The attempts that left something in the cluster: a later rollback must know them."""
    return [replace(attempt, number=INHERITED) for attempt in step.attempts if attempt.undo in _LEFT_BEHIND]
