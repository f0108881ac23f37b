"""Around every request that may change something: what was done, by whom and with what outcome goes to the audit log.

The row is in the log before the answer leaves, except for what brings alerts: those are stored with who brought them
before they are acknowledged, and their rows follow within moments.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workflow_service.api import callers
from workflow_service.api.gate import Access
from workflow_service.domain.audit import Entry
from workflow_service.domain.permissions import About, Place, need_of, plain

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Beside every success: what somebody known was refused, what the workflow refused, what was perhaps done.
_NOTED = frozenset({403, 409, 500})


class Auditing:
    """ASGI middleware; put it around the gate."""

    def __init__(self, app: ASGIApp, *, access: Access, clock: Callable[[], datetime]) -> None:
        self._app, self._log, self._clock = app, access.audit, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note its outcome before it is told."""
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._note(scope, message)
            await send(message)

        await self._app(scope, receive, noting)

    async def _note(self, scope: Scope, answer: Message) -> None:
        found, status = need_of(scope["method"], scope["path"]), answer["status"]
        if found is None or not (status < 400 or status in _NOTED):
            return
        need, place = found
        entry = self._entry(scope, place, answer)
        if need.about is About.INTAKE:
            self._log.note(entry)
        else:
            await self._log.noted(entry)

    def _entry(self, scope: Scope, place: Place, answer: Message) -> Entry:
        headers = Headers(scope=scope)
        location = MutableHeaders(raw=list(answer.get("headers", ()))).get("location", "")
        caller, client = scope.get(callers.KEY), scope.get("client")
        who = caller.name if caller is not None else f"claimed:{headers.get('x-service-name', 'somebody')}"
        return Entry(
            id=str(uuid.uuid4()),
            at=self._clock(),
            who=plain(who),
            what=f"{scope['method']} {place.template}",
            target=plain(next(iter(place.values.values()), "") or location.rsplit("/", 1)[-1]),
            source=plain(client[0] if client else ""),
            request_id=plain(headers.get("x-request-id", "")),
            outcome=str(answer["status"]),
        )
