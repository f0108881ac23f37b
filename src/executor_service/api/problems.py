"""RFC 9457 problem+json for every error answer."""

from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from executor_service.contract import Json
from executor_service.execution.acceptance import RejectedOrderError

_log = structlog.get_logger(__name__)


def problem(
    status: int, detail: str, *, instance: str = "", headers: dict[str, str] | None = None, **extensions: Json
) -> Response:
    """One problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body |= {"instance": instance} if instance else {}
    content = orjson.dumps(body | extensions)
    return Response(content, status_code=status, media_type="application/problem+json", headers=headers)


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        return problem(error.status_code, str(error.detail), instance=request.url.path, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> Response:
        errors = [_entry(item) for item in error.errors()]
        detail = "; ".join(f"{item['field']}: {item['rule']}" for item in errors)
        return problem(400, detail, instance=request.url.path, errors=errors)

    @app.exception_handler(RejectedOrderError)
    async def _rejected(request: Request, error: RejectedOrderError) -> Response:
        return problem(422, str(error), instance=request.url.path, errors=error.errors)

    @app.exception_handler(SQLAlchemyError)
    async def _ledger_away(request: Request, error: SQLAlchemyError) -> Response:
        _log.error("the ledger failed", path=request.url.path, error=type(error).__name__)
        detail = "the ledger is not available; nothing was begun that it does not know"
        return problem(503, detail, instance=request.url.path, headers={"Retry-After": "5"})

    @app.exception_handler(Exception)
    async def _crashed(request: Request, error: Exception) -> Response:
        _log.error("request failed", path=request.url.path, exc_info=error)
        return problem(500, "internal error; see the log", instance=request.url.path)


def _entry(item: dict[str, Any]) -> dict[str, Json]:
    place = [str(part) for part in item["loc"]]
    if item["type"] == "json_invalid":
        return {"field": "body", "value": None, "rule": "must be valid JSON"}
    names = place[1:] if len(place) > 1 else place
    name = ".".join(names)
    value = item.get("input")
    shown = value if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return {"field": name, "value": shown, "rule": item["msg"]}
