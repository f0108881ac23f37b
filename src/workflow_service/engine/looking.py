"""Seeing whether conditions hold: look at the cluster, evaluate, look again until they do or their time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from workflow_service.domain import scope
from workflow_service.domain.errors import ExecutorError
from workflow_service.domain.expressions import EvaluationFailed, Scope
from workflow_service.domain.plan import Condition
from workflow_service.domain.target import Target
from workflow_service.engine.attempt import Unsent
from workflow_service.ports import Executor

SHOWN = 2048  # characters of what was observed that are kept as evidence


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a step's conditions are judged by. No look is made after `until`."""

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


class Lookout:
    """Looks through the executor."""

    def __init__(self, executor: Executor, *, clock: Callable[[], datetime]) -> None:
        self._executor, self._clock = executor, clock

    async def watch(self, outlook: Outlook) -> Seen | Unsent:
        """How the conditions stand in the end; `Unsent` when nothing can be seen before the step has done anything."""
        first = True
        while True:
            verdicts, unseen = await self._round(outlook)
            if unseen and outlook.result is None and outlook.conditions and not self._late(outlook, None):
                return Unsent(unseen)
            open_ = [one for one, verdict in verdicts.items() if not verdict["held"]]
            waiting = [one for one in open_ if not self._late(outlook, one)]
            if not waiting or (not first and self._clock() >= outlook.until):
                return _seen(verdicts)
            first = False
            pause = min(one.poll for one in waiting)
            left = (self._end(outlook, waiting) - self._clock()).total_seconds()
            await asyncio.sleep(max(0.0, min(pause, left)))

    def _end(self, outlook: Outlook, waiting: list[Condition]) -> datetime:
        longest = max(one.within for one in waiting)
        return min(outlook.until, outlook.since + timedelta(seconds=longest))

    def _late(self, outlook: Outlook, condition: Condition | None) -> bool:
        """Whether there is no other look at that condition."""
        within = timedelta(seconds=condition.within if condition else 0)
        own = outlook.until if condition is None else min(outlook.until, outlook.since + within)
        return self._clock() >= own

    async def _round(self, outlook: Outlook) -> tuple[dict[Condition, dict[str, Any]], str]:
        seen, verdicts, unseen = _Round(), {}, ""
        for condition in outlook.conditions:
            subject = await self._look_up(outlook, condition, seen)
            facts = seen.found.get(subject) if subject is not None else {}
            unseen = unseen or (seen.trouble.get(subject, "") if subject is not None else "")
            verdicts[condition] = self._judge(outlook, condition, subject, facts)
        return verdicts, unseen

    async def _look_up(self, outlook: Outlook, condition: Condition, seen: _Round) -> Target | str | None:
        """Make sure that what the condition asks about is found; None: it asks about nothing."""
        if not scope.observes(condition, outlook.names, after=outlook.result is not None):
            return None
        subject = condition.promql or condition.target or outlook.target
        if subject is None or subject in seen.found:
            return subject
        try:
            if isinstance(subject, str):
                seen.found[subject] = (await self._executor.measure(subject)).facts
            else:
                seen.found[subject] = (await self._executor.observe(subject)).facts or None
        except ExecutorError as error:
            seen.found[subject], seen.trouble[subject] = None, str(error)
        return subject

    def _judge(
        self, outlook: Outlook, condition: Condition, subject: Target | str | None, facts: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        held, trouble = False, ""
        try:
            if facts is None:
                trouble = "it cannot be observed"
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
            "about": str(subject) if subject is not None else None,
            "observed": _short(facts),
            "trouble": trouble,
            "at": self._clock().isoformat(),
        }


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
