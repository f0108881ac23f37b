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

from workflow_service.api import conditional, selecting
from workflow_service.api.callers import expect_within, sight_of, source_of
from workflow_service.api.instant import Instant
from workflow_service.api.paging import Cursor, next_cursor, read_cursor
from workflow_service.api.problems import documented
from workflow_service.domain.errors import NotFound, Stale, Unfit, Violation
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


CLOCK = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
SilenceId = Annotated[str, Path(max_length=100)]


class WeeklyIn(BaseModel):
    """Times that come back every week."""

    model_config = ConfigDict(extra="forbid")

    weekdays: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        min_length=1, max_length=7, description="on which it begins"
    )
    begins: str = Field(pattern=CLOCK, description="HH:MM on the clocks of the time zone")
    until: str = Field(pattern=CLOCK, description="HH:MM; at or before `begins`: on the next day")
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
    """A page of silences and maintenance windows, those that end last first."""

    silences: list[SilenceOut]
    next_cursor: str | None = Field(description="for the next page; null: there is none")


class SilenceQuery(BaseModel):
    """Which silences a list shows."""

    over: bool = Field(False, description="those that are over too")
    cursor: Cursor
    limit: int = Field(200, ge=1, le=1000)


def routes(database: Database) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.post(
        "/silences",
        status_code=201,
        summary="Let alerts rest for a while",
        responses={
            201: {
                "model": SilenceOut,
                "description": "from now on, or from its start",
                "headers": conditional.ANSWER_HEADERS,
            },
            **documented(400, 422, 503),
        },
    )
    async def create(request: Request, body: SilenceIn) -> Response:
        expect_within(request, body.namespaces)
        now = datetime.now(UTC)
        silence = _silence(body, now)
        kept = await silences.keep(database, silence, by=source_of(request) or "somebody", now=now)
        return _one(kept, now, status=201)

    @router.get(
        "/silences",
        summary="List silences and maintenance windows",
        responses={200: {"model": SilencesOut}, **documented(400, 503)},
        openapi_extra={"parameters": [selecting.offered(SilenceOut)]},
    )
    async def listed(request: Request, asked: Annotated[SilenceQuery, Query()]) -> Response:
        fields, now = selecting.chosen(request, SilenceOut), datetime.now(UTC)
        ending_after, before = None if asked.over else now, read_cursor(asked.cursor)
        found = await silences.listed(
            database, ending_after=ending_after, before=before, limit=asked.limit + 1, sight=sight_of(request)
        )
        page = found[: asked.limit]
        onward = next_cursor(found, asked.limit, at="ends_at", name="id")
        shown = selecting.pick(fields, [_shown(one, now) for one in page])
        return _json({"silences": shown, "next_cursor": onward})

    @router.get(
        "/silences/{silence_id}",
        summary="One silence or maintenance window that is not over",
        responses={
            200: {"model": SilenceOut, "headers": conditional.ANSWER_HEADERS},
            **conditional.NOT_MODIFIED,
            **documented(400, 404, 503),
        },
        openapi_extra={"parameters": [conditional.IF_NONE_MATCH, selecting.offered(SilenceOut)]},
    )
    async def one(request: Request, silence_id: SilenceId) -> Response:
        fields, now = selecting.chosen(request, SilenceOut), datetime.now(UTC)
        found = await _not_over(database, silence_id, now)
        if conditional.is_known(request, _tag(found, now)):
            return conditional.not_modified(_tag(found, now))
        return _one(found, now, fields=fields)

    @router.delete(
        "/silences/{silence_id}",
        summary="End a silence or a maintenance window now",
        responses={
            200: {"model": SilenceOut, "headers": conditional.ANSWER_HEADERS},
            **documented(400, 404, 412, 503),
        },
        openapi_extra={"parameters": [conditional.IF_MATCH]},
    )
    async def end(request: Request, silence_id: SilenceId) -> Response:
        now, expected = datetime.now(UTC), conditional.expected(request)
        try:
            ended = await silences.end(
                database, silence_id, by=source_of(request) or "somebody", now=now, expected=expected
            )
        except Stale:
            return conditional.stale(request, _tag(await silences.one(database, silence_id), now))
        return _one(ended, now)

    return router


async def _not_over(database: Database, silence_id: str, now: datetime) -> Mapping[str, Any]:
    found = await silences.one(database, silence_id)
    if found["ends_at"] <= now:
        raise NotFound(f"no silence {silence_id} that is not over; the list has it with over=true")
    return found


def _silence(body: SilenceIn, now: datetime) -> Silence:
    """What is asked for.

    Raises:
        Unfit: it makes no sense.
    """
    given = body.weekly
    silence = Silence(
        id=str(uuid.uuid4()),
        kind=body.kind,
        match=body.match,
        starts_at=body.starts_at.astimezone(UTC),
        ends_at=body.ends_at.astimezone(UTC),
        weekly=Weekly(**{**given.model_dump(), "weekdays": tuple(given.weekdays)}) if given else None,
        comment=body.comment,
        namespaces=tuple(body.namespaces) if body.namespaces is not None else None,
    )
    broken = list(flaws(silence))
    if silence.ends_at <= now and not broken:
        broken = [Violation("ends_at", silence.ends_at.isoformat(), "must not be over")]
    if broken:
        raise Unfit("the silence cannot be kept", broken)
    return silence


def _shown(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {**row, "open_until": silences.silence(row).open_until(now)}


def _tag(row: Mapping[str, Any], now: datetime) -> str:
    return conditional.tag(silences.version(row), _shown(row, now))


def _one(
    row: Mapping[str, Any], now: datetime, *, status: int = 200, fields: selecting.Chosen | None = None
) -> Response:
    answer = _json(selecting.pick(fields, _shown(row, now)), status=status)
    answer.headers["ETag"] = _tag(row, now)
    return answer


def _json(value: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")
