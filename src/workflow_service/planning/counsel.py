"""Asking an advisor about a plan that rules have made, and what may be done instead where guardrails say no."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workflow_service.domain.plan import Plan
from workflow_service.domain.projection import Projection
from workflow_service.planning import generating
from workflow_service.planning.aiming import About
from workflow_service.planning.enhancing import question, ways
from workflow_service.planning.rules import Rules
from workflow_service.planning.situation import Situation
from workflow_service.ports import Advisor


@dataclass(frozen=True, slots=True)
class Counsel:
    """An advisor, and what it may be told of an alert."""

    advisor: Advisor
    project: Callable[..., Projection]

    def projection(self, here: Situation) -> Projection:
        """What it is told of a situation."""
        return self.project(here.alert, here.target, facts={**here.facts, "owner": here.owner_facts})

    async def about(self, plan: Plan, here: Situation, about: About, rules: Rules) -> tuple[Plan, ...]:
        """The plan with what of the advice may be used, then what is to be done where that is denied.

        At once and as it was where nobody answers. Where the rules know no remedy a whole plan is asked for.
        """
        told = self.projection(here)
        if about.limits.rollback_enabled and generating.no_remedy(plan, rules):
            wanted = generating.question(plan, told, about)
            if wanted is not None:
                return generating.generated(plan, await self.advisor.generate(wanted), about)
        asked = question(plan, told, about)
        return (plan,) if asked is None else ways(plan, await self.advisor.enhance(asked), about)
