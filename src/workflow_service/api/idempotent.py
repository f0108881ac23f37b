"""Idempotency-Key: a request that is sent again gets the answer of the first one, and does nothing a second time.

Source: draft-ietf-httpapi-idempotency-key-header. What failed on our side (5xx) or was not
done since something had changed (412) is not kept: it may be sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workflow_service.api import callers
from workflow_service.api.problems import RETRY_AFTER, documented, problem
from workflow_service.api.rereading import again
from workflow_service.domain.errors import StoreUnavailable, Violation
from workflow_service.domain.permissions import need_of
from workflow_service.engine.lease import Lease
from workflow_service.store import idempotency
from workflow_service.store.database import Database
from workflow_service.store.idempotency import Asked, Kept

HEADER = "idempotency-key"
REPLAYED = (b"idempotent-replayed", b"true")
LARGEST = 1024 * 1024  # bytes of an answer that are kept; a larger one is given and not kept
WAITS = frozenset({"/api/v1/execute"})  # whoever repeats one of these waits for the first
LOOK = 0.25  # seconds
_METHODS = frozenset({"POST", "DELETE"})
_KEY = re.compile(r"[!-~]{1,255}")
_KEPT = frozenset({b"content-type", b"location", b"etag"})


class Idempotent:
    """ASGI middleware, behind the one that knows who calls."""

    def __init__(
        self, app: ASGIApp, *, database: Database, lease: Lease, patience: float, clock: Callable[[], datetime]
    ) -> None:
        """`lease`: whose replica this is. `patience`: seconds that a repeated request waits for the first one."""
        self._app, self._database, self._lease = app, database, lease
        self._patience, self._clock = patience, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request without a key on; answer one that is known; remember the answer of the others."""
        if scope["type"] != "http" or not takes_keys(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        key = request.headers.get(HEADER)
        if key is None:
            await self._app(scope, receive, send)
            return
        if not _KEY.fullmatch(key):
            wrong = Violation("Idempotency-Key", key[:80], "must be 1 to 255 printable ASCII characters")
            await problem(request, 400, "Invalid request", str(wrong), violations=[wrong])(scope, receive, send)
            return
        with suppress(ClientDisconnect):
            body = await request.body()
            await self._under_key(request, _asked(request, key, body, self._lease.replica), again(body, receive), send)

    async def _under_key(self, request: Request, asked: Asked, receive: Receive, send: Send) -> None:
        try:
            answer = await self._known(request, asked)
        except StoreUnavailable as error:
            headers = {"Retry-After": RETRY_AFTER}
            answer = problem(request, 503, "Store unavailable", str(error), headers=headers)
        if answer is not None:
            await answer(request.scope, receive, send)
        else:
            await self._first(request.scope, receive, send, asked)

    async def _known(self, request: Request, asked: Asked) -> Response | None:
        """The answer to a request that was begun before; None: this is the first one."""
        until = asyncio.get_running_loop().time() + self._patience
        earlier: idempotency.Earlier | None = None
        while True:
            lease = self._lease.ttl if self._lease.may_judge else None
            earlier = earlier or await idempotency.claim(self._database, asked, self._clock(), lease=lease)
            if earlier is None:
                return None
            if earlier.request != asked.request:
                wrong = Violation("Idempotency-Key", asked.key, "was used for another request")
                return problem(request, 422, "Key reused", str(wrong), violations=[wrong])
            if earlier.answer is not None:
                return _replayed(earlier.answer)
            if request.url.path not in WAITS or asyncio.get_running_loop().time() > until:
                detail = "the request with this key is under way"
                return problem(request, 409, "Request in progress", detail, headers={"Retry-After": "1"})
            await asyncio.sleep(LOOK)
            earlier = await idempotency.seen(self._database, asked, lease=lease)

    async def _first(self, scope: Scope, receive: Receive, send: Send, asked: Asked) -> None:
        said = _Said(send)
        try:
            await self._app(scope, receive, said)
        finally:
            # Also when the caller hangs up: what it does goes on, and whoever asks again is to hear of it.
            with suppress(StoreUnavailable):
                await asyncio.shield(self._remember(asked, said.kept))

    async def _remember(self, asked: Asked, answer: Kept | None) -> None:
        if answer is None or answer.status >= 500 or answer.status == 412:
            await idempotency.release(self._database, asked)
        else:
            await idempotency.keep(self._database, asked, answer)


def takes_keys(method: str, path: str) -> bool:
    """Whether a key means something there: on a route that changes something.

    What webhooks bring is stored once per delivery, and decided once anyway.
    """
    return method in _METHODS and path != "/api/v1/alerts" and need_of(method, path) is not None


def describe(document: dict[str, Any]) -> None:
    """Add the header and its answers to the OpenAPI document."""
    header = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "sent again with the same key, a request gets the answer of the first one, for a day",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^{_KEY.pattern}$"},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if takes_keys(method.upper(), path):
                operation.setdefault("parameters", []).append(header)
                for status, entry in documented(400, 409, 422, 503).items():
                    operation["responses"].setdefault(str(status), entry)


class _Said:
    """Passes an answer on, and keeps it as long as it is not too large."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status: int | None = None
        self._headers: list[tuple[str, str]] = []
        self._parts: list[bytes] | None = []
        self._whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            found = ((name.lower(), value) for name, value in message.get("headers", ()))
            self._headers = [(name.decode(), value.decode("latin-1")) for name, value in found if name in _KEPT]
        elif message["type"] == "http.response.body":
            self._whole = not message.get("more_body", False)
            self._note(message.get("body", b""))
        await self._send(message)

    def _note(self, part: bytes) -> None:
        if self._parts is not None:
            self._parts.append(part)
            if sum(map(len, self._parts)) > LARGEST:
                self._parts = None

    @property
    def kept(self) -> Kept | None:
        """The answer; None: there was none, or it is too large."""
        if self._status is None or self._parts is None or not self._whole:
            return None
        return Kept(self._status, self._headers, b"".join(self._parts))


def _asked(request: Request, key: str, body: bytes, replica: str) -> Asked:
    told = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    caller = callers.caller_of(request)
    return Asked(
        caller.name if caller else "",
        key,
        request=hashlib.sha256(told + body).hexdigest(),
        claim=str(uuid.uuid4()),
        replica=replica,
    )


def _replayed(answer: Kept) -> Response:
    response = Response(answer.body, status_code=answer.status)
    response.raw_headers += [(name.encode(), value.encode("latin-1")) for name, value in answer.headers]
    response.raw_headers.append(REPLAYED)
    return response
