"""Another way by the rule file: of the options that fit what is seen now and were not tried before, the first.

Where several do, an advisor may say which is to be the first, and why the step has failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from workflow_service.domain.advice import MOST_CANDIDATES, Candidate, Question, Setback
from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import ErrorClass, Rejected
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.levels import every
from workflow_service.domain.mending import Remedy, mended
from workflow_service.domain.projection import Projection
from workflow_service.domain.run_state import Recovery, RecoveryOutcome
from workflow_service.domain.target import Target, resolve
from workflow_service.planning.failure_defaults import options, with_defaults
from workflow_service.planning.filling import fill
from workflow_service.planning.planner import Planner
from workflow_service.planning.recovery_rules import Option
from workflow_service.planning.rules import Rule
from workflow_service.planning.situation import DoesNotFit, Situation, situation
from workflow_service.ports import Appeal, NoRemedy

SOURCE, ADVISOR = "rules", "advisor"


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
        found: list[Remedy] = []
        for option in self._open(appeal):
            try:
                found.append(self._fitting(option, appeal, here, catalogue))
            except (DoesNotFit, Rejected) as why:
                why_not.append(f"{option.name}: {why}")
        if not found:
            none = "; ".join(why_not) or "the rules know no other way that was not tried"
            return NoRemedy("no_recovery_option", none)
        return found[0] if len(found) == 1 else await self._advised(found, appeal, here)

    async def _advised(self, found: list[Remedy], appeal: Appeal, here: Situation) -> Remedy:
        """The one that the advisor chooses; without advice that may be used, the first."""
        counsel = self._planner.counsel
        if counsel is None:
            return found[0]
        reply = await counsel.advisor.recover(_question(found, appeal, counsel.projection(here)))
        choice = reply.usable.choice if reply.usable is not None else None
        chosen = next((one for one in found if choice is not None and one.option == choice.candidate), None)
        if reply.usable is None or chosen is None:
            return found[0]
        cause = reply.usable.root_cause
        why = f"{chosen.reason} (advised by {reply.provider}{f', which says: {cause}' if cause else ''})"
        return replace(chosen, reason=why, source=ADVISOR)

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
        yield from (option for option in found if option.name not in tried.union(appeal.denied))

    def _rule(self, appeal: Appeal) -> Rule | None:
        return next((rule for rule in self._planner.rules.rules if rule.name == appeal.plan.rule), None)

    def _fitting(self, option: Option, appeal: Appeal, here: Situation, catalogue: Catalogue | None) -> Remedy:
        rule = Rule(name=option.name, reason=option.reason, actions=option.actions)
        steps = fill(rule, here, catalogue, self._planner.limits).steps
        steps = with_defaults(steps, rule, self._planner.rules.failures, self._planner.limits, recover=False)
        remedy = Remedy(option.name, steps, option.reason, SOURCE)
        mended(appeal.plan, appeal.failure.step, remedy, catalogue, attempt=appeal.attempt)
        return remedy


def _question(found: list[Remedy], appeal: Appeal, alert: Projection) -> Question:
    failure = appeal.failure
    tried = tuple(one.option for one in appeal.history if one.option)
    return Question(
        id=f"{appeal.plan.hash[:32]}-{appeal.attempt}",
        alert=alert,
        candidates=tuple(_candidate(one) for one in found[:MOST_CANDIDATES]),
        setback=Setback(failure.action, failure.error_class or ErrorClass.UNKNOWN, failure.message, tried),
    )


def _candidate(remedy: Remedy) -> Candidate:
    steps = [step for step, _ in every(remedy.steps)]
    actions = tuple(step.action.type for step in steps if step.action is not None)
    return Candidate(remedy.option, remedy.reason, actions, changes=any(step.changes for step in steps))


def _origin(step: str, history: tuple[Recovery, ...]) -> str:
    """The step of the first plan that this one stands in for, if it was added by recoveries."""
    before = {one.group: one.step for one in history if one.group}
    while step in before:
        step = before[step]
    return step
