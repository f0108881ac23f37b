"""The step language in the rule file: what becomes of each key, what is refused, and that plain rules stay plain."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.factories import action_of
from tests.unit.planning_cases import CATALOGUE, LIMITS, WEB, offering, plan_for, seen
from workflow_service.domain import graph
from workflow_service.domain.errors import InvalidRules
from workflow_service.domain.interpolation import interpolate
from workflow_service.domain.plan import OnFailure, Phase, Plan, Step, StepKind
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.rule_file import load_rules

pytestmark = pytest.mark.requirement("BR-WF-002", "BR-WF-006", "BR-WF-007")

WHOLE = (
    """
version: 1
rules:
- name: everything
  reason: because
  actions:
  - {id: look, type: collect_diagnostics, critical: false, parameters: {namespace: "{namespace}"}}
  - id: scale
    type: scale_deployment
    on: owner
    needs: [look]
    when: alert.severity == 'critical' && steps.look.status == 'succeeded'
    preconditions:
    - {expression: observed.ready_replicas > 0, message: nothing runs, within: 10s, poll: 500ms}
    postconditions:
    - {expression: "observed.ready_replicas >= result.replicas", message: not ready, within: 1m}
    - {expression: observed.value < 0.5, promql: 'rate(errors{namespace="{namespace}"}[5m])', critical: false}
    settle: 2
    approval: {when: "alert.labels.team == 'db'", timeout: 15m}
    parameters: {namespace: "{namespace}", resource_name: "{name}", replicas: "${{ 1 + 2 }}", reason: "{alert}"}
  - {id: breathe, kind: wait, wait: 30s, needs: [scale]}
  - id: each
    type: notify_team
    critical: false
    needs: [breathe]
    forEach: steps.look.output.pods.map(p, p.name)
    maxParallel: 2
    parameters: {message: "{alert}: ${{ item }} of {name}"}
  - id: heal
    kind: template
    on: owner
    needs: [breathe]
    alternative: tell
    parameters: {app: "{name}"}
    steps:
    - {id: ask, kind: approval, on: owner, timeout: 5m, description: "may {name} be set back?"}
    - id: back
      type: rollback_deployment
      on: owner
      needs: [ask]
      parameters: {namespace: "{namespace}", resource_name: "${{ params.app }}"}
  - {id: tell, type: notify_oncall, parameters: {message: "{alert}"}}
  verify:
  - {id: healthy, kind: check, on: owner, timeout: 2m, postconditions: [{expression: observed.crash_looping == 0}]}
  finally:
  - {id: note, type: log_incident, parameters: {message: "{alert}"}}
""".replace(", on: null", "")
    .replace("{{namespace", "{namespace")
    .replace('"}}[5m]', '"}[5m]')
)


def planned(text: str = WHOLE, *, limits: PlanLimits = LIMITS, **alert: str) -> Plan:
    """The plan that the file's rule makes for a pod of the deployment web-server."""
    values = {"name": "Odd", "severity": "critical", "resource": "pod/web-server-123", **alert}
    return plan_for(seen(WEB, owner={"replicas": 2}), rules=load_rules(text), limits=limits, **values)


def by_id(plan: Plan) -> dict[str, Step]:
    """The steps of the top level."""
    return {step.id: step for step in plan.steps}


def test_every_key_reaches_the_plan() -> None:
    """Kinds, phases, conditions with times in seconds and targets of their own, items, templates: a sound plan."""
    plan = planned()
    graph.validate(plan)
    steps = by_id(plan)
    assert (plan.rule, plan.format) == ("everything", 2)
    scale = steps["scale"]
    assert scale.when == "alert.severity == 'critical' && steps.look.status == 'succeeded'"
    [before] = scale.preconditions
    assert (before.message, before.within, before.poll, before.target) == ("nothing runs", 10.0, 0.5, None)
    ready, errors = scale.postconditions
    assert (ready.within, ready.critical) == (60.0, True)
    assert (errors.promql, errors.critical) == ('rate(errors{namespace="production"}[5m])', False)
    assert (scale.settle, action_of(scale).target) == (2, WEB)
    assert (steps["breathe"].kind, steps["breathe"].wait) == (StepKind.WAIT, 30.0)
    assert (steps["each"].for_each, steps["each"].max_parallel) == ("steps.look.output.pods.map(p, p.name)", 2)
    heal = steps["heal"]
    assert (heal.kind, heal.on_failure, heal.alternative) == (StepKind.TEMPLATE, OnFailure.ALTERNATIVE, "tell")
    assert heal.parameters == {"app": "web-server"}
    ask = heal.steps[0]
    assert (ask.id, ask.kind, ask.deadline) == ("ask", StepKind.APPROVAL, 300.0)
    assert ask.description == "may web-server be set back?"
    assert (steps["healthy"].phase, steps["healthy"].deadline) == (Phase.VERIFY, 120.0)
    assert steps["healthy"].postconditions[0].target == WEB
    assert (steps["note"].phase, steps["note"].on_failure) == (Phase.FINALLY, OnFailure.STOP)
    assert plan.metadata["actions_count"] == 6


def test_an_approval_becomes_a_step_before_its_action() -> None:
    """It waits for what the action waits for, and asks only where the action would begin."""
    steps = by_id(planned())
    ask = steps["approve_scale"]
    assert (ask.kind, ask.needs, ask.deadline, ask.on_failure) == (StepKind.APPROVAL, ("look",), 900.0, OnFailure.STOP)
    assert ask.when == f"({steps['scale'].when}) && (alert.labels.team == 'db')"
    assert "scale deployment: Deployment production/web-server" in ask.description
    assert steps["scale"].needs == ("look", "approve_scale")


def test_expressions_and_placeholders_live_in_one_text() -> None:
    """Placeholders are filled when the plan is made, expressions when the step begins; schemas wait for the latter."""
    steps = by_id(planned())
    assert action_of(steps["scale"]).parameters["replicas"] == "${{ 1 + 2 }}"
    assert action_of(steps["each"]).parameters["message"] == "Odd: ${{ item }} of web-server-123"


@pytest.mark.parametrize("text", ["${{ nonsense", "${{ alert.name }}", "$", "${", "costs ${{ 1 / 0 }} and $${{ x }}"])
def test_what_an_alert_says_never_becomes_an_expression(text: str) -> None:
    """Whatever its words are, they arrive as they were written, and the plan is sound."""
    rules = WHOLE.replace('"{alert}"}}\n  verify', '"${message}{{message}"}}\n  verify')
    said = []
    for plan in (planned(rules, summary=text), plan_for(name="Odd", severity="odd", summary=text)):
        graph.validate(plan)
        said.append(interpolate(action_of(by_id(plan)["tell"]).parameters["message"], {}, {}))
    assert said == ["$" + text + "{" + text, f"Odd (odd) on production: {text}. No rule fits."]


def test_a_query_takes_names_only() -> None:
    """What could end a string of PromQL makes the rule unfit; it is never sent."""
    plan = planned(WHOLE.replace('namespace="{namespace}"', 'alert="{alert}"'), name='x"} or vector(1) #')
    assert plan.rule == "last_resort"
    assert "for a query" in str(plan.metadata["considered"])


def test_one_by_one_means_in_every_phase_and_template() -> None:
    """Without parallel execution steps wait for the one before them, within their phase only."""
    plan = planned(limits=PlanLimits(parallel_enabled=False))
    graph.validate(plan)
    steps = by_id(plan)
    assert steps["approve_scale"].needs == ("look",)
    assert steps["breathe"].needs == ("scale",)
    assert steps["heal"].needs == ("breathe", "each")
    assert (steps["healthy"].needs, steps["note"].needs) == ((), ())


def test_what_cannot_be_filled_takes_its_approval_and_its_alternative_along() -> None:
    """Nobody is asked for an action that is left out, and what would stand in for it has nothing to stand in for."""
    text = """
version: 1
rules:
- name: some
  reason: because
  actions:
  - {id: drain, type: drain_node, critical: false, approval: {}, alternative: cordon, parameters: {node_name: "n"}}
  - {id: cordon, type: cordon_node, critical: false, parameters: {node_name: "n"}}
  - {id: tell, type: notify_team, needs: [drain], parameters: {message: "{alert}"}}
"""
    plan = plan_for(rules=load_rules(text), catalogue=offering("drain_node"))
    assert [(step.id, step.needs) for step in plan.steps] == [("tell", ())]
    assert [one["action"] for one in plan.metadata["left_out"]] == ["drain", "cordon"]


@pytest.mark.parametrize(
    ("parallel", "expected"),
    [
        (True, "14c702e6b7b387f8de0277d3dc692f5a15c0341d573e908c90f49784f1e58ef2"),
        (False, "82e6cb2526366fd411717018a4724a6635f8e42406cd2afd56662034e2459b19"),
    ],
)
def test_a_rule_that_uses_nothing_new_keeps_its_plan(parallel: bool, expected: str) -> None:
    """Format 1, and the hash that the version before the step language gave it."""
    text = """
version: 1
rules:
- name: one
  reason: because
  actions:
  - {id: look, type: collect_diagnostics, critical: false, parameters: {namespace: "{namespace}"}}
  - id: scale
    type: scale_deployment
    on: owner
    needs: [look]
    parameters:
      namespace: "{namespace}"
      resource_name: "{name}"
      replicas: {observed: replicas, plus: 1}
      reason: "{alert}"
    alternative: back
    timeout: 60
    retries: 1
  - {id: back, type: rollback_deployment, on: owner, parameters: {namespace: "{namespace}", resource_name: "{name}"}}
"""
    plan = plan_for(
        seen(WEB, owner={"replicas": 2}),
        name="Odd",
        resource="pod/web-server-123",
        rules=load_rules(text),
        limits=PlanLimits(parallel_enabled=parallel),
        catalogue=CATALOGUE if parallel else None,
    )
    assert plan.format == 1
    assert replace(plan, catalogue_digest="d" if parallel else None).hash == expected


# --- what is refused: the changed line, the place that is named, and what is said


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ("alert.severity == 'critical' &&", "alert.severty == 'x' &&", "actions.1.when", "undeclared reference"),
        ("alert.severity == 'critical' &&", "alert.severity > 5 &&", "actions.1.when", "no matching overload"),
        ("steps.look.status == 'succeeded'", "steps.tell.status == ''", "actions.1.when", "undeclared reference"),
        ("alert.labels.team == 'db'", "alert.labels.team ==", "actions.1.approval.when", "Syntax error"),
        ("observed.ready_replicas > 0", "result.x > 0", "actions.1.preconditions.0.expression", "undeclared"),
        ("observed.ready_replicas > 0", "size(observed)", "actions.1.preconditions.0.expression", "must give a bool"),
        ("within: 10s", "within: 31s", "actions.1.preconditions.0.within", "must be 0 to 30 s"),
        ("within: 1m", "within: 1 minute", "actions.1.postconditions.0.within", "does not match"),
        ("within: 1m", "within: 25h", "actions.1.postconditions.0.within", "must be 0 to 86400 s"),
        ("wait: 30s", "wait: 0s", "actions.2.wait", "must be over 0"),
        ("kind: wait, wait: 30s", "kind: wait", "actions.2", "needs `wait`"),
        ("kind: wait, wait: 30s", "kind: wait, wait: 1, type: x", "actions.2.type", "does not belong to a step of"),
        ("maxParallel: 2", "maxParallel: 0", "actions.3.maxParallel", "less than the minimum"),
        ("    forEach: steps.look.output.pods.map(p, p.name)\n", "", "actions.3.maxParallel", "with forEach"),
        ("forEach: steps.look", "forEach: 1 + steps.look", "actions.3.forEach", "no matching overload"),
        ("${{ item }}", "${{ item", "actions.3.parameters.message", "is not closed"),
        ("${{ params.app }}", "${{ params.ap }}", "actions.4.steps.1.parameters.resource_name", "undeclared"),
        ('{app: "{name}"}', '{a-b: "{name}"}', "actions.4.parameters", "cannot be named by expressions"),
        ("id: tell, type", "id: tell-all, type", "actions.5.id", "cannot be named by the expressions"),
        ("id: ask, kind", "id: in, kind", "actions.4.steps.0.id", "cannot be named by the expressions"),
        ("id: healthy, kind: check, on: owner", "id: healthy, kind: check", "verify.0.postconditions.0.on", "be given"),
        ("id: healthy, kind: check", "id: healthy, kind: wait", "verify.0.on", "does not belong to a step of kind"),
        ("promql: 'rate(", "on: owner, promql: 'rate(", "actions.1.postconditions.1.on", "together with promql"),
        (
            "  - {id: tell, type: notify_oncall,",
            "  - {id: tell, type: x, approval: {},",
            "actions.5.approval",
            "template",
        ),
        ("id: note, type", "id: approve_scale, type", "finally.0.id", "is used twice"),
        ("kind: check, on", "kind: checks, on", "verify.0.kind", "is not one of"),
        ("id: note, type", "id: note, needs: [tell], type", "finally.0.needs", "is no step beside it"),
        ("id: note, type", "id: tell, type", "finally.0.id", "is the id of an earlier step too"),
        ("      needs: [ask]", "      needs: [scale]", "actions.4.steps.1.needs", "is no step beside it"),
    ],
)
def test_a_flaw_is_named_with_file_line_field_and_value(old: str, new: str, where: str, says: str) -> None:
    """Everything that can be known when the file is read is said then, with the line to repair."""
    assert WHOLE.count(old) >= 1
    text = WHOLE.replace(old, new, 1)
    with pytest.raises(InvalidRules) as refused:
        load_rules(text)
    found = {violation.field: violation.rule for violation in refused.value.violations}
    [field] = [name for name in found if name.startswith(f"rules.0.{where} (line ")]
    assert says in found[field], found[field]
    line = text.splitlines()[int(field.rpartition(" ")[2].rstrip(")")) - 1]
    assert new.strip() in line or not new, line


def test_templates_have_a_depth() -> None:
    """Five levels are the most, and absurd nesting is refused before anything else looks at it."""

    def nested(levels: int) -> str:
        step: dict[str, object] = {"id": "a", "type": "log_incident", "parameters": {"message": "m"}}
        for _ in range(levels - 1):
            step = {"id": "a", "kind": "template", "steps": [step]}
        rule = {"name": "deep", "reason": "because", "actions": [step]}
        return yaml.safe_dump({"version": 1, "rules": [rule]}, default_flow_style=True)

    graph.validate(plan_for(rules=load_rules(nested(5))))
    for levels, rule in ((6, "at most 5 deep"), (25, "at most 5 deep"), (40, "nested more than")):
        with pytest.raises(InvalidRules, match=rule):
            load_rules(nested(levels))


def test_ids_with_a_hyphen_are_fine_where_nothing_could_need_to_name_them() -> None:
    """Rules without expressions may call their steps as before."""
    text = WHOLE[: WHOLE.index("  - id: scale")].replace("id: look", "id: look-at-it")
    assert planned(text).steps[0].id == "look-at-it"


_LINES = [line for line in WHOLE.splitlines() if line.strip()]
_WORDS = st.sampled_from(
    [
        "",
        "x",
        "-1",
        "0",
        "1",
        "null",
        "true",
        "[]",
        "{}",
        "scale",
        "tell",
        "in",
        "a-b",
        "item",
        "observed",
        "${{ 1 }}",
        "1h",
        "'",
    ]
)


@given(st.sampled_from(_LINES), st.integers(0, 12), _WORDS, st.integers(0, 2))
def test_whatever_is_changed_the_file_is_rules_or_refused_by_line(line: str, word: int, new: str, times: int) -> None:
    """A word replaced, a line lost or doubled: a flaw is named with its line, and what is accepted makes a plan."""
    words = line.split(" ")
    words[word % len(words)] = new
    text = WHOLE.replace(f"{line}\n", f"{' '.join(words)}\n" * times, 1)
    try:
        rules = load_rules(text)
    except InvalidRules as error:
        assert error.violations  # noqa: PT017 - the error is one of two good outcomes
        return
    values = {"name": "Odd", "severity": "critical", "resource": "pod/web-server-123"}
    plan = plan_for(seen(WEB, owner={"replicas": 2}), rules=rules, **values)
    graph.validate(plan)
    assert "plan is not sound" not in str(plan.metadata["considered"])
