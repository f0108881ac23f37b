"""Templates over HTTP: their format, those that are known, and what each says."""

from __future__ import annotations

import orjson
from fastapi import APIRouter
from fastapi.responses import Response

from workflow_service.planning.template_schema import PATH, SCHEMA


def routes() -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get(
        PATH,
        summary="The format of templates, as a JSON Schema for editors",
        responses={200: {"content": {"application/schema+json": {"schema": {"type": "object"}}}}},
        response_class=Response,
    )
    async def schema() -> Response:
        return Response(orjson.dumps(SCHEMA), media_type="application/schema+json")

    return router
