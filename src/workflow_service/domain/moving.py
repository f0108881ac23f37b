"""The next moves of all steps that may go on: as many as there is room for, in the order of their claims."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflow_service.domain import stepping
from workflow_service.domain.decisions import Action, BeginStep, FailStep, Look, OpenStep, StartStep
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import StepKind
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import StepStatus
from workflow_service.domain.verdict import BROKEN, DONE, Settled, settled

_PENDING = StepStatus.PENDING
_NOBODY: frozenset[str] = frozenset()
NOT_STARTED = frozenset({StepStatus.PENDING, StepStatus.WAITING})


@dataclass(frozen=True, slots=True)
class Here:
    """What a decision rests on, besides plan and state."""

    at: datetime
    live: Set[str]
    hold_until: datetime | None
    alert: Mapping[str, Any]
    by: Mapping[StepStatus, frozenset[str]]  # the steps by where they stand
    asking: bool = False  # this drive asks for another way right now

    @property
    def held(self) -> datetime | None:
        """Until when nothing may be sent; None: it may."""
        return self.hold_until if self.hold_until is not None and self.at < self.hold_until else None


@dataclass(slots=True)
class Moves:
    """What the steps do next, and the times at which there will be more."""

    actions: list[Action]
    wakes: list[datetime]

    def wake_at(self, *bounds: datetime | None) -> datetime | None:
        """When to ask again at the latest."""
        return min([*self.wakes, *filter(None, bounds)], default=None)


def next_moves(graph: Graph, state: RunState, here: Here, resumed: int, *, last: bool = False) -> Moves:
    """The next moves of those steps that may go on, of the last or of all others: as many as there is room for."""
    found, held, plain = Moves([], []), here.held, graph.plain
    free = max(0, graph.plan.max_parallel - len(here.live) - resumed)
    due = _due(graph, state, here, found.wakes, full=not free, last=last)
    room = _Room(graph, state, here.live)
    for name in due:
        if (held or not free) and name in plain:
            found.wakes += [held] if held else []
            continue
        if not room.has(name):
            continue
        move = stepping.next_move(graph, state, name, here.at, here.alert)
        sends = _needs_place(graph, move)
        if move is None or (sends and (held or not free)):
            found.wakes += [held] if sends and held else []
            continue
        free -= sends
        room.take(name)
        found.actions.append(move)
        if isinstance(move, FailStep) or (isinstance(move, OpenStep) and move.items):
            break  # who comes next is decided in the light of the failure, or of the items
    return found


def _needs_place(graph: Graph, move: Action | None) -> bool:
    """Whether it sends something, or will at once: a check that cannot look should not have begun."""
    checks = isinstance(move, BeginStep) and graph.steps[move.step].kind is StepKind.CHECK
    return checks or isinstance(move, StartStep | Look)


def _due(graph: Graph, state: RunState, here: Here, wakes: list[datetime], *, full: bool, last: bool) -> list[str]:
    """The steps that may go on now, in the order of their claims; those that wait for a time leave it in `wakes`.

    `full`: there is no place, so whoever can only send need not be asked.
    """
    steps, well, now, live = state.steps, _well(graph, state, here), here.at, here.live
    pending = here.by.get(StepStatus.PENDING, _NOBODY)
    left = (pending - graph.plain if full else pending) | here.by.get(StepStatus.WAITING, _NOBODY)
    due: list[tuple[bool, int, int, str]] = []
    for name in left & (graph.ready(well) | graph.primary.keys()):
        at = steps[name]
        if (name in graph.last) is not last or name in live or not _may_go_on(graph, state, name, well):
            continue
        time = stepping.next_time(graph, name, at)
        if time is not None and time > now:
            wakes.append(time)
        else:  # what has its place keeps it; ties keep topological order
            due.append((not stepping.looking(graph, name, at), graph.steps[name].priority, graph.place[name], name))
    return [name for *_, name in sorted(due)]


def _well(graph: Graph, state: RunState, here: Here) -> frozenset[str]:
    """The steps that have settled well."""
    done = _NOBODY.union(*(here.by[status] for status in DONE & here.by.keys()))
    broken = _NOBODY.union(*(here.by[status] for status in BROKEN & here.by.keys()))
    return done.union(name for name in broken if settled(graph, state, name) is Settled.WELL) if broken else done


class _Room:
    """How many items of each forEach step may still begin."""

    def __init__(self, graph: Graph, state: RunState, live: Set[str]) -> None:
        self._graph, self._state = graph, state
        begun = {StepStatus.RUNNING, StepStatus.WAITING}
        self._active = dict.fromkeys(graph.parent.values(), 0)
        for name, parent in graph.parent.items():
            self._active[parent] += name in live or state.steps[name].status in begun

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
