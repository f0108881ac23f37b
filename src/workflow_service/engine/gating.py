"""Another way before the guardrails: the revised plan is judged as a new one is, and needs a word of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workflow_service.domain import guarded
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.guardrails import refusal
from workflow_service.domain.mending import Mended, Remedy, mended
from workflow_service.domain.policy import Word
from workflow_service.domain.suggested import without_suggestions
from workflow_service.engine.guards import Case, Guards
from workflow_service.ports import Appeal, NoRemedy

DENIED = "recovery_denied"  # why an option is none, for machines


@dataclass(frozen=True, slots=True)
class Gate:
    """The guardrails, and the workflow that they are asked about."""

    guards: Guards
    workflow_id: str

    async def passed(self, appeal: Appeal, remedy: Remedy, catalogue: Catalogue | None) -> Mended | NoRemedy:
        """The revision: as it is, or with a word to be asked for before what it adds; or why it may not be.

        A word on the plan before was on that plan alone: whatever a recovery adds to it needs another.

        Raises:
            InvalidPlan: the option does not hold as a plan.
            StoreUnavailable: the database is away.
        """
        found = mended(appeal.plan, appeal.failure.step, remedy, catalogue, attempt=appeal.attempt)
        case = Case(self.workflow_id, appeal.alert, without_suggestions(found.graph.plan))
        judgement = await self.guards.judge(case)
        if judgement.of(Word.DENIED):
            return NoRemedy(DENIED, f"{remedy.option}: {refusal(judgement)[1]}")
        asked = judgement.of(Word.NEEDS_APPROVAL)
        unasked = not asked and not appeal.plan.has(guarded.APPROVAL)
        if unasked or not any(map(guarded.changes, remedy.steps)):
            return found
        steps = guarded.asking_first(remedy.steps, guarded.RECOVERY_APPROVAL, f"the recovery {remedy.option}", asked)
        behind = replace(remedy, steps=steps)
        return mended(appeal.plan, appeal.failure.step, behind, catalogue, attempt=appeal.attempt)
