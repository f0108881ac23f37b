"""What is to be undone, and in which order: dependants first, parallel where the graph allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from workflow_service.domain.graph import Graph
from workflow_service.domain.run_state import Attempt, RunState
from workflow_service.domain.states import RollbackStatus, UndoStatus

_OPEN = frozenset({UndoStatus.AVAILABLE, UndoStatus.UNDOING})


@dataclass(frozen=True, slots=True)
class Undoable:
    """One attempt whose changes can be taken back."""

    step: str
    attempt: Attempt


def within(graph: Graph, state: RunState) -> Iterator[str]:
    """The steps that a rollback covers, last first: all of them, or those that came after the one it goes back to."""
    covered = graph.steps.keys() if state.back_to is None else graph.descendants[state.back_to]
    return (name for name in reversed(graph.order) if name in covered)


def needed(graph: Graph, state: RunState) -> bool:
    """Whether anything in the cluster may differ from before and can be taken back."""
    return any(_open(state, name) for name in within(graph, state))


def left_over(state: RunState) -> bool:
    """Whether anything may still be taken back, however little is known of the plan."""
    return any(attempt.undo in _OPEN for step in state.steps.values() for attempt in step.attempts)


def ready(graph: Graph, state: RunState) -> Iterator[Undoable]:
    """The undos that may go on now: every dependant's is over, and within a step the newest attempt comes first."""
    for name in within(graph, state):
        newest = next((attempt for attempt in reversed(state.steps[name].attempts) if attempt.undo in _OPEN), None)
        if newest is not None and not any(_open(state, below) for below in graph.descendants[name]):
            yield Undoable(step=name, attempt=newest)


def outcome(graph: Graph, state: RunState) -> RollbackStatus:
    """How the rollback went, once nothing is left to try."""
    left = {attempt.undo for name in within(graph, state) for attempt in state.steps[name].attempts}
    if UndoStatus.UNDO_FAILED in left or left & _OPEN:
        return RollbackStatus.INCOMPLETE
    return RollbackStatus.DONE if UndoStatus.UNDONE in left else RollbackStatus.NONE


def tally(graph: Graph | None, state: RunState) -> Mapping[UndoStatus, int]:
    """How many of the steps that a rollback covers ended how; those that had changed nothing are not counted.

    Without a plan that can be read, all steps are covered.
    """
    names = state.steps if graph is None else within(graph, state)
    found = Counter(state.steps[name].undo for name in names)
    return {status: found[status] for status in UndoStatus if status is not UndoStatus.NONE}


def _open(state: RunState, step: str) -> bool:
    return any(attempt.undo in _OPEN for attempt in state.steps[step].attempts)
