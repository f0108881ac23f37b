"""The audit of writes over HTTP: newest first, by keyset cursor."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Response

from executor_service.api import models
from executor_service.api.routes import PROBLEM
from executor_service.contract import Json
from executor_service.execution.results import rfc3339
from executor_service.ledger.audit import Audit, AuditFilter, AuditRow


class Auditing:
    """The handler of the audit with what it needs at hand."""

    def __init__(self, audit: Audit, *, cluster: str) -> None:
        self._audit, self._cluster = audit, cluster

    def router(self) -> APIRouter:
        """The one route."""
        router = APIRouter(prefix="/api/v1")
        problems: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 401, 403, 503), PROBLEM)
        router.add_api_route(
            "/audit", self.page, methods=["GET"], response_model=models.AuditAnswer, responses=problems
        )
        return router

    async def page(self, asked: Annotated[models.AuditQuery, Query()]) -> Response:
        """Who asked for which write, and what became of it; rows that come meanwhile do not shift the pages."""
        wanted = AuditFilter(asked.namespace, asked.kind, asked.name, asked.key, _seconds(asked.since), asked.cursor)
        rows = await self._audit.page(wanted, limit=asked.limit + 1)
        shown = rows[: asked.limit]
        cursor = shown[-1].seq if len(rows) > len(shown) else None
        body = {"entries": [self._entry(row) for row in shown], "next_cursor": cursor}
        return Response(orjson.dumps(body), media_type="application/json")

    def _entry(self, row: AuditRow) -> dict[str, Json]:
        closed = rfc3339(row.closed_at) if row.closed_at is not None else None
        return asdict(row) | {"cluster": self._cluster, "at": rfc3339(row.at), "closed_at": closed}


def _seconds(since: datetime | None) -> float | None:
    if since is None:
        return None
    return (since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp()
