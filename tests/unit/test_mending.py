"""The revision of a plan that a recovery makes: sound, checked like any plan, and about nothing else than before."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest

from tests.unit.factories import a_plan, a_step, a_target, a_template, an_action
from tests.unit.planning_cases import CATALOGUE
from workflow_service.domain.answers import answer, recovers, retrying
from workflow_service.domain.errors import InvalidPlan
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.mending import Mended, Remedy, mended
from workflow_service.domain.plan import Action, ByClass, OnFailure, Plan, RetryPolicy, Step, StepKind, plan_to_json
from workflow_service.domain.stored_plan import plan_from_json

pytestmark = pytest.mark.requirement("BR-WF-015", "BR-WF-025")
HIGH = FailureClass.HIGH
WEB = a_target()
SCALE = {"namespace": "production", "resource_name": "web", "replicas": 3}


def scaling(name: str = "scale", *needs: str, **values: Any) -> Step:
    """A step that scales the deployment of the plan."""
    return a_step(name, *needs, **{"action": an_action(parameters=SCALE), **values})


PLAN = a_plan(scaling(on_failure=OnFailure.ROLLBACK, by_class={HIGH: ByClass(recover=True)}), scaling("next", "scale"))


def mend(*steps: Step, plan: Plan = PLAN, **values: Any) -> Mended:
    """The plan with these steps instead of `scale`."""
    remedy = Remedy("other", steps, "it may help", "test")
    return mended(plan, "scale", remedy, **{"catalogue": CATALOGUE, "attempt": 1, **values})


def refused(*steps: Step, **values: Any) -> str:
    """Why these steps cannot stand in."""
    with pytest.raises(InvalidPlan) as why:
        mend(*steps, **values)
    return str(why.value)


def act(action_type: str, target: Any = WEB, **parameters: Any) -> Step:
    """A step with that action."""
    return a_step("cure", action=Action(action_type, parameters, target))


def test_the_steps_become_the_alternative_of_the_broken_one() -> None:
    """One template step; its failure is answered as the broken step's was to be; those after it wait for it."""
    found = mend(scaling("first"), scaling("second", "first"))
    plan, group = found.graph.plan, found.graph.plan.step("recovery-1")
    assert (plan.step("scale").on_failure, plan.step("scale").alternative) == (OnFailure.ALTERNATIVE, "recovery-1")
    assert (group.kind, group.on_failure, group.critical) == (StepKind.TEMPLATE, OnFailure.ROLLBACK, True)
    assert recovers(group, HIGH)
    assert found.added == ("recovery-1", "recovery-1/first", "recovery-1/second")
    assert "recovery-1" in found.graph.waits_for["next"]
    assert (plan.revision, plan.hash == PLAN.hash, plan.catalogue_digest) == (2, False, CATALOGUE.digest)
    assert plan.metadata["recoveries"][0]["from"] == PLAN.hash
    assert plan_from_json(orjson.loads(orjson.dumps(plan_to_json(plan)))) == dataclasses.replace(
        plan, metadata=orjson.loads(orjson.dumps(plan.metadata))
    )


def test_what_the_catalogue_says_of_an_action_counts_whatever_was_claimed() -> None:
    """Aliases get their names; what changes things is known to, and so is what can be undone."""
    restart = act("restart_deployment", namespace="production", resource_name="web", resource_type="deployment")
    step = mend(dataclasses.replace(restart, changes=False, reversible=True)).graph.plan.step("recovery-1").steps[0]
    assert step.action is not None
    assert (step.action.type, step.changes, step.reversible) == ("restart_pod", True, False)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (act("make_coffee"), "action.type: 'make_coffee' is not offered"),
        (act("scale_deployment", **{**SCALE, "replicas": "many"}), "parameters.replicas: 'many' breaks"),
        (act("scale_deployment", None, **SCALE), "target: None must be one that the plan already changes"),
        (act("scale_deployment", a_target(name="db"), **SCALE), "must be one that the plan already changes"),
        (act("scale_deployment", a_target(cluster="other"), **SCALE), "must be one that the plan already changes"),
        (act("scale_deployment", **{**SCALE, "resource_name": "db"}), "resource_name: 'db' must be web"),
        (act("scale_deployment", **{**SCALE, "namespace": "kube-system"}), "namespace: 'kube-system' must be"),
        (act("scale_deployment", **{**SCALE, "resource_name": "${{ alert.resource }}"}), "resource_name: "),
        (
            act("restart_pod", namespace="production", resource_name="web", resource_type="pod"),
            "resource_type: 'pod' must be deployment",
        ),
        (act("notify_team", None, message="help"), "must change something"),
        (a_template("cure", steps=(act("scale_deployment", a_target(name="db"), **SCALE),)), "already changes"),
        (a_step("cure", "nobody", action=an_action(parameters=SCALE)), "is no step of this plan"),
        (scaling("cure", timeout=1e9), "must be over 0"),
        (scaling("cure", when="no such thing"), "when"),
    ],
)
def test_what_does_not_hold_as_a_plan_is_refused(step: Step, why: str) -> None:
    """Unknown actions, wrong parameters, other targets by any way, what heals nothing, and what no plan may have."""
    assert why in refused(step)


def test_without_a_catalogue_nothing_is_taken_unchecked() -> None:
    """An action has failed, so an executor was there: that nobody knows its catalogue is no excuse."""
    assert "no catalogue" in refused(scaling("cure"), catalogue=None)


def test_what_only_told_somebody_may_be_told_in_another_way() -> None:
    """Where nothing was to be changed, nothing needs to be."""
    tell = a_step("scale", action=Action("notify_oncall", {"message": "help"}), changes=False)
    assert mend(act("notify_team", None, message="help"), plan=a_plan(tell)).group == "recovery-1"


def test_a_name_that_is_taken_is_not_used_again() -> None:
    """A rule may have called a step so."""
    plan = a_plan(*PLAN.steps, scaling("recovery-1"))
    assert mend(scaling("cure"), plan=plan).group == "recovery-2"


def test_a_plan_in_which_classes_decide_nothing_keeps_its_form() -> None:
    """Its format and with it its hash are those of an older version; one that uses them says so."""
    plain = a_plan(scaling())
    assert (plain.format, "by_class" in str(plan_to_json(plain))) == (1, False)
    assert PLAN.format == 3
    nested = a_plan(a_template("t", steps=(scaling(by_class={HIGH: ByClass(max_retries=1)}),)))
    assert nested.format == 3
    assert plan_from_json(plan_to_json(nested)) == nested


def test_what_a_class_decides() -> None:
    """Only where the step has no alternative, and nothing for classes that are not named."""
    step = scaling(
        on_failure=OnFailure.ROLLBACK,
        retry=RetryPolicy(max_retries=3),
        by_class={HIGH: ByClass(OnFailure.STOP, max_retries=0, recover=True)},
    )
    other = dataclasses.replace(step, on_failure=OnFailure.ALTERNATIVE, alternative="x")
    assert (answer(step, HIGH), answer(step, FailureClass.LOW), answer(step, None)) == (
        OnFailure.STOP,
        OnFailure.ROLLBACK,
        OnFailure.ROLLBACK,
    )
    assert answer(other, HIGH) is OnFailure.ALTERNATIVE
    assert (retrying(step, HIGH).max_retries, retrying(step, None).max_retries) == (0, 3)
    assert (recovers(step, HIGH), recovers(step, FailureClass.LOW)) == (True, False)


@pytest.mark.parametrize(
    "wrong", [ByClass(on_failure=OnFailure.ALTERNATIVE), ByClass(max_retries=-1), ByClass(max_retries=101)]
)
def test_what_a_class_cannot_decide_is_refused(wrong: ByClass) -> None:
    """An alternative needs a step; retries have bounds."""
    plan = a_plan(scaling(by_class={HIGH: ByClass(recover=True)}))
    step = dataclasses.replace(plan.steps[0], by_class={HIGH: wrong})
    assert "by_class.high" in refused(scaling("cure"), plan=dataclasses.replace(plan, steps=(step,)))
