"""Steps that consist of others: when they are over, and what becomes of what is inside when they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set

from workflow_service.domain.decisions import Action, CancelStep, FailStep, PassStep, SkipStep, StopLook
from workflow_service.domain.graph import Graph
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import FINAL_STEP, StepStatus
from workflow_service.domain.verdict import broken_for_good

_NOT_STARTED = frozenset({StepStatus.PENDING, StepStatus.WAITING})


def tidy(graph: Graph, state: RunState, live: Set[str]) -> Iterator[Action]:
    """What follows for groups and their insides from what has happened."""
    halted = {name for name in graph.children if _halted(graph, state, name)}
    for name in graph.parent:
        over = next((one for one in graph.around(name) if one in halted or state.steps[one].final), None)
        if over is not None and state.steps[name].status in _NOT_STARTED:
            yield from _leave_out(state, name, over, live)
    for name in graph.children:
        if state.steps[name].status is StepStatus.RUNNING:
            yield from _closing(graph, state, name, live)


def _leave_out(state: RunState, name: str, over: str, live: Set[str]) -> Iterator[Action]:
    """A step inside `over` will not begin any more; what is being proved already is waited for."""
    if name in live:
        if state.steps[name].status is StepStatus.PENDING:
            yield StopLook(name)
    elif state.steps[over].status is StepStatus.SKIPPED:
        yield SkipStep(name, f"{over} was skipped")
    else:
        yield CancelStep(name, f"{over} goes no further")


def _halted(graph: Graph, state: RunState, name: str) -> bool:
    """Whether nothing more is to be begun inside: one failure that counts is enough to stop a group that is critical.

    A forEach step that is not critical goes on with its other items: none of them depends on another.
    """
    if state.steps[name].status is not StepStatus.RUNNING:
        return False
    step = graph.steps[name]
    if step.for_each is not None and not step.critical:
        return False
    return any(broken_for_good(graph, state, child) for child in graph.children[name])


def _closing(graph: Graph, state: RunState, name: str, live: Set[str]) -> Iterator[Action]:
    """The end of a group in which nothing is left to do."""
    inside = [state.steps[child] for child in graph.children[name]]
    if not all(step.status in FINAL_STEP for step in inside) or any(child in live for child in graph.children[name]):
        return
    broken = [child for child in graph.children[name] if broken_for_good(graph, state, child)]
    counts = Counter(step.status for step in inside)
    if graph.steps[name].for_each is not None and inside:
        yield _of_items(graph, state, name, broken)
    elif broken:
        first = broken[0]
        yield FailStep(name, "step_failed", f"{first}: {state.steps[first].message}")
    elif counts[StepStatus.CANCELLED]:
        yield CancelStep(name, "what is inside was not finished")
    else:
        yield PassStep(name)


def _of_items(graph: Graph, state: RunState, name: str, broken: list[str]) -> Action:
    total = len(graph.children[name])
    if broken and (graph.steps[name].critical or len(broken) == total):
        first = broken[0]
        message = f"{len(broken)} of {total} items failed; {first}: {state.steps[first].message}"
        return FailStep(name, "items_failed", message)
    cancelled = sum(state.steps[child].status is StepStatus.CANCELLED for child in graph.children[name])
    if cancelled:
        return CancelStep(name, f"{cancelled} of {total} items were not done")
    return PassStep(name, f"{total - len(broken)} of {total} items done")


def unneeded(graph: Graph, state: RunState) -> Iterator[Action]:
    """Alternatives that are not needed, because what they stand in for went well or was never to run."""
    for name, primary in graph.primary.items():
        done = state.steps[primary].status in {StepStatus.SUCCEEDED, StepStatus.SKIPPED}
        if done and state.steps[name].status is StepStatus.PENDING:
            yield SkipStep(name, f"{primary} did not fail")
