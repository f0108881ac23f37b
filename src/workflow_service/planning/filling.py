"""One rule and one situation become steps, or the reason why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from workflow_service.domain.catalogue import ActionType, Catalogue, canonical
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.plan import Action, Condition, OnFailure, Phase, Step, StepKind
from workflow_service.domain.target import Target
from workflow_service.planning import wording
from workflow_service.planning.rules import Rule, RuleAction, RuleCondition
from workflow_service.planning.shaping import about, retrying, shaped, with_approval
from workflow_service.planning.situation import DoesNotFit, Situation, subject


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """The operator's bounds for every plan. Times in seconds."""

    max_parallel: int = 5
    parallel_enabled: bool = True  # False: plan order, one by one
    action_timeout: float = 120.0  # of one attempt, where neither rule nor catalogue names another
    coordination_timeout: float = 300.0  # of one step with all its attempts
    retry_attempts: int = 3
    rollback_enabled: bool = True
    recovery_enabled: bool = True
    workflow_timeout: float | None = 600.0  # None: 10, 20 or 45 minutes, by the number of steps


@dataclass(frozen=True, slots=True)
class Filled:
    """A rule's steps; `left_out` names the non-critical actions that could not be filled, and why."""

    steps: tuple[Step, ...]
    left_out: tuple[tuple[str, str], ...]


def fill(rule: Rule, here: Situation, catalogue: Catalogue | None, limits: PlanLimits) -> Filled:
    """The steps of a rule, in its order.

    An action that is not critical is left out when it cannot be filled: no diagnostics is no reason for no cure.

    Raises:
        DoesNotFit: a critical action cannot be filled, or nothing is left.
    """
    filling = _Filling(here, catalogue, limits)
    steps = [step for _, phase, actions in rule.phases for step in filling.level(actions, phase)]
    if not any(step.phase is Phase.MAIN for step in steps):
        raise DoesNotFit("; ".join(f"{name}: {why}" for name, why in filling.left_out))
    return Filled(tuple(steps), tuple(filling.left_out))


@dataclass(frozen=True, slots=True)
class _Filling:
    """The filling of one rule."""

    here: Situation
    catalogue: Catalogue | None
    limits: PlanLimits
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def level(self, actions: Sequence[RuleAction], phase: Phase) -> tuple[Step, ...]:
        """The steps of one level."""
        stand_ins = {action.alternative for action in actions}
        steps: dict[str, tuple[Step, ...]] = {}
        for action in actions:
            try:
                steps[action.id] = with_approval(action, self._step(action, phase))
            except DoesNotFit as why:
                if action.critical or action.id in stand_ins:
                    raise DoesNotFit(f"{action.id}: {why}") from None
                self.left_out.append((action.id, str(why)))
        gone = {action.id for action in actions} - set(steps)
        for action in _without_primary(actions, gone):
            self.left_out.append((action.id, "what it stands in for is left out"))
            gone.add(action.id)
        kept = (step for name, more in steps.items() if name not in gone for step in more)
        return tuple(replace(step, needs=tuple(need for need in step.needs if need not in gone)) for step in kept)

    def _step(self, action: RuleAction, phase: Phase) -> Step:
        step = replace(
            shaped(action, phase),
            preconditions=tuple(self._condition(one, action) for one in action.preconditions),
            postconditions=tuple(self._condition(one, action) for one in action.postconditions),
        )
        if action.kind is StepKind.ACTION:
            return self._acting(action, step)
        parameters = wording.parameters(action.parameters, self.here, action.on)
        steps = self._inside(parameters).level(action.steps, Phase.MAIN)
        if action.steps and not steps:
            raise DoesNotFit("nothing that is inside can be done")
        bounded = action.kind is StepKind.CHECK and action.timeout is None
        return replace(
            step,
            steps=steps,
            parameters=parameters,
            description=wording.sentence(action.description, self.here, action.on) or "",
            on_failure=_on_failure(step, action, self.limits, harmless=action.kind is StepKind.APPROVAL),
            deadline=self.limits.coordination_timeout if bounded else step.deadline,
            changes=any(inner.changes for inner in steps),
        )

    def _inside(self, parameters: Mapping[str, Any]) -> _Filling:
        """The filling of what is inside a template step, which has these parameters; its own, or none are known yet."""
        if self.here.given is None:
            return self
        return replace(self, here=replace(self.here, given={} if has_expressions(parameters) else parameters))

    def _acting(self, action: RuleAction, step: Step) -> Step:
        name, here, limits = canonical(action.type), self.here, self.limits
        entry, parameters = self._filled(name, action.parameters, action.on)
        target = here.object(action.on)
        if entry:
            _check(entry, parameters, target)
        timeout = action.timeout or (entry and entry.default_timeout) or limits.action_timeout
        tells_only = entry is not None and not entry.changes
        return replace(
            step,
            action=Action(type=entry.type if entry else name, parameters=parameters, target=target),
            description=wording.sentence(action.description, here, action.on) or _describe(name, target, here),
            on_failure=_on_failure(step, action, limits, harmless=tells_only),
            timeout=min(timeout, limits.coordination_timeout),
            deadline=limits.coordination_timeout,
            retry=retrying(action, limits.retry_attempts),
            rollback=self._undo(action, target),
            changes=entry.changes if entry else True,
            reversible=True if action.rollback else entry.reversible if entry else None,
            irreversible_reason=entry.irreversible_reason if entry and not action.rollback else None,
        )

    def _undo(self, action: RuleAction, target: Target | None) -> Action | None:
        """What takes the step's changes back, as the rule says it."""
        if action.rollback is None:
            return None
        entry, parameters = self._filled(action.rollback.type, action.rollback.parameters, action.on)
        if entry:
            _check(entry, parameters, target)
        return Action(entry.type if entry else canonical(action.rollback.type), parameters, target)

    def _filled(
        self, name: str, given: Mapping[str, Any], on: str | None
    ) -> tuple[ActionType | None, Mapping[str, Any]]:
        """The action of that name, None while no catalogue is known, and its parameters."""
        entry = self.catalogue.get(name) if self.catalogue else None
        if self.catalogue and entry is None:
            raise DoesNotFit(f"the executor does not offer {canonical(name)}")
        return entry, wording.parameters(given, self.here, on)

    def _condition(self, one: RuleCondition, action: RuleAction) -> Condition:
        on = about(one, action)
        return Condition(
            expression=one.expression,
            message=one.message,
            critical=one.critical,
            within=one.within,
            poll=one.poll,
            target=self.here.object(on) if one.promql is None else None,
            promql=None if one.promql is None else wording.query(one.promql, self.here, on or action.on),
        )


def _without_primary(actions: Sequence[RuleAction], gone: set[str]) -> Iterator[RuleAction]:
    """The alternatives of what is left out, and theirs: on their own they would run where nothing has failed."""
    heirs = {action.alternative for action in actions if action.id in gone}
    for action in actions:
        if action.id in heirs and action.id not in gone:
            yield action
            yield from _without_primary(actions, {*gone, action.id})
            return


def _check(entry: ActionType, parameters: Mapping[str, Any], target: Target | None) -> None:
    try:
        violations = entry.violations(parameters, at="parameters")
    except Exception as error:  # the schema is the executor's: however broken, it costs this action only
        raise DoesNotFit(f"the executor's schema of {entry.type} cannot be used: {error!r:.200}") from error
    if violations:
        raise DoesNotFit("; ".join(map(str, violations)))
    kinds = {kind.lower() for kind in entry.target_kinds}
    if target and kinds and target.kind.lower() not in kinds:
        raise DoesNotFit(f"{entry.type} does not take a {target.kind}")


def _on_failure(step: Step, action: RuleAction, limits: PlanLimits, *, harmless: bool) -> OnFailure:
    """`harmless`: it tells or asks only. A cure is not taken back because nobody could be told of it."""
    default = OnFailure.STOP if harmless or step.phase is Phase.FINALLY else OnFailure.ROLLBACK
    if not action.critical:
        default = OnFailure.STOP if step.kind is StepKind.APPROVAL else OnFailure.SKIP
    if action.alternative:
        default = OnFailure.ALTERNATIVE
    answer = action.on_failure or default
    return OnFailure.STOP if answer is OnFailure.ROLLBACK and not limits.rollback_enabled else answer


def _describe(name: str, target: Target | None, here: Situation) -> str:
    words = name.replace("_", " ")
    about_what = subject(target) if target else ""
    return ": ".join(part for part in (words, about_what or here.why_no_target) if part)
