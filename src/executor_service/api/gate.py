"""The ASGI gate in front of all routes: who calls, body size, any content type for JSON, one log line per request."""

import time

import structlog
from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from executor_service.api.callers import Authenticator, AuthenticatorAwayError, NotAllowedError, UnauthenticatedError
from executor_service.api.problems import problem

MAX_BODY_BYTES = 1024 * 1024
_log = structlog.get_logger(__name__)


class Gate:
    """Refuses before anything is parsed."""

    def __init__(self, app: ASGIApp, *, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, codes = time.perf_counter(), [0]

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                codes[0] = message["status"]
            await send(message)

        try:
            await self._pass(scope, receive, watch)
        finally:
            seconds = round(time.perf_counter() - started, 4)
            if scope["path"].startswith("/api/"):
                _log.info("request", method=scope["method"], path=scope["path"], status=codes[0], seconds=seconds)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        refusal = await self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await _read(receive)
        except ClientDisconnect:
            return
        if body is None:
            await _too_large()(scope, receive, send)
            return
        kept = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
        typed = {**scope, "headers": [*kept, (b"content-type", b"application/json")]}
        await self._app(typed, _replay(body, receive), send)

    async def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Response | None:
        """401 and 403 say nothing about who would be let in, nor why this one was not."""
        if scope["path"].startswith("/api/"):
            try:
                caller = await self._authenticator.caller(headers.get(b"authorization", b""))
            except UnauthenticatedError:
                return problem(401, "a valid bearer token is required", headers={"WWW-Authenticate": "Bearer"})
            except NotAllowedError:
                return problem(403, "this caller may not use executor-service")
            except AuthenticatorAwayError:
                return problem(503, "the caller cannot be authenticated now", headers={"Retry-After": "5"})
            scope.setdefault("state", {})["caller"] = caller
        length = headers.get(b"content-length", b"0")
        return _too_large() if length.isdigit() and int(length) > MAX_BODY_BYTES else None


def _too_large() -> Response:
    detail = f"the body must not be larger than {MAX_BODY_BYTES} bytes"
    return problem(413, detail, headers={"Connection": "close"})


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None when it is too large. Raises ClientDisconnect when it ends early."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
