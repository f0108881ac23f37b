"""Asking an advisor about a plan that rules have made, and what may be done instead where guardrails say no."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from workflow_service.domain.plan import Plan
from workflow_service.domain.projection import Projection
from workflow_service.planning import generating, selecting
from workflow_service.planning.aiming import About
from workflow_service.planning.enhancing import question, ways
from workflow_service.planning.make_plan import choices
from workflow_service.planning.rules import Rules
from workflow_service.planning.situation import Situation
from workflow_service.ports import Advisor


@dataclass(frozen=True, slots=True)
class Counsel:
    """An advisor, what it may be told of an alert, and for how many seconds it may be asked about one plan."""

    advisor: Advisor
    project: Callable[..., Projection]
    budget: float = 60.0

    def projection(self, here: Situation) -> Projection:
        """What it is told of a situation."""
        return self.project(here.alert, here.target, facts={**here.facts, "owner": here.owner_facts})

    async def about(self, plan: Plan, here: Situation, about: About, rules: Rules) -> tuple[Plan, ...]:
        """The plan with what of the advice may be used, then what is to be done where that is denied.

        At once and as it was where nobody answers. Where several templates or rules fit, it may pick; where they know
        no remedy, a whole plan is asked for.
        """
        until, told = time.monotonic() + self.budget, self.projection(here)
        plan, *instead = await self._select(plan, here, about, rules, until=until)
        if about.limits.rollback_enabled and generating.no_remedy(plan, rules):
            wanted = generating.question(plan, told, about)
            if wanted is not None:
                reply = await self.advisor.generate(wanted, within=until - time.monotonic())
                return (*generating.generated(plan, reply, about), *instead)
        asked = question(plan, told, about)
        if asked is None:
            return (plan, *instead)
        reply = await self.advisor.enhance(asked, within=until - time.monotonic())
        return (*ways(plan, reply, about), *instead)

    async def _select(
        self, first: Plan, here: Situation, about: About, rules: Rules, *, until: float
    ) -> tuple[Plan, ...]:
        """The plan that it picks among those that fit, then the rules' own; the rules' own where there is no choice."""
        if not self.advisor.there:
            return (first,)
        found = choices(here, about.catalogue, rules, about.limits)
        asked = selecting.question(found, self.projection(here))
        if asked is None:
            return (first,)
        reply = await self.advisor.select(asked, within=until - time.monotonic())
        return selecting.selected(found, first, reply)
