"""RFC 9457: every error as problem+json, from one place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from workflow_service.domain.errors import Crowded, Forbidden, NotFound, Rejected, StoreUnavailable, Unfit, Violation
from workflow_service.domain.permissions import methods_of

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "5"  # seconds, told to callers while the database is away


class BrokenRule(BaseModel):
    """One broken rule of the request."""

    field: str
    value: Any = None
    rule: str


class Problem(BaseModel):
    """An error as RFC 9457 describes it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[BrokenRule] | None = None
    allowed: list[str] | None = None  # what could be commanded instead (409)
    current: str | None = None  # the tag that it has now (412)


def problem(
    request: Request,
    status: int,
    title: str,
    detail: str,
    *,
    violations: Sequence[Violation] = (),
    headers: Mapping[str, str] | None = None,
    **extensions: Any,
) -> Response:
    """A problem+json answer; `title` stays the same for every case of its kind."""
    body: dict[str, Any] = {
        "type": f"urn:kubernaut:problem:{title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
    }
    body |= extensions
    if violations:
        body["errors"] = [{"field": item.field, "value": item.value, "rule": item.rule} for item in violations]
    return Response(_encoded(body), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body, default=str)
    except orjson.JSONEncodeError:  # it quotes what was sent: broken text, a number of a hundred digits
        return json.dumps(body, default=str).encode()


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of the problems that a route answers with."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": "problem", "content": {MEDIA_TYPE: schema}} for status in statuses}


def bug(request: Request) -> Response:
    """The answer when we have failed; whoever answers so has logged why."""
    return problem(request, 500, "Internal error", "the request failed for a reason of ours; it has been logged")


def _allow(request: Request) -> dict[str, str]:
    """All methods of the path, where the router names only those of one of its routes."""
    methods = methods_of(request.url.path)
    return {"Allow": ", ".join(methods)} if methods else {}


def _broken(request: Request, item: Mapping[str, Any]) -> Violation:
    if isinstance(item.get("input"), bytes):  # FastAPI reads only what is said to be JSON
        return Violation("Content-Type", request.headers.get("content-type"), "must be application/json")
    return Violation(".".join(map(str, item["loc"])), item.get("input"), item["msg"])


def install(app: FastAPI) -> None:
    """Answer every error of `app` in this form."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        titles = {404: "Not found", 405: "Method not allowed"}
        title = titles.get(error.status_code, "Request refused")
        if error.status_code == 405 and request.url.path == "/api/v1/execute":
            title = "Only POST method allowed"  # the specification's words
        headers = {**(error.headers or {}), **(_allow(request) if error.status_code == 405 else {})}
        return problem(request, error.status_code, title, str(error.detail), headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        violations = [_broken(request, item) for item in error.errors()]
        detail = "; ".join(map(str, violations))
        return problem(request, 400, "Invalid request", detail, violations=violations)

    @app.exception_handler(Rejected)
    async def rejected(request: Request, error: Rejected) -> Response:
        status, title = (422, "Unfit request") if isinstance(error, Unfit) else (400, "Invalid request")
        return problem(request, status, title, str(error), violations=error.violations)

    @app.exception_handler(Forbidden)
    @app.exception_handler(NotFound)
    async def refused(request: Request, error: Forbidden | NotFound) -> Response:
        status, title = (403, "Forbidden") if isinstance(error, Forbidden) else (404, "Not found")
        return problem(request, status, title, str(error))

    @app.exception_handler(Crowded)
    async def crowded(request: Request, error: Crowded) -> Response:
        return problem(request, 503, "Busy", str(error), headers={"Retry-After": RETRY_AFTER})

    @app.exception_handler(StoreUnavailable)
    async def away(request: Request, error: StoreUnavailable) -> Response:
        return problem(request, 503, "Store unavailable", str(error), headers={"Retry-After": RETRY_AFTER})
