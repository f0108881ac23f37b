"""The history of rollbacks: what was undone, what could not be, and how often it went well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, Field

from workflow_service.api import selecting
from workflow_service.api.callers import visible_to
from workflow_service.api.instant import Instant
from workflow_service.api.paging import Cursor, next_cursor, read_cursor
from workflow_service.api.problems import documented
from workflow_service.domain.states import UndoStatus
from workflow_service.store import rollbacks
from workflow_service.store.database import Database


class UndoneSteps(BaseModel):
    """How many of the steps that were to be undone ended how; those that had changed nothing are not counted."""

    undone: int
    undo_failed: int
    irreversible: int = Field(description="could not be undone, as their plan had said")
    available: int = Field(description="could be undone, and nobody came to try")
    undoing: int = Field(description="sent, and nobody knows whether it was done")


class RollbackRow(BaseModel):
    """One rollback, running or over."""

    rollback_id: str = Field(description="the execution that undid, or tried")
    workflow_id: str
    kind: str = Field(description="run: it undid its own steps; rollback: it undid an earlier execution's")
    status: str
    rollback: str = Field(description="none, done or incomplete")
    back_to: str | None = Field(description="the step up to which all was kept; null: everything was to be undone")
    steps: UndoneSteps | None = Field(description="null while it is under way, or when there was nothing to undo")
    partial: bool = Field(description="it is over; something was undone, and something could not be")
    reason: str
    cause: str
    namespace: str | None
    alert_name: str
    created_at: AwareDatetime
    ended_at: AwareDatetime | None


class RollbacksOut(BaseModel):
    """A page of rollbacks, newest first, and how all that are over went."""

    rollbacks: list[RollbackRow]
    next_cursor: str | None = Field(description="for the next page; null: there is none")
    total: int = Field(description="that are over")
    success_rate: float | None = Field(description="of those that are over, 0..1; null when there are none")


class RollbackQuery(BaseModel):
    """Which rollbacks a list shows."""

    namespace: str | None = Field(None, max_length=253)
    since: Instant | None = None
    until: Instant | None = None
    cursor: Cursor
    limit: int = Field(50, ge=1, le=200)


def routes(database: Database) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.get(
        "/rollbacks",
        summary="The history of rollbacks, newest first",
        responses={200: {"model": RollbacksOut}, **documented(400, 503)},
        openapi_extra={"parameters": [selecting.offered(RollbackRow)]},
    )
    async def history(request: Request, asked: Annotated[RollbackQuery, Query()]) -> Response:
        fields, before = selecting.chosen(request, RollbackRow), read_cursor(asked.cursor)
        span = rollbacks.Span(asked.namespace, asked.since, asked.until, within=visible_to(request))
        found, over, done = await rollbacks.rollbacks(database, span, before=before, limit=asked.limit + 1)
        page = found[: asked.limit]
        onward = next_cursor(found, asked.limit, at="created_at", name="rollback_id")
        rate = round(done / over, 4) if over else None
        rows = selecting.pick(fields, [_row(one) for one in page])
        body = {"rollbacks": rows, "next_cursor": onward, "total": over, "success_rate": rate}
        return Response(orjson.dumps(body), media_type="application/json")

    return router


def _row(found: Mapping[str, Any]) -> dict[str, Any]:
    undos = found["undos"] or {"back_to": None, "steps": None}
    counts = undos["steps"] or {}
    partial = counts.get(UndoStatus.UNDONE, 0) not in {0, sum(counts.values())}
    rest = {name: value for name, value in found.items() if name != "undos"}
    return {**rest, **undos, "partial": partial}
