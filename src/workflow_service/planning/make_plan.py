"""From an alert and what is known about it to a plan: a template, else the first rule that fits; never nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from workflow_service.domain import graph
from workflow_service.domain.alert import Alert
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import InvalidPlan, Violation
from workflow_service.domain.levels import every
from workflow_service.domain.locking import OWNERS
from workflow_service.domain.plan import Phase, Plan, Step, StepKind
from workflow_service.domain.target import NoTarget, Target
from workflow_service.planning.deriving import Derived, derived, ordered
from workflow_service.planning.failure_defaults import with_defaults
from workflow_service.planning.filling import Filled, PlanLimits, fill
from workflow_service.planning.matching import expect_fit, expect_true, speaking
from workflow_service.planning.rules import Rule, RuleAction, Rules, When, heard, spoken
from workflow_service.planning.situation import DoesNotFit, Situation, situation
from workflow_service.planning.templates import Order, Template
from workflow_service.ports import Observation

# Upstream's BR-WF-TIMEOUT-001: how long a workflow may run, by its number of steps.
_TIERS = ((3, 600.0), (10, 1200.0))
_LONGEST_TIER = 2700.0
LAST_RESORT = "last_resort"


def make_plan(
    alert: Alert,
    target: Target | NoTarget,
    *,
    observation: Observation | None,
    catalogue: Catalogue | None,
    rules: Rules,
    limits: PlanLimits,
) -> Plan:
    """The plan for an alert. Pure, total, and never without an action.

    Templates that speak of the alert are tried first, the closest before the others; then rules in three rounds, in
    file order in each: keywords in the alert's name, keywords in its texts, no keywords. What speaks of the alert but
    does not fit is passed over, and `metadata["considered"]` says why. When nothing fits, somebody is told.
    `observation` is of the target; its `facts["owner"]`, when there, are the top owner's.
    """
    making = _Making(situation(alert, target, observation), catalogue, rules, limits)
    considered: list[dict[str, str]] = []
    plan = _by_template(making, considered)
    if plan is not None:
        return _noted(plan, considered)
    for rule in (*heard(rules, alert), *_last_resorts(making.here, catalogue)):
        try:
            return _noted(making.of_rule(rule), considered)
        except DoesNotFit as why:
            considered.append({"rule": rule.name, "why_not": str(why)})
    # The executor offers no way to tell anybody; its refusal will then be the honest outcome.
    plan = replace(making, catalogue=None).of_rule(_tell("log_incident"))
    return replace(_noted(plan, considered), catalogue_digest=catalogue.digest if catalogue else None)


def _by_template(making: _Making, considered: list[dict[str, str]]) -> Plan | None:
    """The plan of the first template that speaks of the alert and fits; what becomes of the others is noted."""
    candidates = iter(speaking(making.rules.templates, making.here.alert))
    for template in candidates:
        try:
            plan = making.of_template(template)
        except DoesNotFit as why:
            considered.append({"template": str(template.reference), "why_not": str(why)})
            continue
        lost = f"{template.reference} speaks of it more closely"
        considered += [{"template": str(one.reference), "why_not": lost} for one in candidates]
        return plan
    return None


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan that fits an alert, and what its template or rule says of itself."""

    plan: Plan
    what: str


def choices(here: Situation, catalogue: Catalogue | None, rules: Rules, limits: PlanLimits) -> tuple[Choice, ...]:
    """Every plan of a template or rule that speaks of the alert and fits, in the order in which they are tried. Pure.

    Rules without keywords speak of no alert: they are for those of which nothing else does.
    """
    making = _Making(here, catalogue, rules, limits)
    templates: list[tuple[Callable[[], Plan], str]] = [
        (partial(making.of_template, one), one.rule.reason) for one in speaking(rules.templates, here.alert)
    ]
    others: list[tuple[Callable[[], Plan], str]] = [
        (partial(making.of_rule, one), one.reason) for one in spoken(rules, here.alert)
    ]
    found: list[Choice] = []
    for make, what in (*templates, *others):
        with suppress(DoesNotFit):
            found.append(Choice(_noted(make(), []), what))
    return tuple(found)


def make_ordered(
    order: Order,
    alert: Alert,
    target: Target | NoTarget,
    *,
    observation: Observation | None,
    catalogue: Catalogue | None,
    basis: tuple[Rules, PlanLimits],
) -> Plan:
    """The plan of a template that somebody has ordered; `alert` stands for the order. Pure.

    Raises:
        InvalidPlan: the template cannot be used here; nothing else is done instead.
    """
    making = _Making(situation(alert, target, observation), catalogue, *basis)
    try:
        return _noted(making.of_order(order), [])
    except DoesNotFit as why:
        broken = Violation("template", str(order.template.reference), str(why))
        raise InvalidPlan("the template that was ordered cannot be used here", [broken]) from None


def _noted(plan: Plan, considered: list[dict[str, str]]) -> Plan:
    return replace(plan, metadata={**plan.metadata, "considered": considered})


@dataclass(frozen=True, slots=True)
class _Making:
    """What a plan is made from, but for the rule."""

    here: Situation
    catalogue: Catalogue | None
    rules: Rules
    limits: PlanLimits

    def of_rule(self, rule: Rule) -> Plan:
        """The plan of a rule.

        Raises:
            DoesNotFit: it cannot be used here.
        """
        _check(rule.when, self.here)
        plan = Plan(steps=(), reason=rule.reason, creation_method="fallback", rule=rule.name)
        return self.made(rule, plan, {"rule": rule.name, "workflow_version": self.rules.version})

    def of_template(self, template: Template) -> Plan:
        """The plan of a template whose names include the alert's.

        Raises:
            DoesNotFit: it cannot be used here.
        """
        expect_fit(template, self.here)
        _check(template.rule.when, self.here)
        found = derived(template, self.here)
        expect_true(template, self.here, found.values)
        return self._of(template, found)

    def of_order(self, order: Order) -> Plan:
        """The plan of a template with the parameters that were ordered.

        Raises:
            DoesNotFit: it cannot be used here.
        """
        return self._of(order.template, ordered(order.template, order.parameters))

    def _of(self, template: Template, found: Derived) -> Plan:
        name = str(template.reference)
        plan = Plan(
            steps=(),
            reason=template.rule.reason,
            creation_method="template",
            rule=name,
            parameters=found.values,
        )
        told = {
            "rule": name,
            "workflow_version": template.reference.version,
            "template": {
                "name": template.reference.name,
                "version": template.reference.version,
                "digest": template.digest,
                "sources": dict(found.sources),
            },
        }
        making = replace(self, here=replace(self.here, given=found.values))
        return making.made(template.rule, plan, told, bound=template.timeout)

    def made(self, rule: Rule, plan: Plan, told: Mapping[str, Any], *, bound: float | None = None) -> Plan:
        """The plan with the steps of the rule, if it is sound; `bound` None: as long as any plan may run."""
        here, limits = self.here, self.limits
        filled = fill(rule, here, self.catalogue, limits)
        classed = with_defaults(filled.steps, rule, self.rules.failures, limits)
        steps = classed if limits.parallel_enabled else _chained(classed)
        timeout = run_timeout(sum(1 for _ in every(steps)), limits) if bound is None else bound
        plan = replace(
            plan,
            steps=steps,
            reason=f"{rule.reason} ({here.why_no_target})" if here.why_no_target else rule.reason,
            catalogue_digest=self.catalogue.digest if self.catalogue else None,
            max_parallel=limits.max_parallel if limits.parallel_enabled else 1,
            timeout=timeout,
            undo_timeout=timeout,
            on_resolved=rule.on_resolved,
            metadata={**_metadata(plan.creation_method, here, filled), **told},
        )
        try:
            graph.validate(plan)
        except InvalidPlan as why:
            raise DoesNotFit(str(why)) from None
        return plan


def _check(when: When, here: Situation) -> None:
    """Everything a rule asks for besides its keywords."""
    kind = here.target.kind if here.target else "none"
    for what, have, wanted in (
        ("target is", kind, when.kinds),
        ("owner is", here.owner_kind, when.owners),
        ("severity is", here.alert.severity, when.severities),
    ):
        if wanted and have.lower() not in {word.lower() for word in wanted}:
            raise DoesNotFit(f"{what} {have}, not {' or '.join(wanted)}")
    if missing := [name for name in when.observed if not here.fact(name)]:
        raise DoesNotFit(f"{' and '.join(missing)} not observed, or zero")


def _metadata(method: str, here: Situation, filled: Filled) -> dict[str, Any]:
    return {
        "creation_method": method,
        "alert_severity": here.alert.severity,
        "alert_namespace": here.alert.namespace or "",
        "actions_count": sum(step.kind is StepKind.ACTION for step, _ in every(filled.steps)),
        "ai_provider": "none",
        OWNERS: {here.target.identity: here.owner.identity} if here.target and here.owner else {},
        "left_out": [{"action": name, "why_not": why} for name, why in filled.left_out],
    }


def _chained(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Plan order, one by one, in each phase and inside of templates.

    An alternative keeps its place behind the step it stands in for.
    """
    alternatives = {step.alternative for step in steps if step.alternative}
    return tuple(chained for phase in Phase for chained in _chain(steps, phase, alternatives))


def _chain(steps: Sequence[Step], phase: Phase, alternatives: set[str]) -> Iterator[Step]:
    before: str | None = None
    for step in (replace(one, steps=_chained(one.steps)) for one in steps if one.phase is phase):
        if step.id in alternatives:
            yield step
            continue
        yield step if before is None or before in step.needs else replace(step, needs=(*step.needs, before))
        before = step.id


def run_timeout(steps: int, limits: PlanLimits) -> float:
    """How long a workflow of that many steps may run, in seconds."""
    if limits.workflow_timeout is not None:
        return limits.workflow_timeout
    return next((seconds for most, seconds in _TIERS if steps <= most), _LONGEST_TIER)


def _last_resorts(here: Situation, catalogue: Catalogue | None) -> list[Rule]:
    """What remains when no rule of the file fits: tell somebody, in the way that suits the severity best."""
    urgent = here.alert.severity in ("critical", "high", "error")
    types = ("notify_oncall", "notify_team") if urgent else ("notify_team", "notify_oncall")
    offered = (*types, "log_incident", "notify_only")
    return [_tell(name) for name in offered if catalogue is None or catalogue.get(name)]


def _tell(action_type: str) -> Rule:
    message = "{alert} ({severity}) on {subject}: {message}. No rule fits."
    parameters = {"message": message, "severity": "{level}"}
    return Rule(
        name=LAST_RESORT,
        reason="no rule of the rule file fits this alert, so somebody is told",
        actions=(RuleAction(id="tell", type=action_type, parameters=parameters),),
    )
