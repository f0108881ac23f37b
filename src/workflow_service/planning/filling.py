"""One rule and one situation become steps, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from workflow_service.domain.catalogue import ActionType, Catalogue, canonical
from workflow_service.domain.plan import Action, OnFailure, RetryPolicy, Step
from workflow_service.domain.target import Target
from workflow_service.planning.rules import Rule, RuleAction
from workflow_service.planning.situation import PLACEHOLDER, DoesNotFit, Situation, subject


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
    stand_ins = {action.alternative for action in rule.actions}
    steps: list[Step] = []
    left_out: list[tuple[str, str]] = []
    for action in rule.actions:
        try:
            steps.append(_step(action, here, catalogue, limits))
        except DoesNotFit as why:
            if action.critical or action.id in stand_ins:
                raise DoesNotFit(f"{action.id}: {why}") from None
            left_out.append((action.id, str(why)))
    if not steps:
        raise DoesNotFit("; ".join(f"{name}: {why}" for name, why in left_out))
    gone = {name for name, _ in left_out}
    kept = (replace(step, needs=tuple(need for need in step.needs if need not in gone)) for step in steps)
    return Filled(tuple(kept), tuple(left_out))


def _step(action: RuleAction, here: Situation, catalogue: Catalogue | None, limits: PlanLimits) -> Step:
    name = canonical(action.type)
    entry = catalogue.get(name) if catalogue else None
    if catalogue and entry is None:
        raise DoesNotFit(f"the executor does not offer {name}")
    target = here.object(action.on)
    parameters = _parameters(action, here)
    if entry:
        _check(entry, parameters, target)
    timeout = action.timeout or (entry and entry.default_timeout) or limits.action_timeout
    return Step(
        id=action.id,
        action=Action(type=entry.type if entry else name, parameters=parameters, target=target),
        needs=action.needs,
        description=_sentence(action.description, here, action.on) or _describe(name, target, here),
        critical=action.critical,
        on_failure=_on_failure(action, entry, limits),
        alternative=action.alternative,
        timeout=min(timeout, limits.coordination_timeout),
        deadline=limits.coordination_timeout,
        retry=RetryPolicy(max_retries=limits.retry_attempts if action.retries is None else action.retries),
        changes=entry.changes if entry else True,
        reversible=entry.reversible if entry else None,
        irreversible_reason=entry.irreversible_reason if entry else None,
    )


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


def _on_failure(action: RuleAction, entry: ActionType | None, limits: PlanLimits) -> OnFailure:
    tells_only = entry is not None and not entry.changes  # a cure is not taken back because nobody could be told of it
    default = OnFailure.SKIP if not action.critical else OnFailure.STOP if tells_only else OnFailure.ROLLBACK
    if action.alternative:
        default = OnFailure.ALTERNATIVE
    answer = action.on_failure or default
    return OnFailure.STOP if answer is OnFailure.ROLLBACK and not limits.rollback_enabled else answer


def _describe(name: str, target: Target | None, here: Situation) -> str:
    words = name.replace("_", " ")
    about = subject(target) if target else ""
    return ": ".join(part for part in (words, about or here.why_no_target) if part)


def _parameters(action: RuleAction, here: Situation) -> dict[str, Any]:
    filled = {name: _value(value, here, action.on) for name, value in action.parameters.items()}
    return {name: value for name, value in filled.items() if value is not None}


def _value(value: Any, here: Situation, on: str | None) -> Any:
    """A parameter's value; None: it is to be left out."""
    if isinstance(value, str):
        return _sentence(value, here, on)
    if isinstance(value, Mapping) and "observed" in value:
        return _observed(value, here, on)
    if isinstance(value, Mapping):
        return {key: found for key, item in value.items() if (found := _value(item, here, on)) is not None}
    if isinstance(value, list | tuple):
        return [found for item in value if (found := _value(item, here, on)) is not None]
    return value


def _sentence(text: str, here: Situation, on: str | None) -> str | None:
    """`text` with its placeholders filled; None when one marked `?` is not known."""
    words = here.words(on)
    for name, optional in PLACEHOLDER.findall(text):
        if words.get(name) is None:
            if optional:
                return None
            raise DoesNotFit(f"needs {{{name}}}, which is not known")
    return PLACEHOLDER.sub(lambda match: words[match[1]] or "", text)


def _observed(value: Mapping[str, Any], here: Situation, on: str | None) -> Any:
    name = value["observed"]
    fact = here.fact(name, on)
    if fact is None:
        raise DoesNotFit(f"{name} was not observed")
    if "plus" not in value:
        return fact
    if isinstance(fact, bool) or not isinstance(fact, int):
        raise DoesNotFit(f"{name} is {str(fact)[:40]!r}, not a whole number")
    result: int = min(fact + value["plus"], value.get("at_most", fact + value["plus"]))
    result = max(result, value.get("at_least", result))
    if (result - fact) * value["plus"] <= 0:
        raise DoesNotFit(f"{name} is {fact}, at or beyond its bound")
    return result
