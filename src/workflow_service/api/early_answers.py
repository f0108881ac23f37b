"""Problem documents (RFC 9457) for requests that are turned away before the application sees them."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from starlette.types import Receive, Scope, Send

from workflow_service.api.problems import RETRY_AFTER


def problem(status: int, detail: str, *, instance: str | None = None) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of a problem document; the connection closes after it. A 503 says when to come again."""
    members = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body = orjson.dumps(members if instance is None else members | {"instance": instance})
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", RETRY_AFTER.encode()))
    return headers, body


def raw_problem(status: int, detail: str) -> bytes:
    """The same as a whole HTTP/1.1 response, for a connection whose request never became one."""
    headers, body = problem(status, detail)
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(), *(b": ".join(header) for header in headers)]
    return b"\r\n".join([*lines, b"", body])


async def crowded(scope: Scope, _receive: Receive, send: Send) -> None:
    """The application for requests beyond what this replica takes at once."""
    headers, body = problem(503, "too many connections or requests are open here", instance=scope["path"])
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
