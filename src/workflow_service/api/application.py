"""The FastAPI application: routes, problems, and the middleware around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter, FastAPI

from workflow_service import __version__
from workflow_service.api import alerts as alert_routes
from workflow_service.api import controls as control_routes
from workflow_service.api import (
    creating,
    document,
    events,
    explaining,
    halting,
    idempotent,
    judging,
    links,
    notifications,
    problems,
    silences,
    simulating,
    templates,
)
from workflow_service.api import deliveries as delivery_routes
from workflow_service.api import health as health_routes
from workflow_service.api import rollbacks as rollback_routes
from workflow_service.api import workflows as workflow_routes
from workflow_service.api.alerts import Alerts
from workflow_service.api.auditing import Auditing
from workflow_service.api.body_limit import BodyLimit
from workflow_service.api.controls import Controls
from workflow_service.api.events import Events
from workflow_service.api.gate import Access, Gate
from workflow_service.api.halting import Declaring
from workflow_service.api.health import Health
from workflow_service.api.observing import Observing
from workflow_service.api.readable import Readable
from workflow_service.api.workflows import Workflows
from workflow_service.engine.explaining import Explainer
from workflow_service.engine.lease import Lease
from workflow_service.planning.shelf import Shelf
from workflow_service.ports import Simulate
from workflow_service.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes work with, and who may call them."""

    workflows: Workflows
    alerts: Alerts
    controls: Controls
    events: Events
    health: Health
    access: Access
    shelf: Shelf
    explainer: Explainer
    simulate: Simulate
    declaring: Declaring
    link_secrets: Callable[[], Sequence[bytes] | None]
    link_readers: frozenset[str]


def application(
    parts: Parts,
    *,
    metrics: Metrics,
    lease: Lease,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
) -> FastAPI:
    """The app, ready to be served."""
    app = FastAPI(
        title="workflow-service",
        version=__version__,
        description="Kubernaut's Workflow Orchestrator Service: alerts become durable, guarded, undoable remediations.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    for router in _routers(parts):
        app.include_router(router)
    app.add_middleware(
        idempotent.Idempotent,
        database=parts.workflows.database,
        lease=lease,
        patience=parts.workflows.execute_wait,
        clock=lambda: datetime.now(UTC),
    )
    app.add_middleware(Gate, access=parts.access)
    app.add_middleware(Auditing, access=parts.access, clock=lambda: datetime.now(UTC))
    app.add_middleware(BodyLimit, per_path={alert_routes.PATH: alert_routes.MAX_BODY})
    app.add_middleware(Readable)
    app.add_middleware(Observing, metrics=metrics)
    document.install(app, parts.access)
    return app


def _routers(parts: Parts) -> Iterator[APIRouter]:
    yield workflow_routes.routes(parts.workflows)
    yield alert_routes.routes(parts.alerts)
    reception, database = parts.alerts.reception, parts.workflows.database
    yield delivery_routes.routes(reception, database, parts.simulate)
    yield creating.routes(reception, database, parts.shelf)
    yield explaining.routes(database)
    yield silences.routes(database)
    yield templates.routes(parts.shelf, database)
    yield events.routes(parts.events)
    yield halting.routes(parts.declaring)
    yield judging.routes(parts.explainer)
    yield simulating.routes(parts.simulate, database, parts.shelf)
    linking = links.Linking(
        database, parts.controls.orders, parts.link_secrets, parts.link_readers, parts.access.failures
    )
    yield links.routes(linking)
    yield control_routes.routes(parts.controls)
    yield rollback_routes.routes(parts.controls.database)
    yield notifications.routes(parts.controls.database)
    yield health_routes.routes(parts.health)
