"""The plain values of a rule file that keeps its format become rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.plan import OnFailure, OnResolved, RetryPolicy, StepKind
from workflow_service.planning.recovery_rules import options_of
from workflow_service.planning.rules import Rule, RuleAction, RuleApproval, RuleCondition, RuleUndo, When
from workflow_service.planning.step_format import seconds

# How the file calls what we call otherwise.
_CALLED = {"forEach": "for_each", "maxParallel": "max_parallel"}


def rule_of(raw: Mapping[str, Any]) -> Rule:
    """One rule of the file."""
    when = When(**{name: tuple(map(str, entries)) for name, entries in raw.get("when", {}).items()})
    return Rule(
        name=raw["name"],
        reason=raw["reason"].strip(),
        actions=_actions(raw["actions"]),
        when=when,
        verify=_actions(raw.get("verify", ())),
        last=_actions(raw.get("finally", ())),
        on_resolved=OnResolved(raw.get("onResolved", OnResolved.FINISH)),
        recovery=options_of(raw.get("recovery"), action_of),
    )


def _actions(raw: list[Mapping[str, Any]] | tuple[()]) -> tuple[RuleAction, ...]:
    return tuple(action_of(one) for one in raw)


def action_of(raw: Mapping[str, Any]) -> RuleAction:
    """One step of a rule, with all that is inside it."""
    if "maxAttempts" in raw.get("retry", {}):
        raw = {**raw, "retries": raw["retry"]["maxAttempts"] - 1}
    return RuleAction(**{_CALLED.get(key, key): _READ.get(key, _as_it_is)(value) for key, value in raw.items()})


def _retry(raw: Mapping[str, Any]) -> RetryPolicy:
    default = RetryPolicy()
    factor = 1.0 if raw.get("backoff") == "fixed" else default.factor
    first = float(seconds(raw.get("delay", default.first_delay)))
    return RetryPolicy(
        first_delay=first,
        factor=factor,
        max_delay=float(seconds(raw["maxDelay"])) if "maxDelay" in raw else max(first, default.max_delay),
        retry_on=tuple(map(ErrorClass, raw.get("on", default.retry_on))),
    )


def _undo(raw: Mapping[str, Any]) -> RuleUndo:
    return RuleUndo(**raw)


def _conditions(raw: list[Mapping[str, Any]]) -> tuple[RuleCondition, ...]:
    return tuple(RuleCondition(**_timed(one, "within", "poll")) for one in raw)


def _approval(raw: Mapping[str, Any]) -> RuleApproval:
    return RuleApproval(**_timed(raw, "timeout"))


def _timed(raw: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: seconds(value) if key in names else value for key, value in raw.items()}


def _as_it_is(value: Any) -> Any:
    return value


_READ: Mapping[str, Callable[[Any], Any]] = {
    "needs": tuple,
    "on_failure": OnFailure,
    "kind": StepKind,
    "timeout": seconds,
    "settle": seconds,
    "wait": seconds,
    "preconditions": _conditions,
    "postconditions": _conditions,
    "approval": _approval,
    "steps": _actions,
    "retry": _retry,
    "rollback": _undo,
}
