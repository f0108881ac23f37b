"""A plan has one hash, and its stored form reads back as the same plan."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from tests.unit.factories import a_plan, a_step, an_action
from tests.unit.strategies import plans
from workflow_service.domain.plan import Plan, plan_to_json
from workflow_service.domain.stored_plan import plan_from_json


@given(plans())
def test_a_plan_survives_the_database(plan: Plan) -> None:
    """Stored as JSON and read back, a plan is equal to itself and keeps its hash."""
    read = plan_from_json(orjson.loads(orjson.dumps(plan_to_json(plan))))
    assert read == plan
    assert read.hash == plan.hash
    assert repr(read) == repr(plan)


@pytest.mark.parametrize(
    "values",
    [
        {"steps": (a_step("other"),)},
        {"steps": (a_step("scale", action=an_action(parameters={"replicas": 4})),)},
        {"steps": (a_step("scale", action=an_action(target=None)),)},
        {"steps": (a_step("scale", critical=False),)},
        {"revision": 2},
        {"catalogue_digest": "sha256:1"},
        {"max_parallel": 1},
        {"timeout": 60.0},
    ],
)
def test_any_change_of_what_will_happen_has_a_new_hash(values: dict[str, Any]) -> None:
    """Approvals bind the hash, so nothing that matters may change without it."""
    assert replace(a_plan(a_step("scale")), **values).hash != a_plan(a_step("scale")).hash


def test_metadata_is_not_part_of_the_hash() -> None:
    """What is only told about a plan does not make it another plan."""
    assert a_plan(metadata={"alert_severity": "critical"}).hash == a_plan().hash


def test_a_plan_of_an_unknown_format_is_refused() -> None:
    """A plan that a newer version stored is not misread."""
    with pytest.raises(ValueError, match="plan format 7 is not known here"):
        plan_from_json({**plan_to_json(a_plan()), "format": 7})


def test_a_step_is_found_by_its_id() -> None:
    """Known ids give the step; unknown ones raise."""
    plan = a_plan(a_step("a"), a_step("b"))
    assert plan.step("b") is plan.steps[1]
    assert (plan.has("a"), plan.has("c")) == (True, False)
    with pytest.raises(KeyError, match="c"):
        plan.step("c")
