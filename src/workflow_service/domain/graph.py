"""The plan as a graph: is it sound, in what order can it run, which way through it is longest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workflow_service.domain.errors import InvalidPlan, Violation
from workflow_service.domain.plan import OnFailure, Plan, RetryPolicy, Step

MAX_STEPS = 100
MAX_PARAMETER_BYTES = 64 * 1024
MAX_SECONDS = 86400  # no time of a plan is longer than a day
MAX_RETRIES = 100
MAX_FACTOR = 10  # with MAX_RETRIES the longest back-off still is a number
_ID = re.compile(r"[a-z0-9]([-a-z0-9_]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Graph:
    """A sound plan with everything `decide` asks of it worked out once.

    `waits_for` is what a step really waits for: its needs, the alternatives that may stand in for them, and, when it is
    an alternative itself, the step it stands in for.
    """

    plan: Plan
    steps: Mapping[str, Step]
    waits_for: Mapping[str, frozenset[str]]
    primary: Mapping[str, str]  # alternative -> the step it stands in for
    order: tuple[str, ...]  # topological; ties by priority, then plan order
    descendants: Mapping[str, frozenset[str]]

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Steps that could run together, wave by wave."""
        level: dict[str, int] = {}
        for step in self.order:
            level[step] = 1 + max((level[parent] for parent in self.waits_for[step]), default=-1)
        return tuple(
            tuple(step for step in self.order if level[step] == depth)
            for depth in range(max(level.values(), default=-1) + 1)
        )

    def critical_path(self) -> tuple[tuple[str, ...], float]:
        """The chain that takes longest by estimate (the attempt's timeout where there is none), and its seconds."""
        best: dict[str, tuple[float, tuple[str, ...]]] = {}
        for name in self.order:
            step = self.steps[name]
            before = max((best[parent] for parent in self.waits_for[name]), default=(0.0, ()))
            cost = step.timeout if step.estimated_duration is None else step.estimated_duration
            best[name] = (before[0] + cost, (*before[1], name))
        length, path = max(best.values(), default=(0.0, ()))
        return path, length


def validate(plan: Plan) -> Graph:
    """The graph of a sound plan.

    Raises:
        InvalidPlan: with every rule that the plan breaks.
    """
    violations = [*_shape(plan), *_references(plan)]
    if violations:
        raise InvalidPlan("the plan is not sound", violations)
    waits_for = {step.id: _waits_for(plan, step) for step in plan.steps}
    order = _topological(plan, waits_for)
    if len(order) < len(plan.steps):
        cycle = _cycle({step: waits_for[step] for step in set(waits_for) - set(order)})
        raise InvalidPlan("the plan is not sound", [Violation("steps", cycle, "wait for each other in a cycle")])
    return Graph(
        plan=plan,
        steps={step.id: step for step in plan.steps},
        waits_for=waits_for,
        primary={step.alternative: step.id for step in plan.steps if step.alternative},
        order=tuple(order),
        descendants=_descendants(order, waits_for),
    )


def _shape(plan: Plan) -> Iterable[Violation]:
    if not 1 <= len(plan.steps) <= MAX_STEPS:
        yield Violation("steps", len(plan.steps), f"must be 1 to {MAX_STEPS} steps")
    if plan.max_parallel < 1:
        yield Violation("max_parallel", plan.max_parallel, "must be at least 1")
    yield from _seconds("timeout", plan.timeout)
    yield from _seconds("undo_timeout", plan.undo_timeout)
    seen: set[str] = set()
    for index, step in enumerate(plan.steps):
        at = f"steps.{index}"
        if not _ID.fullmatch(step.id):
            yield Violation(f"{at}.id", step.id, "must be 1 to 63 of a-z 0-9 - _, alphanumeric at both ends")
        if step.id in seen:
            yield Violation(f"{at}.id", step.id, "is used twice")
        seen.add(step.id)
        yield from _step_shape(step, at)


def _step_shape(step: Step, at: str) -> Iterable[Violation]:
    if not step.action.type:
        yield Violation(f"{at}.action.type", step.action.type, "must name an action")
    yield from _seconds(f"{at}.timeout", step.timeout)
    yield from _seconds(f"{at}.deadline", step.deadline)
    yield from _retry_shape(step.retry, f"{at}.retry")
    if (step.on_failure is OnFailure.ALTERNATIVE) != (step.alternative is not None):
        yield Violation(f"{at}.alternative", step.alternative, "must be given exactly when on_failure is alternative")
    size = len(json.dumps(step.action.parameters, default=str))
    if size > MAX_PARAMETER_BYTES:
        yield Violation(f"{at}.action.parameters", f"{size} bytes", f"must be at most {MAX_PARAMETER_BYTES} bytes")


def _seconds(at: str, value: float) -> Iterable[Violation]:
    if not 0 < value <= MAX_SECONDS:  # written so that not-a-number breaks the rule too
        yield Violation(at, value, f"must be over 0 and at most {MAX_SECONDS} s")


def _retry_shape(retry: RetryPolicy, at: str) -> Iterable[Violation]:
    bounds = {
        "max_retries": (retry.max_retries, 0, MAX_RETRIES),
        "first_delay": (retry.first_delay, 0, MAX_SECONDS),
        "max_delay": (retry.max_delay, 0, MAX_SECONDS),
        "factor": (retry.factor, 1, MAX_FACTOR),
    }
    for name, (value, least, most) in bounds.items():
        if not least <= value <= most:  # written so that not-a-number breaks the rule too
            yield Violation(f"{at}.{name}", value, f"must be {least} to {most}")


def _references(plan: Plan) -> Iterable[Violation]:
    known = {step.id for step in plan.steps}
    stood_in: dict[str, str] = {}
    for index, step in enumerate(plan.steps):
        for need in step.needs:
            if need not in known:
                yield Violation(f"steps.{index}.needs", need, "is no step of this plan")
        if step.alternative is None:
            continue
        if step.alternative not in known or step.alternative == step.id:
            yield Violation(f"steps.{index}.alternative", step.alternative, "must be another step of this plan")
        elif step.alternative in stood_in:
            yield Violation(
                f"steps.{index}.alternative", step.alternative, f"already stands in for {stood_in[step.alternative]}"
            )
        stood_in[step.alternative] = step.id


def _waits_for(plan: Plan, step: Step) -> frozenset[str]:
    stands_in_for = {other.id for other in plan.steps if other.alternative == step.id}
    return frozenset(stands_in_for.union(*(_with_alternatives(plan, need) for need in step.needs)))


def _with_alternatives(plan: Plan, step_id: str) -> set[str]:
    chain: set[str] = set()
    following: str | None = step_id
    while following is not None and following not in chain:  # a ring of alternatives is a cycle, found later
        chain.add(following)
        following = plan.step(following).alternative
    return chain


def _topological(plan: Plan, waits_for: Mapping[str, frozenset[str]]) -> list[str]:
    """Kahn's algorithm; what is left out sits in a cycle or waits for one."""
    rank = {step.id: (step.priority, index) for index, step in enumerate(plan.steps)}
    missing = {step: set(parents) for step, parents in waits_for.items()}
    order: list[str] = []
    while ready := sorted((step for step, parents in missing.items() if not parents), key=rank.__getitem__):
        order.extend(ready)
        for step in ready:
            del missing[step]
        for parents in missing.values():
            parents.difference_update(ready)
    return order


def _cycle(stuck: Mapping[str, frozenset[str]]) -> list[str]:
    """Of the steps that can never start, those that wait for each other, without those that only wait for them."""
    awaited = frozenset(stuck) & frozenset[str]().union(*stuck.values())
    if len(awaited) == len(stuck):
        return sorted(stuck)
    return _cycle({step: stuck[step] for step in awaited})


def _descendants(order: list[str], waits_for: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    below: dict[str, set[str]] = {step: set() for step in order}
    for step in reversed(order):
        for parent in waits_for[step]:
            below[parent] |= {step} | below[step]
    return {step: frozenset(steps) for step, steps in below.items()}
