"""What guardrails say of plans and steps, rule by rule, and that more caution never allows more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.domain import guarded
from workflow_service.domain.catalogue import ActionType, Catalogue, Risk
from workflow_service.domain.graph import validate
from workflow_service.domain.guardrails import RULES, judge_plan, judge_step, refusal
from workflow_service.domain.guardrails_about import (
    FIRM,
    About,
    Finding,
    Halt,
    Judgement,
    Latch,
    Override,
    Past,
    Standing,
)
from workflow_service.domain.plan import Action, OnFailure, Plan, Step, StepKind
from workflow_service.domain.policy import (
    Blast,
    Breaker,
    Budgets,
    Environment,
    Freeze,
    Level,
    Oscillation,
    Policy,
    RiskRule,
    Rung,
    Scope,
    Word,
)
from workflow_service.domain.silence import Silence, Weekly
from workflow_service.domain.target import Target

pytestmark = pytest.mark.requirement("BR-WF-005", "BR-WF-051")
BUILT_IN = Policy()
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
WEB = Target("default", "Deployment", "web", "prod")
POD = Target("default", "Pod", "web-1", "prod")
CATALOGUE = Catalogue(
    "digest",
    {
        "scale_deployment": ActionType("scale_deployment", parameters={"type": "object"}, risk=Risk.MEDIUM),
        "drain_node": ActionType("drain_node", risk=Risk.HIGH),
        "restart_pod": ActionType(
            "restart_pod", parameters={"properties": {"grace": {"type": "integer"}}}, risk=Risk.MEDIUM
        ),
        "notify_team": ActionType("notify_team", risk=Risk.LOW, changes=False),
    },
)
ABOUT = About(
    workflow_id="w1",
    cluster="default",
    namespace="prod",
    method="fallback",
    plan="short_of_cpu",
    related=frozenset({POD.identity, WEB.identity}),
    owners={POD.identity: WEB.identity},
    identity="ana",
    replicas={WEB.identity: 4},
    catalogue=CATALOGUE,
)
AI = replace(ABOUT, method="ai_generated", confidence=0.9)


def step(name: str = "scale", action: str = "scale_deployment", on: Target | None = WEB, **parameters: Any) -> Step:
    """A step that changes something."""
    changes = action != "notify_team"
    return Step(id=name, action=Action(action, parameters, on), changes=changes)


def plan(*steps: Step) -> Plan:
    """A plan of these."""
    return Plan(steps=steps or (step(),), reason="the test says so", creation_method="fallback")


def said(judgement: Judgement) -> Mapping[str, Word]:
    """What speaks against it, by rule."""
    return {one.rule: one.word for one in judgement.findings if one.word is not Word.ALLOWED}


def of(*steps: Step, about: About = ABOUT, policy: Policy = BUILT_IN, now: datetime = NOW) -> Mapping[str, Word]:
    """What speaks against a plan of these steps."""
    return said(judge_plan(plan(*steps), about, policy, now))


def freeze(**more: Any) -> Freeze:
    """A freeze for two hours around NOW, or as `more` says."""
    window = Silence(
        "f", "freeze", "true", NOW - timedelta(hours=1), NOW + timedelta(hours=1), more.pop("weekly", None)
    )
    return Freeze("release", Scope(**more), window, "the sale")


def test_the_built_in_policy_lets_a_rule_plan_go() -> None:
    """One finding for every rule, all of them allowed."""
    found = judge_plan(plan(), ABOUT, Policy(), NOW)
    assert (found.word, tuple(one.rule for one in found.findings)) == (Word.ALLOWED, RULES)


def test_an_advisor_chooses_from_the_catalogue_only() -> None:
    """What is not in it is denied; a rule's plan is left to the executor."""
    assert of(step(action="rm_rf"), about=AI) == {"catalogue": Word.DENIED}
    assert of(step(action="rm_rf")) == {}


def test_parameters_are_held_against_their_schema() -> None:
    """An advisor's when the plan is made, those from expressions when the step begins."""
    wrong = step(action="restart_pod", on=POD, grace="soon")
    assert of(wrong, about=AI) == {"parameters": Word.DENIED}
    assert said(judge_step(wrong, {"grace": "soon"}, ABOUT, Policy(), NOW)) == {"parameters": Word.DENIED}


@pytest.mark.parametrize(
    ("parameters", "denied"),
    [
        ({}, False),
        ({"namespace": "prod", "resource_name": "web"}, False),
        ({"namespace": "prod", "resource_name": "db"}, True),
        ({"namespace": "staging", "resource_name": "web"}, True),
    ],
)
def test_an_advisors_plan_touches_what_the_alert_is_about(parameters: dict[str, Any], denied: bool) -> None:
    """The alert's target and its owners, whatever the parameters name."""
    assert of(step(**parameters), about=AI) == ({"target": Word.DENIED} if denied else {})


def test_what_an_advisor_names_by_an_expression_is_judged_with_its_value() -> None:
    """Nothing is said while the plan is made; the step is denied."""
    blind = step(namespace="prod", resource_name="${{ alert.labels.app }}")
    assert of(blind, about=AI) == {}
    found = judge_step(blind, {"namespace": "prod", "resource_name": "db"}, AI, Policy(), NOW)
    assert said(found) == {"target": Word.DENIED}


@pytest.mark.parametrize("namespace", ["kube-system", "openshift-etcd", "kubernaut"])
def test_protected_namespaces_are_not_changed(namespace: str) -> None:
    """By globs, and where this service runs; looking is allowed."""
    there = replace(WEB, namespace=namespace)
    policy = Policy(own_namespace="kubernaut")
    assert of(step(on=there), policy=policy) == {"protected": Word.DENIED}
    assert of(step(action="notify_team", on=there), policy=policy) == {}


def test_deny_counts_before_allow() -> None:
    """By environment, namespace, identity, creation method and action."""
    production = Environment("production", ("prod*",))
    policy = Policy(environments=(production,), allow=(Scope(environments=("production",)),))
    assert of(policy=policy) == {}
    assert of(step(on=replace(WEB, namespace="dev")), policy=policy) == {"lists": Word.DENIED}
    for scope in (
        Scope(identities=("an?",)),
        Scope(methods=("fall*",)),
        Scope(actions=("scale_*",)),
        Scope(namespaces=("prod",)),
    ):
        assert of(policy=replace(policy, deny=(scope,))) == {"lists": Word.DENIED}, scope
    assert of(policy=replace(policy, deny=(Scope(identities=("bob",)),))) == {}


def test_risk_needs_what_its_environment_says() -> None:
    """The first entry that fits counts."""
    words = {Risk.LOW: Word.ALLOWED, Risk.MEDIUM: Word.NEEDS_APPROVAL, Risk.HIGH: Word.DENIED}
    policy = Policy(
        environments=(Environment("production", ("prod",)),), risk=(RiskRule(("production",), words), RiskRule())
    )
    assert of(policy=policy) == {"risk": Word.NEEDS_APPROVAL}
    assert of(step(action="drain_node"), policy=policy) == {"risk": Word.DENIED}
    assert of(step(on=replace(WEB, namespace="dev")), policy=policy) == {}


@pytest.mark.parametrize(
    ("there", "wanted", "denied"), [(4, 8, False), (4, 9, True), (0, 1, False), (1, 3, True), (4, 0, True)]
)
def test_scaling_is_bounded(there: int, wanted: int, denied: bool) -> None:
    """Twice what is there, or one more; never to zero unless the policy says so. Rules are bound only if it says so."""
    about = replace(ABOUT, replicas={WEB.identity: there})
    expected = {"scale": Word.DENIED} if denied else {}
    assert of(step(replicas=wanted), about=replace(about, method="ai_enhanced", confidence=1.0)) == expected
    assert of(step(replicas=wanted), about=about, policy=Policy(blast=Blast(scale_of_rules=True))) == expected
    assert of(step(replicas=wanted), about=about) == {}


def test_scaling_to_zero_can_be_said() -> None:
    """Then it is allowed."""
    assert of(step(replicas=0), about=AI, policy=Policy(blast=Blast(scale_to_zero=True))) == {}


def test_a_plan_hits_only_so_much() -> None:
    """Objects, nodes, and the share of an owner's replicas that go."""
    many = [step(f"s{number}", on=replace(WEB, name=f"web-{number}")) for number in range(3)]
    assert of(*many, policy=Policy(blast=Blast(objects=2))) == {"objects": Word.DENIED}
    nodes = [step(f"n{number}", on=Target("default", "Node", f"node-{number}")) for number in range(2)]
    assert of(*nodes) == {"nodes": Word.DENIED}
    pods = [step(f"p{number}", "restart_pod", replace(POD, name=f"web-{number}")) for number in range(3)]
    owners = {one.action.target.identity: WEB.identity for one in pods if one.action and one.action.target}
    about, half = replace(ABOUT, owners=owners), Policy(blast=Blast(share_of_replicas=0.5))
    assert of(*pods, about=about, policy=half) == {"replicas": Word.DENIED}
    assert of(*pods[:2], about=about, policy=half) == {}
    assert of(step(replicas=1), policy=half) == {"scale": Word.DENIED}


@pytest.mark.parametrize(("steps", "asked"), [(10, False), (11, True)])
def test_large_plans_need_a_word(steps: int, asked: bool) -> None:
    """More than ten steps."""
    found = of(*(step(f"s{number}") for number in range(steps)))
    assert found == ({"size": Word.NEEDS_APPROVAL} if asked else {})


@pytest.mark.parametrize(("confidence", "asked"), [(0.7, False), (0.69, True), (None, True)])
def test_confidence_below_the_floor_needs_a_word(confidence: float | None, asked: bool) -> None:
    """The floor itself is enough; an advisor that does not say is not sure."""
    found = of(about=replace(AI, confidence=confidence))
    assert found == ({"confidence": Word.NEEDS_APPROVAL} if asked else {})


@pytest.mark.parametrize(
    ("level", "word", "reason"),
    [
        (Level.OBSERVE, Word.DENIED, "observe_only"),
        (Level.SUGGEST, Word.DENIED, "suggested"),
        (Level.APPROVE, Word.NEEDS_APPROVAL, ""),
        (Level.AUTONOMOUS, Word.ALLOWED, ""),
    ],
)
def test_the_ladder(level: Level, word: Word, reason: str) -> None:
    """By rule and environment; what may only be watched ends with a reason of its own."""
    policy = Policy(autonomy=(Rung(Level.AUTONOMOUS, ("other",)), Rung(level, ("short_*",), ("default",))))
    found = judge_plan(plan(), ABOUT, policy, NOW)
    assert found.word is word
    if reason:
        assert refusal(found)[0] == reason


def test_a_ban_counts_before_the_ladder() -> None:
    """What is forbidden is not called a suggestion."""
    policy = Policy(autonomy=(Rung(Level.SUGGEST),))
    found = judge_plan(plan(step(on=replace(WEB, namespace="kube-system"))), ABOUT, policy, NOW)
    assert refusal(found)[0] == "guardrail_denied"
    assert "protected" in refusal(found)[1]


def test_freezes_hold() -> None:
    """Once, weekly, in their scope only; what changes nothing goes on."""
    assert of(policy=Policy(freezes=(freeze(),))) == {"freeze": Word.HELD}
    assert of(step(action="notify_team"), policy=Policy(freezes=(freeze(),))) == {}
    assert of(policy=Policy(freezes=(freeze(namespaces=("dev",)),))) == {}
    assert of(policy=Policy(freezes=(freeze(),)), now=NOW + timedelta(hours=1)) == {}
    weekly = Weekly(("mon",), "13:00", "14:00", "Europe/Berlin")  # 12:00 UTC
    assert of(policy=Policy(freezes=(freeze(weekly=weekly),))) == {"freeze": Word.HELD}
    assert of(policy=Policy(freezes=(freeze(weekly=replace(weekly, timezone="UTC")),))) == {}


def test_halts_hold() -> None:
    """Everywhere or in one namespace."""

    def halted(namespace: str) -> Mapping[str, Word]:
        return of(about=replace(ABOUT, standing=Standing(halts=(Halt(namespace, "stop", "ana", NOW),))))

    assert (halted(""), halted("prod"), halted("dev")) == ({"halt": Word.HELD}, {"halt": Word.HELD}, {})


def test_budgets_hold() -> None:
    """A change that would be one too many in its hour, of its target's owner, namespace or cluster."""
    about = replace(ABOUT, past=Past(used={WEB.identity: 2, "prod": 3, "": 5}))
    for name, room in (("target", 2), ("namespace", 3), ("cluster", 5)):
        pod = step(action="restart_pod", on=POD)
        assert of(pod, about=about, policy=Policy(budgets=Budgets(**{name: room}))) == {"budget": Word.HELD}
        assert of(pod, about=about, policy=Policy(budgets=Budgets(**{name: room + 1}))) == {}


def test_oscillation_and_the_breaker_need_a_word() -> None:
    """What did not help so often, and an environment in which too much ended badly."""
    past = Past(unhelpful={("scale_deployment", WEB.identity): 3})
    assert of(about=replace(ABOUT, past=past), policy=Policy(oscillation=Oscillation(3))) == {
        "oscillation": Word.NEEDS_APPROVAL
    }
    assert of(about=replace(ABOUT, past=past), policy=Policy(oscillation=Oscillation(4))) == {}
    latched = Standing(latches=(Latch("default", "10 of 20", NOW),))
    assert of(about=replace(ABOUT, standing=latched), policy=Policy(breaker=Breaker(0.5))) == {
        "breaker": Word.NEEDS_APPROVAL
    }


def glass(*rules: str, **more: Any) -> Override:
    """An override for an hour."""
    given: dict[str, Any] = {"namespace": "*", "workflow_id": None, **more}
    return Override("o1", rules, reason="fire", by="ana", expires_at=NOW + timedelta(hours=1), **given)


def test_break_glass() -> None:
    """It lets through what its rules say, in its namespaces, until it expires; some rules are above everybody."""
    denied = step(on=replace(WEB, namespace="kube-system"))

    def told(override: Override, now: datetime = NOW) -> Mapping[str, Word]:
        return of(denied, about=replace(ABOUT, standing=Standing(overrides=(override,))), now=now)

    assert told(glass("protected")) == {}
    for one in (glass("risk"), glass("protected", namespace="prod"), glass("protected", workflow_id="w2")):
        assert told(one) == {"protected": Word.DENIED}
    assert told(glass("protected"), NOW + timedelta(hours=1)) == {"protected": Word.DENIED}
    firm = replace(AI, standing=Standing(overrides=(glass(*FIRM),)))
    assert of(step(action="rm_rf"), about=firm) == {"catalogue": Word.DENIED}
    found = judge_plan(plan(denied), replace(ABOUT, standing=Standing(overrides=(glass("protected"),))), Policy(), NOW)
    assert [one.override for one in found.findings if one.rule == "protected"] == ["o1"]


def test_a_step_without_the_word_that_it_needs_by_now_waits() -> None:
    """The policy has changed since the plan was made: it is held; with the plan's approval it goes."""
    policy = Policy(risk=(RiskRule((), dict.fromkeys(Risk, Word.NEEDS_APPROVAL)),))
    assert said(judge_step(step(), None, ABOUT, policy, NOW)) == {"risk": Word.HELD}
    assert said(judge_step(step(), None, replace(ABOUT, approved=True), policy, NOW)) == {}


def test_the_step_that_asks_comes_before_what_changes() -> None:
    """What only looks goes on at once; an alternative that changes waits through what it stands in for."""
    look = step("look", "notify_team", None)
    heal = replace(step("heal", "notify_team", None), alternative="heal_2", on_failure=OnFailure.ALTERNATIVE)
    why = (Finding("size", Word.NEEDS_APPROVAL),)
    found = guarded.behind_approval(plan(look, step("scale"), heal, step("heal_2")), why)
    needs = {one.id: one.needs for one in found.steps}
    ask = guarded.APPROVAL
    assert needs == {ask: (), "look": (), "scale": (ask,), "heal": (ask,), "heal_2": ()}
    assert found.steps[0].kind is StepKind.APPROVAL
    assert set(validate(found).order) == set(needs)
    assert guarded.behind_approval(plan(look), ()) == plan(look)


policies = st.builds(
    Policy,
    deny=st.sampled_from([(), (Scope(),), (Scope(namespaces=("dev",)),)]),
    blast=st.builds(Blast, objects=st.none() | st.integers(0, 3), scale_to_zero=st.booleans()),
    budgets=st.builds(Budgets, target=st.none() | st.integers(0, 3), cluster=st.none() | st.integers(0, 3)),
    plan_size=st.none() | st.integers(1, 4),
    confidence=st.floats(0, 1),
    autonomy=st.sampled_from([(), *((Rung(level),) for level in Level)]),
    freezes=st.sampled_from([(), (freeze(),)]),
)
steps_ = st.builds(
    step,
    name=st.sampled_from("abcdef"),
    action=st.sampled_from([*CATALOGUE.actions, "rm_rf"]),
    on=st.sampled_from([WEB, POD, None, Target("default", "Node", "n1"), replace(WEB, namespace="kube-system")]),
    replicas=st.integers(0, 20),
)
abouts = st.builds(
    replace,
    st.sampled_from([ABOUT, AI]),
    confidence=st.none() | st.floats(0, 1),
    past=st.builds(Past, used=st.fixed_dictionaries({WEB.identity: st.integers(0, 4), "": st.integers(0, 4)})),
)
plans = st.lists(steps_, min_size=1, max_size=6, unique_by=lambda one: one.id).map(lambda found: plan(*found))


@given(plans, abouts, policies)
def test_every_rule_has_one_finding_and_the_strictest_counts(one: Plan, about: About, policy: Policy) -> None:
    """Whatever is asked: total, the same again, and a word that one of the findings has."""
    found = judge_plan(one, about, policy, NOW)
    assert found == judge_plan(one, about, policy, NOW)
    assert sorted(finding.rule for finding in found.findings) == sorted(RULES)
    assert found.of(found.word)
    assert all(finding.why for finding in found.findings)


@given(plans, abouts, policies)
def test_more_caution_never_allows_more(one: Plan, about: About, policy: Policy) -> None:
    """A halt, a ban or an advisor's part in it makes no word milder; only break-glass does."""
    before = judge_plan(one, about, policy, NOW)
    order = tuple(Word).index
    halted = replace(about, standing=Standing(halts=(Halt("", "stop", "ana", NOW),)))
    for after in (
        judge_plan(one, halted, policy, NOW),
        judge_plan(one, about, replace(policy, deny=(Scope(),)), NOW),
        judge_plan(one, replace(about, method="ai_selected"), policy, NOW),
    ):
        assert order(after.word) >= order(before.word)
    opened = replace(about, standing=Standing(overrides=(glass(*RULES),)))
    milder = judge_plan(one, opened, policy, NOW)
    assert {finding.rule for finding in milder.findings if finding.word is not Word.ALLOWED} <= FIRM


@given(plans, abouts, policies)
def test_a_step_of_an_allowed_plan_may_begin(one: Plan, about: About, policy: Policy) -> None:
    """What was allowed with its plan is allowed by itself, while nothing has changed."""
    if judge_plan(one, about, policy, NOW).word is Word.ALLOWED:
        assert all(judge_step(each, None, about, policy, NOW).word is Word.ALLOWED for each in one.steps)
