"""Deliveries as they came: listed, shown with what became of their alerts, and decided again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Body, Query, Request
from fastapi import Path as InPath
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from workflow_service.api import selecting
from workflow_service.api.alerts import DeliveryOutcomeOut, answer
from workflow_service.api.callers import hindrance, sight_of, source_of, within_sight
from workflow_service.api.paging import Cursor, next_cursor, read_cursor
from workflow_service.api.problems import documented, problem
from workflow_service.api.replaying import SimulatedDeliveryOut, simulated
from workflow_service.intake.intake import Delivery
from workflow_service.intake.reception import NotRepeatable, Reception, repeated
from workflow_service.ports import Simulate
from workflow_service.store import inbound
from workflow_service.store.database import Database
from workflow_service.telemetry import tracing

SHOWN = 64 * 1024  # bytes of a body that the detail shows

DeliveryId = Annotated[str, InPath(max_length=100, pattern="^[A-Za-z0-9-]+$")]


class DeliveryOut(BaseModel):
    """One delivery in a list."""

    delivery_id: str
    received_at: AwareDatetime
    route: str
    form: str | None = Field(description="how its body was read; null before this was kept")
    source: str | None = Field(description="X-Service-Name of the sender")
    request_id: str | None
    origin: str | None = Field(description="the delivery that this one repeats")
    size: int = Field(description="bytes that came")
    alerts: int = Field(description="alerts of it that were understood")
    quarantined: int = Field(description="alerts of it that were not; 1 when no alert could be told at all")
    forgotten: bool = Field(description="the bytes were deleted DELIVERY_RETENTION after their arrival")


class DeliveryPage(BaseModel):
    """A page of deliveries, newest first."""

    deliveries: list[DeliveryOut]
    next_cursor: str | None


class FlawOut(BaseModel):
    """What could not be understood."""

    index: int | None = Field(description="among the alerts, from 0; null: the delivery itself")
    reason: str
    fingerprint: str | None


class StoredAlertOut(BaseModel):
    """An alert of the delivery; outcome null: not decided yet."""

    alert_id: str
    fingerprint: str
    outcome: str | None
    reason: str | None
    workflow_id: str | None
    decided_at: AwareDatetime | None


class DeliveryDetail(DeliveryOut):
    """One delivery whole."""

    flaws: list[FlawOut]
    outcomes: list[StoredAlertOut]
    body: str = Field(description=f"its first {SHOWN} bytes; what is no text is shown as an escape")


class DeliveryQuery(BaseModel):
    """Which deliveries a list shows."""

    quarantined: bool | None = Field(
        None, description="true: only those with something in quarantine; false: the others"
    )
    cursor: Cursor
    limit: int = Field(50, ge=1, le=200)


class ReplayIn(BaseModel):
    """How to decide again."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["new", "simulation"] = Field(
        "new", alias="as", description="new: as if it had just come; simulation: what that would lead to, and no more"
    )


def routes(reception: Reception, database: Database, simulate: Simulate) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/deliveries")

    @router.get(
        "",
        summary="List deliveries, newest first",
        responses={200: {"model": DeliveryPage}, **documented(400, 503)},
        openapi_extra={"parameters": [selecting.offered(DeliveryOut)]},
    )
    async def listed(request: Request, asked: Annotated[DeliveryQuery, Query()]) -> Response:
        fields = selecting.chosen(request, DeliveryOut)
        before, limit = read_cursor(asked.cursor), asked.limit
        found = await inbound.summaries(
            database, quarantined=asked.quarantined, before=before, limit=limit + 1, sight=sight_of(request)
        )
        onward = next_cursor(found, limit, at="received_at", name="id")
        page = [_summary(one) for one in found[:limit]]
        return _json({"deliveries": selecting.pick(fields, page), "next_cursor": onward})

    @router.get(
        "/{delivery_id}",
        summary="One delivery, and what became of its alerts",
        responses={200: {"model": DeliveryDetail}, **documented(400, 404, 503)},
        openapi_extra={"parameters": [selecting.offered(DeliveryDetail)]},
    )
    async def one(request: Request, delivery_id: DeliveryId) -> Response:
        fields = selecting.chosen(request, DeliveryDetail)
        found = await inbound.whole(database, delivery_id, shown=SHOWN, sight=sight_of(request))
        return _json(selecting.pick(fields, _detail(*found)))

    @router.post(
        "/{delivery_id}/replay",
        summary="Decide a delivery again, as a new one, or tell what that would lead to",
        responses={
            200: {
                "model": DeliveryOutcomeOut | SimulatedDeliveryOut,
                "description": "stored as a delivery of its own, one outcome per alert; simulated, nothing is stored",
            },
            **documented(400, 404, 409, 413, 503),
        },
    )
    async def replay(
        request: Request,
        delivery_id: DeliveryId,
        given: Annotated[ReplayIn | None, Body()] = None,
    ) -> Response:
        try:
            if given is not None and given.mode == "simulation":
                delivery, form = repeated(await inbound.to_repeat(database, delivery_id))
                return _json(await simulated(delivery, form, simulate))
            return await asyncio.shield(_replay(reception, database, request, delivery_id))
        except NotRepeatable as error:
            return problem(request, 409, "Delivery cannot be replayed", str(error))

    return router


async def _replay(reception: Reception, database: Database, request: Request, delivery_id: str) -> Response:
    delivery, form = repeated(await inbound.to_repeat(database, delivery_id))
    with reception.inbox.load() as load:
        load.add(len(delivery.body))
        found = await reception.take(_by(request, delivery), form, hindrance=partial(hindrance, request))
        results = [await within_sight(request, database, one) for one in found.alerts]
        return answer(replace(found, alerts=tuple(results)))


def _by(request: Request, delivery: Delivery) -> Delivery:
    request_id = request.headers.get("x-request-id")
    return replace(delivery, source=source_of(request), request_id=request_id, trace=tracing.current())


def _summary(row: inbound.Summary) -> dict[str, Any]:
    same = ("received_at", "route", "form", "source", "request_id", "origin", "size", "alerts", "quarantined")
    forgotten = row["kept"] == 0 and row["size"] > 0
    return {"delivery_id": row["id"], **{name: row[name] for name in same}, "forgotten": forgotten}


def _detail(row: inbound.Summary, found: Sequence[inbound.Summary]) -> dict[str, Any]:
    outcomes = [
        {
            "alert_id": one["id"],
            "fingerprint": one["fingerprint"],
            "outcome": one["outcome"],
            "reason": one["outcome_reason"],
            "workflow_id": one["workflow_id"],
            "decided_at": one["decided_at"],
        }
        for one in found
    ]
    body = bytes(row["begins"] or b"").decode("utf-8", "backslashreplace")
    return {**_summary(row), "flaws": row["flaws"] or [], "outcomes": outcomes, "body": body}


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
