"""Which template an alert leads to, what its parameters are, and what becomes of its words in the plan."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.factories import action_of
from tests.unit.planning_cases import RULES, WEB, offering, plan_for, seen
from tests.unit.template_cases import WHOLE, read, small
from workflow_service.domain import graph
from workflow_service.domain.alert import Alert
from workflow_service.domain.errors import InvalidPlan
from workflow_service.domain.interpolation import interpolate
from workflow_service.domain.plan import Plan, StepKind
from workflow_service.domain.target import resolve
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.make_plan import make_ordered
from workflow_service.planning.matching import speaking
from workflow_service.planning.templates import Order, Template

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-002")

CRASH: dict[str, Any] = {
    "name": "KubePodCrashLooping",
    "severity": "high",
    "labels": {"deployment": "web", "environment": "production"},
}


def planned(*templates: Template, **alert: Any) -> Plan:
    """The plan for a crashing Deployment that has two replicas."""
    values = {**CRASH, **alert}
    return plan_for(seen(facts={}, replicas=2), rules=replace(RULES, templates=templates), **values)


def matching(name: str, match: str) -> Template:
    """A template that only tells somebody about these alerts."""
    return read(small(name, spec=f"\n  match: {{{match}}}"))


def test_a_template_comes_before_the_rules() -> None:
    """It makes the plan, names itself with version, digest and sources, and its parameters are in the steps."""
    template = read(WHOLE)
    plan = planned(template)
    graph.validate(plan)
    assert (plan.creation_method, plan.rule, plan.reason) == (
        "template",
        "crashloop-rollback@1.2.0",
        "rolls a Deployment back",
    )
    assert plan.metadata["template"] == {
        "name": "crashloop-rollback",
        "version": "1.2.0",
        "digest": template.digest,
        "sources": {
            "namespace": "alert.namespace",
            "deployment": "alert.labels['deployment']",
            "min_restarts": "default",
            "share": "default",
        },
    }
    assert plan.parameters == {"namespace": "production", "deployment": "web", "min_restarts": 5, "share": 0.5}
    assert action_of(plan.step("back")).parameters == {"namespace": "production", "resource_name": "web"}
    assert plan.step("back").rollback.parameters["revision"] == "${{ result.from }}"  # type: ignore[union-attr]
    assert (plan.timeout, plan.metadata["creation_method"]) == (900.0, "template")


def test_without_a_fitting_template_the_rules_decide() -> None:
    """No template speaks of it, or the one that does is passed over with the reason."""
    plan = planned(read(WHOLE), severity="low")
    assert plan.creation_method == "fallback"
    assert plan.metadata["considered"][0] == {
        "template": "crashloop-rollback@1.2.0",
        "why_not": "severity is low, not critical or high",
    }
    assert not [one for one in planned(read(WHOLE), name="Odd").metadata["considered"] if "template" in one]


@pytest.mark.parametrize(
    ("change", "alert", "why"),
    [
        ({}, {"labels": {"env": "production"}, "resource": "deployment/web"}, "when ('deployment' in alert.labels"),
        ({}, {"labels": {"deployment": "web"}}, "environment is not said, not production"),
        ({}, {"namespace": "staging"}, "namespace is staging, not prod*"),
        ({"share: {type: number": "size: {type: string, minLength: 3"}, {}, "parameters.size: 0.5"),
        ({"params.min_restarts < 10": "int(alert.labels['n']) < 3"}, {}, "cannot be said"),
        ({"observed: [replicas]": "observed: [pods]"}, {}, "pods not observed, or zero"),
        ({"maxLength: 63": "maxLength: 3"}, {}, "'production' is too long"),
    ],
)
def test_what_does_not_fit_is_passed_over_with_the_reason(
    change: dict[str, str], alert: dict[str, Any], why: str
) -> None:
    """Every part of `match`, a parameter that breaks its schema, and a condition that cannot be evaluated."""
    text = WHOLE
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    if "default: 0.5" in text and "size:" in text:
        text = text.replace("default: 0.5", "default: abc").replace("minLength: 3", "minLength: 3, enum: [abc]")
        why = ""
    plan = planned(read(text), **alert)
    if not why:
        assert plan.creation_method == "template"
        return
    assert why in plan.metadata["considered"][0]["why_not"]


def test_the_closest_template_wins_and_the_others_are_noted() -> None:
    """Exact names before patterns, namespaces after names, then how much else is asked for, then the name."""
    templates = [
        matching("a-any", "alertname: ['*']"),
        matching("b-glob", "alertname: [KubePod*], namespace: [production], severity: [high]"),
        matching("c-exact", "alertname: [KubePodCrashLooping]"),
        matching("d-exact-ns-glob", "alertname: [KubePodCrashLooping], namespace: [prod*]"),
        matching("e-exact-ns", "alertname: [KubePodCrashLooping], namespace: [production]"),
        matching("f-exact-ns-severity", "alertname: [KubePodCrashLooping], namespace: [production], severity: [high]"),
        matching("g-same-as-f", "alertname: [KubePodCrashLooping], namespace: [production], severity: [high]"),
        matching("h-other", "alertname: [Other]"),
    ]
    plan = planned(*templates)
    assert plan.rule == "f-exact-ns-severity@1.0.0"
    lost = [one["template"] for one in plan.metadata["considered"]]
    assert [name[0] for name in lost] == ["g", "e", "d", "c", "b", "a"]
    assert {one["why_not"] for one in plan.metadata["considered"]} == {
        "f-exact-ns-severity@1.0.0 speaks of it more closely"
    }


@given(
    st.permutations([matching(f"t{n}", f"alertname: ['{glob}']") for n, glob in enumerate(["Kube*", "*", "KubePod*"])])
)
def test_the_order_does_not_depend_on_that_of_the_files(templates: list[Template]) -> None:
    """Whatever comes first, the same template is tried first."""
    alert = Alert(name="KubePodCrashLooping")
    assert [one.reference.name for one in speaking(templates, alert)] == ["t2", "t0", "t1"]


DERIVING = small(
    "deriving",
    spec="""
  match: {alertname: [KubePodCrashLooping]}
  parameters:
    type: object
    required: [who]
    properties: {who: {type: string}, n: {type: number, default: 2}}
  derive:
    who: ["alert.labels['nobody']", "alert.labels['empty']", owner.kind]
    n: ["double(target.facts['replicas'])"]""",
    steps="""
  - {id: tell, action: notify_team, with: {message: "${{ params.who }} ${{ params.n }} ${{ steps }}"}}""",
).replace(" ${{ steps }}", "")


def test_parameters_come_from_the_first_source_that_has_one() -> None:
    """A missing label and an empty one are passed over; facts of the target and its owner can be asked."""
    plan = planned(read(DERIVING), labels={"deployment": "web", "empty": ""})
    assert plan.parameters == {"who": "Deployment", "n": 2.0}
    assert plan.metadata["template"]["sources"] == {"who": "owner.kind", "n": "double(target.facts['replicas'])"}
    assert action_of(plan.step("tell")).parameters == {"message": "Deployment 2"}


def test_a_parameter_without_any_value_makes_the_template_unfit() -> None:
    """The reason names every source and what was wrong with it."""
    plan = planned(read(DERIVING.replace(", owner.kind]", "]")), labels={"deployment": "web"})
    [why] = [one["why_not"] for one in plan.metadata["considered"]]
    assert why.startswith("parameter who has no value: alert.labels['nobody']: there is no field \"nobody\"; alert")


@pytest.mark.parametrize("text", ["${{ nonsense", "${{ params.who }}", "a ${{ alert.name }} b"])
def test_what_an_alert_says_never_becomes_an_expression(text: str) -> None:
    """A value with an expression in it is not taken as a parameter; in a message it arrives as it was written."""
    template = read(DERIVING.replace("alert.labels['empty']", "alert.annotations['said']"))
    plan = planned(template, labels={"deployment": "web"}, annotations={"said": text})
    assert plan.creation_method == "fallback"
    told = planned(matching("tell", "alertname: [K*]"), name=f"K{text}")
    assert interpolate(action_of(told.step("tell")).parameters["message"], {}, {}) == f"K{text}"


def test_only_what_is_known_is_filled_in() -> None:
    """Steps inside a template step know its parameters; what names other steps waits until the step begins."""
    text = small(
        spec="""
  match: {alertname: [K*]}
  parameters: {type: object, properties: {size: {type: integer, default: 3}}}""",
        steps="""
  - {id: look, action: collect_diagnostics, with: {namespace: default}}
  - id: inner
    kind: template
    with: {half: "${{ params.size - 1 }}"}
    steps:
    - {id: say, action: notify_team, with: {message: "half of it is ${{ params.half }}"}}
  - {id: late, action: notify_team, with: {message: "${{ params.size }} ${{ steps.look.status }} ${{ '${{' }}"}}""",
    )
    plan = planned(read(text))
    inner = plan.step("inner")
    assert (inner.kind, inner.parameters) == (StepKind.TEMPLATE, {"half": 2})
    assert action_of(inner.steps[0]).parameters == {"message": "half of it is 2"}
    assert action_of(plan.step("late")).parameters["message"] == "3 ${{ steps.look.status }} ${{ '${{' }}"


def test_a_query_takes_safe_values_only() -> None:
    """A parameter that could end a string of PromQL makes the template unfit."""
    text = small(
        spec="""
  match: {alertname: [K*]}
  parameters: {type: object, required: [app], properties: {app: {type: string}}}
  derive: {app: "alert.labels['app']"}""",
        steps="""
  - id: calm
    kind: check
    postconditions: [{expression: observed.value < 1.0, promql: 'errors{app="${{ params.app }}"}'}]""",
    )
    assert planned(read(text), labels={"app": "web-1"}).step("calm").postconditions[0].promql == 'errors{app="web-1"}'
    plan = planned(read(text), labels={"app": 'x"} or vector(1) #'})
    assert plan.creation_method == "fallback"
    assert "could change the query" in plan.metadata["considered"][0]["why_not"]


def ordered(template: Template, parameters: dict[str, Any], **limits: Any) -> Plan:
    """The plan of an order about the Deployment web-server."""
    alert = Alert(name=template.reference.name, namespace="production", resource="deployment/web-server")
    return make_ordered(
        Order(template, parameters),
        alert,
        resolve(alert, "default"),
        observation=seen(replicas=2),
        catalogue=limits.pop("catalogue", offering()),
        basis=(RULES, PlanLimits(**limits)),
    )


def test_an_order_is_carried_out_with_its_parameters() -> None:
    """What is given counts, else the default; what the alert would have to say is not asked."""
    plan = ordered(read(WHOLE), {"namespace": "production", "deployment": "web-server", "share": 1})
    assert plan.parameters == {"namespace": "production", "deployment": "web-server", "min_restarts": 5, "share": 1.0}
    assert plan.metadata["template"]["sources"]["share"] == "order"
    assert (plan.creation_method, action_of(plan.step("back")).target) == ("template", WEB)


def test_an_order_that_cannot_be_carried_out_is_refused() -> None:
    """Nothing else is done instead of what was ordered."""
    given = {"namespace": "production", "deployment": "web-server"}
    with pytest.raises(InvalidPlan, match="the executor does not offer rollback_deployment"):
        ordered(read(WHOLE), given, catalogue=offering("rollback_deployment"))
