"""Making a workflow without waiting for it: started at once, or held back until somebody starts it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from workflow_service.api.callers import expect_orders_for, source_of, within_sight
from workflow_service.api.problems import documented
from workflow_service.domain.alert import Alert, alert_from_json, shown
from workflow_service.domain.errors import Rejected, Violation
from workflow_service.intake.intake import Delivery, Outcome
from workflow_service.intake.receiving import Form
from workflow_service.intake.reception import Reception
from workflow_service.planning.ordering import alert_of, kept, read_order
from workflow_service.planning.shelf import Shelf
from workflow_service.store import queries
from workflow_service.store.database import Database
from workflow_service.telemetry import tracing

_EXAMPLE: dict[str, Any] = {
    "alert": {"name": "HighCPUUsage", "severity": "high", "namespace": "production", "resource": "deployment/web"},
    "start": False,
}

_BODIES = [{"$ref": f"#/components/schemas/{name}"} for name in ("NewWorkflowIn", "NewOrderIn")]
_ORDER: dict[str, Any] = {
    "template": "restart-deployment",
    "parameters": {"namespace": "production", "deployment": "web"},
    "start": False,
}


_START = "false: it is planned, then waits an hour at most for `start`"
SCHEMAS: Mapping[str, dict[str, Any]] = {
    "NewWorkflowIn": {
        "title": "NewWorkflowIn",
        "description": "An alert, and whether its workflow begins by itself.",
        "type": "object",
        "required": ["alert"],
        "properties": {
            "alert": {"$ref": "#/components/schemas/AlertIn"},
            "start": {"type": "boolean", "default": True, "description": _START},
        },
        "additionalProperties": False,
        "examples": [_EXAMPLE],
    }
}


class NewOrderIn(BaseModel):
    """A template with parameters, whatever any alert says, and whether its workflow begins by itself."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_ORDER]})

    template: str = Field(description="name@1.0.0, or the name alone: its newest active version")
    parameters: dict[str, Any] = Field(default_factory=dict, description="as the template's schema says")
    start: bool = Field(default=True, description=_START)


class IntakeOut(BaseModel):
    """What became of the alert."""

    alert_id: str
    outcome: str = Field(description="as POST /api/v1/alerts names them")
    reason: str


class NewWorkflowOut(BaseModel):
    """The alert's workflow: a new one when the alert was admitted, else the one that it belongs to."""

    workflow_id: str | None = Field(description="null when the alert needed none")
    execution_id: str | None
    status: str | None
    intake: IntakeOut


def routes(reception: Reception, database: Database, shelf: Shelf) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.post(
        "/workflows",
        status_code=201,
        summary="Make a workflow of an alert, or of a template; with start: false it waits for somebody to start it",
        responses={
            201: {"model": NewWorkflowOut, "description": "admitted; see Location"},
            200: {"model": NewWorkflowOut, "description": "no new workflow; `intake` says why"},
            **documented(400, 413, 422, 503),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"anyOf": _BODIES}}},
            }
        },
    )
    async def create(request: Request) -> Response:
        alert, start, ordered = _read(await request.body(), shelf)
        expect_orders_for(request, alert)
        delivery = Delivery(
            body=await request.body(),
            route=request.url.path,
            source=source_of(request),
            request_id=request.headers.get("x-request-id"),
            trace=tracing.current(),
            ordered=ordered,
            start=start,
            form=Form.WORKFLOW,
        )
        # Who hangs up has sent the alert all the same.
        outcome = await asyncio.shield(reception.take_one(delivery, alert))
        return await _answer(database, await within_sight(request, database, outcome))

    return router


def _read(body: bytes, shelf: Shelf) -> tuple[Alert, bool, dict[str, Any] | None]:
    """The alert, whether its workflow begins by itself, and what is ordered instead of what would be planned."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        wrong = Violation("body", body[:40].decode("utf-8", "replace"), str(error))
        raise Rejected("the body is not JSON", [wrong]) from error
    if not isinstance(document, Mapping):
        raise Rejected("the body cannot be read", [Violation("body", shown(document), "must be a JSON object")])
    orders = "template" in document
    known = tuple(NewOrderIn.model_fields) if orders else ("alert", "start")
    strangers = [name for name in document if name not in known]
    broken = [Violation(str(shown(name)), shown(document[name]), "is not known here") for name in strangers]
    start = document.get("start", True)
    if not isinstance(start, bool):
        broken.append(Violation("start", shown(start), "must be true or false"))
    if broken:
        raise Rejected("the body cannot be read", broken)
    if not orders:
        return alert_from_json(document.get("alert")), start, None
    order = read_order(document, shelf.library)
    return alert_of(order, ""), start, kept(order)


async def _answer(database: Database, outcome: Outcome) -> Response:
    body: dict[str, Any] = {"workflow_id": outcome.workflow_id, "execution_id": None, "status": None}
    body["intake"] = {"alert_id": outcome.alert_id, "outcome": outcome.outcome, "reason": outcome.reason}
    headers = {}
    if outcome.workflow_id is not None:
        found = await queries.summary(database, outcome.workflow_id)
        body |= {"execution_id": found["execution_id"], "status": found["status"]}
        headers["Location"] = f"/api/v1/workflows/{outcome.workflow_id}"
    code = 201 if outcome.outcome == "admitted" else 200
    return Response(orjson.dumps(body), status_code=code, media_type="application/json", headers=headers)
