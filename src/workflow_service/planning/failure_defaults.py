"""What the class of a failure will decide for each step of a plan, written into the plan when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.plan import ByClass, OnFailure, Step
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.recovery_rules import ClassRules, Failures, Option
from workflow_service.planning.rules import Rule, RuleAction


def with_defaults(
    steps: Sequence[Step], rule: Rule, failures: Failures, limits: PlanLimits, *, recover: bool = True
) -> tuple[Step, ...]:
    """The steps of a rule's plan with what the class of a failure decides for them.

    `recover` False: they are those of a recovery, whose failure as a whole is answered, not each one's.
    """
    known = {action.id: action for action in rule.actions}
    return tuple(
        replace(step, by_class=found)
        if (action := known.get(step.id))
        and (found := _by_class(step, action, rule, failures, limits=limits, recover=recover))
        else step
        for step in steps
    )


def options(
    rule: Rule | None, failures: Failures, name: str, failure_class: FailureClass, *, cures: bool
) -> list[Option]:
    """The other ways after an action of that name has failed so, in the order in which they are tried.

    `cures`: it was critical and was to change something; others have a way only where one names them.
    """
    said = rule.recovery if rule else None
    if said == ():
        return []  # the rule wants none
    tried = failures.classes[failure_class].recover
    own = [
        option
        for option in said or ()
        if (name in option.after if option.after else cures)
        and (failure_class in option.classes if option.classes else tried)
    ]
    return [*own, *(failures.classes[failure_class].recovery if tried and cures else ())]


def _by_class(
    step: Step, action: RuleAction, rule: Rule, failures: Failures, *, limits: PlanLimits, recover: bool
) -> Mapping[FailureClass, ByClass]:
    cures = step.critical and step.changes
    found = {}
    for name, said in failures.classes.items():
        asks = recover and limits.recovery_enabled and step.critical
        one = ByClass(
            on_failure=_answer(action, said, limits) if cures and recover else None,
            max_retries=said.retries if action.retries is None else None,
            recover=asks and bool(options(rule, failures, step.id, name, cures=cures)),
        )
        if one != ByClass():
            found[name] = one
    return found


def _answer(action: RuleAction, said: ClassRules, limits: PlanLimits) -> OnFailure | None:
    """What the class says, where the action says nothing itself."""
    if action.on_failure is not None or action.alternative is not None:
        return None
    return OnFailure.STOP if said.on_failure is OnFailure.ROLLBACK and not limits.rollback_enabled else said.on_failure
