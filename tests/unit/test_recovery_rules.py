"""What an operator says about failures in the rule file: read, written into plans, and every flaw named by its line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.unit.planning_cases import CATALOGUE, MINIMAL, RULES, plan_for, seen
from workflow_service.domain.errors import InvalidRules
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.plan import ByClass, OnFailure, Plan
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.rule_file import load_rules

pytestmark = pytest.mark.requirement("BR-WF-014", "BR-WF-051")
CRITICAL, HIGH, MEDIUM, LOW = FailureClass
SCALE = {"namespace": "{namespace}", "resource_name": "{name}", "replicas": 3}
OTHER = {"name": "other", "reason": "it may help", "actions": [{"id": "x", "type": "scale_deployment"}]}


def scale(name: str = "scale", **more: Any) -> dict[str, Any]:
    """An action that scales the target."""
    return {"id": name, "type": "scale_deployment", "on": "target", "parameters": SCALE, **more}


def file(*actions: Mapping[str, Any], failures: Mapping[str, Any] | None = None, **rule: Any) -> str:
    """A rule file."""
    one = {"name": "one", "reason": "because", "actions": list(actions), **rule}
    return yaml.safe_dump({"version": 1, "rules": [one], **({"failures": failures} if failures else {})})


def planned(*actions: Mapping[str, Any], limits: PlanLimits | None = None, **said: Any) -> Plan:
    """The plan by that rule file, about a deployment."""
    rules = load_rules(file(*actions, **said))
    return plan_for(seen(replicas=2), resource="deployment/web", rules=rules, limits=limits or PlanLimits())


def by_class(plan: Plan, step: str = "scale") -> dict[str, ByClass]:
    """What classes decide for a step."""
    return {name.value: one for name, one in plan.step(step).by_class.items()}


def test_a_rule_file_that_says_nothing_of_it_makes_plans_as_before() -> None:
    """The shipped classes choose nothing else than what there was: format and hash stay."""
    plan = planned(scale())
    assert (plan.format, by_class(plan)) == (1, {})


def test_options_are_for_the_classes_in_which_recovery_is_tried() -> None:
    """High and medium, unless the option or the class says otherwise."""
    assert by_class(planned(scale(), recovery=[OTHER])) == {
        "high": ByClass(recover=True),
        "medium": ByClass(recover=True),
    }
    named = {**OTHER, "classes": ["critical"]}
    assert by_class(planned(scale(), recovery=[named])) == {"critical": ByClass(recover=True)}
    off = {"classes": {"high": {"recover": False}, "low": {"recover": True}}}
    assert set(by_class(planned(scale(), recovery=[OTHER], failures=off))) == {"medium", "low"}


def test_options_are_for_what_was_to_cure_unless_they_name_an_action() -> None:
    """What tells somebody, or is not critical, has another way only where one is meant for it."""
    tell = {"id": "tell", "type": "notify_team", "parameters": {"message": "{alert}"}}
    minor = scale("minor", critical=False)
    plan = planned(scale(), tell, minor, recovery=[OTHER])
    assert (by_class(plan, "tell"), by_class(plan, "minor")) == ({}, {})
    named = {**OTHER, "after": ["tell"]}
    plan = planned(scale(), tell, recovery=[named])
    assert (set(by_class(plan, "tell")), by_class(plan, "scale")) == ({"high", "medium"}, {})


def test_a_class_has_options_for_any_rule_and_a_rule_may_want_none() -> None:
    """An empty list is a word too."""
    failures = {"classes": {"high": {"recovery": [OTHER]}}}
    assert by_class(planned(scale(), failures=failures)) == {"high": ByClass(recover=True)}
    assert by_class(planned(scale(), failures=failures, recovery=[])) == {}


def test_a_class_decides_only_what_an_action_does_not_say_itself() -> None:
    """Its answer and its retries are defaults."""
    failures = {"classes": {"medium": {"on_failure": "stop", "retries": 7}}}
    assert by_class(planned(scale(), failures=failures)) == {"medium": ByClass(OnFailure.STOP, max_retries=7)}
    said = planned(scale(on_failure="rollback", retries=1), failures=failures)
    assert by_class(said) == {}
    minor = planned(scale(), scale("minor", critical=False), failures=failures)
    assert by_class(minor, "minor") == {"medium": ByClass(max_retries=7)}


def test_switches_of_the_operator_hold_for_classes_too() -> None:
    """Without rollback a class cannot bring one; without recovery none is asked for."""
    failures = {"classes": {"high": {"on_failure": "rollback"}}}
    limits = PlanLimits(rollback_enabled=False, recovery_enabled=False)
    plan = planned(scale(), failures=failures, recovery=[OTHER], limits=limits)
    assert by_class(plan) == {"high": ByClass(on_failure=OnFailure.STOP)}


@pytest.mark.parametrize(
    ("said", "where", "rule"),
    [
        ({"failures": {"patterns": [{"class": "bad", "errors": ["x"]}]}}, "failures.patterns.0.class (line", "bad"),
        ({"failures": {"patterns": [{"class": "high"}]}}, "failures.patterns.0 (line", "format"),
        ({"failures": {"patterns": [{"class": "high", "errors": ["oops"]}]}}, "patterns.0.errors.0 (line", "fits no"),
        ({"failures": {"patterns": [{"class": "high", "messages": ["**"]}]}}, "messages.0 (line", "format"),
        ({"failures": {"classes": {"worse": {}}}}, "failures.classes (line", "worse"),
        ({"failures": {"classes": {"high": {"on_failure": "alternative"}}}}, "classes.high.on_failure (line", "format"),
        ({"failures": {"classes": {"high": {"retries": 99}}}}, "classes.high.retries (line", "format"),
        (
            {"failures": {"classes": {"high": {"recovery": [{**OTHER, "after": ["scale"]}]}}}},
            "after (line",
            "of a rule",
        ),
        ({"recovery": [OTHER, OTHER]}, "rules.0.recovery.1.name (line", "earlier option"),
        ({"recovery": [{**OTHER, "after": ["nobody"]}]}, "rules.0.recovery.0.after (line", "no action"),
        ({"recovery": [{**OTHER, "actions": []}]}, "rules.0.recovery.0.actions (line", "format"),
        ({"recovery": [{**OTHER, "classes": ["bad"]}]}, "rules.0.recovery.0.classes.0 (line", "format"),
        ({"recovery": [{**OTHER, "actions": [scale(needs=["y"])]}]}, "recovery.0.actions.0.needs (line", "no step"),
        (
            {"recovery": [{**OTHER, "actions": [scale(description="{nothing}")]}]},
            "actions.0.description (line",
            "place",
        ),
    ],
)
def test_every_flaw_is_named_with_its_line(said: dict[str, Any], where: str, rule: str) -> None:
    """Wrong shapes, unknown words, and options that belong to nothing."""
    with pytest.raises(InvalidRules) as refused:
        load_rules(file(scale(), **said))
    told = [str(one) for one in refused.value.violations]
    assert any(where in one and rule in one for one in told), told


def test_an_option_belongs_to_the_last_alternative() -> None:
    """The action that has one is not the one that fails last."""
    actions = [scale(alternative="other"), scale("other")]
    with pytest.raises(InvalidRules, match="has an alternative; name that one"):
        load_rules(file(*actions, recovery=[{**OTHER, "after": ["scale"]}]))
    assert load_rules(file(*actions, recovery=[{**OTHER, "after": ["other"]}])).rules[0].recovery


def test_the_shipped_rules_offer_only_what_the_executor_does() -> None:
    """Every action type of their recovery options is in our executor's catalogue; the minimal file has none."""
    offered = {action.type for rule in RULES.rules for one in rule.recovery or () for action in one.actions}
    assert offered <= set(CATALOGUE.actions)
    assert load_rules(MINIMAL).rules[0].recovery is None
