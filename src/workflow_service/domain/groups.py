"""Steps that consist of others: when they are over, and what becomes of what is inside when they are."""

from __future__ import annotations

from collections.abc import Iterator, Set

from workflow_service.domain import stepping
from workflow_service.domain.decisions import Action, CancelStep, FailStep, PassStep, SkipStep, StopLook
from workflow_service.domain.failure_class import worst
from workflow_service.domain.graph import Graph
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import FINAL_STEP, StepStatus
from workflow_service.domain.verdict import OUTCOME_UNKNOWN, broken_for_good, doubtful, passed_over, refused

_NOT_STARTED = frozenset({StepStatus.PENDING, StepStatus.WAITING})


def tidy(graph: Graph, state: RunState, live: Set[str]) -> Iterator[Action]:
    """What follows for groups and their insides from what has happened."""
    stopped = {name for name in graph.children if halted(graph, state, name)}
    for name in graph.parent:
        if state.steps[name].status in _NOT_STARTED and not stepping.proving(state.steps[name]):
            over = (one for one in graph.around(name) if one in stopped or state.steps[one].final)
            yield from _leave_out(state, name, next(over, None), live)
    for name in graph.children:
        if state.steps[name].status is StepStatus.RUNNING:
            yield from _closing(graph, state, name, live)


def _leave_out(state: RunState, name: str, over: str | None, live: Set[str]) -> Iterator[Action]:
    """A step inside `over` will not begin any more, nor go on."""
    if over is None:
        return
    if name in live:
        yield StopLook(name)
    elif state.steps[over].status is StepStatus.SKIPPED:
        yield SkipStep(name, f"{over} was skipped")
    else:
        yield CancelStep(name, f"{over} goes no further")


def halted(graph: Graph, state: RunState, name: str) -> bool:
    """Whether nothing more is to be begun inside: one failure that counts is enough to stop a group that is critical.

    A forEach step that is not critical goes on with its other items: none of them depends on another. Only what a
    person did not allow ends it, too.
    """
    if state.steps[name].status is not StepStatus.RUNNING:
        return False
    step = graph.steps[name]
    if step.for_each is not None and not step.critical:
        return any(refused(state.steps[child]) for child in graph.children[name])
    return any(broken_for_good(graph, state, child) for child in graph.children[name])


def _closing(graph: Graph, state: RunState, name: str, live: Set[str]) -> Iterator[Action]:
    """The end of a group in which nothing is left to do."""
    inside = graph.children[name]
    if any(state.steps[child].status not in FINAL_STEP or child in live for child in inside):
        return
    step, total = graph.steps[name], len(inside)
    broken = [child for child in inside if broken_for_good(graph, state, child)]
    left = sum(state.steps[child].status is StepStatus.CANCELLED for child in inside)
    done = sum(state.steps[child].status is StepStatus.SUCCEEDED for child in inside)
    if broken and (step.for_each is None or step.critical or len(broken) == total or halted(graph, state, name)):
        first = f"{broken[0]}: {state.steps[broken[0]].message}"
        message = first if step.for_each is None else f"{len(broken)} of {total} items failed; {first}"
        within = worst(state.steps[child].failure_class for child in broken)
        yield FailStep(name, _reason(graph, state, name, broken), message, within)
    elif left:
        yield CancelStep(name, f"{left} of {total} inside were not done")
    else:
        yield PassStep(name, "" if step.for_each is None else f"{done} of {total} items done")


def _reason(graph: Graph, state: RunState, name: str, broken: list[str]) -> str:
    """Why a group failed: a doubt and a refusal inside are its own."""
    if any(doubtful(state.steps[child]) for child in broken):
        return OUTCOME_UNKNOWN
    no = next((state.steps[child].reason for child in broken if refused(state.steps[child])), None)
    return no or ("step_failed" if graph.steps[name].for_each is None else "items_failed")


def unneeded(graph: Graph, state: RunState) -> Iterator[Action]:
    """What will not be done: stand-ins for what went well or was never to run, and what nobody has allowed."""
    for name in state.by_status.get(StepStatus.FAILED, ()):
        if passed_over(graph, state, name):
            yield from _not_allowed(graph, state, name)
    for name, primary in graph.primary.items():
        done = state.steps[primary].status in {StepStatus.SUCCEEDED, StepStatus.SKIPPED}
        if done and state.steps[name].status is StepStatus.PENDING:
            yield SkipStep(name, f"{primary} did not fail")


def _not_allowed(graph: Graph, state: RunState, word: str) -> Iterator[Action]:
    """Only what waits for that very word is left out; what comes after it goes on as after any step that is skipped."""
    for name in graph.order:
        if word in graph.steps[name].needs and state.steps[name].status is StepStatus.PENDING:
            yield SkipStep(name, f"{word}: {state.steps[word].message}")
