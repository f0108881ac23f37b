"""Templates over HTTP: their format, those that are known, and what each says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, Field

from workflow_service.api.problems import documented
from workflow_service.domain.template import NAME, VERSION, Reference
from workflow_service.planning.shelf import Shelf
from workflow_service.planning.template_file import LocatedFlaw
from workflow_service.planning.template_schema import PATH, SCHEMA
from workflow_service.planning.templates import Template
from workflow_service.store import templates
from workflow_service.store.database import Database


class TemplateOut(BaseModel):
    """A version of a template."""

    name: str
    version: str
    digest: str
    kept_at: AwareDatetime = Field(description="when it was loaded for the first time")
    lifecycle: str | None = Field(description="draft, active or deprecated; null: its file is gone")
    matching: bool = Field(description="alerts may lead to it: it is the newest active version of its name")
    what: str | None
    when_to_use: str | None
    when_not_to_use: str | None
    alertnames: list[str]


class TemplateDetailOut(TemplateOut):
    """A version with all that it says."""

    parameters: dict[str, Any] | None = Field(description="JSON Schema; null: its file is gone")
    body: str = Field(description="as it was written")


class FlawOut(BaseModel):
    """Something that is wrong with a file."""

    file: str
    line: int
    column: int
    field: str
    value: Any
    rule: str


class TemplatesOut(BaseModel):
    """Every version that was ever loaded."""

    templates: list[TemplateOut]
    trouble: list[FlawOut] = Field(description="why the files are not in use, or may fail: unknown actions")


def routes(shelf: Shelf, database: Database) -> APIRouter:
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

    @router.get(
        "/api/v1/templates",
        summary="List the versions of templates",
        responses={200: {"model": TemplatesOut}, **documented(503)},
    )
    async def listed() -> Response:
        rows = [_shown(row, shelf) for row in await templates.listed(database)]
        rows.sort(key=lambda row: (row["name"], Reference(row["name"], row["version"]).release))
        return _json({"templates": rows, "trouble": [flaw(one) for one in shelf.trouble]})

    @router.get(
        "/api/v1/templates/{name}/{version}",
        summary="Show a version of a template",
        responses={200: {"model": TemplateDetailOut}, **documented(400, 404, 503)},
    )
    async def one(
        name: Annotated[str, Path(pattern=f"^{NAME}$", max_length=63)],
        version: Annotated[str, Path(pattern=f"^{VERSION}$", max_length=30)],
    ) -> Response:
        wanted = Reference(name, version)
        row = await templates.one(database, wanted)
        loaded = shelf.library.templates.get(wanted)
        more = {"parameters": loaded.parameters if loaded else None, "body": row["body"]}
        return _json({**_shown(row, shelf), **more})

    return router


def flaw(one: LocatedFlaw) -> dict[str, Any]:
    """A flaw as JSON."""
    return {name: getattr(one, name) for name in FlawOut.model_fields}


def _shown(row: Mapping[str, Any], shelf: Shelf) -> dict[str, Any]:
    loaded = shelf.library.templates.get(Reference(row["name"], row["version"]))
    return {name: row[name] for name in ("name", "version", "digest", "kept_at")} | _said(loaded, shelf)


def _said(loaded: Template | None, shelf: Shelf) -> dict[str, Any]:
    return {
        "lifecycle": loaded.lifecycle if loaded else None,
        "matching": loaded in shelf.library.matching(),
        "what": loaded.rule.reason if loaded else None,
        "when_to_use": loaded.when_to_use if loaded else None,
        "when_not_to_use": loaded.when_not_to_use if loaded else None,
        "alertnames": list(loaded.match.alertnames) if loaded and loaded.match else [],
    }


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
