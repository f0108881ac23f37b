"""Suggested changes in a plan: each at its end, behind a person's word of its own, and without weight for the rest."""

from __future__ import annotations

from dataclasses import replace

from workflow_service.domain.plan import OnFailure, Phase, Plan, Step, StepKind

PREFIX = "suggested_"  # of the ids of steps that an advisor has added
WORD_BOUND = 900.0  # seconds for which a suggestion waits: the rest is done by then, and waits for its end


def word_for(step: str) -> str:
    """The step that asks whether a suggested one may be done."""
    return f"approve_{step}"


def is_suggestion(step: Step) -> bool:
    """Whether it is a change that an advisor has added, behind a word of its own."""
    return step.id.startswith(PREFIX) and word_for(step.id) in step.needs


def with_suggestion(plan: Plan, step: Step, why: str) -> Plan:
    """The plan with that change at its end, if a person says so; `why` is shown to whoever decides.

    Nobody's word, a no, or its own failure leave the rest as it is.
    """
    stand_ins = {one.alternative for one in plan.steps if one.alternative}
    first = [
        one.id
        for one in plan.steps
        if one.phase is Phase.MAIN and one.id not in stand_ins and not one.id.startswith((PREFIX, word_for(PREFIX)))
    ]
    word = Step(
        id=word_for(step.id),
        kind=StepKind.APPROVAL,
        description=f"waits for a person's word on a suggestion: {step.description}. {why}"[:1000],
        critical=False,
        on_failure=OnFailure.SKIP,
        deadline=WORD_BOUND,
    )
    change = replace(step, needs=(word.id, *first), critical=False, on_failure=OnFailure.SKIP, alternative=None)
    return replace(plan, steps=(*plan.steps, word, change))


def without_suggestions(plan: Plan) -> Plan:
    """The plan without the changes that were suggested; the same one where there are none."""
    suggested = {name for step in plan.steps if is_suggestion(step) for name in (step.id, word_for(step.id))}
    if not suggested:
        return plan
    return replace(plan, steps=tuple(step for step in plan.steps if step.id not in suggested))
