"""Around every request: its id and its trace in and out, one access log line, one measurement. Pure ASGI."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workflow_service.api import callers
from workflow_service.api.problems import bug
from workflow_service.telemetry import tracing
from workflow_service.telemetry.metrics import Metrics

_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._:-]{1,128}$")
_QUIET = frozenset({"/health", "/livez", "/readyz", "/metrics"})  # asked every few seconds; not worth a line

log = structlog.get_logger(__name__)


# What every request may carry, and what every answer does.
_PARAMETERS: Mapping[str, str] = {
    "X-Request-ID": "1 to 128 letters, digits, `.`, `_`, `:`, `-`; anything else is replaced",
    "X-Service-Name": "who calls; replaced by the identity where callers prove one",
    "traceparent": "W3C Trace Context; what is not valid counts as absent",
    "tracestate": "W3C Trace Context; kept and passed on with a valid traceparent",
}
_HEADERS: Mapping[str, str] = {
    "X-Request-ID": "the request's own, or a new one",
    "traceparent": "this request, in the trace that it came in, or in a new one",
}


def describe(document: dict[str, Any]) -> None:
    """Add these headers to the OpenAPI document."""
    text = {"schema": {"type": "string"}}
    document["components"]["parameters"] = {
        name: {"name": name, "in": "header", "required": False, "description": about, **text}
        for name, about in _PARAMETERS.items()
    }
    document["components"]["headers"] = {name: {"description": about, **text} for name, about in _HEADERS.items()}
    for operations in document["paths"].values():
        for operation in operations.values():
            referred = [{"$ref": f"#/components/parameters/{name}"} for name in _PARAMETERS]
            operation["parameters"] = [*operation.get("parameters", ()), *referred]
            for answer in operation["responses"].values():
                named = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
                answer["headers"] = {**answer.get("headers", {}), **named}


class Observing:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, code, answered = time.monotonic(), 500, False
        request_id, span = _request_id(scope), tracing.joined(_told(scope, b"traceparent"), _told(scope, b"tracestate"))
        named = [(b"x-request-id", request_id.encode()), (b"traceparent", span.parent.encode())]

        async def watched(message: Message) -> None:
            nonlocal code, answered
            if message["type"] == "http.response.start":
                code, answered = message["status"], True
                message["headers"] = [*message.get("headers", ()), *named]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id), tracing.within(span):
            try:
                await self._app(scope, receive, watched)
            except Exception:
                # The last one who knows the request's id: the caller gets it with the answer, and the log has it too.
                if answered:
                    raise
                log.exception("a request failed for a reason of ours", path=scope["path"])
                await bug(Request(scope))(scope, receive, watched)
            finally:
                self._note(scope, code, time.monotonic() - began)

    def _note(self, scope: Scope, code: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.http_request(method=scope["method"], route=route, code=code, seconds=seconds)
        caller, source = scope.get(callers.KEY), callers.source_of(Request(scope))
        who = {"caller": caller.name} if caller is not None else {"source": source} if source else {}
        level = "debug" if scope["path"] in _QUIET else "info"
        getattr(log, level)(
            "request", method=scope["method"], path=scope["path"], status=code, seconds=round(seconds, 6), **who
        )


def _told(scope: Scope, header: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == header]


def _request_id(scope: Scope) -> str:
    """The caller's id when it is a sane one, else a new one; the rest of the request sees the same."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    if _REQUEST_ID.match(given):
        return str(given.decode())
    made = str(uuid.uuid4())
    headers = [(name, value) for name, value in scope["headers"] if name != b"x-request-id"]
    scope["headers"] = [*headers, (b"x-request-id", made.encode())]
    return made
