"""What deciding costs: `decide` and `fold` per event, over whole runs of a plan of 100 steps, five at once.

`python -m bench.decide`. The loop is the drive's own without its I/O: an answer arrives, is folded, and decisions are
taken and folded until none is left; the cost is spread over all events of the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

from bench.report import at_most

from workflow_service.domain import decisions as do
from workflow_service.domain import events as ev
from workflow_service.domain.decide import decide
from workflow_service.domain.decisions import Finish
from workflow_service.domain.fold import fold
from workflow_service.domain.graph import Graph, validate
from workflow_service.domain.plan import Action, Plan, Step
from workflow_service.domain.run_state import RunState

STEPS, AT_ONCE, RUNS = 100, 5, 15
BAR = 0.1  # ms per event
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
RUNS_FOR = timedelta(milliseconds=10)  # of the made-up clock, per answer


def main() -> None:
    """Measure and print."""
    for name, shape in {"one wide diamond": wide_diamond, "a chain of diamonds": chain_of_diamonds}.items():
        cost = median(measure(shape) for _ in range(RUNS))
        print(at_most(cost, BAR, f"decide, {name}: {cost:.3f} ms per event", f"{BAR} ms"))


def measure(shape: Callable[[], tuple[Step, ...]]) -> float:
    """CPU milliseconds per event of one whole run.

    Raises:
        RuntimeError: the run did not complete.
    """
    graph = validate(Plan(steps=shape(), reason="measured", creation_method="fallback", max_parallel=AT_ONCE))
    began = time.process_time()
    state, events = run(graph)
    seconds = time.process_time() - began
    if not state.final or len(events) < 2 * STEPS:
        raise RuntimeError(f"the run stands at {state.status} after {len(events)} events")
    return 1000 * seconds / len(events)


def run(graph: Graph) -> tuple[RunState, list[ev.Event]]:
    """A run in which every action succeeds, the one started first first."""
    now = BEGIN
    events: list[ev.Event] = [ev.PlanningStarted(now), ev.Planned(now, "measured", tuple(graph.steps))]
    state = RunState()
    for event in events:
        state = fold(state, event)
    live: list[str] = []
    while not state.final:
        while fresh := obey(decide(graph, state, now, live=frozenset(live)), now, live):
            for event in fresh:
                state = fold(state, event)
            events += fresh
        if live:
            now += RUNS_FOR
            answer = ev.StepSucceeded(now, live[0], live.pop(0))
            state = fold(state, answer)
            events.append(answer)
    return state, events


def obey(decision: do.Decision, now: datetime, live: list[str]) -> list[ev.Event]:
    """The events that a decision means here."""
    events: list[ev.Event] = []
    for action in decision.actions:
        match action:
            case do.Begin():
                events.append(ev.Started(now))
            case do.StartStep():
                live.append(action.step)
                events.append(ev.StepStarted(now, action.step, action.attempt, action.step, "bench-ledger"))
            case Finish():
                events.append(ev.Ended(now, action.status, action.reason, action.cause, action.rollback))
            case _:
                raise AssertionError(f"{action} in a run without failures")
    return events


def wide_diamond() -> tuple[Step, ...]:
    """One step, all but two beside each other, one step."""
    middle = [step(f"middle-{number}", "first") for number in range(STEPS - 2)]
    return step("first"), *middle, step("last", *(one.id for one in middle))


def chain_of_diamonds() -> tuple[Step, ...]:
    """Five beside each other between two joins, again and again."""
    steps = [step("step-0")]
    while len(steps) < STEPS:
        join, number = steps[-1], len(steps)
        wave = [step(f"step-{number + offset}", join.id) for offset in range(min(AT_ONCE, STEPS - number))]
        steps += wave
        if len(steps) < STEPS:
            steps.append(step(f"step-{len(steps)}", *(one.id for one in wave)))
    return tuple(steps)


def step(step_id: str, *needs: str) -> Step:
    """A step that does nothing in particular."""
    return Step(step_id, Action("notify_only"), needs=needs)


if __name__ == "__main__":
    main()
