"""The gate before all routes: who calls, and may they. Pure ASGI; nothing of a refused request is read or parsed.

A refusal tells nothing about what exists: without a credential every path answers 401; without the right a route
answers 403 whatever it is asked about; and what lies outside a caller's namespaces answers as what does not exist.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workflow_service.access.audit_log import AuditLog
from workflow_service.access.authenticator import Authenticator
from workflow_service.access.rates import Rates
from workflow_service.api import callers, limits, signed
from workflow_service.api.problems import RETRY_AFTER, problem
from workflow_service.domain.errors import NotFound, ProviderAway, StoreUnavailable, Unauthenticated
from workflow_service.domain.permissions import (
    About,
    Caller,
    Need,
    Place,
    Right,
    Sight,
    asks_nobody,
    methods_of,
    need_of,
)
from workflow_service.domain.signatures import is_signed

CHALLENGE = 'Bearer realm="workflow-service", Basic realm="workflow-service"'


@dataclass(frozen=True, slots=True)
class Access:
    """What stands before the routes. `authenticator` None: nobody is asked who they are, and everything is open."""

    authenticator: Authenticator | None
    namespace_of: Callable[[str], Awaitable[str | None]]  # of a workflow, by id; raises NotFound
    sights: Mapping[About, Callable[[str, Sight], Awaitable[bool]]]  # whether that one, by id, is in sight
    rates: Rates  # of callers, by name
    failures: Rates  # of those who do not prove who they are, by address
    audit: AuditLog
    webhook_secrets: Callable[[], Sequence[bytes] | None]  # with which senders of alerts may sign instead


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app, self._access, self._signed = app, access, signed.SignedBodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer why not."""
        found = need_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        authenticator = self._access.authenticator
        if scope["type"] != "http" or authenticator is None or asks_nobody(scope["path"]):
            await self._app(scope, receive, send)
            return
        request, slow = Request(scope), found is None or found[0].about is not About.INTAKE
        try:
            caller, receive = await self._identify(authenticator, request, receive, slow=slow)
        except ClientDisconnect:
            return
        except Unauthenticated as error:
            await self._nobody(request, str(error), slow=slow)(scope, receive, send)
            return
        except (StoreUnavailable, ProviderAway) as error:
            await _away(request, error)(scope, receive, send)
            return
        _introduce(scope, caller)
        scope[callers.ASK] = partial(authenticator.caller, request.headers.get("authorization"))
        if slow:
            allowance = self._access.rates.take(caller.name, time.monotonic())
            send = _telling(send, limits.headers(self._access.rates, allowance))
            if not allowance.given:
                await limits.too_many(request, allowance)(scope, receive, send)
                return
        await (await self._refusal(request, caller, found) or self._app)(scope, receive, send)

    async def _identify(
        self, authenticator: Authenticator, request: Request, receive: Receive, *, slow: bool
    ) -> tuple[Caller, Receive]:
        """Who calls, and where their body comes from now. Who brings alerts may have signed them instead."""
        authorization, secrets = request.headers.get("authorization"), self._access.webhook_secrets()
        if secrets and not slow and authorization is None and is_signed(request.headers):
            return signed.WEBHOOK, await self._signed.proved(request.headers, receive, secrets)
        return await authenticator.caller(authorization), receive

    def _nobody(self, request: Request, why: str, *, slow: bool) -> Response:
        address = request.client.host if request.client else ""
        allowance = self._access.failures.take(address, time.monotonic())
        if slow and not allowance.given:
            return limits.too_many(request, allowance)
        return problem(request, 401, "Unauthorized", why, headers={"WWW-Authenticate": CHALLENGE})

    async def _refusal(self, request: Request, caller: Caller, found: tuple[Need, Place] | None) -> Response | None:
        try:
            return await self._unfit(request, caller, found)
        except StoreUnavailable as error:
            return _away(request, error)

    async def _unfit(self, request: Request, caller: Caller, found: tuple[Need, Place] | None) -> Response | None:
        if found is None:
            return _unknown(request, caller)
        need, place = found
        reach = caller.reach(need.right) if need.right is not None else None
        if reach is None:
            return None
        if not reach or need.about is About.SERVICE:
            wanted = f"the right {need.right} is required" + (" in all namespaces" if reach else "")
            return problem(request, 403, "Forbidden", wanted)
        if need.about is About.WORKFLOW:
            return await self._out_of_reach(request, place, reach)
        if (sight := self._access.sights.get(need.about)) is not None:
            [(name, named)] = place.values.items()
            if not await sight(named, Sight(caller.name, reach)):  # then as if there were none
                return problem(request, 404, "Not found", f"no {name.removesuffix('_id')} {named}")
        return None  # the route itself looks at the namespaces

    async def _out_of_reach(self, request: Request, place: Place, reach: frozenset[str]) -> Response | None:
        workflow_id = place.values.get("workflow_id") or request.query_params.get("workflow_id")
        if not workflow_id:
            return None  # the route says what is missing
        try:
            namespace = await self._access.namespace_of(workflow_id)
        except NotFound:
            namespace = None
        # In the words for a workflow that does not exist.
        return None if namespace in reach else problem(request, 404, "Not found", f"no workflow {workflow_id}")


def _away(request: Request, error: StoreUnavailable | ProviderAway) -> Response:
    title = "Store unavailable" if isinstance(error, StoreUnavailable) else "Identity provider unavailable"
    return problem(request, 503, title, str(error), headers={"Retry-After": RETRY_AFTER})


def _telling(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return telling


def _unknown(request: Request, caller: Caller) -> Response | None:
    """What the table of needs does not know exists for nobody but an admin, who gets the application's own answer."""
    if caller.reach(Right.ADMIN) is None:
        return None
    methods = methods_of(request.url.path)
    if not methods:
        return problem(request, 404, "Not found", "Not Found")
    title = "Only POST method allowed" if request.url.path == "/api/v1/execute" else "Method not allowed"
    return problem(request, 405, title, "Method Not Allowed", headers={"Allow": ", ".join(methods)})


def _introduce(scope: Scope, caller: Caller) -> None:
    """Who was proved to call replaces what they call themselves, for every reader of the request."""
    scope[callers.KEY] = caller
    others = [(name, value) for name, value in scope["headers"] if name != b"x-service-name"]
    scope["headers"] = [*others, (b"x-service-name", caller.name.encode())]
