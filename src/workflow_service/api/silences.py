"""Silences and maintenance windows: alerts about which nothing is done for a while."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from workflow_service.api.callers import expect_within, sight_of
from workflow_service.api.instant import Instant
from workflow_service.api.problems import documented
from workflow_service.domain.errors import Rejected
from workflow_service.domain.silence import Silence, Weekly, flaws
from workflow_service.store import silences
from workflow_service.store.database import Database

NAMESPACE = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_EXAMPLE: dict[str, Any] = {
    "kind": "maintenance",
    "match": "alert.namespace == 'shop' && alert.severity != 'critical'",
    "starts_at": "2026-11-23T00:00:00Z",
    "ends_at": "2027-02-01T00:00:00Z",
    "weekly": {"weekdays": ["sat", "sun"], "begins": "22:00", "until": "04:00", "timezone": "Europe/Berlin"},
    "comment": "the weekly backup",
}


class WeeklyIn(BaseModel):
    """Times that come back every week."""

    model_config = ConfigDict(extra="forbid")

    weekdays: list[str] = Field(max_length=7, description="on which it begins: mon to sun")
    begins: str = Field(max_length=5, description="HH:MM on the clocks of the time zone")
    until: str = Field(max_length=5, description="HH:MM; at or before `begins`: on the next day")
    timezone: str = Field(max_length=64, description="an IANA name such as Europe/Berlin")


class SilenceIn(BaseModel):
    """A silence or a maintenance window."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    match: str = Field(min_length=1, max_length=2000, description="CEL over `alert`, as in the rule file")
    starts_at: Instant
    ends_at: Instant
    namespaces: list[Annotated[str, Field(pattern=NAMESPACE)]] | None = Field(
        None, min_length=1, max_length=100, description="only for alerts in these; without it: for all alerts"
    )
    kind: Literal["silence", "maintenance"] = "silence"
    weekly: WeeklyIn | None = Field(None, description="only at these times between start and end")
    comment: str = Field("", max_length=1000)


class SilenceOut(SilenceIn):
    """One that is kept."""

    model_config = ConfigDict(extra="ignore")

    id: str
    created_by: str
    created_at: AwareDatetime
    ended_by: str | None = Field(description="who has ended it before its time")
    open_until: AwareDatetime | None = Field(description="until when it holds; null: not now")


class SilencesOut(BaseModel):
    """Silences and maintenance windows, those that end last first."""

    silences: list[SilenceOut]


def routes(database: Database) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.post(
        "/silences",
        status_code=201,
        summary="Let alerts rest for a while",
        responses={201: {"model": SilenceOut, "description": "from now on, or from its start"}, **documented(400, 503)},
    )
    async def create(request: Request, body: SilenceIn) -> Response:
        silence = Silence(
            id=str(uuid.uuid4()),
            kind=body.kind,
            match=body.match,
            starts_at=body.starts_at.astimezone(UTC),
            ends_at=body.ends_at.astimezone(UTC),
            weekly=Weekly(**{**body.weekly.model_dump(), "weekdays": tuple(body.weekly.weekdays)})
            if body.weekly
            else None,
            comment=body.comment,
            namespaces=tuple(body.namespaces) if body.namespaces is not None else None,
        )
        expect_within(request, body.namespaces)
        if broken := list(flaws(silence)):
            raise Rejected("the silence cannot be kept", broken)
        now = datetime.now(UTC)
        kept = await silences.keep(database, silence, by=_caller(request), now=now)
        return _json(_shown(kept, now), status=201)

    @router.get(
        "/silences",
        summary="List silences and maintenance windows",
        responses={200: {"model": SilencesOut}, **documented(400, 503)},
    )
    async def listed(
        request: Request,
        over: Annotated[bool, Query(description="those that are over too")] = False,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> Response:
        now = datetime.now(UTC)
        ending_after, sight = None if over else now, sight_of(request)
        found = await silences.listed(database, ending_after=ending_after, limit=limit, sight=sight)
        return _json({"silences": [_shown(one, now) for one in found]})

    @router.delete(
        "/silences/{silence_id}",
        summary="End a silence or a maintenance window now",
        responses={200: {"model": SilenceOut}, **documented(404, 503)},
    )
    async def end(request: Request, silence_id: Annotated[str, Path(max_length=100)]) -> Response:
        now = datetime.now(UTC)
        return _json(_shown(await silences.end(database, silence_id, by=_caller(request), now=now), now))

    return router


def _caller(request: Request) -> str:
    return (request.headers.get("x-service-name") or "somebody")[:200]


def _shown(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {**row, "open_until": silences.silence(row).open_until(now)}


def _json(value: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")
