"""Stored alerts through two versions: what would be chosen otherwise, and how such choices have ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from workflow_service.backtest.choices import Choice, choice_of, differences, no_choice
from workflow_service.backtest.recalled import recalled
from workflow_service.backtest.versions import Version
from workflow_service.domain.alert import Alert, alert_from_json
from workflow_service.domain.catalogue import Catalogue, catalogue_from_wire
from workflow_service.domain.clusters import Clusters
from workflow_service.domain.errors import Rejected
from workflow_service.domain.guardrails import judge_plan
from workflow_service.domain.states import ExecutionStatus
from workflow_service.engine.guards import Case, around
from workflow_service.planning.library import known_actions
from workflow_service.ports import Observation
from workflow_service.store import past
from workflow_service.store.changes import BADLY
from workflow_service.store.database import Database
from workflow_service.store.queries import kept_catalogue

KEPT = 1000  # changed alerts that are kept to be shown; all are counted
# What neither version is asked with, since nobody knows how it was.
NOT_ASKED = ("advisor", "executor", "budgets", "oscillation", "breaker", "halts and overrides", "who ordered it")


@dataclass(frozen=True, slots=True)
class Changed:
    """An alert about which something else would be chosen."""

    alert_id: str
    workflow_id: str
    received_at: datetime
    name: str
    namespace: str
    differs: tuple[str, ...]
    before: Choice
    after: Choice
    ended: str | None  # as what its workflow has ended; None: it has not
    target_known: bool  # it was seen when the workflow was planned


@dataclass(slots=True)
class Found:
    """All that was found."""

    alerts: int = 0
    unknown_targets: int = 0  # alerts planned without knowing their target
    unreadable: int = 0  # which this version cannot read any more
    bounded: bool = False  # there were more alerts than were asked for
    differs: Counter[str] = field(default_factory=Counter)
    ends: Counter[tuple[str | None, str | None, str]] = field(default_factory=Counter)  # rules, and well, badly, other
    changed: list[Changed] = field(default_factory=list)
    count: int = 0  # of all that changed

    def add(self, one: Changed) -> None:
        """Count it, and keep it while there is room."""
        self.count += 1
        self.differs.update(one.differs)
        self.ends[one.before.rule, one.after.rule, _well(one.ended)] += 1
        if len(self.changed) < KEPT:
            self.changed.append(one)


@dataclass(frozen=True, slots=True)
class _Known:
    """What both versions know of an alert."""

    alert: Alert
    ordered: Mapping[str, Any] | None
    observation: Observation | None
    cluster: str
    catalogue: Catalogue
    at: datetime


class Backtest:
    """Replays; reads only."""

    def __init__(self, database: Database, present: Version, tried: Version, clusters: Clusters) -> None:
        self._database, self._present, self._tried, self._clusters = database, present, tried, clusters
        self._catalogues: dict[str, Catalogue] = {}

    async def replay(self, *, since: datetime, most: int) -> Found:
        """The newest alerts that were admitted since, `most` of them.

        Raises:
            StoreUnavailable: the database is away.
        """
        found = Found()
        async for row in past.admitted(self._database, since=since, most=most + 1):
            if found.alerts == most:
                found.bounded = True
                break
            found.alerts += 1
            await self._replay(row, found)
        return found

    async def _replay(self, row: Any, found: Found) -> None:
        try:
            alert = alert_from_json(row.document)
        except Rejected:
            found.unreadable += 1
            return
        cluster = self._clusters.of(alert.labels)
        observation = recalled((row.plan or {}).get("metadata") or {})
        found.unknown_targets += observation is None
        catalogue = await self._catalogue(cluster)
        known = _Known(alert, row.ordered, observation, cluster, catalogue, row.received_at)
        before, after = (_choice(version, known, row) for version in (self._present, self._tried))
        if differs := differences(before, after):
            found.add(
                Changed(
                    alert_id=row.id,
                    workflow_id=row.workflow_id,
                    received_at=row.received_at,
                    name=alert.name,
                    namespace=alert.namespace or "",
                    differs=differs,
                    before=before,
                    after=after,
                    ended=row.status if row.ended_at is not None else None,
                    target_known=observation is not None,
                )
            )

    async def _catalogue(self, cluster: str) -> Catalogue:
        """The executor's as it was kept; without one, all that an executor can do."""
        if cluster not in self._catalogues:
            kept = await kept_catalogue(self._database, cluster)
            self._catalogues[cluster] = catalogue_from_wire(kept) if kept is not None else known_actions()
        return self._catalogues[cluster]


def _choice(version: Version, known: _Known, row: Any) -> Choice:
    """What a version chooses, judged as of the moment at which the alert came."""
    try:
        plan = version.plan(known.alert, known.ordered, known.observation, known.catalogue, known.cluster)
    except Rejected as error:
        return no_choice(str(error))
    seen = known.observation
    told = {} if seen is None else {"observation": {"facts": dict(seen.facts)}}
    plan = replace(plan, metadata={**plan.metadata, **told})
    about = replace(around(Case(row.workflow_id, row.document, plan), known.cluster), catalogue=known.catalogue)
    return choice_of(plan, judge_plan(plan, about, version.policy, known.at), known.catalogue)


def _well(ended: str | None) -> str:
    if ended in BADLY:
        return "badly"
    return "well" if ended == ExecutionStatus.COMPLETED else "other"
