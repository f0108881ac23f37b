"""A plan that a person has to approve as a whole: a step that asks before everything that changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from workflow_service.domain.errors import InvalidPlan, Violation
from workflow_service.domain.graph import Graph
from workflow_service.domain.guardrails_about import Finding, Judgement
from workflow_service.domain.levels import every
from workflow_service.domain.plan import Phase, Plan, Step, StepKind
from workflow_service.domain.policy import Word
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import StepStatus
from workflow_service.domain.suggested import is_suggestion, word_for

APPROVAL = "approve_plan"  # the step that asks
RECOVERY_APPROVAL = "approve_recovery"  # the step inside of a recovery that asks about it
APPROVAL_BOUND = 3600.0  # seconds for which it waits
GUARDRAILS = "guardrails"  # in a plan's metadata: what they said when it was made


def behind_approval(plan: Plan, findings: tuple[Finding, ...]) -> Plan:
    """The plan with a step before all that changes, which waits for a person's word; what only looks goes on at once.

    A plan that changes nothing stays as it is.

    Raises:
        InvalidPlan: the plan has a step of that name itself.
    """
    if not any(map(changes, plan.steps)):
        return plan
    if plan.has(APPROVAL):
        wrong = Violation("steps", APPROVAL, "is kept for the step that asks about the whole plan")
        raise InvalidPlan("the plan cannot be put before a person", [wrong])
    return replace(plan, steps=asking_first(plan.steps, APPROVAL, "the whole plan", findings))


def asking_first(steps: Sequence[Step], name: str, what: str, findings: Sequence[Finding]) -> tuple[Step, ...]:
    """Steps of one level behind one more, which waits for a person's word before all of them that change something."""
    why = "; ".join(map(str, findings)) or "the plan before was approved, and this is another"
    ask = Step(
        id=name,
        kind=StepKind.APPROVAL,
        description=f"waits for a person's word on {what}: {why}"[:1000],
        deadline=APPROVAL_BOUND,
    )
    return (ask, *(_after(step, name, steps) for step in steps))


def approved(graph: Graph, state: RunState, step: str) -> bool:
    """Whether a person has said yes to that step: to the whole plan, to the recovery it is of, or to it alone."""
    recovery = f"{step.partition('/')[0]}/{RECOVERY_APPROVAL}"
    name = recovery if recovery in graph.steps else APPROVAL
    word = state.steps.get(word_for(step) if is_suggestion(graph.steps[step]) else name)
    return word is not None and word.status is StepStatus.SUCCEEDED


def judged(plan: Plan, judgement: Judgement, instead_of: Sequence[str] = ()) -> Plan:
    """The plan with what was found in its metadata, which its hash is not about.

    `instead_of`: why plans that an advisor had more part in may not be.
    """
    told = [shown(one) for one in judgement.findings if one.word is not Word.ALLOWED or one.override]
    said: dict[str, Any] = {"policy": judgement.policy, "word": str(judgement.word), "findings": told}
    if instead_of:
        said["instead_of"] = [*instead_of]
    return replace(plan, metadata={**plan.metadata, GUARDRAILS: said})


def spotless(plan: Plan) -> bool:
    """Whether nothing at all was found of it when it was judged."""
    said = plan.metadata.get(GUARDRAILS)
    return said is not None and not said["findings"]


def judged_by(plan: Plan) -> str | None:
    """The version of the policy by which it was judged."""
    said = plan.metadata.get(GUARDRAILS)
    return None if said is None else str(said["policy"])


def shown(finding: Finding) -> dict[str, Any]:
    """A finding as plain JSON."""
    body: dict[str, Any] = {"rule": finding.rule, "word": str(finding.word), "why": finding.why}
    if finding.field:
        value = finding.value
        plain = value if value is None or isinstance(value, bool | int | float) else str(value)[:200]
        body |= {"field": finding.field, "value": plain}
    return body | ({"override": finding.override} if finding.override else {})


def needed_approval(metadata: Mapping[str, Any]) -> bool:
    """Whether a plan was put before a person."""
    found = (metadata.get(GUARDRAILS) or {}).get("findings") or ()
    return any(one["word"] == Word.NEEDS_APPROVAL for one in found)


def changes(step: Step) -> bool:
    """Whether it, or anything within it, sends what changes something."""
    return any(one.action is not None and one.changes for one, _ in every((step,)))


def _after(step: Step, word: str, steps: Sequence[Step]) -> Step:
    """Who changes something waits for the word; so does what an alternative that changes something stands in for."""
    heirs = {one.id: one for one in steps}
    stand_ins = {one.alternative for one in steps if one.alternative}
    if step.phase is not Phase.MAIN or step.id in stand_ins:
        return step  # it comes after something that has waited, or stands in for it
    chain, following = [step], step.alternative
    while following is not None and len(chain) <= len(steps):
        chain.append(heirs[following])
        following = heirs[following].alternative
    return replace(step, needs=(*step.needs, word)) if any(map(changes, chain)) else step
