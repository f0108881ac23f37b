"""A whole plan of an advisor's: of the catalogue, at the alert's target, with an undo, where rules know none."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.questions import pick
from tests.unit.factories import action_of
from tests.unit.planning_cases import CATALOGUE, POD, RULES, WEB, plan_for, seen
from workflow_service.clients.advisors.asking import Asked, Said
from workflow_service.clients.advisors.consulting import judge
from workflow_service.domain import graph
from workflow_service.domain.advice import Advice, Draft, Outcome, Pick, Question, Reply, Task
from workflow_service.domain.alert import Alert
from workflow_service.domain.catalogue import Risk
from workflow_service.domain.guardrails_about import UNSURE
from workflow_service.domain.plan import OnFailure, Phase, Plan, StepKind
from workflow_service.domain.projection import project
from workflow_service.domain.prompting import prompt
from workflow_service.planning.aiming import About
from workflow_service.planning.enhancing import ADVICE, applied
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.generating import generated, no_remedy, question

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-017", "BR-WF-018")
ABOUT = About(POD, CATALOGUE, PlanLimits(), WEB)
SCALE = Pick("scale_deployment", {"replicas": 5}, estimated_seconds=40)
BACK = Pick("rollback_deployment", {}, condition="if_primary_fails")
ODD = Alert(name="Odd", severity="warning", namespace="production", resource="pod/web-server-123")


def rule_plan() -> Plan:
    """Look and tell: no rule knows what to do about it."""
    return plan_for(seen(WEB, owner={"replicas": 3}), name="Odd", severity="warning", resource="pod/web-server-123")


def reply(*picks: Pick, outcome: Outcome = Outcome.ACCEPTED, confidence: float = 0.8) -> Reply:
    """An advisor's plan."""
    return Reply(Task.GENERATE, outcome, "openai", advice=Advice(picks, (), confidence=confidence, reported=0.9))


def asked() -> Question:
    """What is asked about the odd alert."""
    found = question(rule_plan(), project(ODD, POD, facts={"phase": "Running"}), ABOUT)
    assert found is not None
    return found


def steps(plan: Plan) -> dict[str, str]:
    """Each step and what it asks the executor for."""
    return {step.id: action_of(step).type for step in plan.steps if step.kind is StepKind.ACTION}


def test_only_what_rules_have_no_remedy_for_is_generated() -> None:
    """A plan of a template, of a rule with keywords, or of one that changes something stays what it is."""
    assert no_remedy(rule_plan(), RULES)
    cpu = plan_for(seen(replicas=3), name="HighCPUUsage", severity="critical", resource="deployment/web-server")
    assert not no_remedy(cpu, RULES)
    disk = plan_for(name="DiskSpaceHigh", severity="critical")
    assert not any(step.changes for step in disk.steps)
    assert not no_remedy(disk, RULES)
    by_severity = plan_for(seen(WEB), name="Odd", severity="critical", resource="pod/web-server-123")
    assert not no_remedy(by_severity, RULES)


def test_what_may_be_in_a_plan_can_be_undone_and_names_no_target() -> None:
    """No high risk, no change without an undo, nothing for another kind of object, no free text; five at most."""
    for one in asked().candidates:
        entry = CATALOGUE.actions[one.name]
        assert entry.risk is not Risk.HIGH
        assert entry.reversible or not entry.changes
        assert {"Pod", "Deployment"} & set(entry.target_kinds)
        if entry.changes:
            assert all(schema["type"] != "string" or "enum" in schema for schema in one.parameters.values())
    names = {one.name for one in asked().candidates}
    assert {"scale_deployment", "rollback_deployment"} <= names
    assert not {"drain_node", "cordon_node", "restart_pod", "notify_team", "collect_diagnostics"} & names


def test_nothing_is_asked_where_nothing_could_be_changed() -> None:
    """Without a target there is nothing that a plan could be about."""
    nobody = About(None, CATALOGUE, PlanLimits())
    assert question(rule_plan(), project(ODD, None), nobody) is None


def test_an_advisors_plan_is_typed_aimed_and_undone() -> None:
    """Its actions are at the alert's target or its owner; a failure rolls back; what the rule tells is told too."""
    plan, instead = generated(rule_plan(), reply(SCALE, BACK), ABOUT)
    graph.validate(plan)
    assert steps(plan) == {
        "primary": "scale_deployment",
        "secondary_1": "rollback_deployment",
        **steps(rule_plan()),
    }
    primary, heir = plan.step("primary"), plan.step("secondary_1")
    assert (action_of(primary).target, action_of(heir).target) == (WEB, WEB)
    assert action_of(primary).parameters == {
        "namespace": "production",
        "resource_name": "web-server",
        "replicas": 5,
    }
    assert (primary.alternative, heir.on_failure) == ("secondary_1", OnFailure.ROLLBACK)
    assert [one.expression for one in primary.postconditions] == ["observed.ready_replicas >= observed.replicas"]
    assert (plan.creation_method, plan.metadata["creation_method"], applied(plan)) == (*["ai_generated"] * 2, True)
    assert plan.metadata["ai_confidence"] == 0.8
    assert UNSURE not in plan.metadata
    assert (instead.hash, applied(instead)) == (rule_plan().hash, False)


def test_what_runs_after_the_first_runs_in_order() -> None:
    """Without a condition the others come after the first, whatever its outcome, one after the other."""
    plan, _ = generated(rule_plan(), reply(SCALE, Pick("audit_logs"), Pick("rollback_deployment")), ABOUT)
    assert plan.step("secondary_1").needs == ("primary",)
    assert plan.step("secondary_2").needs == ("primary", "secondary_1")
    assert any(step.phase is Phase.VERIFY for step in plan.steps)


def test_an_unsure_plan_says_so() -> None:
    """Below the threshold it is kept for a person, and guardrails are told."""
    plan, _ = generated(rule_plan(), reply(SCALE, outcome=Outcome.LOW_CONFIDENCE, confidence=0.69), ABOUT)
    assert (plan.metadata[UNSURE], plan.metadata["ai_confidence"]) == (True, 0.69)


@pytest.mark.parametrize(
    "picks",
    [
        (),
        (Pick("restart_pod", {}),),
        (Pick("scale_deployment", {"replicas": -1}),),
        (Pick("rm", {}),),
        (Pick("scale_deployment", {}),),
        (Pick("cordon_node", {}),),
    ],
    ids=["nothing", "no undo", "out of bounds", "no action", "incomplete", "another kind of target"],
)
def test_what_makes_no_sound_plan_leaves_the_rules(picks: tuple[Pick, ...]) -> None:
    """The rule's plan, unchanged, with what was said and why it is not used."""
    [plan] = generated(rule_plan(), reply(*picks), ABOUT)
    assert (plan.hash, applied(plan)) == (rule_plan().hash, False)
    assert plan.metadata[ADVICE]["outcome"] == "accepted"
    assert bool(plan.metadata[ADVICE]["left_out"]) == bool(picks)


def multi_stage(**values: Any) -> dict[str, Any]:
    """Upstream's answer about the pod."""
    primary = {"action": "scale_deployment", "parameters": {"replicas": 4, "namespace": "production"}}
    heir = {"action": "rollback_deployment", "parameters": {}, "condition": "if_primary_fails", "execution_order": 2}
    return {"primary_action": primary, "secondary_actions": [heir], "metadata": {"confidence": 0.9}, **values}


def test_a_multi_stage_answer_is_taken_in_its_own_form() -> None:
    """Actions, order, parameters and conditions; its repetition of the alert's own namespace is left out."""
    draft = judge(Said("native", document=multi_stage()), Asked(Task.GENERATE, asked()))
    assert isinstance(draft, Draft), draft
    assert [(one.candidate, one.parameters, one.condition) for one in draft.picks] == [
        ("scale_deployment", {"replicas": 4}, None),
        ("rollback_deployment", {}, "if_primary_fails"),
    ]
    assert draft.reported == 0.9


@pytest.mark.parametrize(
    "primary",
    [
        {"action": "drain_node", "parameters": {}},
        {"action": "scale_deployment", "parameters": {"replicas": 4, "namespace": "kube-system"}},
        {"action": "scale_deployment", "parameters": {"replicas": 4, "resource_name": "payments"}},
        {"action": "scale_deployment", "parameters": {"replicas": "many"}},
    ],
    ids=["not offered", "another namespace", "another object", "no number"],
)
def test_a_multi_stage_answer_keeps_the_same_rules(primary: dict[str, Any]) -> None:
    """It names no target, no action that was not offered, and no value against its schema."""
    found = judge(Said("native", document=multi_stage(primary_action=primary)), Asked(Task.GENERATE, asked()))
    assert isinstance(found, tuple)


def test_six_actions_are_too_many() -> None:
    """`max_actions` of the objective is part of the form, and the prompt says so."""
    candidates = tuple(replace(asked().candidates[0], name=f"way-{number}") for number in range(6))
    about = replace(asked(), candidates=candidates)
    document = {"picks": [pick(one.name, parameters={"replicas": 2}) for one in candidates], "confidence_percent": 80}
    found = judge(Said("native", document=document), Asked(Task.GENERATE, about))
    assert isinstance(found, tuple)
    assert "at most 5" in str(found)
    assert (
        '"max_actions": 5, "rollback_required": true' in prompt(Task.GENERATE, about, marker="0" * 32, schema={}).user
    )
