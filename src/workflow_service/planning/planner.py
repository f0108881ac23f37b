"""Planning as the service does it: look at the target, take the catalogue, and let the pure part decide."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from workflow_service.domain.alert import Alert
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import ExecutorError, Unanswered, Unreachable
from workflow_service.domain.plan import Plan
from workflow_service.domain.target import Target, resolve, top_owner
from workflow_service.planning.aiming import About
from workflow_service.planning.counsel import Counsel
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.library import Library
from workflow_service.planning.make_plan import make_ordered, make_plan
from workflow_service.planning.ordering import order_of
from workflow_service.planning.rules import Rules
from workflow_service.planning.situation import Situation, situation
from workflow_service.ports import Executor, Observation

LOOK_AGAIN = 0.5  # seconds between looks at an executor that is away
_AWAY = (TimeoutError.__name__, Unreachable.__name__, Unanswered.__name__)

OBSERVE_BUDGET = 2.0  # seconds; a plan without a look is better than one that comes late


class Planned(NamedTuple):
    """A plan, and what it was made from. `observation.facts["owner"]`, when there, are those of the top owner."""

    plan: Plan
    target: Target | None
    observation: Observation | None
    instead: tuple[Plan, ...] = ()  # with less of an advisor's part in them, for where guardrails deny the plan


class Planner:
    """Makes plans by rule. Never fails: without an executor the plan is made from the alert alone."""

    def __init__(
        self,
        executor: Executor,
        rules: Rules,
        *,
        limits: PlanLimits,
        load_catalogue: Callable[[], Awaitable[Catalogue | None]],
        cluster: str,
        patience: float = 0.0,
    ) -> None:
        """`patience`: seconds to wait for an executor that is away, before the plan is made without a look.

        An executor that is just being restarted is worth it: nothing could be executed meanwhile anyway.
        """
        self._executor = executor
        self.rules = rules
        self.limits = limits
        self.load_catalogue = load_catalogue
        self.cluster = cluster
        self.library: Callable[[], Library] = Library  # the templates that are in use; whoever has any says so
        self.counsel: Counsel | None = None  # whoever may know better; None: nobody is asked
        self._patience = patience

    async def plan(self, alert: Alert, ordered: Mapping[str, Any] | None = None) -> Planned:
        """The plan for one alert; `metadata["observation"]` says what was seen, or why nothing was.

        `ordered`: the template that is to be run whatever the alert says, and its parameters.

        Raises:
            InvalidPlan: what was ordered cannot be done here.
        """
        target = resolve(alert, self.cluster)
        observation, note = (
            await self._look_patiently(target) if isinstance(target, Target) else (None, {"why_not": target.reason})
        )
        catalogue, known = await self.load_catalogue(), self.library()
        rules = replace(self.rules, templates=known.matching())
        if ordered is not None:
            order, basis = order_of(ordered, known), (rules, self.limits)
            plan = make_ordered(order, alert, target, observation=observation, catalogue=catalogue, basis=basis)
            found: tuple[Plan, ...] = (plan,)
        else:
            plan = make_plan(
                alert, target, observation=observation, catalogue=catalogue, rules=rules, limits=self.limits
            )
            found = await self._advised(plan, situation(alert, target, observation), catalogue, rules)
        plan, *instead = (replace(one, metadata={**one.metadata, "observation": note}) for one in found)
        return Planned(plan, target if isinstance(target, Target) else None, observation, tuple(instead))

    async def _advised(
        self, plan: Plan, here: Situation, catalogue: Catalogue | None, rules: Rules
    ) -> tuple[Plan, ...]:
        """The plan with an advisor's part in it, then what comes instead where guardrails deny that."""
        if self.counsel is None or catalogue is None:
            return (plan,)
        about = About(here.target, catalogue, self.limits, here.owner)
        return await self.counsel.about(plan, here, about, rules)

    async def _look_patiently(self, target: Target) -> tuple[Observation | None, dict[str, Any]]:
        until = time.monotonic() + self._patience
        while True:
            seen, note = await self.look(target)
            if seen is not None or time.monotonic() >= until or not str(note["why_not"]).startswith(_AWAY):
                return seen, note
            await asyncio.sleep(LOOK_AGAIN)

    async def look(self, target: Target) -> tuple[Observation | None, dict[str, Any]]:
        """What is seen of the target and its top owner, and a note about it; (None, why not) when nobody answers."""
        seen: Observation | None = None
        note: dict[str, Any] = {}
        try:
            async with asyncio.timeout(OBSERVE_BUDGET):
                seen = await self._executor.observe(target)
                owner = top_owner(target, seen.owners)
                if seen.found and owner != target:
                    of_owner = await self._executor.observe(owner)
                    seen = replace(seen, facts={**seen.facts, "owner": dict(of_owner.facts)})
        except (ExecutorError, TimeoutError) as error:
            note = {"why_not": f"{type(error).__name__}: {error}".rstrip(": ")}
        if seen is not None:  # what was seen of the target counts even when its owner could not be looked at any more
            note |= {"found": seen.found, "facts": dict(seen.facts), "observed_at": seen.observed_at.isoformat()}
        return seen, note
