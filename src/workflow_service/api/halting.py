"""The kill switch, break-glass, and the reset of a breaker that has tripped."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from workflow_service.api.problems import documented
from workflow_service.domain.errors import Rejected, Violation
from workflow_service.domain.guardrails import RULES
from workflow_service.domain.guardrails_about import FIRM, Halt, Override
from workflow_service.store import declared
from workflow_service.store.database import Database

_NAMESPACE = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$"
_OPEN = tuple(name for name in RULES if name not in FIRM)
_OVERRIDE: dict[str, Any] = {"rules": ["freeze"], "namespace": "shop", "reason": "the shop is down", "minutes": 30}


class HaltIn(BaseModel):
    """Where everything that changes stops, and why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "something is very wrong"}]})

    namespace: str = Field("", pattern=_NAMESPACE, description="empty: everywhere")
    reason: str = Field(min_length=1, max_length=1000)


class HaltOut(BaseModel):
    """A halt that holds."""

    namespace: str = Field(description="empty: everywhere")
    reason: str
    by: str
    at: AwareDatetime


class HaltsOut(BaseModel):
    """All halts that hold; none: nothing is halted."""

    halts: list[HaltOut]


class OverrideIn(BaseModel):
    """For which rules somebody's word counts instead, where, until when, and why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_OVERRIDE]})

    rules: list[Annotated[str, Field(json_schema_extra={"enum": list(_OPEN)})]] = Field(
        min_length=1, max_length=len(RULES), description="names of rules, as findings have them"
    )
    namespace: str = Field("*", min_length=1, max_length=253, description="a glob; * is everywhere, nodes included")
    workflow_id: str | None = Field(None, max_length=100, description="null: any")
    reason: str = Field(min_length=1, max_length=1000)
    minutes: int = Field(60, ge=1, le=1440, description="after which it expires")


class OverrideOut(BaseModel):
    """An override."""

    id: str
    rules: list[str]
    namespace: str
    workflow_id: str | None
    reason: str
    created_by: str
    created_at: AwareDatetime
    expires_at: AwareDatetime
    ended_by: str | None = Field(description="who has ended it before its time")


class OverridesOut(BaseModel):
    """Overrides, those that expire last first."""

    overrides: list[OverrideOut]


class LatchOut(BaseModel):
    """An environment whose breaker has tripped."""

    environment: str
    why: str
    at: AwareDatetime


class LatchesOut(BaseModel):
    """The environments in which every plan waits for a person's word."""

    latches: list[LatchOut]


@dataclass(frozen=True, slots=True)
class Declaring:
    """What the routes of this module work with."""

    database: Database
    clock: Callable[[], datetime]
    changed: Callable[[], None]  # this replica need not wait to hear of it


def routes(parts: Declaring) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")
    _halts(router, parts)
    _overrides(router, parts)
    _latches(router, parts)
    return router


def _halts(router: APIRouter, parts: Declaring) -> None:
    database, clock = parts.database, parts.clock

    async def present() -> Response:
        return _json({"halts": (await declared.standing(database, clock())).halts})

    @router.post(
        "/halt",
        summary="Stop everything that changes, everywhere or in a namespace, until somebody takes it back",
        responses={
            200: {"model": HaltsOut, "description": "within two seconds, on every replica"},
            **documented(400, 503),
        },
    )
    async def halt(request: Request, body: HaltIn) -> Response:
        await declared.halt(database, Halt(body.namespace, body.reason, _caller(request), clock()))
        parts.changed()
        return await present()

    @router.get("/halt", summary="What is halted", responses={200: {"model": HaltsOut}, **documented(503)})
    async def halts() -> Response:
        return await present()

    @router.delete(
        "/halt",
        summary="Let what was halted go on",
        responses={200: {"model": HaltsOut}, **documented(400, 404, 503)},
    )
    async def unhalt(namespace: Annotated[str, Query(pattern=_NAMESPACE)] = "") -> Response:
        await declared.unhalt(database, namespace)
        parts.changed()
        return await present()


def _overrides(router: APIRouter, parts: Declaring) -> None:
    database, clock = parts.database, parts.clock

    @router.post(
        "/overrides",
        status_code=201,
        summary="Break the glass: for some rules your word counts instead, for a while",
        responses={201: {"model": OverrideOut}, **documented(400, 503)},
    )
    async def create(request: Request, body: OverrideIn) -> Response:
        if wrong := [
            Violation("rules", one, f"must be of {', '.join(_OPEN)}") for one in body.rules if one not in _OPEN
        ]:
            raise Rejected("nobody's word is above that", wrong)
        new = Override(
            id=str(uuid.uuid4()),
            rules=tuple(dict.fromkeys(body.rules)),
            namespace=body.namespace,
            workflow_id=body.workflow_id,
            reason=body.reason,
            by=_caller(request),
            expires_at=clock() + timedelta(minutes=body.minutes),
        )
        kept = await declared.override(database, new, now=clock())
        parts.changed()
        return _json(kept, status=201)

    @router.get(
        "/overrides",
        summary="List overrides, those that are over too",
        responses={200: {"model": OverridesOut}, **documented(400, 503)},
    )
    async def overrides(limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> Response:
        return _json({"overrides": await declared.listed_overrides(database, limit=limit)})

    @router.delete(
        "/overrides/{override_id}",
        summary="End an override now",
        responses={200: {"model": OverrideOut}, **documented(404, 503)},
    )
    async def end(request: Request, override_id: Annotated[str, Path(max_length=100)]) -> Response:
        ended = await declared.end_override(database, override_id, by=_caller(request), now=clock())
        parts.changed()
        return _json(ended)


def _latches(router: APIRouter, parts: Declaring) -> None:
    database, clock = parts.database, parts.clock

    @router.get(
        "/latches",
        summary="Environments whose breaker has tripped",
        responses={200: {"model": LatchesOut}, **documented(503)},
    )
    async def latches() -> Response:
        return _json({"latches": (await declared.standing(database, clock())).latches})

    @router.delete(
        "/latches/{environment}",
        summary="Reset the breaker of an environment; what has ended before counts no more",
        responses={200: {"model": LatchOut}, **documented(404, 503)},
    )
    async def reset(request: Request, environment: Annotated[str, Path(max_length=100)]) -> Response:
        row = await declared.reset(database, environment, by=_caller(request), now=clock())
        parts.changed()
        return _json({"environment": row["environment"], "why": row["why"], "at": row["latched_at"]})


def _caller(request: Request) -> str:
    return (request.headers.get("x-service-name") or "somebody")[:200]


def _json(value: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")
