"""Which of several templates and rules makes the plan: an advisor may pick among those that fit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workflow_service.domain.advice import MOST_CANDIDATES, Candidate, Question, Reply
from workflow_service.domain.levels import every
from workflow_service.domain.plan import Plan
from workflow_service.domain.projection import Projection
from workflow_service.planning.enhancing import SELECTION
from workflow_service.planning.make_plan import Choice

SELECTED = "ai_selected"


def question(choices: Sequence[Choice], alert: Projection) -> Question | None:
    """What may be picked; None: there is no choice."""
    if len(choices) < 2:
        return None
    candidates = tuple(map(_candidate, choices[:MOST_CANDIDATES]))
    return Question(id=choices[0].plan.hash[:32], alert=alert, candidates=candidates)


def selected(choices: Sequence[Choice], first: Plan, reply: Reply) -> tuple[Plan, ...]:
    """The plan that was picked, then the rules' own; the rules' own alone where no other one may be used."""
    pick = reply.usable.choice if reply.usable is not None else None
    chosen = next((one.plan for one in choices if pick is not None and one.plan.rule == pick.candidate), None)
    if chosen is None or reply.usable is None or chosen.rule == first.rule:
        return (_noted(first, reply),)
    plan = _noted(chosen, reply, f"{chosen.rule} instead of {first.rule}")
    told = {"creation_method": SELECTED, "ai_confidence": reply.usable.confidence}
    return replace(plan, creation_method=SELECTED, metadata={**plan.metadata, **told}), _noted(first, reply)


def _noted(plan: Plan, reply: Reply, *used: str) -> Plan:
    note = {**reply.document(), "used": [*used]}
    return replace(plan, metadata={**plan.metadata, "ai_provider": reply.provider, SELECTION: note})


def _candidate(choice: Choice) -> Candidate:
    """In the words of who wrote the template or rule, never the alert's."""
    steps = [step for step, _ in every(choice.plan.steps)]
    actions = tuple(dict.fromkeys(step.action.type for step in steps if step.action is not None))
    changes = any(step.changes for step in steps if step.action is not None)
    return Candidate(choice.plan.rule or "", choice.what, actions, changes=changes)
