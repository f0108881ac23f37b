"""A rule's steps as steps of a plan before anything is filled in, and what is wrong with them as such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from workflow_service.domain import graph, step_rules
from workflow_service.domain.errors import InvalidPlan, Violation
from workflow_service.domain.expressions import Scope
from workflow_service.domain.plan import Action, Condition, OnFailure, Phase, Plan, RetryPolicy, Step, StepKind
from workflow_service.domain.target import Target
from workflow_service.planning.rules import Rule, RuleAction, RuleCondition
from workflow_service.planning.step_format import Flaw, Place

_UNTYPED: Scope = {}
_SOMETHING = Target(cluster="-", kind="Deployment", name="something", namespace="somewhere")
_WAITS = frozenset({StepKind.CHECK, StepKind.APPROVAL})  # their `timeout` is all the time that they have
_ASKING = 3600.0  # seconds for which an approval waits, where the rule does not say
# How the file calls the fields of a step.
_CALLED = {"for_each": "forEach", "max_parallel": "maxParallel", "target": "on", "deadline": "timeout"}


def shaped(action: RuleAction, phase: Phase) -> Step:
    """The step that an action of a rule is, about an object that stands for any; what is inside a template too."""
    acts = action.kind is StepKind.ACTION
    about = _SOMETHING if action.on else None
    default = OnFailure.ALTERNATIVE if action.alternative else OnFailure.STOP
    step = Step(
        id=action.id,
        action=Action(action.type, action.parameters, about) if acts else None,
        needs=action.needs,
        critical=action.critical,
        on_failure=action.on_failure or default,
        alternative=action.alternative,
        retry=retrying(action, RetryPolicy().max_retries),
        kind=action.kind,
        phase=phase,
        when=action.when,
        preconditions=tuple(_condition(one, action) for one in action.preconditions),
        postconditions=tuple(_condition(one, action) for one in action.postconditions),
        settle=action.settle,
        wait=action.wait,
        for_each=action.for_each,
        max_parallel=action.max_parallel,
        steps=tuple(inner for one in action.steps for inner in with_approval(one, shaped(one, Phase.MAIN))),
        parameters={} if acts else action.parameters,
        rollback=Action(action.rollback.type, action.rollback.parameters, about) if action.rollback else None,
    )
    if action.kind in _WAITS:
        return replace(
            step, deadline=action.timeout or (_ASKING if action.kind is StepKind.APPROVAL else step.deadline)
        )
    return replace(step, timeout=action.timeout or step.timeout)


def retrying(action: RuleAction, attempts: int) -> RetryPolicy:
    """How a passing failure of the step is tried again; `attempts`: how often, where it does not say."""
    how = action.retry or RetryPolicy()
    return replace(how, max_retries=attempts if action.retries is None else action.retries)


def with_approval(action: RuleAction, step: Step) -> tuple[Step, ...]:
    """The step, after the one that asks for a person's word, where the rule wants that."""
    if action.approval is None:
        return (step,)
    conditions = [f"({one})" for one in (action.when, action.approval.when) if one]
    ask = Step(
        id=f"approve_{action.id}",
        kind=StepKind.APPROVAL,
        phase=step.phase,
        needs=step.needs,
        when=" && ".join(conditions) or None,
        deadline=action.approval.timeout,
        on_failure=step.on_failure if action.on_failure is OnFailure.ROLLBACK else OnFailure.STOP,
        description=f"waits for a person's word: {step.description}",
    )
    return ask, replace(step, needs=(*step.needs, ask.id))


def about(condition: RuleCondition, action: RuleAction) -> str | None:
    """Which object a condition looks at, target or owner; None: its step's own, if any."""
    return condition.on or (action.on if action.kind is StepKind.CHECK else None)


def unsound(rule: Rule, at: Place, types: Scope = _UNTYPED) -> Iterator[Flaw]:
    """What is wrong with the steps of a rule as steps of a plan: their bounds, and every expression in its scope.

    `types`: the parameters that the plan will have, by names such as `params.size`.
    """
    steps: list[Step] = []
    places: list[_Spot] = []
    for key, phase, actions in rule.phases:
        more, where = _laid_out(actions, (*at, key), phase)
        steps += more
        places += where
    given = dict.fromkeys(name.removeprefix("params.") for name in types)
    plan = Plan(steps=tuple(steps), reason=rule.reason, creation_method="fallback", parameters=given)
    broken = list(step_rules.violations(plan))
    for violation in broken:
        yield _by_index(violation, places, at)
    try:
        if not broken:
            graph.validate(plan, types)
    except InvalidPlan as error:
        for violation in error.violations:
            yield _by_path(violation, places, at)


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where in the file a step stands, and the steps inside it."""

    id: str
    at: Place
    inside: Sequence[_Spot]


def _laid_out(actions: Sequence[RuleAction], at: Place, phase: Phase) -> tuple[list[Step], list[_Spot]]:
    """The steps of a level and their places, side by side."""
    steps: list[Step] = []
    places: list[_Spot] = []
    for index, action in enumerate(actions):
        here = (*at, index)
        _, inside = _laid_out(action.steps, (*here, "steps"), Phase.MAIN)
        *asked, step = with_approval(action, shaped(action, phase))
        steps += [*asked, step]
        places += [_Spot(one.id, (*here, "approval"), ()) for one in asked]
        places.append(_Spot(step.id, here, inside))
    return steps, places


def _by_index(violation: Violation, places: Sequence[_Spot], at: Place) -> Flaw:
    """A violation whose field counts the steps: `steps.2.steps.0.wait`."""
    parts = violation.field.split(".")
    while len(parts) > 1 and parts[0] == "steps" and parts[1].isdigit():
        place = places[int(parts[1])]
        at, places, parts = place.at, place.inside, parts[2:]
    return (*at, *_called(parts)), violation.value, violation.rule


def _by_path(violation: Violation, places: Sequence[_Spot], at: Place) -> Flaw:
    """A violation whose field names the step: `steps.heal/scale.when`."""
    first, *parts = violation.field.split(".")
    if first == "steps" and parts:
        path, *parts = parts
        for word in path.split("/"):
            place = next(one for one in places if one.id == word)
            at, places = place.at, place.inside
    return (*at, *_called(parts)), violation.value, violation.rule


def _called(parts: Sequence[str]) -> Iterator[str | int]:
    """A field's name as the file has it."""
    names = [part for part in parts if part != "action"]  # its type and parameters stand beside the rest
    return (int(one) if one.isdigit() else _CALLED.get(one, one) for one in names)


def _condition(one: RuleCondition, action: RuleAction) -> Condition:
    return Condition(
        expression=one.expression,
        message=one.message,
        critical=one.critical,
        within=one.within,
        poll=one.poll,
        target=_SOMETHING if about(one, action) and one.promql is None else None,
        promql=one.promql,
    )
