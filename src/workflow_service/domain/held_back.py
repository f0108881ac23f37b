"""A plan that waits for somebody to start it: a step of the top level that asks before everything else."""

from __future__ import annotations

from dataclasses import replace

from workflow_service.domain.controls import START_STEP
from workflow_service.domain.errors import InvalidPlan, Violation
from workflow_service.domain.plan import Phase, Plan, Step, StepKind
from workflow_service.domain.queueing import QUEUE_BOUND

_ASK = Step(
    id=START_STEP,
    kind=StepKind.APPROVAL,
    description="waits until somebody starts it",
    deadline=QUEUE_BOUND.total_seconds(),
)


def held_back(plan: Plan) -> Plan:
    """The same plan with a step before all others that waits for `start`, as long as anybody may wait in a queue.

    Raises:
        InvalidPlan: the plan has a step of that name itself.
    """
    if plan.has(START_STEP):
        wrong = Violation("steps", START_STEP, "is kept for the step that waits to be started")
        raise InvalidPlan("the plan cannot be held back", [wrong])
    stand_ins = {step.alternative for step in plan.steps if step.alternative}
    return replace(plan, steps=(_ASK, *(_after(step, stand_ins) for step in plan.steps)))


def _after(step: Step, stand_ins: set[str]) -> Step:
    """What waits for nothing yet waits for the start; all else waits for something that does."""
    waits = step.needs or step.id in stand_ins or step.phase is not Phase.MAIN
    return step if waits else replace(step, needs=(START_STEP,))
