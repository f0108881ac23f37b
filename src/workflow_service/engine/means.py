"""What all drives of a replica share, built once by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from workflow_service.domain.alert import Alert
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.failure_class import Patterns
from workflow_service.domain.plan import Plan
from workflow_service.engine.attempt import Courier
from workflow_service.engine.guards import Guards
from workflow_service.engine.listening import Listening
from workflow_service.engine.looking import Lookout
from workflow_service.engine.notifying import Notifying
from workflow_service.engine.recovering import Recoveries
from workflow_service.engine.ringing import Bell
from workflow_service.ports import Engine, EventBus, Executor
from workflow_service.right_of_way import RightOfWay
from workflow_service.store.database import Database
from workflow_service.store.journal import Journal
from workflow_service.telemetry.metrics import Metrics

PlanFor = Callable[[Alert, Mapping[str, Any] | None], Awaitable[tuple[Plan, object, object, tuple[Plan, ...]]]]
"""Makes the plan for an alert, or of what was ordered; the last are to be tried where guardrails deny it, in turn."""


@dataclass(frozen=True, slots=True)
class Site:
    """What belongs to one cluster: its executor, and who looks, plans and carries there."""

    cluster: str
    executor: Executor
    courier: Courier
    lookout: Lookout
    catalogue: Callable[[], Awaitable[Catalogue | None]]
    plan_for: PlanFor
    plan_plainly: PlanFor  # the same, asking no advisor
    recoveries: Recoveries


@dataclass(frozen=True, slots=True)
class Means:
    """Everything a drive works with. `jitter` draws from [0, 1); what it draws is journalled."""

    database: Database
    journal: Journal
    engine: Engine
    site: Site
    site_of: Callable[[Mapping[str, Any]], Site]  # an alert's, as it is stored
    way: RightOfWay
    bus: EventBus
    bell: Bell
    metrics: Metrics
    listening: Listening
    guards: Guards
    notifying: Notifying
    patterns: Patterns
    replica: str
    clock: Callable[[], datetime]
    jitter: Callable[[], float]

    def at(self, alert: Mapping[str, Any]) -> Means:
        """The same in the cluster of this alert: what is done about it is done there and nowhere else."""
        return replace(self, site=self.site_of(alert))
