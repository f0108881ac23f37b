"""What people were told, and what could not be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, Field

from workflow_service.api import selecting
from workflow_service.api.callers import visible_to
from workflow_service.api.paging import Cursor, next_cursor, read_cursor
from workflow_service.api.problems import documented
from workflow_service.domain.letters import headline
from workflow_service.domain.notices import Kind
from workflow_service.store import outbox
from workflow_service.store.database import Database
from workflow_service.store.outbox import Status


class NotificationRow(BaseModel):
    """One notification over one channel."""

    notification_id: str = Field(description="the `webhook-id` of every try")
    kind: Kind
    channel: str | None = Field(description="slack, webhook, email:<address> or alarm; null: none is configured for it")
    status: Status = Field(description="obsolete: its question was answered first; unaddressed: only shown here")
    headline: str
    workflow_id: str | None = Field(description="null: it is about this service itself")
    execution_id: str | None
    step: str | None
    namespace: str | None
    severity: str
    at: AwareDatetime
    tries: int
    due_at: AwareDatetime | None = Field(description="of the next try; null: there is none")
    settled_at: AwareDatetime | None
    trouble: str | None = Field(description="why the last try has failed")
    data: dict[str, Any]


class NotificationPage(BaseModel):
    """A page of notifications, newest first."""

    notifications: list[NotificationRow]
    next_cursor: str | None


class NotificationQuery(BaseModel):
    """Which notifications a list shows."""

    workflow_id: str | None = Field(None, max_length=100)
    status: Status | None = None
    kind: Kind | None = None
    channel: str | None = Field(None, max_length=320)
    cursor: Cursor
    limit: int = Field(50, ge=1, le=200)


def routes(database: Database) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.get(
        "/notifications",
        summary="What people were told and what could not be told, newest first",
        responses={200: {"model": NotificationPage}, **documented(400, 503)},
        openapi_extra={"parameters": [selecting.offered(NotificationRow)]},
    )
    async def listed(request: Request, asked: Annotated[NotificationQuery, Query()]) -> Response:
        fields = selecting.chosen(request, NotificationRow)
        chosen = outbox.Filter(asked.workflow_id, asked.status, asked.kind, asked.channel, within=visible_to(request))
        before = read_cursor(asked.cursor)
        found = await outbox.page(database, chosen=chosen, before=before, limit=asked.limit + 1)
        page = found[: asked.limit]
        onward = next_cursor(found, asked.limit, at="at", name="id")
        shown = selecting.pick(fields, [_shown(row) for row in page])
        return Response(orjson.dumps({"notifications": shown, "next_cursor": onward}), media_type="application/json")

    return router


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {"id": "notification_id", "document": "data"}
    told = {renamed.get(name, name): value for name, value in row.items() if name not in {"line", "give_up_at"}}
    told |= {name: told[name] or None for name in ("channel", "step")}
    return {**told, "headline": headline(row["kind"], row["document"])}
