"""Seeing whether conditions hold: look at the cluster, evaluate, look again until they do or their time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from workflow_service.domain import scope
from workflow_service.domain.errors import ExecutorError, Misunderstood
from workflow_service.domain.expressions import EvaluationFailed, Scope
from workflow_service.domain.plan import Condition
from workflow_service.domain.target import Target
from workflow_service.engine.attempt import Unsent
from workflow_service.ports import Executor

SHOWN = 2048  # characters of what was observed that are kept as evidence
LAST_LOOK = 1.0  # seconds that a look gets at least, however late it is


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a step's conditions are judged by. No look is begun after `until`, but there is always one."""

    step: str
    conditions: tuple[Condition, ...]
    names: Scope
    known: Mapping[str, Any]  # what those names stand for
    target: Target | None
    result: Mapping[str, Any] | None  # the action's answer; None: it has not been asked for yet
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """How the conditions stand. `message` says what is wrong, when something is."""

    held: bool
    message: str = ""
    evidence: tuple[Mapping[str, Any], ...] = ()


@dataclass(slots=True)
class _Round:
    """What one round of looks has found; nothing is looked up twice in it."""

    found: dict[Target | str, Mapping[str, Any] | None] = field(default_factory=dict)
    trouble: dict[Target | str, str] = field(default_factory=dict)
    away: str = ""  # why a condition that counts could not be looked at, when nobody answered
    verdicts: dict[Condition, dict[str, Any]] = field(default_factory=dict)


class Lookout:
    """Looks through the executor."""

    def __init__(self, executor: Executor, *, clock: Callable[[], datetime]) -> None:
        self._executor, self._clock = executor, clock

    async def watch(self, outlook: Outlook) -> Seen | Unsent:
        """How the conditions stand in the end; `Unsent` when nobody answers before the step has done anything.

        They must all hold at one look. Once the time of one that counts is over, a look at which it does not hold is
        the last.
        """
        while True:
            seen = await self._round(outlook)
            if seen.away and outlook.result is None:
                return Unsent(seen.away)
            now = self._clock()
            open_ = [one for one, verdict in seen.verdicts.items() if not verdict["held"]]
            ends = [_end(outlook, one) for one in open_]
            lost = any(one.critical and end <= now for one, end in zip(open_, ends, strict=True))
            left = [end for end in ends if end > now]
            if lost or not left:
                return _seen(seen.verdicts)
            poll = min(one.poll for one in open_)
            await asyncio.sleep(min(poll, (min(left) - now).total_seconds()))

    async def _round(self, outlook: Outlook) -> _Round:
        seen = _Round()
        for condition in outlook.conditions:
            subject = await self._look_up(outlook, condition, seen)
            seen.verdicts[condition] = self._judge(outlook, condition, subject, seen)
        return seen

    async def _look_up(self, outlook: Outlook, condition: Condition, seen: _Round) -> Target | str | None:
        """Make sure that what the condition asks about is found; None: it asks about nothing."""
        if not scope.observes(condition, outlook.names, after=outlook.result is not None):
            return None
        subject = condition.promql or condition.target or outlook.target
        if subject is None or subject in seen.found:
            return subject
        left = (outlook.until - self._clock()).total_seconds()
        try:
            async with asyncio.timeout(max(LAST_LOOK, left)):
                seen.found[subject] = await self._facts(subject)
        except (ExecutorError, TimeoutError) as error:
            seen.found[subject], seen.trouble[subject] = None, str(error) or "no answer in time"
            if condition.critical and not isinstance(error, Misunderstood):
                seen.away = seen.away or seen.trouble[subject]
        return subject

    async def _facts(self, subject: Target | str) -> Mapping[str, Any] | None:
        if isinstance(subject, str):
            return (await self._executor.measure(subject)).facts
        return (await self._executor.observe(subject)).facts or None

    def _judge(
        self, outlook: Outlook, condition: Condition, subject: Target | str | None, seen: _Round
    ) -> dict[str, Any]:
        facts = seen.found[subject] if subject is not None else {}
        held, trouble = False, ""
        try:
            if facts is None:
                trouble = seen.trouble.get(subject or "") or "it cannot be observed"
            else:
                held = scope.holds(condition, outlook.known, outlook.names, facts, outlook.result)
        except EvaluationFailed as error:
            trouble = str(error)
        return {
            "kind": "postcondition" if outlook.result is not None else "precondition",
            "expression": condition.expression,
            "message": condition.message,
            "critical": condition.critical,
            "held": held,
            "about": subject.identity if isinstance(subject, Target) else subject,
            "observed": _short(facts),
            "trouble": trouble,
            "at": self._clock().isoformat(),
        }


def _end(outlook: Outlook, condition: Condition) -> datetime:
    """When the condition is looked at for the last time."""
    return min(outlook.until, outlook.since + timedelta(seconds=condition.within))


def _seen(verdicts: Mapping[Condition, Mapping[str, Any]]) -> Seen:
    wrong = [verdict for condition, verdict in verdicts.items() if condition.critical and not verdict["held"]]
    said = [
        (one["message"] or f"{one['expression']} does not hold") + (f" ({one['trouble']})" if one["trouble"] else "")
        for one in wrong
    ]
    return Seen(held=not wrong, message="; ".join(said), evidence=tuple(verdicts.values()))


def _short(facts: Mapping[str, Any] | None) -> Any:
    """The facts, as long as they are short enough to be kept."""
    shown = str(dict(facts)) if facts is not None else ""
    return facts if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
