"""Reading the alerts that were taken in, and why each became what it is."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, WithJsonSchema

from workflow_service.api import selecting
from workflow_service.api.callers import sight_of
from workflow_service.api.paging import Cursor, next_cursor, read_cursor
from workflow_service.api.problems import documented
from workflow_service.domain.admission import OUTCOMES
from workflow_service.store import kept_alerts
from workflow_service.store.database import Database


class AlertRow(BaseModel):
    """One alert as it was taken in, and what became of it."""

    alert_id: str
    delivery_id: str
    received_at: AwareDatetime
    fingerprint: str
    outcome: str | None = Field(description="null while nothing is decided")
    reason: str | None
    workflow_id: str | None = Field(description="whose it is; of a cooled_down one, the workflow before it")
    decided_at: AwareDatetime | None
    reconsider_at: AwareDatetime | None = Field(description="when it is decided about again, unless it has resolved")
    trace_id: str | None = Field(description="the trace in which it came (W3C Trace Context)")
    alert: dict[str, Any]


class RuleAsked(BaseModel):
    """One rule that was asked."""

    rule: str
    saw: str
    decided: str = Field(description="the outcome, or that the next rule is asked")


class ExplainedAlert(AlertRow):
    """One alert and every rule that was asked about it, in order."""

    rules: list[RuleAsked]


class AlertPage(BaseModel):
    """A page of alerts, newest first."""

    alerts: list[AlertRow]
    next_cursor: str | None


_CHOICES = (*OUTCOMES, "undecided")


def _known(outcome: str) -> str:
    if outcome not in _CHOICES:
        raise ValueError(f"must be one of {', '.join(_CHOICES)}")
    return outcome


Chosen = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(_CHOICES)})]


class AlertQuery(BaseModel):
    """Which alerts a list shows."""

    workflow_id: str | None = Field(None, max_length=100)
    fingerprint: str | None = Field(None, max_length=256)
    outcome: Chosen | None = Field(None, description="`undecided`: those that have none yet")
    cursor: Cursor
    limit: int = Field(50, ge=1, le=200)


def routes(database: Database) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.get(
        "/alerts",
        summary="List alerts, newest first",
        responses={200: {"model": AlertPage}, **documented(400, 503)},
        openapi_extra={"parameters": [selecting.offered(AlertRow)]},
    )
    async def alerts(request: Request, asked: Annotated[AlertQuery, Query()]) -> Response:
        fields = selecting.chosen(request, AlertRow)
        chosen = kept_alerts.Filter(asked.workflow_id, asked.fingerprint, asked.outcome, sight_of(request))
        before = read_cursor(asked.cursor)
        found = await kept_alerts.page(database, chosen=chosen, before=before, limit=asked.limit + 1)
        page = found[: asked.limit]
        onward = next_cursor(found, asked.limit, at="received_at", name="alert_id")
        return _json({"alerts": selecting.pick(fields, page), "next_cursor": onward})

    @router.get(
        "/alerts/{alert_id}/explain",
        summary="Why an alert became what it is: every rule that was asked, what it saw, what it decided",
        responses={200: {"model": ExplainedAlert}, **documented(400, 404, 503)},
        openapi_extra={"parameters": [selecting.offered(ExplainedAlert)]},
    )
    async def explain(request: Request, alert_id: Annotated[str, Path(max_length=100)]) -> Response:
        fields = selecting.chosen(request, ExplainedAlert)
        return _json(selecting.pick(fields, await kept_alerts.explained(database, alert_id, sight_of(request))))

    return router


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
