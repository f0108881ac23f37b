"""The rules that steps of every kind must keep: each broken one is named by its field."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.factories import a_check, a_plan, a_step, a_target, a_template, a_wait, an_action, an_approval
from workflow_service.domain.plan import Condition, OnFailure, Phase, Step, StepKind
from workflow_service.domain.step_rules import MAX_CONDITIONS, violations

HOLDS = Condition("true")


def flaws(*steps: Step, **values: Any) -> dict[str, str]:
    """What is wrong with a plan of these steps, by field."""
    return {violation.field: violation.rule for violation in violations(a_plan(*steps, **values))}


def deep(levels: int) -> Step:
    """An action inside so many templates."""
    step = a_step("a")
    for _ in range(levels):
        step = a_template("a", steps=(step,))
    return step


def test_every_kind_of_step_can_be_sound() -> None:
    """What a kind must have, with all that it may have."""
    steps = (
        a_step("act", preconditions=(HOLDS,), postconditions=(HOLDS,), for_each="[1]", when="true", settle=5.0),
        a_wait("wait", "act", when="true"),
        a_check("check", for_each="[1]"),
        an_approval("ask", preconditions=(HOLDS,)),
        a_template("heal", steps=(a_step("act"),), for_each="[1]", preconditions=(HOLDS,), parameters={"x": 1}),
        a_check("verify", phase=Phase.VERIFY),
        a_step("tell", phase=Phase.FINALLY),
    )
    assert flaws(*steps) == {}
    assert flaws(deep(4)) == {}


BAD = {
    "an action without one": (a_step("a", action=None), "steps.0.action.type"),
    "a wait without a time": (a_wait("a", seconds=0), "steps.0.wait"),
    "a wait for ever": (a_wait("a", seconds=1e9), "steps.0.wait"),
    "no wait at all": (replace(a_wait("a"), wait=None), "steps.0.wait"),
    "a check of nothing": (a_check("a", postconditions=()), "steps.0.postconditions"),
    "an empty template": (a_template("a", steps=()), "steps.0.steps"),
    "an action that waits": (a_step("a", wait=5.0), "steps.0.wait"),
    "an action with steps": (a_step("a", steps=(a_step("b"),)), "steps.0.steps"),
    "an action with parameters of its own": (a_step("a", parameters={"x": 1}), "steps.0.parameters"),
    "a wait with an action": (replace(a_wait("a"), action=an_action()), "steps.0.action"),
    "a wait for each": (a_wait("a", for_each="[1]"), "steps.0.for_each"),
    "an approval for each": (an_approval("a", for_each="[1]"), "steps.0.for_each"),
    "an approval with a proof": (an_approval("a", postconditions=(HOLDS,)), "steps.0.postconditions"),
    "a check with a precondition": (a_check("a", preconditions=(HOLDS,)), "steps.0.preconditions"),
    "a refusal that is healed": (
        an_approval("a", on_failure=OnFailure.ALTERNATIVE, alternative="x"),
        "steps.0.on_failure",
    ),
    "an approval at the end": (an_approval("a", phase=Phase.FINALLY), "steps.0.phase"),
    "an approval inside the verification": (
        a_template("a", phase=Phase.VERIFY, steps=(an_approval("b"),)),
        "steps.0.steps.0.phase",
    ),
    "a phase inside": (a_template("a", steps=(a_step("b", phase=Phase.VERIFY),)), "steps.0.steps.0.phase"),
    "no item at once": (a_step("a", for_each="[1]", max_parallel=0), "steps.0.max_parallel"),
    "a settling that is no time": (a_step("a", settle=float("nan")), "steps.0.settle"),
    "a proof for ever": (
        a_step("a", postconditions=(Condition("true", within=1e9),)),
        "steps.0.postconditions.0.within",
    ),
    "a precondition that takes minutes": (
        a_step("a", preconditions=(Condition("true", within=31),)),
        "steps.0.preconditions.0.within",
    ),
    "looks without a pause": (a_step("a", preconditions=(Condition("true", poll=0),)), "steps.0.preconditions.0.poll"),
    "two subjects of one look": (
        a_step("a", preconditions=(Condition("true", target=a_target(), promql="up"),)),
        "steps.0.preconditions.0.promql",
    ),
    "too many conditions": (a_step("a", preconditions=(HOLDS,) * (MAX_CONDITIONS + 1)), "steps.0.preconditions"),
    "nested too deep": (deep(5), "steps"),
    "a path that makes too long a key": (
        a_template("a" * 63, steps=(a_template("b" * 63, steps=(a_step("c" * 63),)),)),
        "steps.0.steps.0.steps.0.id",
    ),
    "an inner id that is used twice": (a_template("a", steps=(a_step("b"), a_step("b"))), "steps.0.steps.1.id"),
    "an inner need of an outer step": (a_template("a", steps=(a_step("b", "x"),)), "steps.0.steps.0.needs"),
}


@pytest.mark.parametrize(("step", "field"), BAD.values(), ids=BAD.keys())
def test_a_broken_rule_is_named_by_its_field(step: Step, field: str) -> None:
    """Exactly that one, however deep it lies."""
    assert list(flaws(step, a_step("x"))) == [field]


def test_phases_do_not_wait_for_each_other_by_name() -> None:
    """Verification waits for all of main by itself, last steps for the end; needs and alternatives stay in a phase."""
    verify = a_check("v", "a", phase=Phase.VERIFY)
    assert list(flaws(a_step("a"), verify)) == ["steps.1.needs"]
    stand_in = a_step("b", phase=Phase.FINALLY)
    assert list(flaws(a_step("a", alternative="b"), stand_in)) == ["steps.0.alternative"]
    assert flaws(a_check("v", phase=Phase.VERIFY)) == {"steps": "must have a step of phase main"}


def test_steps_inside_count() -> None:
    """A hundred steps at most, those inside included."""
    inner = tuple(a_step(f"s{number}") for number in range(99))
    assert flaws(a_template("a", steps=inner)) == {}
    assert flaws(a_template("a", steps=inner), a_step("b")) == {"steps": "must be 1 to 100 steps"}


@pytest.mark.parametrize("kind", list(StepKind))
def test_every_kind_is_known_to_the_rules(kind: StepKind) -> None:
    """A step that has nothing but its kind lacks something, except an approval, which needs nothing."""
    found = flaws(a_step("a", action=None, kind=kind))
    assert bool(found) == (kind is not StepKind.APPROVAL)
