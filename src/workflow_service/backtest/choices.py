"""What one version chooses for an alert, and in what two choices differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workflow_service.domain.catalogue import Catalogue, Risk
from workflow_service.domain.guarded import APPROVAL
from workflow_service.domain.guardrails_about import Judgement
from workflow_service.domain.levels import every
from workflow_service.domain.plan import Plan, Step, StepKind
from workflow_service.domain.policy import Word
from workflow_service.planning.situation import subject

_RISKS = (Risk.LOW, Risk.MEDIUM, Risk.HIGH)
NO_PLAN = "no_plan"  # the word of a choice that could not be made


@dataclass(frozen=True, slots=True)
class Choice:
    """What would be done about an alert, and by whose word."""

    rule: str | None  # or template
    actions: tuple[str, ...]  # in plan order, with what they touch
    word: str  # of the guardrails
    why: tuple[str, ...]  # the findings behind that word
    approvals: int  # words of people that are asked for
    risk: str | None  # the highest of what changes; None: nothing does
    plan_hash: str


def choice_of(plan: Plan, judgement: Judgement, catalogue: Catalogue | None) -> Choice:
    """The choice that a plan is once it was judged."""
    steps = [step for step, _ in every(plan.steps)]
    asked = [step for step in steps if step.kind is StepKind.APPROVAL and step.id != APPROVAL]
    word = judgement.word
    return Choice(
        rule=plan.rule,
        actions=tuple(_told(steps)),
        word=str(word),
        why=tuple(map(str, judgement.of(word))) if word is not Word.ALLOWED else (),
        approvals=len(asked) + bool(judgement.of(Word.NEEDS_APPROVAL)),
        risk=_risk(steps, catalogue),
        plan_hash=plan.hash,
    )


def no_choice(why: str) -> Choice:
    """No plan can be made."""
    return Choice(None, (), NO_PLAN, (why,), 0, None, "")


def differences(before: Choice, after: Choice) -> tuple[str, ...]:
    """In what they differ; `details`: only in what the plan's hash tells (parameters, times, conditions)."""
    names = ("rule", "actions", "word", "approvals", "risk")
    found = tuple(name for name in names if getattr(before, name) != getattr(after, name))
    return found or (("details",) if before.plan_hash != after.plan_hash else ())


def _told(steps: list[Step]) -> Iterator[str]:
    for step in steps:
        if step.action is not None:
            target = step.action.target
            yield f"{step.action.type} {subject(target)}" if target is not None else step.action.type


def _risk(steps: list[Step], catalogue: Catalogue | None) -> str | None:
    """Of what the catalogue does not know, the highest."""
    known = catalogue.actions if catalogue is not None else {}
    risks = [
        known[step.action.type].risk if step.action.type in known else Risk.HIGH
        for step in steps
        if step.action is not None and step.changes
    ]
    return str(max(risks, key=_RISKS.index)) if risks else None
