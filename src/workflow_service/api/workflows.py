"""Executing an alert, and reading what became of it."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from workflow_service.api import conditional, results, schemas, selecting
from workflow_service.api.callers import expect_orders_for, source_of, visible_to, within_sight
from workflow_service.api.paging import next_cursor, read_cursor
from workflow_service.api.problems import RETRY_AFTER, documented, problem
from workflow_service.api.standing import outlooks, tag_now, tag_of
from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.errors import Rejected, StoreUnavailable
from workflow_service.intake.bodies import document
from workflow_service.intake.intake import Delivery, Outcome
from workflow_service.intake.receiving import Form
from workflow_service.intake.reception import Reception
from workflow_service.ports import EventBus
from workflow_service.store import queries
from workflow_service.store.database import Database
from workflow_service.telemetry import tracing

LOOK = 1.0  # seconds: who waits for a result looks by itself now and then, wake-ups may be lost
LONGEST_WAIT = 600.0  # seconds that `Prefer: wait=` may ask for
IN_THE_JOURNAL = frozenset({"alert", "result", "events", "trace_id"})  # of a detail; the rest is read without it

_WAIT = re.compile(r"\bwait\s*=\s*\"?(\d{1,6})\"?")


@dataclass(frozen=True, slots=True)
class Workflows:
    """What the routes of this module work with."""

    reception: Reception
    database: Database
    bus: EventBus
    execute_wait: float  # seconds


def routes(parts: Workflows) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.post(
        "/execute",
        summary="Execute the remediation workflow for one alert",
        responses={
            200: {"model": schemas.ExecuteOut, "description": "processed; result.success tells the outcome"},
            202: {"model": schemas.ExecuteOut, "description": "still running; see Location"},
            **documented(400, 413, 500),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AlertIn"}}},
            }
        },
    )
    async def execute(request: Request) -> Response:
        return await _execute(parts, request)

    @router.get(
        "/workflows",
        summary="List workflows, newest first",
        responses={200: {"model": schemas.WorkflowPage}, **documented(400, 503)},
        openapi_extra={"parameters": [selecting.offered(schemas.WorkflowOut)]},
    )
    async def workflows(request: Request, asked: Annotated[schemas.WorkflowQuery, Query()]) -> Response:
        fields = selecting.chosen(request, schemas.WorkflowOut)
        chosen = queries.Filter(**asked.model_dump(exclude={"cursor", "limit"}), within=visible_to(request))
        before, limit = read_cursor(asked.cursor), asked.limit
        found = await queries.summaries(parts.database, chosen=chosen, before=before, limit=limit + 1)
        ahead = await outlooks(parts.database, found[:limit])
        page = [results.workflow(one, ahead[one["workflow_id"]]) for one in found[:limit]]
        onward = next_cursor(found, limit, at="created_at", name="workflow_id")
        return _json({"workflows": selecting.pick(fields, page), "next_cursor": onward})

    @router.get(
        "/workflows/{workflow_id}",
        summary="One workflow whole",
        responses={
            200: {"model": schemas.WorkflowDetail, "headers": conditional.ANSWER_HEADERS},
            **conditional.NOT_MODIFIED,
            **documented(400, 404, 503),
        },
        openapi_extra={"parameters": [conditional.IF_NONE_MATCH, selecting.offered(schemas.WorkflowDetail)]},
    )
    async def workflow(request: Request, workflow_id: str) -> Response:
        fields = selecting.chosen(request, schemas.WorkflowDetail)
        if "if-none-match" in request.headers:
            present = await tag_now(parts.database, workflow_id)
            if conditional.is_known(request, present):
                return conditional.not_modified(present)
        if fields is not None and IN_THE_JOURNAL.isdisjoint(fields):
            found = await queries.summary(parts.database, workflow_id)
            ahead = (await outlooks(parts.database, [found]))[workflow_id]
            shown = results.workflow(found, ahead)
        else:
            found, record = await queries.whole(parts.database, workflow_id)
            ahead = (await outlooks(parts.database, [found]))[workflow_id]
            shown = results.detail(found, record, ahead)
        present = await tag_of(parts.database, found, ahead)
        return _json(selecting.pick(fields, shown), headers={"ETag": present})

    @router.get(
        "/status",
        summary="Where a workflow stands",
        responses={200: {"model": schemas.StatusOut}, **documented(400, 404, 503)},
        openapi_extra={"parameters": [selecting.offered(schemas.StatusOut)]},
    )
    async def status(request: Request, workflow_id: Annotated[str, Query(min_length=1, max_length=100)]) -> Response:
        fields = selecting.chosen(request, schemas.StatusOut)
        found = await queries.summary(parts.database, workflow_id)
        ahead = await outlooks(parts.database, [found])
        numbers = {"actions_total": found["actions_total"], "actions_ended": found["actions_ended"]}
        return _json(selecting.pick(fields, results.status(found, ahead[workflow_id], metrics=numbers)))

    return router


async def _execute(parts: Workflows, request: Request) -> Response:
    body = await request.body()
    delivery = Delivery(
        body=body,
        route=request.url.path,
        source=source_of(request),
        request_id=request.headers.get("x-request-id"),
        trace=tracing.current(),
        form=Form.ALERT,
    )
    try:
        alert = alert_from_json(document(body))
    except Rejected as error:
        with suppress(StoreUnavailable):  # it can never be right, kept or not
            await asyncio.shield(parts.reception.quarantine(delivery, error))
        return problem(request, 400, "Invalid alert payload", str(error), violations=error.violations)
    expect_orders_for(request, alert)
    # The work goes on when the caller hangs up: only the waiting is the caller's.
    try:
        outcome = await asyncio.shield(parts.reception.take_one(delivery, alert))
        outcome = await within_sight(request, parts.database, outcome)
        ended = await _wait(parts, outcome, _patience(request, parts.execute_wait))
        return await _answer(parts, outcome, ended=ended)
    except StoreUnavailable as error:
        return problem(request, 500, "Workflow execution failed", str(error), headers={"Retry-After": RETRY_AFTER})


async def _wait(parts: Workflows, outcome: Outcome, seconds: float) -> bool:
    """Whether the outcome's workflow is over, after at most `seconds`."""
    if outcome.workflow_id is None:
        return True
    until = time.monotonic() + seconds
    execution_id, ended = await queries.newest_execution(parts.database, outcome.workflow_id)
    while not ended:
        left = until - time.monotonic()
        if left <= 0:
            return False
        # Listen before looking, or an end between the two would be noticed one look late.
        topic = f"execution:{execution_id}"
        listening = asyncio.create_task(parts.bus.wait(topic, timeout=min(left, LOOK)))
        try:
            await asyncio.sleep(0)
            execution_id, ended = await queries.newest_execution(parts.database, outcome.workflow_id)
            if not ended:
                await listening
        finally:
            listening.cancel()
    return True


async def _answer(parts: Workflows, outcome: Outcome, *, ended: bool) -> Response:
    intake = {"alert_id": outcome.alert_id, "outcome": outcome.outcome, "reason": outcome.reason}
    if outcome.workflow_id is None:
        return _json(
            {
                "status": "success",
                "result": results.nothing_to_do(intake, datetime.now(UTC)),
                "service": "workflow-service",
            }
        )
    result = results.result(*await queries.whole(parts.database, outcome.workflow_id), intake=intake)
    if ended:
        return _json({"status": "success", "result": result, "service": "workflow-service"})
    body = {"status": "accepted", "result": result, "service": "workflow-service"}
    return _json(body, status=202, headers={"Location": f"/api/v1/workflows/{outcome.workflow_id}"})


def _patience(request: Request, default: float) -> float:
    """How long to wait for the end, by RFC 7240 `Prefer: wait=N, respond-async`."""
    prefer = ",".join(request.headers.getlist("prefer")).lower()
    asked = _WAIT.search(prefer)
    if asked:
        return min(float(asked.group(1)), LONGEST_WAIT)
    return 0.0 if "respond-async" in prefer else default


def _json(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json", headers=headers)
