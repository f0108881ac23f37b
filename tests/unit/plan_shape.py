"""A plan laid out flat, and what its words mean for who may begin, told with none of the code under test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from workflow_service.domain.plan import OnFailure, Phase, Plan, Step, StepKind
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import StepStatus

BROKEN = {StepStatus.FAILED, StepStatus.BLOCKED, StepStatus.UNKNOWN}
DONE = {StepStatus.SUCCEEDED, StepStatus.SKIPPED}
REFUSED = {"approval_rejected", "approval_expired"}  # reasons that a person's word, or none, has given
BEGUN = {StepStatus.RUNNING, StepStatus.WAITING}


@dataclass
class Shape:
    """Every step by its path, as far as the items are known; needs and alternatives are paths too."""

    steps: dict[str, Step] = field(default_factory=dict)
    parent: dict[str, str] = field(default_factory=dict)

    def children(self, name: str) -> list[str]:
        """What lies directly inside."""
        return [inner for inner, outer in self.parent.items() if outer == name]

    def inside(self, name: str) -> set[str]:
        """A step and all that is inside it."""
        return {name}.union(*(self.inside(child) for child in self.children(name)))

    def around(self, name: str) -> Iterator[str]:
        """A step and all that it lies in."""
        yield name
        if name in self.parent:
            yield from self.around(self.parent[name])

    def phase(self, name: str) -> Phase:
        """The phase of the step of the top level that it belongs to."""
        *_, top = self.around(name)
        return self.steps[top].phase

    def group(self, name: str) -> bool:
        """Whether it consists of others."""
        return self.steps[name].for_each is not None or self.steps[name].kind is StepKind.TEMPLATE

    def primaries(self, name: str) -> list[str]:
        """The steps that it stands in for."""
        return [one for one, step in self.steps.items() if step.alternative == name]

    def level(self, name: str) -> list[str]:
        """The steps beside it."""
        return [one for one in self.steps if self.parent.get(one) == self.parent.get(name)]

    def needs(self, name: str) -> list[str]:
        """What it waits for; what verifies waits for all that there is to verify."""
        step = self.steps[name]
        main = [one for one in self.level(name) if self.steps[one].phase is Phase.MAIN]
        return [*step.needs, *(main if step.phase is Phase.VERIFY else [])]


def shape_of(plan: Plan, items: Mapping[str, Sequence[Any]]) -> Shape:
    """The plan with what its forEach steps have found to do."""
    shape = Shape()
    _lay_out(shape, plan.steps, "", None, items)
    return shape


def _lay_out(
    shape: Shape, steps: Sequence[Step], at: str, parent: str | None, items: Mapping[str, Sequence[Any]]
) -> None:
    for step in steps:
        path = f"{at}{step.id}"
        needs = tuple(f"{at}{need}" for need in step.needs)
        other = f"{at}{step.alternative}" if step.alternative else None
        shape.steps[path] = replace(step, id=path, needs=needs, alternative=other)
        if parent is not None:
            shape.parent[path] = parent
        if step.for_each is None:
            _lay_out(shape, step.steps, f"{path}/", path, items)
            continue
        for index in range(len(items.get(path, ()))):
            item = f"{path}[{index}]"
            alone = replace(step, id=item, for_each=None, when=None, needs=(), alternative=None)
            shape.steps[item] = replace(alone, on_failure=OnFailure.STOP, phase=Phase.MAIN)
            shape.parent[item] = path
            _lay_out(shape, step.steps, f"{item}/", item, items)


def doubtful(shape: Shape, state: RunState, name: str) -> bool:
    """Whether nobody knows what the step, or what counts inside it, has done."""
    status = state.steps[name].status
    inside = (child for child in shape.children(name) if stops(shape, state, child))
    return status is StepStatus.UNKNOWN or (
        status is StepStatus.FAILED and any(doubtful(shape, state, child) for child in inside)
    )


def declined(shape: Shape, state: RunState, name: str) -> bool:
    """Whether the alternative left itself out, or somebody did while nobody knew yet that it would be needed."""
    heir, failed_at = state.steps[shape.steps[name].alternative or ""], state.steps[name].ended_at
    if heir.status is not StepStatus.SKIPPED or heir.ended_at is None or failed_at is None:
        return False
    return not heir.waived or heir.ended_at <= failed_at


def answer(shape: Shape, state: RunState, name: str) -> OnFailure:
    """What the plan answers to the step's failure: its class decides where the step has no alternative."""
    step, found = shape.steps[name], state.steps[name].failure_class
    by_class = step.by_class.get(found) if found and not step.alternative else None
    return by_class.on_failure if by_class and by_class.on_failure else step.on_failure


def passed_over(shape: Shape, state: RunState, name: str) -> bool:
    """Whether it is a word that nobody gave and that only those need who name it."""
    step = shape.steps[name]
    optional = step.kind is StepKind.APPROVAL and step.on_failure is OnFailure.SKIP and not shape.primaries(name)
    return optional and state.steps[name].reason in REFUSED


def settled_well(shape: Shape, state: RunState, name: str) -> bool:
    """Whether those who need the step may go on."""
    step, status = shape.steps[name], state.steps[name].status
    if passed_over(shape, state, name):
        return True
    if status in BROKEN and state.steps[name].reason in REFUSED:
        return False
    if status in BROKEN and step.alternative:
        lost = doubtful(shape, state, name) or declined(shape, state, name)
        return not lost and settled_well(shape, state, step.alternative)
    return status in DONE or (status in BROKEN and answer(shape, state, name) is OnFailure.SKIP)


def stops(shape: Shape, state: RunState, name: str) -> bool:
    """Whether the step failed in a way after which nothing new may start beside it."""
    step, status = shape.steps[name], state.steps[name].status
    if passed_over(shape, state, name):
        return False
    if status in BROKEN and state.steps[name].reason in REFUSED:
        return True
    if status not in BROKEN or step.alternative is None or doubtful(shape, state, name):
        return status in BROKEN and answer(shape, state, name) is not OnFailure.SKIP
    return declined(shape, state, name) or stops(shape, state, step.alternative)


def healed(shape: Shape, state: RunState, name: str) -> bool:
    """Whether the step, its alternative, or that one's alternative and so on, did succeed."""
    alternative = shape.steps[name].alternative
    if state.steps[name].status is StepStatus.SUCCEEDED:
        return True
    return alternative is not None and healed(shape, state, alternative)


def halted(shape: Shape, state: RunState, name: str) -> bool:
    """Whether nothing more may begin inside a group: something that counts has failed there."""
    step = shape.steps[name]
    if step.for_each is not None and not step.critical:
        return any(state.steps[child].reason in REFUSED for child in shape.children(name))
    return any(stops(shape, state, child) for child in shape.children(name))


def may_begin(shape: Shape, state: RunState, name: str) -> bool:
    """Every need settled well, an alternative after a failure only, inside what goes on, in its phase."""
    if state.steps[name].proving_from and state.steps[name].status is StepStatus.WAITING:
        return True  # what is done is proved, whatever happens beside it
    around = list(shape.around(name))[1:]
    if any(state.steps[one].status is not StepStatus.RUNNING or halted(shape, state, one) for one in around):
        return False
    if (shape.phase(name) is Phase.FINALLY) != (state.conclusion is not None):
        return False
    if any(passed_over(shape, state, need) for need in shape.steps[name].needs):
        return False
    needs = all(settled_well(shape, state, need) for need in shape.needs(name))
    return needs and all(state.steps[one].status in BROKEN for one in shape.primaries(name))


def has_room(shape: Shape, state: RunState, name: str, busy: Set[str]) -> bool:
    """Whether fewer items are at work than may be at once; `busy` are those that are looked at before they begin."""
    parent = shape.parent.get(name)
    if parent is None or shape.steps[parent].for_each is None or state.steps[name].status in BEGUN:
        return True
    active = sum(state.steps[child].status in BEGUN or child in busy for child in shape.children(parent))
    return active < shape.steps[parent].max_parallel


def goes_on_at(shape: Shape, state: RunState, name: str) -> datetime | None:
    """The time for which a step waits; a check waits for nothing, its time is an end."""
    if shape.steps[name].kind is StepKind.CHECK:
        return None
    return state.steps[name].proving_from or state.steps[name].not_before


def dependants(shape: Shape, name: str) -> set[str]:
    """Every step that builds on this one, at any depth: by need, or by taking the place of one that does."""
    found: set[str] = set()
    for one in shape.around(name):
        for below in _beside(shape, one):
            found |= shape.inside(below)
    return found


def _beside(shape: Shape, name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        above = waiting.pop()
        stood_for = _stood_for(shape, above)
        below = {one for one in shape.level(above) if stood_for & set(shape.needs(one))}
        below |= {one for one in shape.level(above) if shape.steps[above].alternative == one}
        waiting.extend(below - found)
        found |= below
    return found


def _stood_for(shape: Shape, name: str) -> set[str]:
    """The step and every step whose place it may take."""
    return {name}.union(*(_stood_for(shape, above) for above in shape.primaries(name)))
