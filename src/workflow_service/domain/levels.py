"""The steps of one level (of the plan, or inside one step): who waits for whom, and in what order that can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from workflow_service.domain.plan import Phase, Step


def waits_for(steps: Sequence[Step]) -> dict[str, frozenset[str]]:
    """What each step really waits for.

    These are its needs, the alternatives that may stand in for them, when it is an alternative itself the step it
    stands in for, and when it verifies all that there is to verify.
    """
    known = {step.id: step for step in steps}
    stood_in: dict[str, set[str]] = {}
    for step in steps:
        if step.alternative is not None:
            stood_in.setdefault(step.alternative, set()).add(step.id)
    main = [step.id for step in steps if step.phase is Phase.MAIN]
    found: dict[str, frozenset[str]] = {}
    for step in steps:
        needs = (*step.needs, *main) if step.phase is Phase.VERIFY else step.needs
        chains = (_with_alternatives(known, need) for need in needs)
        found[step.id] = frozenset(stood_in.get(step.id, set()).union(*chains))
    return found


def _with_alternatives(known: Mapping[str, Step], step_id: str) -> set[str]:
    chain: set[str] = set()
    following: str | None = step_id
    while following is not None and following not in chain:  # a ring of alternatives is a cycle, found later
        chain.add(following)
        following = known[following].alternative
    return chain


def topological(steps: Sequence[Step], waiting: Mapping[str, frozenset[str]]) -> list[str]:
    """Kahn's algorithm, ties by priority, then by place; what is left out sits in a cycle or waits for one."""
    rank = {step.id: (step.priority, index) for index, step in enumerate(steps)}
    missing = {step: len(parents) for step, parents in waiting.items()}
    after: dict[str, list[str]] = {}
    for step, parents in waiting.items():
        for parent in parents:
            after.setdefault(parent, []).append(step)
    order: list[str] = []
    ready = [step for step, number in missing.items() if number == 0]
    while ready:
        ready.sort(key=rank.__getitem__)
        order.extend(ready)
        freed: list[str] = []
        for later in (later for step in ready for later in after.get(step, ())):
            missing[later] -= 1
            if missing[later] == 0:
                freed.append(later)
        ready = freed
    return order


def cycle(stuck: Mapping[str, frozenset[str]]) -> list[str]:
    """Of the steps that can never start, those that wait for each other, without those that only wait for them."""
    awaited = frozenset(stuck) & frozenset[str]().union(*stuck.values())
    if len(awaited) == len(stuck):
        return sorted(stuck)
    return cycle({step: stuck[step] for step in awaited})


def descendants(order: Sequence[str], waiting: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """For each step those of its level that come after it because of it."""
    below: dict[str, set[str]] = {step: set() for step in order}
    for step in reversed(order):
        for parent in waiting[step]:
            below[parent] |= {step} | below[step]
    return {step: frozenset(steps) for step, steps in below.items()}


def every(steps: Sequence[Step], *, depth: int = 1) -> Iterator[tuple[Step, int]]:
    """All steps with those inside them, and how deep each lies (1: at the top)."""
    for step in steps:
        yield step, depth
        yield from every(step.steps, depth=depth + 1)
