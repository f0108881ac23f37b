"""Probes and metrics: what an orchestrator of containers asks."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from executor_service.api import models
from executor_service.telemetry.metrics import Metrics

Probe = Callable[[], Awaitable[bool]]


class HealthRoutes:
    """`/health`, `/livez`, `/readyz`, `/metrics`; none of them needs a token."""

    def __init__(self, probes: dict[str, Probe], metrics: Metrics, *, version: str) -> None:
        self._probes = probes
        self._metrics = metrics
        self._version = version
        self._started = time.monotonic()

    def router(self) -> APIRouter:
        """All routes of this class."""
        router = APIRouter()
        away: dict[int | str, dict[str, Any]] = {503: {"model": models.Health}}
        router.add_api_route("/health", self.health, methods=["GET"], response_model=models.Health)
        router.add_api_route("/livez", self.livez, methods=["GET"], response_model=dict[str, str])
        router.add_api_route("/readyz", self.readyz, methods=["GET"], response_model=models.Health, responses=away)
        router.add_api_route("/metrics", self.metrics, methods=["GET"], response_class=PlainTextResponse)
        return router

    async def health(self) -> Response:
        """Always 200 while the process serves; says what is away."""
        return _json(await self._state(), 200)

    async def livez(self) -> Response:
        """The event loop turns."""
        return _json({"status": "alive"}, 200)

    async def readyz(self) -> Response:
        """503 while the ledger or the API server is away."""
        state = await self._state()
        return _json(state, 200 if state["status"] == "healthy" else 503)

    async def metrics(self) -> Response:
        """Prometheus text."""
        return Response(self._metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _state(self) -> dict[str, Any]:
        components = {name: await probe() for name, probe in self._probes.items()}
        return {
            "status": "healthy" if all(components.values()) else "degraded",
            "service": "executor-service",
            "components": components,
            "version": self._version,
            "uptime": f"{time.monotonic() - self._started:.0f}s",
        }


def _json(body: dict[str, Any], code: int) -> Response:
    return Response(orjson.dumps(body), status_code=code, media_type="application/json")
