"""What an advisor suggests besides the planned steps: looks are added, changes only behind a person's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from workflow_service.domain.advice import Suggestion
from workflow_service.domain.catalogue import ActionType
from workflow_service.domain.plan import Action, OnFailure, Plan, RetryPolicy, Step
from workflow_service.domain.suggested import PREFIX, with_suggestion
from workflow_service.domain.target import Target
from workflow_service.planning.aiming import About, target_parameters
from workflow_service.planning.situation import subject

_LAST_PRIORITY = 9


@dataclass(slots=True)
class Suggesting:
    """One plan's suggestions under way; `used` and `left` say what has become of each."""

    about: About
    used: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def add(self, plan: Plan, suggestions: Sequence[Suggestion]) -> Plan:
        """The plan with what may be added. The catalogue says what changes something, whatever the advice calls it."""
        for one in suggestions:
            entry = self.about.catalogue.get(one.action)
            step = self._step(one, entry, plan)
            if entry is None or step is None:
                continue
            if entry.changes:
                plan = with_suggestion(plan, step, one.why and f"The advisor says: {one.why}")
                self.used.append(f"{step.id}: {entry.type}, if a person says so")
            else:
                plan = replace(plan, steps=(*plan.steps, step))
                self.used.append(f"{step.id}: {entry.type}")
        return plan

    def _step(self, said: Suggestion, entry: ActionType | None, plan: Plan) -> Step | None:
        """The step, about the alert's target or its owner; None: it cannot be done, and `left` says why."""
        if entry is None or entry.changes is not said.changes:
            self.left.append(f"{said.action}: is not offered as that")
            return None
        target = self.about.aim(entry) if entry.changes else self.about.target
        if entry.changes and target is None:
            self.left.append(f"{entry.type}: is for neither what the alert is about nor an owner of that")
            return None
        parameters = {**said.parameters, **target_parameters(entry, target)}
        if broken := entry.violations(parameters, at=entry.type):
            self.left.append(str(broken[0]))
            return None
        return self._of(entry, parameters, target, plan)

    def _of(self, entry: ActionType, parameters: dict[str, object], target: Target | None, plan: Plan) -> Step:
        limits = self.about.limits
        what = f"{entry.type.replace('_', ' ')}: {subject(target)}" if entry.changes and target else entry.description
        return Step(
            id=f"{PREFIX}{sum(step.id.startswith(PREFIX) for step in plan.steps) + 1}",
            action=Action(entry.type, parameters, target),
            description=what,
            critical=False,
            on_failure=OnFailure.SKIP,
            timeout=entry.default_timeout or limits.action_timeout,
            deadline=limits.coordination_timeout,
            retry=RetryPolicy(max_retries=0),
            priority=_LAST_PRIORITY,
            changes=entry.changes,
            reversible=entry.reversible,
            irreversible_reason=entry.irreversible_reason,
        )
