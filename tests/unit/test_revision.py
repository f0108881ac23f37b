"""Other parameters for what is done again: which steps take them, what is checked, and what the new plan remembers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.factories import a_plan, a_step, an_action
from workflow_service.domain.catalogue import ActionType, Catalogue
from workflow_service.domain.controls import Command
from workflow_service.domain.errors import InvalidPlan
from workflow_service.domain.plan import Plan, Step, StepKind, plan_to_json
from workflow_service.domain.revision import hindrance, revised
from workflow_service.domain.run_state import StepState
from workflow_service.domain.states import StepStatus, Verb
from workflow_service.domain.stored_plan import plan_from_json

pytestmark = [pytest.mark.requirement("BR-WF-005")]

SCHEMA = {
    "type": "object",
    "properties": {"replicas": {"type": "integer", "maximum": 10}, "resource_name": {"type": "string"}},
    "additionalProperties": False,
}
CATALOGUE = Catalogue("digest-2", {"scale_deployment": ActionType("scale_deployment", parameters=SCHEMA)})
NAMED = an_action(parameters={"replicas": 3, "resource_name": "web"})
HEAL = Step(id="heal", kind=StepKind.TEMPLATE, steps=(a_step("scale", action=NAMED),), parameters={"size": 1})
EACH = replace(a_step("recycle", action=NAMED), for_each="[1, 2, 3]")
MANY = replace(HEAL, id="many", for_each="[1, 2]")
WAIT = Step(id="wait", kind=StepKind.WAIT, wait=60.0)
PLAN = a_plan(a_step("scale", action=NAMED), HEAL, EACH, MANY, WAIT)
OPEN, DONE = StepState(), StepState(status=StepStatus.SUCCEEDED)
ALL_OPEN = dict.fromkeys(("scale", "heal", "heal/scale", "recycle", "many", "wait"), OPEN)


def retry(patch: Mapping[str, Mapping[str, Any]]) -> Command:
    """Ana wants it done again with these."""
    return Command("c-1", Verb.RETRY, "ana", "five are too many", {"parameters": patch})


def new_plan(patch: Mapping[str, Mapping[str, Any]], catalogue: Catalogue | None = CATALOGUE) -> Plan:
    """The next revision."""
    return revised(PLAN, retry(patch), catalogue)


@pytest.mark.parametrize(
    ("path", "again", "words"),
    [
        ("scale", {}, None),
        ("heal", {}, None),
        ("heal/scale", {}, None),
        ("many/scale", {}, None),
        ("recycle", {"recycle": OPEN, "recycle[0]": DONE, "recycle[1]": OPEN}, None),
        ("many/scale", {"many": OPEN, "many[0]": DONE, "many[0]/scale": DONE, "many[1]/scale": OPEN}, None),
        (
            "nobody",
            {},
            "'nobody' is no step of this workflow (scale, heal, heal/scale, recycle, many, many/scale, wait)",
        ),
        ("heal/nobody", {}, "'heal/nobody' is no step of this workflow"),
        ("scale/scale", {}, "'scale/scale' is no step of this workflow"),
        ("wait", {}, "'wait' is of kind wait and has none"),
        ("recycle[1]", {}, "'recycle[1]' is one of several items; 'recycle' stands for all that are done again"),
        ("scale", {"scale": DONE}, "'scale' keeps its result"),
        ("heal/scale", {"heal/scale": DONE}, "'heal/scale' keeps its result"),
        ("many/scale", {"many": DONE}, "'many/scale' keeps its result"),
        ("many/scale", {"many[0]/scale": DONE, "many[1]/scale": DONE}, "'many/scale' keeps its result"),
    ],
)
def test_only_what_is_done_again_takes_other_parameters(
    path: str, again: dict[str, StepState], words: str | None
) -> None:
    """A step that keeps its result, has no parameters or is not there is named, with the reason."""
    why = hindrance(PLAN, {**ALL_OPEN, **again}, {path: {"replicas": 4}})
    if words is None:
        assert why is None
    else:
        assert why is not None
        assert why.startswith(f"parameters: {words}")


def test_a_new_revision_differs_in_nothing_else() -> None:
    """Parameters are merged by name, null takes one away; number and hash are new, and it says who, why, from what."""
    new = new_plan({"scale": {"replicas": 4}, "heal/scale": {"replicas": None}, "heal": {"size": 2}})
    assert (new.revision, new.hash == PLAN.hash) == (2, False)
    assert new.step("scale") == replace(
        PLAN.step("scale"), action=an_action(parameters={"replicas": 4, "resource_name": "web"})
    )
    heal = new.step("heal")
    assert heal.parameters == {"size": 2}
    assert heal.steps[0].action == an_action(parameters={"resource_name": "web"})
    assert new.steps[2:] == PLAN.steps[2:]
    assert new.metadata["revised"] == {
        "by": "ana",
        "reason": "five are too many",
        "from": PLAN.hash,
        "parameters": {"scale": {"replicas": 4}, "heal/scale": {"replicas": None}, "heal": {"size": 2}},
        "catalogue_digest": "digest-2",
    }
    assert plan_from_json(plan_to_json(new)) == new
    again = revised(new, retry({"scale": {"replicas": 5}}), CATALOGUE)
    assert (again.revision, again.metadata["revised"]["from"]) == (3, new.hash)


def test_the_same_parameters_are_a_new_revision_all_the_same() -> None:
    """Who gives parameters by hand gets a plan of its own, whatever they are."""
    assert new_plan({"scale": {"replicas": 3}}).hash != PLAN.hash


def test_without_a_catalogue_the_plan_says_that_nobody_has_checked() -> None:
    """An executor that was never reached is no reason to refuse a person's word."""
    note = new_plan({"scale": {"replicas": 4000}}, None).metadata["revised"]
    assert "nobody has checked the parameters" in note["note"]
    assert "catalogue_digest" not in note


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"scale": {"replicas": 11}}, "parameters.scale.replicas"),
        ({"scale": {"replicas": "four"}}, "parameters.scale.replicas"),
        ({"heal/scale": {"colour": "red"}}, "parameters.heal/scale"),
        ({"scale": {"resource_name": "db"}}, "parameters.scale.resource_name"),
        ({"scale": {"resource_name": None}}, "parameters.scale.resource_name"),
        ({"scale": {"replicas": "${{ nonsense( }}"}}, "steps.scale.parameters.replicas"),
    ],
)
def test_parameters_that_break_a_rule_are_refused(patch: dict[str, dict[str, Any]], field: str) -> None:
    """The executor's schema, the target, and the plan's own rules hold for what comes by hand, too."""
    with pytest.raises(InvalidPlan) as refused:
        new_plan(patch)
    assert any(one.field.startswith(field) for one in refused.value.violations), refused.value


def test_what_the_executor_does_not_offer_or_cannot_describe_is_refused() -> None:
    """An action type that is gone, or a schema that breaks its reader, is a refusal that names the step."""
    broken = ActionType("scale_deployment", parameters={"$ref": "https://nowhere.example/schema"})
    for catalogue, rule in (
        (Catalogue("d", {}), "is not offered by the executor"),
        (Catalogue("d", {"scale_deployment": broken}), "has a schema that cannot be used"),
    ):
        with pytest.raises(InvalidPlan, match=rule):
            new_plan({"scale": {"replicas": 4}}, catalogue)
