"""Builds what belongs to each cluster: executor, catalogue, who plans and acts there. A part of the composition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from workflow_service.advising import Advising
from workflow_service.clients.absent import AbsentExecutor
from workflow_service.clients.breaker import BreakingExecutor
from workflow_service.clients.executor import HttpExecutor
from workflow_service.clients.session import SharedSession
from workflow_service.domain.catalogue import Catalogue
from workflow_service.engine.attempt import Courier
from workflow_service.engine.lease import Lease
from workflow_service.engine.looking import Lookout
from workflow_service.engine.means import Site
from workflow_service.engine.recovering import Recoveries
from workflow_service.meaning import clusters_of, limits_of
from workflow_service.planning.counsel import Counsel
from workflow_service.planning.known_catalogue import KnownCatalogue
from workflow_service.planning.planner import Planner
from workflow_service.planning.recovering import Recoverer
from workflow_service.planning.rules import Rules
from workflow_service.planning.shelf import Shelf
from workflow_service.ports import Executor
from workflow_service.settings import SecretFile, Settings, current
from workflow_service.store.database import Database
from workflow_service.telemetry.metrics import Metrics

EXECUTOR_PATIENCE = 10.0  # seconds that planning waits for an executor that is being restarted


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the sites of one replica share."""

    settings: Settings
    database: Database
    lease: Lease
    session: SharedSession
    metrics: Metrics
    shelf: Shelf
    advising: Advising
    clock: Callable[[], datetime]


class Sites:
    """Every cluster's site on one replica."""

    def __init__(self, around: Surroundings, rules: Rules, *, executor: Executor | None = None) -> None:
        """`executor` None: our own cluster's is the one at EXECUTOR_SERVICE_URL, over HTTP."""
        self._around, self._rules = around, rules
        self._clusters = clusters_of(around.settings)
        self.executors = _executors(around, executor)
        self._sites = {cluster: self._site(cluster, one) for cluster, one in self.executors.items()}
        self.own = self._sites[self._clusters.own]

    def of(self, alert: Mapping[str, Any]) -> Site:
        """The site of the cluster that a stored alert belongs to."""
        cluster = self._clusters.of(alert.get("labels") or {})
        if cluster not in self._sites:
            self._sites[cluster] = self._site(cluster, AbsentExecutor(cluster))
        return self._sites[cluster]

    async def catalogue(self, alert: Mapping[str, Any]) -> Catalogue | None:
        """What the executor of an alert's cluster offers, as far as it is known."""
        return await self.of(alert).catalogue()

    async def healthy(self) -> bool:
        """Whether every cluster's executor answers."""
        return all(await asyncio.gather(*[executor.healthy() for executor in self.executors.values()]))

    def breakers(self) -> Mapping[str, str]:
        """Where the circuit breaker of each executor stands, by the executor's name."""
        return {
            _name(cluster, own=self._clusters.own): executor.state
            for cluster, executor in self.executors.items()
            if isinstance(executor, BreakingExecutor)
        }

    def _site(self, cluster: str, executor: Executor) -> Site:
        around = self._around
        known = KnownCatalogue(executor, around.database, cluster=cluster, clock=around.clock)
        planner, plain = self._planner(executor, known, cluster), self._planner(executor, known, cluster)
        budget = around.settings.ai_integration.timeout
        planner.counsel = Counsel(around.advising.advisor, around.advising.project, budget)
        return Site(
            cluster=cluster,
            executor=executor,
            courier=Courier(executor, lease_held=around.lease.held, clock=around.clock),
            lookout=Lookout(executor, clock=around.clock),
            catalogue=known.load,
            plan_for=planner.plan,
            plan_plainly=plain.plan,
            recoveries=Recoveries(around.database, Recoverer(planner).recover, known.load, clock=around.clock),
        )

    def _planner(self, executor: Executor, known: KnownCatalogue, cluster: str) -> Planner:
        planner = Planner(
            executor,
            self._rules,
            limits=limits_of(self._around.settings),
            load_catalogue=known.load,
            cluster=cluster,
            patience=EXECUTOR_PATIENCE,
        )
        planner.library = lambda: self._around.shelf.library
        return planner


def _executors(around: Surroundings, own: Executor | None) -> dict[str, Executor]:
    """Of every cluster that the settings name, our own first."""
    settings = around.settings
    given = settings.service_coordination
    token = current(settings, "service_coordination.executor_token")
    here = settings.cluster_name
    found = {here: own or _over_http(around, given.executor_service_url, "executor", token)}
    for cluster, url in (given.executors or {}).items():
        file = (given.executor_token_files or {}).get(cluster)
        secret: Callable[[], str | None] = SecretFile(file) if file is not None else lambda: None
        found[cluster] = _over_http(around, url, _name(cluster, own=here), secret)
    return found


def _over_http(around: Surroundings, url: str, name: str, token: Callable[[], str | None]) -> Executor:
    moved = partial(around.metrics.breaker_moved, downstream=name)
    return BreakingExecutor(HttpExecutor(url, around.session, token=token), on_change=moved, name=name)


def _name(cluster: str, *, own: str) -> str:
    return "executor" if cluster == own else f"executor/{cluster}"
