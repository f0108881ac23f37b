"""From an alert and what is known about it to a plan: the first rule that fits, and never nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from workflow_service.domain import graph
from workflow_service.domain.alert import Alert
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import InvalidPlan
from workflow_service.domain.levels import every
from workflow_service.domain.locking import OWNERS
from workflow_service.domain.plan import Phase, Plan, Step, StepKind
from workflow_service.domain.target import NoTarget, Target
from workflow_service.planning.failure_defaults import with_defaults
from workflow_service.planning.filling import Filled, PlanLimits, fill
from workflow_service.planning.rules import Rule, RuleAction, Rules, When, heard
from workflow_service.planning.situation import DoesNotFit, Situation, situation
from workflow_service.ports import Observation

# Upstream's BR-WF-TIMEOUT-001: how long a workflow may run, by its number of steps.
_TIERS = ((3, 600.0), (10, 1200.0))
_LONGEST_TIER = 2700.0
_LAST_RESORT = "last_resort"


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

    Rules are tried in three rounds, in file order in each: keywords in the alert's name, keywords in its texts, no
    keywords. One that speaks of the alert but does not fit is passed over, and `metadata["considered"]` says why. When
    none fits, somebody is told. `observation` is of the target; its `facts["owner"]`, when there, are the top owner's.
    """
    here = situation(alert, target, observation)
    considered: list[dict[str, str]] = []
    for rule in (*heard(rules, alert), *_last_resorts(here, catalogue)):
        try:
            return _plan(rule, here, catalogue, rules=rules, limits=limits, considered=considered)
        except DoesNotFit as why:
            considered.append({"rule": rule.name, "why_not": str(why)})
    # The executor offers no way to tell anybody; its refusal will then be the honest outcome.
    plan = _plan(_tell("log_incident"), here, None, rules=rules, limits=limits, considered=considered)
    return replace(plan, catalogue_digest=catalogue.digest if catalogue else None)


def _plan(
    rule: Rule,
    here: Situation,
    catalogue: Catalogue | None,
    *,
    rules: Rules,
    limits: PlanLimits,
    considered: list[dict[str, str]],
) -> Plan:
    _check(rule.when, here)
    filled = fill(rule, here, catalogue, limits)
    classed = with_defaults(filled.steps, rule, rules.failures, limits)
    steps = classed if limits.parallel_enabled else _chained(classed)
    timeout = run_timeout(sum(1 for _ in every(steps)), limits)
    plan = Plan(
        steps=steps,
        reason=f"{rule.reason} ({here.why_no_target})" if here.why_no_target else rule.reason,
        creation_method="fallback",
        catalogue_digest=catalogue.digest if catalogue else None,
        rule=rule.name,
        max_parallel=limits.max_parallel if limits.parallel_enabled else 1,
        timeout=timeout,
        undo_timeout=timeout,
        on_resolved=rule.on_resolved,
        metadata=_metadata(rule, here, filled, version=rules.version, considered=considered),
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


def _metadata(
    rule: Rule, here: Situation, filled: Filled, *, version: str, considered: list[dict[str, str]]
) -> dict[str, Any]:
    return {
        "creation_method": "fallback",
        "alert_severity": here.alert.severity,
        "alert_namespace": here.alert.namespace or "",
        "actions_count": sum(step.kind is StepKind.ACTION for step, _ in every(filled.steps)),
        "ai_provider": "none",
        "workflow_version": version,
        "rule": rule.name,
        "considered": [*considered],
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
        name=_LAST_RESORT,
        reason="no rule of the rule file fits this alert, so somebody is told",
        actions=(RuleAction(id="tell", type=action_type, parameters=parameters),),
    )
