"""Upstream's multi-stage answer: which plan it becomes, what is refused, what is noted, and nothing else."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.factories import action_of
from tests.unit.planning_cases import CATALOGUE
from tests.unit.pretend_engine import PretendEngine
from workflow_service.domain import graph
from workflow_service.domain.catalogue import ActionType, Catalogue
from workflow_service.domain.errors import ErrorClass, InvalidAdvice
from workflow_service.domain.plan import OnFailure, Phase, Plan, StepKind, plan_to_json
from workflow_service.domain.states import ExecutionStatus
from workflow_service.domain.stored_plan import plan_from_json
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.multi_stage import Converted, convert

pytestmark = pytest.mark.requirement("BR-WF-017", "BR-WF-018", "BR-WF-019", "BR-WF-020", "BR-WF-021", "BR-WF-022")
_E = ExecutionStatus
WEB = {"namespace": "production", "resource_name": "web"}
RESTART = {"action": "restart_deployment", "parameters": WEB, "execution_order": 1}
SCALE = {"action": "scale_deployment", "parameters": {**WEB, "replicas": 3}, "execution_order": 2}
TELL = {"action": "notify-team", "parameters": {"message": "look"}, "execution_order": 3}
WHOLE: dict[str, Any] = {
    "workflow_id": "wf-7",
    "primary_action": {
        **RESTART,
        "urgency": "high",
        "expected_duration": "5m",
        "timeout": "2m",
        "success_criteria": ["action_completed", "metrics_improved"],
    },
    "secondary_actions": [
        {**SCALE, "condition": "if_primary_fails", "timeout": "1m30s"},
        {**TELL, "condition": "after_primary", "timeout": "", "prerequisites": None},
        {"action": "collect_diagnostics", "parameters": WEB, "condition": "parallel_with_primary"},
    ],
    "monitoring_plan": {
        "success_criteria": ["all replicas ready", "ready_replicas >= 2", "response_time < 500ms"],
        "validation_commands": ["kubectl get pods"],
        "monitoring_duration": "2m",
        "check_interval": "10s",
        "escalation_rules": ["page the manager"],
    },
    "rollback_plan": {
        "rollback_triggers": ["action_failed", "crash_looping > 0", "error_rate > 10%"],
        "rollback_actions": [{"action": "scale_deployment", "parameters": {}, "execution_order": 1, "timeout": "1m"}],
        "rollback_timeout": "5m",
        "safety_checks": ["quorum_kept"],
    },
    "context_requirements": {"required_data": ["logs"], "preservation_keys": ["investigation_id"]},
    "metadata": {"generated_at": "2026-11-23T03:00:00Z", "confidence": 0.9, "model_version": "m1"},
}


def converted(answer: object, **values: Any) -> Converted:
    """What an answer becomes, with the executor's real catalogue and the default limits."""
    return convert(answer, **{"catalogue": CATALOGUE, "limits": PlanLimits(), "cluster": "default", **values})


def refused(answer: object, **values: Any) -> dict[str, str]:
    """What is wrong with an answer, by field."""
    with pytest.raises(InvalidAdvice) as error:
        converted(answer, **values)
    return {violation.field: violation.rule for violation in error.value.violations}


def answer(*secondary: dict[str, Any], **primary: Any) -> dict[str, Any]:
    """An answer that scales, with these other actions."""
    return {"primary_action": {**SCALE, **primary}, "secondary_actions": list(secondary)}


def running(document: object) -> PretendEngine:
    """The real `decide` and `fold` over its plan, with a pretended executor."""
    engine = PretendEngine(graph.validate(converted(document).plan))
    engine.obey()
    return engine


# --- what becomes of it


def test_a_whole_answer_becomes_a_sound_plan() -> None:
    """Primary, alternative, follower and companion; times, parameters as they are, and all that is kept beside."""
    plan = converted(WHOLE).plan
    steps = {step.id: step for step in plan.steps}
    assert list(steps) == ["primary", "secondary_1", "secondary_3", "secondary_2", "outcome", "monitor"]
    primary = steps["primary"]
    assert action_of(primary).parameters == {**WEB, "resource_type": "deployment"}
    assert (primary.on_failure, primary.alternative) == (OnFailure.ALTERNATIVE, "secondary_1")
    assert (primary.timeout, primary.estimated_duration, primary.critical) == (120.0, 300.0, True)
    assert (action_of(steps["secondary_1"]).parameters, steps["secondary_1"].timeout) == (SCALE["parameters"], 90.0)
    assert (steps["secondary_2"].needs, steps["secondary_2"].critical) == (("primary",), False)
    assert steps["secondary_3"].needs == ()
    assert (plan.creation_method, plan.undo_timeout) == ("ai_generated", 300.0)
    advice = plan.metadata["advice"]
    assert {key: advice[key] for key in ("workflow_id", "context_requirements", "metadata")} == {
        key: WHOLE[key] for key in ("workflow_id", "context_requirements", "metadata")
    }
    assert advice["urgency"] == "high"
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_criteria_and_triggers_become_one_check_at_the_end() -> None:
    """What can be evaluated is, over fresh facts, for as long and as often as asked, with a rollback as the answer."""
    [monitor] = [step for step in converted(WHOLE).plan.steps if step.id == "monitor"]
    assert (monitor.kind, monitor.phase, monitor.on_failure) == (StepKind.CHECK, Phase.VERIFY, OnFailure.ROLLBACK)
    assert [(one.expression, one.within, one.poll) for one in monitor.postconditions] == [
        ("observed.ready_replicas >= observed.replicas", 120.0, 10.0),
        ("observed.ready_replicas >= 2", 120.0, 10.0),
        ("!(observed.crash_looping > 0)", 120.0, 10.0),
    ]


def test_everything_that_is_not_done_is_noted() -> None:
    """No criterion, command, rule, check or action of the answer gets lost without a word; the plan keeps the notes."""
    found = converted(WHOLE)
    assert [one.field for one in found.notes] == [
        "primary_action.parameters.resource_type",
        "primary_action.success_criteria.1",
        "monitoring_plan.validation_commands.0",
        "monitoring_plan.escalation_rules.0",
        "rollback_plan.safety_checks.0",
        "rollback_plan.rollback_actions.0",
        "monitoring_plan.success_criteria.2",
        "rollback_plan.rollback_triggers.2",
    ]
    assert [one["field"] for one in found.plan.metadata["notes"]] == [one.field for one in found.notes]


def test_a_criterion_of_the_primary_is_its_postcondition() -> None:
    """Where it does not hold the primary has failed, and what stands in for it begins."""
    plan = converted(answer(success_criteria=["updated_replicas == 3"])).plan
    [proof] = plan.steps[0].postconditions
    assert (proof.expression, proof.within) == ("observed.updated_replicas == 3", 60.0)


@pytest.mark.parametrize(
    ("criterion", "action", "expression"),
    [
        ("Ready Replicas >= 3", None, None),
        ("ready_replicas = 3", None, "observed.ready_replicas == 3"),
        ("RESTARTS<5", None, "observed.restarts < 5"),
        ("no-crashloop pods", None, "observed.crash_looping == 0"),
        ("ready_replicas >= true", None, None),
        ("nonsense >= 3", None, None),
        ("ready_replicas >= 3 || true", None, None),
        ("observed.x > 1", None, None),
        ("ready == true", None, None),
        ("ready == true", {"action": "uncordon_node", "parameters": {"node_name": "n1"}}, "observed.ready == true"),
        ("unschedulable > false", {"action": "cordon_node", "parameters": {"node_name": "n1"}}, None),
        ("ready_replicas >= 1", {"action": "restart_pod", "parameters": WEB}, None),
        ("ready_replicas >= 1", TELL, None),
    ],
)
def test_only_what_is_on_the_list_is_evaluated(criterion: str, action: Any, expression: str | None) -> None:
    """Facts of the primary's target against numbers and bools; no pods, which are replaced; no code of others."""
    document = {"primary_action": action or SCALE, "monitoring_plan": {"success_criteria": [criterion]}}
    found = converted(document)
    checks = [one.expression for step in found.plan.steps if step.id == "monitor" for one in step.postconditions]
    assert checks == ([expression] if expression else [])
    assert bool(found.notes) != bool(expression)


# --- how it runs


def test_if_primary_fails_is_tried_until_one_succeeds() -> None:
    """Several are tried in their order, each only when the one before it has failed; none when nothing fails."""
    second = {**RESTART, "condition": "if_primary_fails", "execution_order": 5}
    first = {**RESTART, "condition": "if_primary_fails", "execution_order": 2}
    engine = running(answer(second, first))
    engine.fail("primary", ErrorClass.PERMANENT)
    engine.obey()
    assert set(engine.live) == {"secondary_2"}
    engine.fail("secondary_2", ErrorClass.PERMANENT)
    engine.obey()
    assert set(engine.live) == {"secondary_1"}
    engine.succeed("secondary_1")
    engine.obey()
    assert engine.state.status is _E.COMPLETED
    well = running(answer(second, first))
    well.succeed("primary")
    well.obey()
    assert (well.state.status, well.statuses()["secondary_1"]) == (_E.COMPLETED, "skipped")


@pytest.mark.parametrize("fails", [False, True])
def test_after_primary_runs_whatever_its_outcome(fails: bool) -> None:
    """It waits for the primary's end; where that failed the change is undone, but only after it has run."""
    engine = running(answer({**TELL, "condition": "after_primary"}))
    assert set(engine.live) == {"primary"}
    if fails:
        engine.fail("primary", ErrorClass.PERMANENT, changed=True)
    else:
        engine.succeed("primary")
    engine.obey()
    assert set(engine.live) == {"secondary_1"}
    engine.succeed("secondary_1", changed=False)
    engine.obey()
    if fails:
        assert engine.looks
        engine.see("outcome", held=False)
    else:
        engine.see("outcome")
    engine.obey()
    engine.drive_to_the_end()
    assert engine.state.status is (_E.ROLLED_BACK if fails else _E.COMPLETED)


def test_after_primary_waits_for_what_takes_its_place_too() -> None:
    """With an alternative under way the primary has not come to its end."""
    engine = running(answer({**RESTART, "condition": "if_primary_fails"}, {**TELL, "condition": "after_primary"}))
    engine.fail("primary", ErrorClass.PERMANENT)
    engine.obey()
    assert set(engine.live) == {"secondary_1"}
    engine.fail("secondary_1", ErrorClass.PERMANENT)
    engine.obey()
    assert set(engine.live) == {"secondary_2"}


def test_among_followers_order_is_time_and_beside_the_primary_it_is_a_claim() -> None:
    """A larger execution_order begins after the smaller ones have ended; equal ones run side by side."""
    after = [{**TELL, "condition": "after_primary", "execution_order": order} for order in (4, 3, 3)]
    beside = [{**TELL, "condition": "parallel_with_primary", "execution_order": 9}]
    engine = running(answer(*after, *beside))
    assert set(engine.live) == {"primary", "secondary_4"}
    engine.succeed("primary")
    engine.obey()
    assert set(engine.live) == {"secondary_2", "secondary_3", "secondary_4"}
    engine.fail("secondary_2", ErrorClass.PERMANENT)
    engine.obey()
    assert "secondary_1" not in engine.live
    engine.succeed("secondary_3")
    engine.obey()
    assert "secondary_1" in engine.live
    assert [step.priority for step in converted(answer(*after, *beside)).plan.steps[:4]] == [1, 2, 2, 3]


def test_a_prerequisite_must_have_succeeded() -> None:
    """By name of the action or of its step; what waits for a failed one is skipped."""
    follower = {**TELL, "condition": "after_primary", "prerequisites": ["collect-diagnostics", "scale_deployment"]}
    companion = {"action": "collect_diagnostics", "parameters": WEB, "condition": "parallel_with_primary"}
    for fails, status in ((False, "succeeded"), (True, "skipped")):
        engine = running(answer(follower, companion))
        engine.succeed("primary")
        if fails:
            engine.fail("secondary_2", ErrorClass.PERMANENT)
        else:
            engine.succeed("secondary_2", changed=False)
        engine.obey()
        if not fails:
            engine.succeed("secondary_1", changed=False)
            engine.obey()
        assert engine.statuses()["secondary_1"] == status


def test_a_failed_criterion_at_the_end_undoes() -> None:
    """Success is what the answer called success: where it does not come, the change is taken back."""
    engine = running({"primary_action": SCALE, "monitoring_plan": {"success_criteria": ["ready_replicas >= 3"]}})
    engine.succeed("primary")
    engine.obey()
    engine.see("monitor", held=False)
    engine.obey()
    engine.drive_to_the_end()
    assert engine.state.status is _E.ROLLED_BACK


# --- what is refused


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"primary_action": None}, "answer", "'primary_action' is a required property"),
        ({"primary_action": {**SCALE, "action": "rm_rf"}}, "primary_action.action", "is not offered"),
        ({"primary_action": {**SCALE, "command": "ls"}}, "primary_action", "Additional properties"),
        (
            {"primary_action": {**SCALE, "parameters": {**WEB, "replicas": 101}}},
            "primary_action.parameters.replicas",
            "maximum",
        ),
        (
            {"primary_action": {**SCALE, "parameters": {**WEB, "replicas": 2, "shell": "x"}}},
            "primary_action.parameters",
            "'shell' was",
        ),
        (
            {"primary_action": {**SCALE, "parameters": {**WEB, "reason": "${{ 1 }}"}}},
            "primary_action.parameters",
            "expressions",
        ),
        ({"primary_action": {**SCALE, "timeout": "soon"}}, "primary_action.timeout", "does not match"),
        ({"primary_action": {**SCALE, "timeout": "25h"}}, "primary_action.timeout", "at most 86400"),
        ({"primary_action": {**SCALE, "timeout": "0s"}}, "primary_action.timeout", "over 0"),
        (
            {"secondary_actions": [{**TELL, "condition": "when_it_suits"}]},
            "secondary_actions.0.condition",
            "is not one of",
        ),
        ({"secondary_actions": [TELL]}, "secondary_actions.0", "'condition' is a required"),
        ({"secondary_actions": [{**TELL, "condition": "after_primary"}] * 21}, "secondary_actions", "maxItems 20"),
        ({"monitoring_plan": {"monitoring_duration": "99h"}}, "monitoring_plan.monitoring_duration", "at most 86400"),
        ({"metadata": {"confidence": 1.5}}, "metadata.confidence", "maximum"),
        ({"metadata": {"x": float("nan")}}, "answer.metadata.x", "finite"),
        ({"metadata": {"x": "\ud800"}}, "answer.metadata.x", "Unicode"),
        ({"workflow_id": "a\0"}, "answer.workflow_id", "NUL"),
        ({"workflow_id": "a" * 5000}, "answer.workflow_id", "at most 4000"),
        ({"surprise": 1}, "answer", "Additional properties"),
    ],
)
def test_a_flaw_is_named_by_its_field(change: dict[str, Any], field: str, says: str) -> None:
    """Nothing is guessed, cut or passed over: the whole answer is refused."""
    found = refused({**WHOLE, **change})
    assert field in found, found
    assert says in found[field]


@pytest.mark.parametrize(
    ("condition", "prerequisite", "says"),
    [
        ("after_primary", "the moon is full", "names no other action"),
        ("after_primary", "notify_team", "names several"),
        ("if_primary_fails", "secondary_2", "takes the primary's place"),
        ("parallel_with_primary", "primary", "in parallel with it"),
    ],
)
def test_a_prerequisite_that_makes_no_sense_is_refused(condition: str, prerequisite: str, says: str) -> None:
    """Never ignored: what it should have held back would run."""
    others = [{**TELL, "condition": "after_primary"}] * 2
    one = {"action": "log_incident", "parameters": {"message": "m"}, "condition": condition}
    found = refused(answer({**one, "prerequisites": [prerequisite]}, *others))
    assert says in found["secondary_actions.0.prerequisites.0"]


def test_prerequisites_in_a_circle_are_refused() -> None:
    """As steps of any plan are."""
    one = {**TELL, "condition": "after_primary", "prerequisites": ["secondary_2"]}
    other = {**TELL, "condition": "after_primary", "prerequisites": ["secondary_1"]}
    assert "wait for each other in a cycle" in refused(answer(one, other))["steps"]


def test_a_broken_schema_of_the_executor_refuses_the_answer() -> None:
    """Whatever is in the catalogue, there is an answer and no crash."""
    broken = ActionType(
        "scale_deployment", parameters={"properties": {"replicas": {"pattern": "("}, "namespace": {"$ref": "http://x"}}}
    )
    found = refused(answer(), catalogue=Catalogue("sha256:x", {"scale_deployment": broken}))
    assert "cannot be used" in found["primary_action.parameters"]


# --- whatever anybody sends

_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_TIME = st.sampled_from(["30s", "5m", "1h30m", "", None, 10, 0.5, "90000s", "5s\n"])
_CRITERIA = st.lists(
    st.sampled_from(
        ["action_completed", "ready_replicas >= 1", "crash_looping > 0", "all_pods_ready", "odd", "ready == true"]
    ),
    max_size=4,
)
_ACTIONS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        RESTART,
        SCALE,
        TELL,
        {"action": "restart-pod", "parameters": WEB},
        {"action": "drain", "parameters": {"node_name": "n"}},
    ]
)
_ORDERS = st.integers(0, 4)
_NAMES = st.lists(st.sampled_from(["primary", "secondary_1", "scale_deployment", "notify_team", "odd"]), max_size=2)


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """An answer as a good model gives it, most of the time."""
    conditions = st.sampled_from(["if_primary_fails", "after_primary", "parallel_with_primary"])
    secondary = [
        {
            **draw(_ACTIONS),
            "execution_order": draw(_ORDERS),
            "condition": draw(conditions),
            "timeout": draw(_TIME),
            "prerequisites": draw(st.none() | st.just([]) | _NAMES),
        }
        for _ in range(draw(st.integers(0, 4)))
    ]
    return {
        "primary_action": {**draw(_ACTIONS), "timeout": draw(_TIME), "success_criteria": draw(_CRITERIA)},
        "secondary_actions": secondary,
        "monitoring_plan": {
            "success_criteria": draw(_CRITERIA),
            "monitoring_duration": draw(_TIME),
            "check_interval": draw(_TIME),
        },
        "rollback_plan": {"rollback_triggers": draw(_CRITERIA), "rollback_timeout": draw(_TIME)},
    }


_LIMITS = st.builds(
    PlanLimits,
    parallel_enabled=st.booleans(),
    rollback_enabled=st.booleans(),
    coordination_timeout=st.sampled_from([10.0, 300.0]),
)


def plan_or_refusal(document: object, limits: PlanLimits) -> Plan | None:
    """What an answer becomes; only the declared error may be raised, and no answer is changed."""
    before = copy.deepcopy(document)
    try:
        plan = converted(document, limits=limits).plan
    except InvalidAdvice:
        return None
    finally:
        assert repr(document) == repr(before)
    graph.validate(plan)
    assert plan.hash == plan_from_json(json.loads(json.dumps(plan_to_json(plan)))).hash
    assert not any("${{" in str(action_of(step).parameters) for step in plan.steps if step.action)
    return plan


@given(answers(), _LIMITS)
def test_an_answer_is_a_sound_plan_or_refused(document: dict[str, Any], limits: PlanLimits) -> None:
    """Answers in the format: a plan that validates and survives storage, catalogue's schemas kept, or a refusal."""
    plan = plan_or_refusal(document, limits)
    for step in plan.steps if plan else ():
        if step.action:
            assert not CATALOGUE.actions[step.action.type].violations(step.action.parameters, at="x")


@given(answers(), st.sampled_from([*WHOLE, "odd"]), _ANY)
def test_a_part_of_any_shape_is_refused_or_understood(document: dict[str, Any], part: str, anything: object) -> None:
    """Whatever stands in the place of a part."""
    plan_or_refusal({**document, part: anything}, PlanLimits())
    if isinstance(document.get(part), dict) and isinstance(anything, dict):
        plan_or_refusal({**document, part: {**document[part], **anything}}, PlanLimits())


@given(_ANY)
def test_any_document_is_refused_or_understood(document: object) -> None:
    """Nothing raises anything but the declared error."""
    plan_or_refusal(document, PlanLimits())


def test_what_is_absurd_is_refused_before_it_is_looked_at() -> None:
    """Depth and number are bounded without recursion."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert "levels" in str(refused({"metadata": {"x": deep}}))
    assert "values" in str(refused({"metadata": {"x": [0] * 3000}}))
