"""Conditions in a simulation: one look at what is there now, believed only where nothing would have changed before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workflow_service.domain import scope
from workflow_service.domain.plan import Condition
from workflow_service.engine.attempt import Unsent
from workflow_service.engine.looking import Lookout, Outlook, Seen
from workflow_service.simulation.findings import Findings


class Glance:
    """Looks once. What cannot be known is taken to hold, and said to be unknown."""

    def __init__(self, lookout: Lookout, findings: Findings) -> None:
        self._lookout, self._findings = lookout, findings

    async def watch(self, outlook: Outlook) -> Seen:
        """How the conditions stand, as far as that can be known."""
        seen = await self._lookout.watch(replace(outlook, until=outlook.since))
        if isinstance(seen, Unsent):
            self._findings.doubt(outlook.step, "conditions", f"nobody could look: {seen.message}")
            return Seen(held=True)
        told = [
            self._told(outlook, condition, verdict)
            for condition, verdict in zip(dict.fromkeys(outlook.conditions), seen.evidence, strict=True)
        ]
        self._findings.conditions.setdefault(outlook.step, []).extend(told)
        broken = [one for one in told if one["critical"] and one["held"] is False]
        said = "; ".join(one["message"] or f"{one['expression']} does not hold" for one in broken)
        return Seen(held=not broken, message=said, evidence=tuple(told))

    def _told(self, outlook: Outlook, condition: Condition, verdict: Mapping[str, Any]) -> dict[str, Any]:
        why = self._why_not_known(outlook, condition)
        if not why:
            self._doubt_for_now(outlook, condition, verdict)
            return dict(verdict)
        self._findings.doubt(outlook.step, f"{verdict['kind']} {condition.expression}", why)
        return {**verdict, "held": None, "now": verdict["held"], "trouble": why}

    def _doubt_for_now(self, outlook: Outlook, condition: Condition, verdict: Mapping[str, Any]) -> None:
        """A run would go on looking; here it counts as it stands now."""
        longest = min((outlook.until - outlook.since).total_seconds(), condition.within)
        if not verdict["held"] and longest > 0:
            why = f"it does not hold now; a run would go on looking for {longest:g} s"
            self._findings.doubt(outlook.step, f"{verdict['kind']} {condition.expression}", why)

    def _why_not_known(self, outlook: Outlook, condition: Condition) -> str:
        earlier, after = self._findings.changed, outlook.result is not None
        if after and outlook.step in earlier:
            return "it is about what the step itself would have changed"
        if earlier and scope.observes(condition, outlook.names, after=after):
            return f"{', '.join(earlier)} would have changed the cluster before"
        return ""
