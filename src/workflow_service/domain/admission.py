"""What becomes of an alert, from what is known about the same thing at that moment. Pure.

The rules are asked in the order of design section 5. The first that has an answer decides, and each that was asked says
what it saw, so that anybody can be told why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflow_service.domain.admission_facts import BUDGET_WINDOW, About, Ended, Known, Limits
from workflow_service.domain.alert import Alert, shown
from workflow_service.domain.states import ExecutionStatus
from workflow_service.domain.target import TARGETS
from workflow_service.domain.verdict import NO_ACTION
from workflow_service.domain.watchdog import which

_WELL = frozenset({ExecutionStatus.COMPLETED})
_NEUTRAL = frozenset({ExecutionStatus.RESOLVED})
UNKNOWN_CLUSTER = "unknown_cluster"  # the reason of an alert that nobody here can do anything about
OVER_BUDGET = "over_budget"
OUTCOMES = (
    *("admitted", "attached", "caused", "grouped", "cooled_down", "not_needed", "silenced", "resolved"),
    *("refused", "watchdog", OVER_BUDGET),
)
NEXT_TURN = timedelta(minutes=1)  # at least, for what has to wait for others: it is not asked again and again
UNDONE = frozenset({"refused", OVER_BUDGET})  # outcomes that leave undone what the alert asks for
DUPLICATE = "duplicate"  # the reason of a workflow that ended since another one is about the same thing
_LONGEST_STREAK = 16  # doublings that are counted; long before that the longest cool-down is reached


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of an alert: one of `OUTCOMES`.

    An admitted alert has no workflow yet. `reconsider_at`: when what stood in its way is over.
    """

    outcome: str
    reason: str
    workflow_id: str | None
    about: About
    reconsider_at: datetime | None = None
    trace: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a rule says: what it saw, and the outcome if it decides."""

    saw: str
    outcome: str | None = None
    workflow_id: str | None = None
    reconsider_at: datetime | None = None
    storm: str | None = None


def choose(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> Choice:
    """The answer of the first rule that has one; without any, the alert is admitted."""
    trace: list[Mapping[str, str]] = []
    for rule, ask in _RULES:
        answer = ask(alert, what, known, limits, now)
        trace.append({"rule": rule, "saw": answer.saw, "decided": answer.outcome or "goes on"})
        if answer.storm is not None:
            what = About(what.own, what.names, what.places, what.target, answer.storm)
        if answer.outcome is not None:
            return Choice(answer.outcome, answer.saw, answer.workflow_id, what, answer.reconsider_at, tuple(trace))
    trace.append({"rule": "admission", "saw": "nothing stands in its way", "decided": "admitted"})
    return Choice("admitted", "", None, what, trace=tuple(trace))


def _watchdog(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    del what, known, now
    found = which(limits.watchdogs, alert)
    if found is None:
        return _Answer("it is no watchdog")
    return _Answer(f"it is the watchdog {found.name}: that it comes is all that it says", "watchdog")


def _cluster(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    del what, known, now
    clusters = limits.clusters
    named = alert.labels.get(clusters.label)
    if not named:
        return _Answer(f"it names no cluster, so it is of {clusters.own}")
    if clusters.knows(named):
        return _Answer(f"it is of cluster {named}, which has an executor")
    known_ones = ", ".join(clusters.every)
    return _Answer(f"{UNKNOWN_CLUSTER}: label {clusters.label}={shown(named)!r} must be one of {known_ones}", "refused")


def _silence(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    del what, limits, now
    found = known.quiet(alert)
    if found is None or alert.status == "resolved":
        return _Answer("no silence and no maintenance window speaks of it")
    return _Answer(f"{found.why} ({found.id}) until {found.until.isoformat()}", "silenced", reconsider_at=found.until)


def _duplicate(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    del limits, now
    name = next((one for one in what.names if one in known.active), None)
    if name is None:
        return _Answer("no workflow is running for " + ", ".join(what.names))
    running = known.active[name]
    touched = next((one for one in what.names if one.startswith(TARGETS) and one in known.active), None)
    if touched is not None and what.own not in known.active and alert.status != "resolved":
        by = known.active[touched]
        if _after(alert, by.began_at):
            saw = f"it began after workflow {by.workflow_id} had begun to act on {touched}: it speaks against that"
            return _Answer(saw, "caused", by.workflow_id)
    return _Answer(f"a workflow about the same thing is running ({name})", "attached", running.workflow_id)


def _after(alert: Alert, began: datetime | None) -> bool:
    return began is not None and alert.starts_at is not None and alert.starts_at > began


def _resolved(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    del what, known, limits, now
    if alert.status != "resolved":
        return _Answer("it is firing")
    return _Answer("the alert has resolved and no workflow is running for it", "resolved")


def _no_action(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    """The last word about the same thing was that nothing is to be done; it holds until something differs."""
    last = [known.ended[name][0] for name in what.names if known.ended.get(name)]
    found = max((end for end in last if end.reason == NO_ACTION), key=lambda end: end.at, default=None)
    if found is None:
        return _Answer("nobody has found of late that nothing is to be done about it")
    until = found.at + limits.no_action_memory
    said = f"workflow {found.workflow_id} has found that nothing is to be done"
    if alert.starts_at != found.starts_at:
        return _Answer(f"{said}, but it has begun anew since ({_moment(alert.starts_at)})")
    if alert.severity != found.severity:
        return _Answer(f"{said}, but its severity was {found.severity}, and is {alert.severity} now")
    if until <= now:
        return _Answer(f"{said}, but that was too long ago ({_moment(found.at)})")
    return _Answer(f"{said}, and nothing differs; again from {_moment(until)}", "not_needed", found.workflow_id, until)


def _moment(at: datetime | None) -> str:
    return at.isoformat() if at is not None else "nobody knows when"


def _cooldown(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    best: tuple[datetime, Ended, str, str] | None = None
    for name in (one for one in what.names if one in known.ended):
        until, why = cool_until(known.ended[name], limits)
        if until > now and (best is None or until > best[0]):
            best = until, known.ended[name][0], why, name
    if best is None:
        return _Answer("nothing about the same thing has ended too short a time ago")
    until, last, why, name = best
    if name.startswith(TARGETS) and what.own not in known.ended and _after(alert, last.began_at):
        saw = f"{why}, and this began after {last.workflow_id} had begun to act on {name}: it speaks against that"
        return _Answer(f"{saw}; again from {until.isoformat()}", "caused", last.workflow_id, until)
    return _Answer(f"{why}; again from {until.isoformat()}", "cooled_down", last.workflow_id, until)


def cool_until(ends: Sequence[Ended], limits: Limits) -> tuple[datetime, str]:
    """Until when the same thing is left alone after these ends (newest first), and why."""
    tried = [end for end in ends if end.reason != DUPLICATE]
    if not tried or _neutral(tried[0]):
        return ends[0].at, ""
    counted = [end for end in tried if not _neutral(end)]
    last = counted[0]
    if last.status in _WELL:
        why = f"the same thing was remediated less than {limits.cooldown.total_seconds():g} s ago"
        return last.at + limits.cooldown, why
    streak = next((index for index, end in enumerate(counted) if end.status in _WELL), len(counted))
    pause = min(limits.failure_cooldown * 2 ** min(streak - 1, _LONGEST_STREAK), limits.longest_cooldown)
    times = "once" if streak == 1 else f"{streak} times in a row"
    return last.at + pause, f"the same thing was tried {times} and ended {last.status}"


def _neutral(end: Ended) -> bool:
    """Nothing was tried and nothing refused."""
    return end.status in _NEUTRAL or end.reason == NO_ACTION


def _storm(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    del alert
    most = (limits.storm_in_namespace, limits.storm_in_cluster)[-len(what.places) :]
    for place, bound in zip(what.places, most, strict=True):
        begun = known.begun.get(place, 0)
        if not bound or begun < bound:
            continue
        saw = f"{begun} workflows have begun in {place} within {limits.storm_window.total_seconds():g} s: it is a storm"
        parent = known.active.get(f"storm:{place}")
        if parent is not None:
            again = now + max(limits.storm_window, NEXT_TURN)  # by then none of those that make the storm counts
            saw = f"{saw}, and {parent.workflow_id} stands for it; again from {again.isoformat()}"
            return _Answer(saw, "grouped", parent.workflow_id, again)
        return _Answer(f"{saw}, and this one stands for it", storm=place)
    return _Answer("no storm in " + " or ".join(what.places))


def _budget(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    del alert
    most = (limits.budget_in_namespace, limits.budget_in_cluster)[-len(what.places) :]
    hours = f"{BUDGET_WINDOW.total_seconds() / 3600:g} h"
    seen = []
    for place, bound in zip(what.places, most, strict=True):
        spent = known.spent.get(place, 0)
        saw = f"{spent} of {bound} workflows have begun in {place} within {hours}"
        if bound and spent >= bound:
            again = max(known.oldest.get(place, now) + BUDGET_WINDOW, now + NEXT_TURN)
            return _Answer(f"{saw}; again from {again.isoformat()}", OVER_BUDGET, reconsider_at=again)
        seen.append(saw if bound else f"no budget for {place}")
    return _Answer("; ".join(seen))


_RULES: Sequence[tuple[str, Callable[[Alert, About, Known, Limits, datetime], _Answer]]] = (
    ("watchdog", _watchdog),
    ("cluster", _cluster),
    ("silence", _silence),
    ("duplicate", _duplicate),
    ("resolved", _resolved),
    ("no_action", _no_action),
    ("cooldown", _cooldown),
    ("storm", _storm),
    ("budget", _budget),
)
