"""A plan that waits for its start: nothing of it can begin before, whatever its shape."""

import pytest
from hypothesis import given

from tests.unit.factories import a_plan, a_step
from tests.unit.strategies import plans
from workflow_service.domain.controls import START_STEP
from workflow_service.domain.errors import InvalidPlan
from workflow_service.domain.graph import validate
from workflow_service.domain.held_back import held_back
from workflow_service.domain.plan import Phase, Plan

pytestmark = [pytest.mark.requirement("BR-WF-005")]


@given(plans())
def test_everything_comes_after_the_start(plan: Plan) -> None:
    """Every step of the plan waits for it, directly or through others, and nothing else about the plan changes."""
    held = validate(held_back(plan))
    assert held.order[0] == START_STEP
    assert held.descendants[START_STEP] == {step.id for step in plan.steps}
    assert [step.id for step in held.plan.steps[1:]] == [step.id for step in plan.steps]
    assert {name: needs - {START_STEP} for name, needs in held.waits_for.items() if name != START_STEP} == dict(
        validate(plan).waits_for
    )
    assert held.plan.hash != plan.hash


def test_verification_and_last_steps_keep_their_place() -> None:
    """They come after all of it by their phase, and need nothing more."""
    plan = a_plan(a_step("a"), a_step("v", phase=Phase.VERIFY), a_step("f", phase=Phase.FINALLY))
    held = held_back(plan)
    assert {step.id: step.needs for step in held.steps} == {"start": (), "a": ("start",), "v": (), "f": ()}
    assert START_STEP in validate(held).waits_for["v"]


def test_a_plan_with_such_a_step_cannot_be_held_back() -> None:
    """The refusal names the step."""
    with pytest.raises(InvalidPlan, match="'start' is kept for the step that waits to be started"):
        held_back(a_plan(a_step("start")))
