"""What becomes of an alert, from what is known about the same thing at that moment. Pure.

The rules are asked in the order of design section 5. The first that has an answer decides, and each that was asked says
what it saw, so that anybody can be told why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from workflow_service.domain.alert import Alert
from workflow_service.domain.states import ExecutionStatus
from workflow_service.domain.target import NoTarget, Target, resolve

# How the controllers of Kubernetes name their pods: <deployment>-<hash>-<5 letters>, <statefulset>-<number>. The hash
# and the letters leave out vowels and what looks alike (k8s.io/apimachinery/pkg/util/rand).
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_OF_DEPLOYMENT = re.compile(rf"(?P<owner>.+)-[{_SAFE}]{{6,10}}-[{_SAFE}]{{5}}")
_OF_STATEFULSET = re.compile(r"(?P<owner>.+)-\d{1,5}")
_WELL = frozenset({ExecutionStatus.COMPLETED})
_NEUTRAL = frozenset({ExecutionStatus.RESOLVED})  # nothing was tried and nothing refused
DUPLICATE = "duplicate"  # the reason of a workflow that ended since another one is about the same thing
_LONGEST_STREAK = 16  # doublings that are counted; long before that the longest cool-down is reached


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator says about taking alerts in; a threshold of 0 switches its rule off."""

    cluster: str = "default"  # of alerts that name none
    cooldown: timedelta = timedelta(minutes=5)  # after a success the same thing is not done again
    failure_cooldown: timedelta = timedelta(minutes=1)  # after one end that was none; doubled after each more in a row
    longest_cooldown: timedelta = timedelta(hours=1)
    storm_window: timedelta = timedelta(minutes=1)
    storm_in_namespace: int = 0  # workflows begun within that window, above which it is a storm
    storm_in_cluster: int = 0
    group_by: tuple[str, ...] = ()  # labels; alerts that agree in all of them are one incident

    @property
    def memory(self) -> timedelta:
        """How long an end can still matter."""
        return max(self.cooldown, 2 * self.longest_cooldown)


@dataclass(frozen=True, slots=True)
class Running:
    """A workflow that runs for an identity."""

    workflow_id: str
    began_at: datetime | None = None  # when it began to act; None: it has not


@dataclass(frozen=True, slots=True)
class Ended:
    """How a workflow about an identity has ended."""

    workflow_id: str
    status: str
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A silence or a maintenance window that speaks of the alert."""

    id: str
    why: str
    until: datetime


@dataclass(slots=True)
class Known:
    """What is known about identities, and how much is going on."""

    active: dict[str, Running] = field(default_factory=dict)
    ended: Mapping[str, Sequence[Ended]] = field(default_factory=dict)  # newest first
    begun: dict[str, int] = field(default_factory=dict)  # workflows within the storm's window, by place
    quiet: Callable[[Alert], Quiet | None] = lambda _alert: None

    def begins(self, about: About, workflow_id: str) -> None:
        """From now on this workflow runs for all of it."""
        self.active.update(dict.fromkeys(about.held, Running(workflow_id)))
        for place in about.places:
            self.begun[place] = self.begun.get(place, 0) + 1


@dataclass(frozen=True, slots=True)
class About:
    """What an alert is about. `names` are sorted; an alert that shares any of them is about the same."""

    own: str  # the alert itself, whenever it comes
    names: tuple[str, ...]
    places: tuple[str, ...]  # where storms are counted, the widest last
    target: str | None
    storm: str | None = None  # the place whose storm it begins, when it is admitted

    @property
    def held(self) -> tuple[str, ...]:
        """The identities that a workflow for it holds."""
        return self.names if self.storm is None else tuple(sorted((*self.names, f"storm:{self.storm}")))


@dataclass(frozen=True, slots=True)
class Choice:
    """One outcome: admitted | attached | caused | grouped | cooled_down | silenced | resolved.

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


def about(alert: Alert, fingerprint: str, limits: Limits) -> About:
    """Everything by which this alert and another can be about the same thing, and where it counts."""
    target = resolve(alert, limits.cluster)
    own = f"alert:{alert.namespace or '-'}/{fingerprint}"  # a sender chooses its words, but not its namespace
    found = {own}
    if isinstance(target, Target):
        found.add(target.identity)
        if (owner := owner_by_name(target)) is not None:
            found.add(owner.identity)
    if limits.group_by and all(alert.labels.get(label) for label in limits.group_by):
        found.add("group:" + ",".join(f"{label}={alert.labels[label]}" for label in limits.group_by))
    cluster = alert.labels.get("cluster") or limits.cluster
    places = (f"{cluster}/{alert.namespace}", cluster) if alert.namespace else (cluster,)
    identity = None if isinstance(target, NoTarget) else target.identity
    return About(own, tuple(sorted(found)), places, identity)


def owner_by_name(target: Target) -> Target | None:
    """Who decides about a pod, as far as its name tells: a Deployment's or a StatefulSet's pods are named after it."""
    if target.kind != "Pod":
        return None
    for pattern, kind in ((_OF_DEPLOYMENT, "Deployment"), (_OF_STATEFULSET, "StatefulSet")):
        if (match := pattern.fullmatch(target.name)) is not None:
            return Target(target.cluster, kind, match["owner"], target.namespace)
    return None


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
    began, since = running.began_at, alert.starts_at
    if alert.status != "resolved" and what.own not in known.active and began and since and since > began:
        saw = f"it began after workflow {running.workflow_id} had begun to act on {name}: it speaks against that"
        return _Answer(saw, "caused", running.workflow_id)
    return _Answer(f"a workflow about the same thing is running ({name})", "attached", running.workflow_id)


def _resolved(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    del what, known, limits, now
    if alert.status != "resolved":
        return _Answer("it is firing")
    return _Answer("the alert has resolved and no workflow is running for it", "resolved")


def _cooldown(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    del alert
    best: tuple[datetime, Ended, str] | None = None
    for ends in (known.ended[name] for name in what.names if name in known.ended):
        until, why = cool_until(ends, limits)
        if until > now and (best is None or until > best[0]):
            best = until, ends[0], why
    if best is None:
        return _Answer("nothing about the same thing has ended too short a time ago")
    until, last, why = best
    return _Answer(f"{why}; again from {until.isoformat()}", "cooled_down", last.workflow_id, until)


def cool_until(ends: Sequence[Ended], limits: Limits) -> tuple[datetime, str]:
    """Until when the same thing is left alone after these ends (newest first), and why."""
    tried = [end for end in ends if end.reason != DUPLICATE]
    if not tried or tried[0].status in _NEUTRAL:
        return ends[0].at, ""
    counted = [end for end in tried if end.status not in _NEUTRAL]
    last = counted[0]
    if last.status in _WELL:
        why = f"the same thing was remediated less than {limits.cooldown.total_seconds():g} s ago"
        return last.at + limits.cooldown, why
    streak = next((index for index, end in enumerate(counted) if end.status in _WELL), len(counted))
    pause = min(limits.failure_cooldown * 2 ** min(streak - 1, _LONGEST_STREAK), limits.longest_cooldown)
    times = "once" if streak == 1 else f"{streak} times in a row"
    return last.at + pause, f"the same thing was tried {times} and ended {last.status}"


def _storm(alert: Alert, what: About, known: Known, limits: Limits, now: datetime) -> _Answer:
    del alert, now
    most = (limits.storm_in_namespace, limits.storm_in_cluster)[-len(what.places) :]
    for place, bound in zip(what.places, most, strict=True):
        begun = known.begun.get(place, 0)
        if not bound or begun < bound:
            continue
        saw = f"{begun} workflows have begun in {place} within {limits.storm_window.total_seconds():g} s: it is a storm"
        parent = known.active.get(f"storm:{place}")
        if parent is not None:
            return _Answer(f"{saw}, and {parent.workflow_id} stands for it", "grouped", parent.workflow_id)
        return _Answer(f"{saw}, and this one stands for it", storm=place)
    return _Answer("no storm in " + " or ".join(what.places))


def storm_names(what: About) -> Iterator[str]:
    """The identities of the storms that it could belong to."""
    return (f"storm:{place}" for place in what.places)


_RULES: Sequence[tuple[str, Callable[[Alert, About, Known, Limits, datetime], _Answer]]] = (
    ("silence", _silence),
    ("duplicate", _duplicate),
    ("resolved", _resolved),
    ("cooldown", _cooldown),
    ("storm", _storm),
)
