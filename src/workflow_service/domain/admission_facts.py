"""What the rules of admission look at: what an alert is about, what is known of that, what an operator says. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from workflow_service.domain.alert import Alert
from workflow_service.domain.clusters import Clusters
from workflow_service.domain.target import NoTarget, Target, resolve
from workflow_service.domain.watchdog import Watchdog

# How the controllers of Kubernetes name their pods: <deployment>-<hash>-<5 letters>, <statefulset>-<number>. The hash
# and the letters leave out vowels and what looks alike (k8s.io/apimachinery/pkg/util/rand).
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_OF_DEPLOYMENT = re.compile(rf"(?P<owner>.+)-[{_SAFE}]{{6,10}}-[{_SAFE}]{{5}}")
_OF_STATEFULSET = re.compile(r"(?P<owner>.+)-\d{1,5}")


BUDGET_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator says about taking alerts in; a threshold of 0 switches its rule off."""

    clusters: Clusters = field(default_factory=Clusters)
    watchdogs: tuple[Watchdog, ...] = ()  # which tell by coming, and of which nothing is done
    cooldown: timedelta = timedelta(minutes=5)  # after a success the same thing is not done again
    failure_cooldown: timedelta = timedelta(minutes=1)  # after one end that was none; doubled after each more in a row
    longest_cooldown: timedelta = timedelta(hours=1)
    no_action_memory: timedelta = timedelta(hours=6)  # for which nothing that was to be done is believed; 0: not at all
    storm_window: timedelta = timedelta(minutes=1)
    storm_in_namespace: int = 0  # workflows begun within that window, above which it is a storm
    storm_in_cluster: int = 0
    budget_in_namespace: int = 0  # workflows admitted within any `BUDGET_WINDOW`
    budget_in_cluster: int = 0
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
    began_at: datetime | None = None  # when it began to act; None: it has not
    starts_at: datetime | None = None  # of the alert that began it
    severity: str = ""


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
    spent: dict[str, int] = field(default_factory=dict)  # the same within the budgets' window
    oldest: dict[str, datetime] = field(default_factory=dict)  # when the first of those began
    quiet: Callable[[Alert], Quiet | None] = lambda _alert: None

    def begins(self, about: About, workflow_id: str) -> None:
        """From now on this workflow runs for all of it."""
        self.active.update(dict.fromkeys(about.held, Running(workflow_id)))
        for place in about.places:
            self.begun[place] = self.begun.get(place, 0) + 1
            self.spent[place] = self.spent.get(place, 0) + 1


@dataclass(frozen=True, slots=True)
class About:
    """What an alert is about. `names` are sorted; an alert that shares any of them is about the same."""

    own: str  # the alert itself, whenever it comes
    names: tuple[str, ...]
    places: tuple[str, ...]  # where storms and budgets are counted, the widest last
    target: str | None
    storm: str | None = None  # the place whose storm it begins, when it is admitted

    @property
    def held(self) -> tuple[str, ...]:
        """The identities that a workflow for it holds."""
        return self.names if self.storm is None else tuple(sorted((*self.names, f"storm:{self.storm}")))


def about(alert: Alert, fingerprint: str, limits: Limits) -> About:
    """Everything by which this alert and another can be about the same thing, and where it counts."""
    cluster = limits.clusters.of(alert.labels)
    target = resolve(alert, cluster)
    elsewhere = "" if cluster == limits.clusters.own else f"{cluster}/"
    # A sender chooses its words, but not its namespace.
    own = f"alert:{elsewhere}{alert.namespace or '-'}/{fingerprint}"
    found = {own}
    if isinstance(target, Target):
        found.add(target.identity)
        if (owner := owner_by_name(target)) is not None:
            found.add(owner.identity)
    if limits.group_by and all(alert.labels.get(label) for label in limits.group_by):
        found.add(f"group:{elsewhere}" + ",".join(f"{label}={alert.labels[label]}" for label in limits.group_by))
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


def storm_names(what: About) -> Iterator[str]:
    """The identities of the storms that it could belong to."""
    return (f"storm:{place}" for place in what.places)
