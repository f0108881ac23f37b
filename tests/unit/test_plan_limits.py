"""What bounds a plan: the operator's limits, the executor's catalogue, and that there is a plan nevertheless."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.factories import action_of
from tests.unit.planning_cases import CATALOGUE, MINIMAL, RULES, offering, plan_for, seen, types
from workflow_service.domain import graph
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.plan import OnFailure
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.rule_file import load_rules


def test_every_limit_changes_the_plan() -> None:
    """No setting is decoration."""
    alert: dict[str, Any] = {
        "observation": seen(replicas=3),
        "name": "KubePodCrashLooping",
        "resource": "deployment/web",
    }
    limits = PlanLimits(
        max_parallel=2,
        action_timeout=7,
        coordination_timeout=40,
        retry_attempts=1,
        rollback_enabled=False,
        workflow_timeout=99,
    )
    plan = plan_for(**alert, catalogue=None, limits=limits)
    assert (plan.max_parallel, plan.timeout, plan.undo_timeout) == (2, 99, 99)
    assert {(step.timeout, step.deadline, step.retry.max_retries) for step in plan.steps} == {(7, 40, 1)}
    assert plan.step("previous_revision").on_failure is OnFailure.STOP
    assert plan_for(**alert).step("previous_revision").on_failure is OnFailure.ROLLBACK
    assert all(step.timeout <= 40 for step in plan_for(**alert, limits=limits).steps)


@pytest.mark.requirement("BR-WF-003")
def test_without_parallel_execution_steps_follow_plan_order() -> None:
    """Each step waits for the one before it; the alternative still only stands behind the step it replaces."""
    one_by_one = PlanLimits(parallel_enabled=False)
    plan = plan_for(seen(replicas=3), name="KubePodCrashLooping", resource="deployment/web", limits=one_by_one)
    assert plan.max_parallel == 1
    assert graph.validate(plan).order == ("diagnose", "restart", "previous_revision", "tell")
    assert plan.step("previous_revision").needs == ()


@pytest.mark.parametrize(("steps", "expected"), [(3, 600), (4, 1200), (10, 1200), (11, 2700)])
def test_an_automatic_timeout_grows_with_the_steps(steps: int, expected: float) -> None:
    """10 minutes up to 3 steps, 20 up to 10, 45 beyond."""
    actions = "".join(f'  - {{id: s{n}, type: log_incident, parameters: {{message: "x"}}}}\n' for n in range(steps))
    rules = load_rules(MINIMAL[: MINIMAL.index("  - {id")] + actions)
    assert plan_for(rules=rules, limits=PlanLimits(workflow_timeout=None)).timeout == expected


def test_the_catalogue_is_pinned_and_believed() -> None:
    """Timeouts, reversibility and the digest are the executor's word; without it nothing is claimed."""
    alert: dict[str, Any] = {"name": "MemoryLeak", "resource": "deployment/web"}
    restart = plan_for(**alert).step("restart")
    assert restart.timeout == CATALOGUE.actions["restart_pod"].default_timeout
    assert plan_for(**alert).catalogue_digest == CATALOGUE.digest
    blind = plan_for(**alert, catalogue=None)
    assert blind.catalogue_digest is None
    assert {(step.changes, step.reversible) for step in blind.steps} == {(True, None)}


def test_what_is_not_offered_is_not_planned() -> None:
    """A rule whose critical action the executor lacks is passed over, and the plan says so."""
    plan = plan_for(
        seen(replicas=2),
        name="MemoryLeak",
        severity="warning",
        resource="deployment/web",
        catalogue=offering("restart_pod"),
    )
    assert types(plan) == ["collect_diagnostics", "notify_team"]
    assert {
        "rule": "memory_of_a_deployment",
        "why_not": "restart: the executor does not offer restart_pod",
    } in plan.metadata["considered"]


def test_missing_diagnostics_do_not_prevent_the_cure() -> None:
    """A non-critical action that is not offered is left out of the plan, and the plan says so."""
    plan = plan_for(name="MemoryLeak", resource="deployment/web", catalogue=offering("collect_diagnostics"))
    assert types(plan) == ["restart_pod", "notify_team"]
    assert plan.metadata["left_out"] == [
        {"action": "diagnose", "why_not": "the executor does not offer collect_diagnostics"}
    ]


@pytest.mark.parametrize(
    "without", [("notify_team",), ("notify_team", "notify_oncall"), ("notify_team", "notify_oncall", "log_incident")]
)
def test_somebody_is_told_in_whatever_way_is_offered(without: tuple[str, ...]) -> None:
    """When no rule fits, the next way to tell people is taken."""
    plan = plan_for(name="Odd", severity="warning", catalogue=offering(*without))
    assert len(plan.steps) == 1
    assert action_of(plan.steps[0]).type not in without
    assert plan.rule == "last_resort"


def test_a_plan_exists_even_when_nothing_is_offered() -> None:
    """An executor that offers nothing gets a plan that it can only refuse: the workflow ends with an honest failure."""
    plan = plan_for(name="Odd", catalogue=Catalogue("sha256:none", {}))
    assert types(plan) == ["log_incident"]
    assert plan.catalogue_digest == "sha256:none"


def test_a_cure_is_not_taken_back_because_nobody_could_be_told() -> None:
    """The failure of a critical notification stops the plan, but undoes nothing."""
    assert plan_for(name="DiskSpaceHigh", severity="critical").step("tell").on_failure is OnFailure.STOP


def test_metadata_is_what_the_specification_names() -> None:
    """How the plan was made, from what, and which rules were passed over."""
    plan = plan_for(seen(replicas=2), name="MemoryLeak", severity="warning", resource="deployment/web")
    assert plan.creation_method == "fallback"
    assert {
        "creation_method": "fallback",
        "alert_severity": "warning",
        "alert_namespace": "production",
        "actions_count": len(plan.steps),
        "ai_provider": "none",
        "workflow_version": RULES.version,
        "rule": "memory_of_a_deployment",
        "considered": [],
    }.items() <= plan.metadata.items()


def test_text_from_alerts_is_only_text() -> None:
    """Braces in an alert are not placeholders of ours."""
    plan = plan_for(name="{name}Odd{message}", summary="{reason} {cluster}", severity="info")
    assert action_of(plan.steps[0]).parameters["message"] == "{name}Odd{message} on production: {reason} {cluster}"


@pytest.mark.parametrize(
    "schema", [{"type": "strin"}, {"properties": {"message": {"pattern": "("}}}, {"$ref": "#/nowhere"}]
)
def test_a_broken_schema_costs_only_its_action(schema: dict[str, Any]) -> None:
    """A foreign executor's unusable schema does not stop planning; the next way to tell somebody is taken."""
    broken = replace(CATALOGUE.actions["notify_oncall"], parameters=schema)
    catalogue = Catalogue("sha256:odd", {**CATALOGUE.actions, "notify_oncall": broken})
    plan = plan_for(name="DiskSpaceHigh", severity="critical", catalogue=catalogue)
    assert types(plan) == ["collect_diagnostics", "notify_team"]
    assert any("cannot be used" in passed_over["why_not"] for passed_over in plan.metadata["considered"])
