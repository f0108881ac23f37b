"""What all drives of a replica share, built once by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from workflow_service.domain.alert import Alert
from workflow_service.domain.failure_class import Patterns
from workflow_service.domain.plan import Plan
from workflow_service.engine.attempt import Courier
from workflow_service.engine.guards import Guards
from workflow_service.engine.listening import Listening
from workflow_service.engine.looking import Lookout
from workflow_service.engine.recovering import Recoveries
from workflow_service.ports import Engine, EventBus, Executor
from workflow_service.store.database import Database
from workflow_service.store.journal import Journal
from workflow_service.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Means:
    """Everything a drive works with. `jitter` draws from [0, 1); what it draws is journalled."""

    database: Database
    journal: Journal
    engine: Engine
    executor: Executor
    courier: Courier
    lookout: Lookout
    bus: EventBus
    metrics: Metrics
    plan_for: Callable[[Alert], Awaitable[tuple[Plan, object, object]]]
    listening: Listening
    recoveries: Recoveries
    guards: Guards
    patterns: Patterns
    replica: str
    cluster: str
    clock: Callable[[], datetime]
    jitter: Callable[[], float]
