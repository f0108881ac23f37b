"""The guardrails: whether a plan or a step may be, rule by rule, and why. Pure.

One engine is asked when a plan is made, before each step that changes something, and by whoever wants to know why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from workflow_service.domain.guardrails_about import About, Act, Finding, Judgement, overridden, strictest
from workflow_service.domain.guardrails_plans import AUTONOMY, ENDS_AS, PLAN_RULES
from workflow_service.domain.guardrails_steps import STEP_RULES
from workflow_service.domain.levels import every
from workflow_service.domain.locking import touched
from workflow_service.domain.plan import Plan, Step
from workflow_service.domain.policy import Policy, Word

DENIED = "guardrail_denied"  # the reason of a workflow or a step that a rule forbids
BUDGET = "budget"
RULES = (*STEP_RULES, *PLAN_RULES, BUDGET)  # the names of all
_OF_STEPS = (*STEP_RULES, BUDGET)
_ALLOWED = {name: Finding(name, Word.ALLOWED, "nothing speaks against it") for name in RULES}


def judge_plan(plan: Plan, about: About, policy: Policy, now: datetime) -> Judgement:
    """What all rules say of a plan. What is filled by expressions later is judged with its step."""
    acts = [act for step, _ in every(plan.steps) if (act := act_of(step, None, about)) is not None]
    found: dict[str, Finding | None] = {}
    for name, rule in STEP_RULES.items():
        for act in acts:
            said = rule(act, about, policy, now)
            if said is not None:
                found[name] = strictest(found.get(name), overridden(said, act.namespace(about), about, now))
    steps = sum(1 for _ in every(plan.steps))
    for name, plan_rule in PLAN_RULES.items():
        if (said := plan_rule(acts, steps, about, policy)) is not None:
            found[name] = overridden(said, about.namespace, about, now)
    found[BUDGET] = _worst_budget(acts, about, policy, now)
    return _judgement(found, policy, RULES)


def judge_step(
    step: Step, parameters: Mapping[str, Any] | None, about: About, policy: Policy, now: datetime
) -> Judgement:
    """What the rules about steps say of one that is to begin; `parameters` None: the plan's, as they are.

    A word of a person is needed no more once the whole plan has one; without it the step waits.
    """
    act = act_of(step, parameters, about)
    if act is None:
        return Judgement((), policy.version)
    found: dict[str, Finding | None] = {}
    for name, rule in (*STEP_RULES.items(), (BUDGET, budget)):
        if (said := rule(act, about, policy, now)) is not None:
            found[name] = _unless_approved(overridden(said, act.namespace(about), about, now), about)
    return _judgement(found, policy, _OF_STEPS)


def asked_about(step: Step, plan: Plan) -> bool:
    """Whether the rules are asked before it begins: it changes something, or an advisor has a part in the plan."""
    return step.changes or plan.creation_method.startswith("ai_")


def refusal(judgement: Judgement) -> tuple[str, str]:
    """Why a plan that is denied ends: for machines and for people. A ban counts before what may only be watched."""
    denied = judgement.of(Word.DENIED)
    hard = [one for one in denied if one.rule != AUTONOMY]
    if hard:
        return DENIED, "; ".join(map(str, hard))
    return ENDS_AS[denied[0].value], str(denied[0])


def budget(act: Act, about: About, policy: Policy, _now: datetime) -> Finding | None:
    """Whether the hour has room for one change more, as far as changes were counted."""
    if not policy.budgets.bounded:
        return None
    for what, key, limit in scopes(act, about, policy):
        used = about.past.used.get(key, 0)
        if limit is not None and used >= limit:
            return spent(what, used, limit, act)
    return None


def spent(what: str, used: int, limit: int, act: Act) -> Finding:
    """The finding that a budget is used up."""
    why = f"{used} changes of its {what} within the hour, and {limit} is the most (budgets.{what})"
    return Finding(BUDGET, Word.HELD, why, act.at(), used)


def scopes(act: Act, about: About, policy: Policy) -> Iterator[tuple[str, str, int | None]]:
    """What a change counts for: what that is, the word under which it is counted, and its budget."""
    if not act.step.changes:
        return
    identity = identity_of(act, about)
    if identity:
        yield "target", identity, policy.budgets.target
    if namespace := act.namespace(about):
        yield "namespace", namespace, policy.budgets.namespace
    yield "cluster", "", policy.budgets.cluster


def identity_of(act: Act, about: About) -> str:
    """Who decides about what an act changes; empty: it names nothing."""
    return about.owners.get(act.target.identity, act.target.identity) if act.target is not None else ""


def act_of(step: Step, parameters: Mapping[str, Any] | None, about: About) -> Act | None:
    """What a step sends; None: it sends nothing."""
    if step.action is None:
        return None
    sent = step.action.parameters if parameters is None else parameters
    target = touched(step.action, sent, about.cluster)
    return Act(step, step.action.type, sent, target, filled=parameters is not None)


def _worst_budget(acts: list[Act], about: About, policy: Policy, now: datetime) -> Finding | None:
    worst: Finding | None = None
    for act in acts:
        said = budget(act, about, policy, now)
        worst = strictest(worst, overridden(said, act.namespace(about), about, now) if said else None)
    return worst


def _unless_approved(finding: Finding, about: About) -> Finding:
    if finding.word is not Word.NEEDS_APPROVAL:
        return finding
    word = Word.ALLOWED if about.approved else Word.HELD
    why = "a person has approved the plan" if about.approved else "nobody was asked when the plan was made"
    return Finding(finding.rule, word, f"{finding.why}; {why}", finding.field, finding.value)


def _judgement(found: Mapping[str, Finding | None], policy: Policy, asked: tuple[str, ...]) -> Judgement:
    return Judgement(tuple(found.get(name) or _ALLOWED[name] for name in asked), policy.version)
