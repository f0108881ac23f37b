"""The next moves of all steps that may go on: as many as there is room for, in the order of their claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflow_service.domain import stepping
from workflow_service.domain.decisions import Action, Look, StartStep
from workflow_service.domain.graph import Graph
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import StepStatus
from workflow_service.domain.verdict import BROKEN, DONE, Settled, settled

NOT_STARTED = frozenset({StepStatus.PENDING, StepStatus.WAITING})


@dataclass(frozen=True, slots=True)
class Here:
    """What a decision rests on, besides plan and state."""

    at: datetime
    live: Set[str]
    hold_until: datetime | None
    alert: Mapping[str, Any]

    @property
    def held(self) -> bool:
        """Whether nothing may be sent for now."""
        return self.hold_until is not None and self.at < self.hold_until


def next_moves(
    graph: Graph, state: RunState, here: Here, resumed: int, names: Iterable[str]
) -> tuple[tuple[Action, ...], list[datetime]]:
    """The next moves of all steps that may go on, as many as there is room for; and when there will be others."""
    steps = state.steps
    free = max(0, graph.plan.max_parallel - len(here.live) - resumed)
    ready = _ready(graph, state, here, names, full=free == 0 and not here.held)
    times = {name: stepping.next_time(graph, name, steps[name]) for name in ready}
    wakes = [at for at in times.values() if at is not None and at > here.at]
    due = [name for name, at in times.items() if at is None or at <= here.at]
    due.sort(key=lambda name: graph.steps[name].priority)  # stable: ties keep topological order
    due.sort(key=lambda name: not stepping.proving(graph, name, steps[name]))  # what has its place keeps it
    room = _Room(graph, state, here.live)
    moves: list[Action] = []
    for name in due:
        if not room.has(name) or (free == 0 and not here.held and stepping.only_starts(graph, name, steps[name])):
            continue
        move = stepping.next_move(graph, state, name, here.at, here.alert)
        if isinstance(move, StartStep | Look):
            if here.held and here.hold_until is not None:
                wakes.append(here.hold_until)
                continue
            if free == 0:
                continue
            free -= 1
        if move is not None:
            room.take(name)
            moves.append(move)
    return tuple(moves), wakes


def _ready(graph: Graph, state: RunState, here: Here, names: Iterable[str], *, full: bool) -> list[str]:
    """Those that may go on. Most are over or wait, which is found out before anything more is asked about them."""
    steps, waits, primary = state.steps, graph.waits_for, graph.primary
    done = {name for name, step in steps.items() if step.status in DONE}
    broken = [name for name, step in steps.items() if step.status in BROKEN]
    well = done.union(name for name in broken if settled(graph, state, name) is Settled.WELL)
    open_ = [n for n in names if steps[n].status in NOT_STARTED and (waits[n] <= well or n in primary)]
    if full:
        open_ = [name for name in open_ if not stepping.only_starts(graph, name, steps[name])]
    return [name for name in open_ if name not in here.live and _may_go_on(graph, state, name, well)]


class _Room:
    """How many items of each forEach step may still begin."""

    def __init__(self, graph: Graph, state: RunState, live: Set[str]) -> None:
        self._graph, self._state = graph, state
        begun = {StepStatus.RUNNING, StepStatus.WAITING}
        busy = (name for name in graph.parent if name in live or state.steps[name].status in begun)
        self._active = Counter(graph.parent[name] for name in busy)

    def has(self, name: str) -> bool:
        """Whether that step may begin, or has begun."""
        parent = self._graph.parent.get(name)
        if parent is None or self._graph.steps[parent].for_each is None:
            return True
        begun = self._state.steps[name].status is not StepStatus.PENDING
        return begun or self._active[parent] < self._graph.steps[parent].max_parallel

    def take(self, name: str) -> None:
        """It begins."""
        if name in self._graph.parent and self._state.steps[name].status is StepStatus.PENDING:
            self._active[self._graph.parent[name]] += 1


def _may_go_on(graph: Graph, state: RunState, name: str, well: Set[str]) -> bool:
    """Whether all that it waits for has settled well; for an alternative, whether what it stands in for is broken."""
    parent, primary = graph.parent.get(name), graph.primary.get(name)
    if parent is not None and state.steps[parent].status is not StepStatus.RUNNING:
        return False
    if primary is None:
        return graph.waits_for[name] <= well
    return state.steps[primary].status in BROKEN and graph.waits_for[name] - {primary} <= well
