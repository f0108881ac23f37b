"""The plan as a graph: is it sound, in what order can it run, which way through it is longest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from workflow_service.domain import levels, scope, step_rules
from workflow_service.domain.errors import InvalidPlan, Violation
from workflow_service.domain.expressions import Scope
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.plan import OnFailure, Phase, Plan, Step, StepKind

Items = Mapping[str, Sequence[Any]]  # what the forEach steps that were opened found to do


@dataclass(frozen=True)
class Graph:
    """A sound plan with everything `decide` asks of it worked out once.

    Steps go by their path: `scale` at the top, `heal/scale` inside the template step `heal`, `recycle[2]` for the third
    item of a forEach step. A step with others inside is a group; it is done when they are.
    """

    plan: Plan
    steps: Mapping[str, Step]
    waits_for: Mapping[str, frozenset[str]]  # within its level, alternatives included
    primary: Mapping[str, str]  # alternative -> the step it stands in for
    place: Mapping[str, int]  # in `order`
    order: tuple[str, ...]  # topological; ties by priority, then plan order; a group stands before what is inside
    top: tuple[str, ...]  # the top level's steps of phases main and verify, in that order
    plain: frozenset[str]  # steps that can do nothing but send their action
    literal: frozenset[str]  # steps whose parameters are values, without an expression in them
    last: frozenset[str]  # every step of phase finally, at any depth
    parent: Mapping[str, str]  # of what is inside a group
    children: Mapping[str, tuple[str, ...]]  # of a group, as far as it is known
    item: Mapping[str, Any]  # of a forEach step's items
    items: Items
    _readiness: Readiness = field(compare=False, repr=False)

    def ready(self, well: frozenset[str]) -> Set[str]:
        """The steps all of whose predecessors are in `well`."""
        return self._readiness.of(well)

    @cached_property
    def descendants(self) -> Mapping[str, frozenset[str]]:
        """What comes after a step because of it, at any depth: what comes after a group comes after all in it, too."""
        later = levels.descendants(self.order, self.waits_for)
        found: dict[str, frozenset[str]] = {}
        for name in self.order:
            above = found[self.parent[name]] if name in self.parent else frozenset[str]()
            found[name] = above.union(*(self.inside(one) for one in later[name]))
        return found

    def inside(self, name: str) -> Iterator[str]:
        """The step and all that is in it."""
        yield name
        for child in self.children.get(name, ()):
            yield from self.inside(child)

    def group(self, name: str) -> bool:
        """Whether the step consists of others."""
        return name in self.children

    def grown(self, items: Items) -> Graph:
        """The graph with what the forEach steps found to do."""
        return self if items == self.items else _graph(self.plan, items)

    def around(self, name: str) -> Iterator[str]:
        """The groups that the step lies in, nearest first."""
        while (above := self.parent.get(name)) is not None:
            yield above
            name = above

    def ancestors(self, name: str) -> set[str]:
        """All that the step waits for within its level, however indirectly."""
        found: set[str] = set()
        open_ = set(self.waits_for[name])
        while open_:
            one = open_.pop()
            found.add(one)
            open_ |= self.waits_for[one] - found
        return found

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Steps of the top level that could run together, wave by wave."""
        wave: dict[str, int] = {}
        found: list[list[str]] = []
        for step in self.top:
            wave[step] = 1 + max((wave[parent] for parent in self.waits_for[step]), default=-1)
            if wave[step] == len(found):
                found.append([])
            found[wave[step]].append(step)
        return tuple(map(tuple, found))

    def critical_path(self) -> tuple[tuple[str, ...], float]:
        """The chain that takes longest by estimate (the attempt's timeout where there is none), and its seconds."""
        best: dict[str, tuple[float, tuple[str, ...]]] = {}
        for name in self.top:
            step = self.steps[name]
            before = max((best[parent] for parent in self.waits_for[name]), default=(0.0, ()))
            cost = step.timeout if step.estimated_duration is None else step.estimated_duration
            best[name] = (before[0] + cost, (*before[1], name))
        length, path = max(best.values(), default=(0.0, ()))
        return path, length


class Readiness:
    """Which steps wait for nobody any more: remembers its last answer, since runs ask again with one step more."""

    def __init__(self, waits_for: Mapping[str, frozenset[str]]) -> None:
        self._waits_for = waits_for
        self._after: dict[str, list[str]] = {}  # each step's direct successors
        for name, needs in waits_for.items():
            for need in needs:
                self._after.setdefault(need, []).append(name)
        self._well: frozenset[str] = frozenset()
        self._left: dict[str, int] = {}
        self._ready: set[str] = set()
        self._begin()

    def of(self, well: frozenset[str]) -> Set[str]:
        """The steps all of whose predecessors are in `well`."""
        if not self._well <= well:
            self._begin()
        for name in well - self._well:
            for later in self._after.get(name, ()):
                self._left[later] -= 1
                if not self._left[later]:
                    self._ready.add(later)
        self._well = well
        return self._ready

    def _begin(self) -> None:
        self._well = frozenset()
        self._left = {name: len(needs) for name, needs in self._waits_for.items()}
        self._ready = {name for name, left in self._left.items() if not left}


def validate(plan: Plan, types: Scope = MappingProxyType({})) -> Graph:
    """The graph of a sound plan; `types` says what is known of its parameters, by names such as `params.size`.

    Raises:
        InvalidPlan: with every rule that the plan breaks.
    """
    if broken := list(step_rules.violations(plan)):
        raise InvalidPlan("the plan is not sound", broken)
    try:
        graph = _graph(plan, {})
    except _CannotRunError:
        raise InvalidPlan("the plan is not sound", [*_cycles(plan.steps, "steps")]) from None
    wrong = list(scope.violations(_with_samples(graph), types))
    if wrong:
        raise InvalidPlan("the plan is not sound", wrong)
    return graph


def _with_samples(graph: Graph) -> Graph:
    """The graph with one item in each forEach step, so that what is inside them can be looked at."""
    unopened = {name: (None,) for name in graph.children if graph.steps[name].for_each and name not in graph.items}
    return _with_samples(graph.grown({**graph.items, **unopened})) if unopened else graph


def _cycles(steps: Sequence[Step], at: str) -> Iterator[Violation]:
    waiting = levels.waits_for(steps)
    order = levels.topological(steps, waiting)
    if len(order) < len(steps):
        ring = levels.cycle({step: waiting[step] for step in set(waiting) - set(order)})
        yield Violation(at, ring, "wait for each other in a cycle")
    for index, step in enumerate(steps):
        if step.steps:
            yield from _cycles(step.steps, f"{at}.{index}.steps")


class _CannotRunError(Exception):
    """Some steps of a level wait for each other."""


class _Growing:
    """A graph under construction, level by level."""

    def __init__(self, given: Items) -> None:
        self._given = given
        self.steps: dict[str, Step] = {}
        self.waits_for: dict[str, frozenset[str]] = {}
        self.inside: dict[str, tuple[str, ...]] = {}  # a step and all that is in it, in order
        self.parent: dict[str, str] = {}
        self.children: dict[str, tuple[str, ...]] = {}
        self.item: dict[str, Any] = {}

    def level(self, steps: Sequence[Step], parent: str | None = None) -> list[str]:
        """Add steps that bear their paths already, with all that is in them; their order."""
        waiting = levels.waits_for(steps)
        order = levels.topological(steps, waiting)
        if len(order) < len(steps):
            raise _CannotRunError
        self.waits_for |= waiting
        for step in steps:
            self.steps[step.id] = step
            if parent is not None:
                self.parent[step.id] = parent
            inner = self._inner(step)
            if inner is not None:
                self.children[step.id] = tuple(child.id for child in inner)
            self.inside[step.id] = (step.id, *self.level(inner, step.id)) if inner else (step.id,)
        return [name for first in order for name in self.inside[first]]

    def _inner(self, step: Step) -> Sequence[Step] | None:
        """The steps inside a group, with their paths; None: it is not one."""
        if step.for_each is not None:
            given = self._given.get(step.id, ())
            paths = [f"{step.id}[{index}]" for index in range(len(given))]
            self.item |= dict(zip(paths, given, strict=True))
            return [_one_of(step, path) for path in paths]
        if step.kind is StepKind.TEMPLATE:
            return [_placed(child, f"{step.id}/") for child in step.steps]
        return None


def _one_of(step: Step, path: str) -> Step:
    """The step for one item: the group itself answers for needs, condition and failure."""
    alone = replace(step, id=path, for_each=None, when=None, needs=(), alternative=None)
    return replace(alone, on_failure=OnFailure.STOP, max_parallel=1, phase=Phase.MAIN)


def _placed(step: Step, at: str) -> Step:
    other = f"{at}{step.alternative}" if step.alternative else None
    return replace(step, id=f"{at}{step.id}", needs=tuple(f"{at}{need}" for need in step.needs), alternative=other)


def _graph(plan: Plan, items: Items) -> Graph:
    growing = _Growing(items)
    order = growing.level(plan.steps)
    last = [step.id for step in plan.steps if step.phase is Phase.FINALLY]
    top = {step.id for step in plan.steps}.difference(last)
    return Graph(
        plan=plan,
        steps=growing.steps,
        waits_for=growing.waits_for,
        primary={step.alternative: name for name, step in growing.steps.items() if step.alternative},
        place={name: place for place, name in enumerate(order)},
        order=tuple(order),
        top=tuple(name for name in order if name in top),
        plain=frozenset(name for name, step in growing.steps.items() if _plain(step)),
        literal=frozenset(name for name, step in growing.steps.items() if not has_expressions(step.given_parameters)),
        last=frozenset(name for first in last for name in growing.inside[first]),
        parent=growing.parent,
        children=growing.children,
        item=growing.item,
        items=items,
        _readiness=Readiness(growing.waits_for),
    )


def _plain(step: Step) -> bool:
    return step.kind is StepKind.ACTION and not (step.for_each or step.when or step.preconditions)
