"""The FastAPI application from its routes."""

from fastapi import FastAPI

from executor_service.api import problems
from executor_service.api.auditing import Auditing
from executor_service.api.callers import Authenticator
from executor_service.api.gate import Gate
from executor_service.api.health import HealthRoutes
from executor_service.api.routes import Routes


def application(
    routes: Routes, auditing: Auditing, health: HealthRoutes, *, authenticator: Authenticator, version: str
) -> FastAPI:
    """All routes behind the gate; no interactive docs (they load scripts from elsewhere)."""
    app = FastAPI(title="executor-service", version=version, docs_url=None, redoc_url=None)
    app.include_router(routes.router())
    app.include_router(auditing.router())
    app.include_router(health.router())
    problems.install(app)
    app.add_middleware(Gate, authenticator=authenticator)
    return app
