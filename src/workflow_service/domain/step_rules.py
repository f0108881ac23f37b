"""The rules that a plan's steps must keep: which of them each step breaks, with the field that breaks it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from workflow_service.domain.errors import Violation
from workflow_service.domain.levels import every
from workflow_service.domain.plan import Condition, OnFailure, Phase, Plan, RetryPolicy, Step, StepKind

MAX_STEPS = 100
MAX_DEPTH = 5
MAX_ITEMS = 200
MAX_PARAMETER_BYTES = 64 * 1024
MAX_SECONDS = 86400  # no time of a plan is longer than a day
MAX_RETRIES = 100
MAX_FACTOR = 10  # with MAX_RETRIES the longest back-off still is a number
MAX_CONDITIONS = 10
MAX_PATH = 190  # characters: with an execution's id, retry and undo it is a key, and keys have at most 256
LOOK_BEFORE = 30.0  # seconds within which preconditions must hold
_BELONGS_TO = {
    "action": {StepKind.ACTION},
    "wait": {StepKind.WAIT},
    "steps": {StepKind.TEMPLATE},
    "for_each": {StepKind.ACTION, StepKind.CHECK, StepKind.TEMPLATE},
    "parameters": {StepKind.TEMPLATE},
    "rollback": {StepKind.ACTION},
    "postconditions": {StepKind.ACTION, StepKind.CHECK},
    "preconditions": set(StepKind) - {StepKind.WAIT, StepKind.CHECK},
}
_NEEDS = {StepKind.WAIT: "wait", StepKind.TEMPLATE: "steps", StepKind.CHECK: "postconditions"}
_ID = re.compile(r"[a-z0-9]([-a-z0-9_]{0,61}[a-z0-9])?")


def violations(plan: Plan) -> Iterator[Violation]:
    """Every rule that the plan breaks, cycles and expressions aside."""
    number = sum(1 for _ in every(plan.steps))
    if not (plan.steps and number <= MAX_STEPS):
        yield Violation("steps", number, f"must be 1 to {MAX_STEPS} steps")
    deepest = max((depth for _, depth in every(plan.steps)), default=1)
    if deepest > MAX_DEPTH:
        yield Violation("steps", deepest, f"must be nested at most {MAX_DEPTH} deep")
        return
    if not any(step.phase is Phase.MAIN for step in plan.steps) and plan.steps:
        yield Violation("steps", len(plan.steps), "must have a step of phase main")
    if plan.max_parallel < 1:
        yield Violation("max_parallel", plan.max_parallel, "must be at least 1")
    yield from _seconds("timeout", plan.timeout)
    yield from _seconds("undo_timeout", plan.undo_timeout)
    yield from _level(plan.steps, "steps")
    yield from _paths(plan.steps, "steps", "")


def _level(steps: Sequence[Step], at: str, *, within: Phase | None = None) -> Iterator[Violation]:
    """What is wrong with steps of one level; `within` is the phase of the step around them, None at the top."""
    seen: set[str] = set()
    for index, step in enumerate(steps):
        where = f"{at}.{index}"
        if not _ID.fullmatch(step.id):
            yield Violation(f"{where}.id", step.id, "must be 1 to 63 of a-z 0-9 - _, alphanumeric at both ends")
        if step.id in seen:
            yield Violation(f"{where}.id", step.id, "is used twice")
        seen.add(step.id)
        phase = within or step.phase
        if step.kind is StepKind.APPROVAL and phase is not Phase.MAIN:
            yield Violation(f"{where}.phase", phase, "must be main: nobody is asked once all is done")
        if within is not None and step.phase is not Phase.MAIN:
            yield Violation(f"{where}.phase", step.phase, "belongs to steps of the top level")
        yield from _shape(step, where)
        yield from _kind(step, where)
        yield from _level(step.steps, f"{where}.steps", within=phase)
    yield from _references(steps, at)


def _paths(steps: Sequence[Step], at: str, above: str) -> Iterator[Violation]:
    for index, step in enumerate(steps):
        path = f"{above}{step.id}" + ("[199]" if step.for_each is not None else "")
        if len(path) > MAX_PATH:
            yield Violation(f"{at}.{index}.id", path, f"must be a path of at most {MAX_PATH} characters")
        else:
            yield from _paths(step.steps, f"{at}.{index}.steps", f"{path}/")


def _shape(step: Step, at: str) -> Iterable[Violation]:
    yield from _seconds(f"{at}.timeout", step.timeout)
    yield from _seconds(f"{at}.deadline", step.deadline)
    yield from _retry(step.retry, f"{at}.retry")
    if (step.on_failure is OnFailure.ALTERNATIVE) != (step.alternative is not None):
        yield Violation(f"{at}.alternative", step.alternative, "must be given exactly when on_failure is alternative")
    yield from _by_class(step, at)
    size = len(json.dumps(step.given_parameters, default=str))
    if size > MAX_PARAMETER_BYTES:
        yield Violation(f"{at}.action.parameters", f"{size} bytes", f"must be at most {MAX_PARAMETER_BYTES} bytes")
    for name in ("preconditions", "postconditions"):
        conditions: tuple[Condition, ...] = getattr(step, name)
        if len(conditions) > MAX_CONDITIONS:
            yield Violation(f"{at}.{name}", len(conditions), f"must be at most {MAX_CONDITIONS}")
        longest = LOOK_BEFORE if name == "preconditions" else MAX_SECONDS
        for index, condition in enumerate(conditions):
            yield from _condition(condition, f"{at}.{name}.{index}", longest)


def _by_class(step: Step, at: str) -> Iterable[Violation]:
    for name, one in step.by_class.items():
        where = f"{at}.by_class.{name}"
        asks = step.kind is StepKind.APPROVAL
        if one.on_failure is OnFailure.ALTERNATIVE or (asks and one.on_failure is OnFailure.SKIP):
            yield Violation(f"{where}.on_failure", one.on_failure, f"is not for a class of failures of a {step.kind}")
        if one.max_retries is not None and not 0 <= one.max_retries <= MAX_RETRIES:
            yield Violation(f"{where}.max_retries", one.max_retries, f"must be 0 to {MAX_RETRIES}")


def _condition(condition: Condition, at: str, longest: float) -> Iterable[Violation]:
    if not 0 <= condition.within <= longest:
        yield Violation(f"{at}.within", condition.within, f"must be 0 to {longest:g} s")
    yield from _seconds(f"{at}.poll", condition.poll)
    if condition.target is not None and condition.promql is not None:
        yield Violation(f"{at}.promql", condition.promql, "must not be given together with target")


def _kind(step: Step, at: str) -> Iterable[Violation]:
    """What a kind of step must have, and what it cannot have."""
    kind = step.kind
    if kind is StepKind.ACTION and not (step.action and step.action.type):
        yield Violation(f"{at}.action.type", step.action and step.action.type, "must name an action")
    for name, kinds in _BELONGS_TO.items():
        if kind not in kinds and _given(step, name):
            yield Violation(f"{at}.{name}", getattr(step, name), f"does not belong to a step of kind {kind}")
    needed = _NEEDS.get(kind)
    if needed and not _given(step, needed):
        yield Violation(f"{at}.{needed}", getattr(step, needed), f"must be given for a step of kind {kind}")
    yield from _of_kind(step, at)


def _given(step: Step, name: str) -> bool:
    value = getattr(step, name)
    return value is not None and value not in ((), {})


def _of_kind(step: Step, at: str) -> Iterable[Violation]:
    if step.wait is not None:
        yield from _seconds(f"{at}.wait", step.wait)
    if not 0 <= step.settle <= MAX_SECONDS:
        yield Violation(f"{at}.settle", step.settle, f"must be 0 to {MAX_SECONDS} s")
    if step.max_parallel < 1:
        yield Violation(f"{at}.max_parallel", step.max_parallel, "must be at least 1")
    if step.kind is StepKind.APPROVAL and step.on_failure is OnFailure.ALTERNATIVE:
        rule = "must be skip, stop or rollback: what is refused is not done otherwise"
        yield Violation(f"{at}.on_failure", step.on_failure, rule)


def _seconds(at: str, value: float) -> Iterable[Violation]:
    if not 0 < value <= MAX_SECONDS:  # written so that not-a-number breaks the rule too
        yield Violation(at, value, f"must be over 0 and at most {MAX_SECONDS} s")


def _retry(retry: RetryPolicy, at: str) -> Iterable[Violation]:
    bounds = {
        "max_retries": (retry.max_retries, 0, MAX_RETRIES),
        "first_delay": (retry.first_delay, 0, MAX_SECONDS),
        "max_delay": (retry.max_delay, 0, MAX_SECONDS),
        "factor": (retry.factor, 1, MAX_FACTOR),
    }
    for name, (value, least, most) in bounds.items():
        if not least <= value <= most:  # written so that not-a-number breaks the rule too
            yield Violation(f"{at}.{name}", value, f"must be {least} to {most}")


def _references(steps: Sequence[Step], at: str) -> Iterable[Violation]:
    known = {step.id: step for step in steps}
    stood_in: dict[str, str] = {}
    for index, step in enumerate(steps):
        for need in step.needs:
            if need not in known:
                yield Violation(f"{at}.{index}.needs", need, "is no step of this plan")
            elif known[need].phase is not step.phase:
                yield Violation(f"{at}.{index}.needs", need, f"must be of phase {step.phase}")
        if step.alternative is not None:
            yield from _alternative(step, step.alternative, known, stood_in, f"{at}.{index}.alternative")
            stood_in[step.alternative] = step.id


def _alternative(
    step: Step, other: str, known: Mapping[str, Step], stood_in: Mapping[str, str], at: str
) -> Iterable[Violation]:
    if other not in known or other == step.id:
        yield Violation(at, other, "must be another step of this plan")
    elif known[other].phase is not step.phase:
        yield Violation(at, other, f"must be of phase {step.phase}")
    elif other in stood_in:
        yield Violation(at, other, f"already stands in for {stood_in[other]}")
