"""Another way by the rule file: the first option that fits what is seen now, and was not tried before."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import Rejected
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.levels import every
from workflow_service.domain.mending import Remedy, mended
from workflow_service.domain.run_state import Recovery, RecoveryOutcome
from workflow_service.domain.target import Target, resolve
from workflow_service.planning.failure_defaults import options, with_defaults
from workflow_service.planning.filling import fill
from workflow_service.planning.planner import Planner
from workflow_service.planning.recovery_rules import Option
from workflow_service.planning.rules import Rule
from workflow_service.planning.situation import DoesNotFit, Situation, situation
from workflow_service.ports import Appeal, NoRemedy

SOURCE = "rules"


class Recoverer:
    """Knows the other ways that the rule file names."""

    def __init__(self, planner: Planner) -> None:
        """`planner`: whose rules, limits and catalogue are used, and who looks."""
        self._planner = planner

    async def recover(self, appeal: Appeal) -> Remedy | NoRemedy:
        """The first option that fits and keeps the rules of recoveries; or why there is none."""
        if not self._planner.limits.recovery_enabled:
            return NoRemedy("recovery_switched_off", "RECOVERY_ENABLED is false")
        here, catalogue = await self._look(appeal), await self._planner.load_catalogue()
        why_not: list[str] = []
        for option in self._open(appeal):
            try:
                return self._fitting(option, appeal, here, catalogue)
            except (DoesNotFit, Rejected) as why:
                why_not.append(f"{option.name}: {why}")
        return NoRemedy("no_recovery_option", "; ".join(why_not) or "the rules know no other way that was not tried")

    async def _look(self, appeal: Appeal) -> Situation:
        """What is there now: the failed action may have left something behind."""
        alert = alert_from_json(appeal.alert)
        target = resolve(alert, self._planner.cluster)
        seen, _ = await self._planner.look(target) if isinstance(target, Target) else (None, {})
        return situation(alert, target, seen)

    def _open(self, appeal: Appeal) -> Iterator[Option]:
        """The options for what has failed first, without those that were tried for it."""
        origin = _origin(appeal.failure.step, appeal.history)
        tried = {
            one.option
            for one in appeal.history
            if one.outcome is RecoveryOutcome.PLANNED and _origin(one.step, appeal.history) == origin
        }
        if not appeal.plan.has(origin):
            return
        step = appeal.plan.step(origin)
        cures = step.critical and any(one.changes for one, _ in every([step]))
        found = options(
            self._rule(appeal),
            self._planner.rules.failures,
            origin,
            appeal.failure.failure_class or FailureClass.HIGH,
            cures=cures,
        )
        yield from (option for option in found if option.name not in tried)

    def _rule(self, appeal: Appeal) -> Rule | None:
        return next((rule for rule in self._planner.rules.rules if rule.name == appeal.plan.rule), None)

    def _fitting(self, option: Option, appeal: Appeal, here: Situation, catalogue: Catalogue | None) -> Remedy:
        rule = Rule(name=option.name, reason=option.reason, actions=option.actions)
        steps = fill(rule, here, catalogue, self._planner.limits).steps
        steps = with_defaults(steps, rule, self._planner.rules.failures, self._planner.limits, recover=False)
        remedy = Remedy(option.name, steps, option.reason, SOURCE)
        mended(appeal.plan, appeal.failure.step, remedy, catalogue, attempt=appeal.attempt)
        return remedy


def _origin(step: str, history: tuple[Recovery, ...]) -> str:
    """The step of the first plan that this one stands in for, if it was added by recoveries."""
    before = {one.group: one.step for one in history if one.group}
    while step in before:
        step = before[step]
    return step
