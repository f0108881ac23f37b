"""Is it alive, is it ready, how is it, what has it counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from workflow_service.api import schemas
from workflow_service.api.problems import documented, problem
from workflow_service.telemetry.metrics import Metrics

PROBE = 2.0  # seconds that a component may take to answer


@dataclass(frozen=True, slots=True)
class Health:
    """What the routes of this module ask. `components` are the specification's, `others` only colour the status."""

    components: Mapping[str, Callable[[], Awaitable[bool]]]
    others: Mapping[str, Callable[[], Awaitable[bool]]]
    executors: Mapping[str, Callable[[], Awaitable[bool]]]  # by cluster
    breakers: Callable[[], Mapping[str, str]]
    ready: Callable[[], Awaitable[bool]]
    metrics: Metrics
    ai_integration: Callable[[], bool]  # as last seen: nobody waits for an advisor here, and none colours the status
    version: str
    started: float  # monotonic


def routes(parts: Health) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/health", summary="How the service is", responses={200: {"model": schemas.HealthOut}})
    async def health() -> Response:
        answers, executors = await asyncio.gather(_all({**parts.components, **parts.others}), _all(parts.executors))
        body = {
            "status": "healthy" if all(answers.values()) else "degraded",
            "service": "workflow-service",
            "ai_integration": parts.ai_integration(),
            "components": {name: answers[name] for name in parts.components},
            "executors": executors,
            "circuit_breakers": dict(parts.breakers()),
            "version": parts.version,
            "uptime": round(time.monotonic() - parts.started, 3),
        }
        return Response(orjson.dumps(body), media_type="application/json")

    @router.get("/livez", summary="The process answers; nothing else is asked", response_class=Response)
    async def livez() -> Response:
        return Response(b"ok\n", media_type="text/plain")

    @router.get("/readyz", summary="Requests may be sent here", response_class=Response, responses=documented(503))
    async def readyz(request: Request) -> Response:
        if await _probe(parts.ready):
            return Response(b"ok\n", media_type="text/plain")
        return problem(request, 503, "Not ready", "the database is away, or this replica is being stopped")

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        body, media_type = parts.metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": media_type})

    for path, answer in (("/health", health), ("/livez", livez), ("/readyz", readyz)):
        router.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)  # the server leaves the body out
    return router


async def _all(asked: Mapping[str, Callable[[], Awaitable[bool]]]) -> dict[str, bool]:
    return dict(zip(asked, await asyncio.gather(*map(_probe, asked.values())), strict=True))


async def _probe(ask: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await asyncio.wait_for(ask(), timeout=PROBE)
    except TimeoutError:
        return False
