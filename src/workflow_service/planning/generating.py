"""A whole plan of an advisor's, for an alert that no template and no rule knows a remedy for. Pure.

Its steps are actions of the catalogue at the alert's target or its owner, at most five, none of high risk, each change
with an undo; what the rule would look at and tell is done beside them. How they follow each other is upstream's
multi-stage form, and becomes a plan as that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workflow_service.domain import graph
from workflow_service.domain.advice import MOST_CANDIDATES, STAGES, Advice, Candidate, Outcome, Pick, Question, Reply
from workflow_service.domain.catalogue import ActionType, Risk
from workflow_service.domain.errors import InvalidAdvice, InvalidPlan, Violation
from workflow_service.domain.guardrails_about import UNSURE
from workflow_service.domain.levels import every
from workflow_service.domain.plan import Plan
from workflow_service.domain.projection import Projection
from workflow_service.planning.aiming import About, offered, target_parameters
from workflow_service.planning.enhancing import TEMPLATE, with_advice
from workflow_service.planning.make_plan import LAST_RESORT
from workflow_service.planning.multi_stage import convert
from workflow_service.planning.rules import Rules

GENERATED, RULE = "ai_generated", "generated"
_PROVED = {"deployment", "statefulset", "daemonset"}  # kinds whose pods are looked at after a change


def no_remedy(plan: Plan, rules: Rules) -> bool:
    """Whether nothing speaks of the alert, and what is done for want of anything better changes nothing."""
    if TEMPLATE in plan.metadata or any(step.changes and step.action for step, _ in every(plan.steps)):
        return False
    known = next((rule for rule in rules.rules if rule.name == plan.rule), None)
    return plan.rule == LAST_RESORT if known is None else not (known.when.keywords or known.when.name_keywords)


def question(plan: Plan, alert: Projection, about: About) -> Question | None:
    """What a plan may be made of; None: there is nothing to change, or no change could be taken back."""
    planned = {step.action.type for step, _ in every(plan.steps) if step.action is not None}
    allowed = (one for one in about.catalogue.actions.values() if one.type not in planned and _allowed(one, about))
    found = sorted(filter(None, (offered(one, about, free=not one.changes) for one in allowed)), key=_changes_first)
    if about.target is None or not any(one.changes for one in found):
        return None
    return Question(id=plan.hash[:32], alert=alert, candidates=tuple(found[:MOST_CANDIDATES]))


def generated(plan: Plan, reply: Reply, about: About) -> tuple[Plan, ...]:
    """The plan of the advisor, then the rule's; the rule's alone where there is no advice that makes a sound plan."""
    advice = reply.advice
    if advice is None or not advice.picks:
        return (with_advice(plan, reply, used=(), left=()),)
    try:
        made = _made(plan, advice, about)
    except (InvalidAdvice, InvalidPlan) as why:
        return (with_advice(plan, reply, used=(), left=[f"all of it: {why}"]),)
    used = [f"{step.id}: {step.action.type}" for step in made.steps if step.action and not plan.has(step.id)]
    found = with_advice(made, reply, used=used, left=())
    unsure = {UNSURE: True} if reply.outcome is Outcome.LOW_CONFIDENCE else {}
    metadata = {**found.metadata, **unsure, "ai_confidence": advice.confidence}
    return replace(found, metadata=metadata), with_advice(plan, reply, used=(), left=())


def _made(plan: Plan, advice: Advice, about: About) -> Plan:
    """The plan.

    Raises:
        InvalidAdvice: the answer breaks a rule of the multi-stage form or of the catalogue.
        InvalidPlan: it cannot be undone, or is not sound beside what the rule does.
    """
    target = about.target
    cluster = target.cluster if target is not None else ""
    found = convert(_document(advice, about), catalogue=about.catalogue, limits=about.limits, cluster=cluster).plan
    for step in found.steps:
        if step.action and step.changes and not step.reversible:
            rule = f"must have an undo: {step.irreversible_reason or 'it has none'}"
            raise InvalidPlan("the plan cannot be undone", [Violation(f"steps.{step.id}", step.action.type, rule)])
    count = sum(1 for step in (*found.steps, *plan.steps) if step.action)
    about_it = {"creation_method": GENERATED, "rule": RULE, "actions_count": count}
    metadata = {**plan.metadata, "notes": found.metadata.get("notes", []), **about_it}
    steps = (*found.steps, *(one for one in plan.steps if not found.has(one.id)))
    whole = replace(found, steps=steps, rule=RULE, reason=_reason(plan, found), metadata=metadata)
    graph.validate(whole)
    return whole


def _document(advice: Advice, about: About) -> dict[str, Any]:
    """The advice in the multi-stage form; what is acted upon comes from the alert."""
    first, *others = advice.picks
    primary = {**_stage(first, 1, about), "success_criteria": _criteria(first, about)}
    if first.estimated_seconds is not None:
        primary["expected_duration"] = first.estimated_seconds
    secondary = [
        {**_stage(one, order, about), "condition": one.condition or STAGES[1]}
        for order, one in enumerate(others, start=2)
    ]
    return {"primary_action": primary, "secondary_actions": secondary}


def _stage(pick: Pick, order: int, about: About) -> dict[str, Any]:
    entry = about.catalogue.get(pick.candidate)
    own: Mapping[str, Any] = target_parameters(entry, about.aim(entry)) if entry is not None else {}
    return {"action": pick.candidate, "parameters": {**pick.parameters, **own}, "execution_order": order}


def _criteria(pick: Pick, about: About) -> list[str]:
    """What proves that a change of a workload did no harm: its pods are ready."""
    entry = about.catalogue.get(pick.candidate)
    target = about.aim(entry) if entry is not None and entry.changes else None
    return ["pods_ready"] if target is not None and target.kind.lower() in _PROVED else []


def _allowed(entry: ActionType, about: About) -> bool:
    """Nothing of high risk, no change without an undo, nothing that only tells: who is told is the rule's to say."""
    if entry.risk is Risk.HIGH or about.aim(entry) is None or not entry.target_kinds:
        return False
    return entry.reversible if entry.changes else True


def _changes_first(one: Candidate) -> tuple[bool, str]:
    return (not one.changes, one.name)


def _reason(plan: Plan, found: Plan) -> str:
    return f"{found.reason}; no rule knows a remedy ({plan.reason})"
