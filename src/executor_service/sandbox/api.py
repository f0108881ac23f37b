"""One HTTP request to the Kubernetes API: scripted fault, then the operation, then the audit, then the answer."""

import asyncio
import contextlib
from typing import Any

import orjson
from aiohttp import web

from executor_service.sandbox.addresses import WRITES, Address, parse_path, verb_of
from executor_service.sandbox.audit import Write
from executor_service.sandbox.cluster import Cluster
from executor_service.sandbox.errors import ApiError
from executor_service.sandbox.faults import Fault
from executor_service.sandbox.logs import log_of
from executor_service.sandbox.objects import Object, meta
from executor_service.sandbox.operations import PATCHES, Request, answer, decode_body
from executor_service.sandbox.reads import get, read_filter
from executor_service.sandbox.watch import Watch, events, read_watch

_NOT_ALLOWED = "the server does not allow this method on the requested resource"


def json_answer(code: int, body: Any) -> web.Response:
    """A JSON answer. The content type carries no charset, as the API server's does not: clients compare it."""
    return web.Response(status=code, body=orjson.dumps(body), content_type="application/json")


def refused(problem: ApiError) -> web.Response:
    """The answer of a refused request."""
    response = json_answer(problem.code, problem.status)
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    return response


class Api:
    """Serves the resources of one cluster."""

    def __init__(self, cluster: Cluster, closing: asyncio.Event) -> None:
        self._cluster = cluster
        self._closing = closing

    async def serve(self, http: web.Request) -> web.StreamResponse:
        """Answer any request below /api and /apis."""
        address = parse_path(http.path)
        if address is None or address.kind.group in self._cluster.switched_off:
            return web.Response(status=404, text="404 page not found\n")
        verb = verb_of(http.method, address, dict(http.query))
        if verb is None:
            return refused(ApiError(405, _NOT_ALLOWED))
        raw = await http.read()
        fault = self._cluster.faults.take(_described(verb, address, http))
        if fault is not None and fault.delay_seconds:
            await asyncio.sleep(fault.delay_seconds)
        try:
            response = await self._carry_out(http, _request(http, verb, address, raw), fault)
        except ApiError as problem:
            response = refused(problem)
        if fault is not None and fault.drop and http.transport is not None:
            http.transport.abort()
        return response

    async def _carry_out(self, http: web.Request, request: Request, fault: Fault | None) -> web.StreamResponse:
        if request.verb in WRITES:
            return self._write(http, request, fault)
        _strike(fault)
        address = request.address
        if request.verb == "watch":
            wanted = read_filter(address.kind, address.namespace, request.query)
            return await self._stream(http, read_watch(wanted, request.query))
        if address.subresource == "log":
            pod = get(self._cluster.store, address.kind, address.key)
            return web.Response(text=log_of(pod, request.query))
        return json_answer(*answer(self._cluster.store, request))

    def _write(self, http: web.Request, request: Request, fault: Fault | None) -> web.Response:
        """Carry out a write; whatever becomes of it is in the audit before the client has its answer."""
        name = request.address.name
        try:
            _strike(fault)
            code, body = answer(self._cluster.store, request)
            name = name or str(meta(body).get("name", ""))
            response = json_answer(code, body)
        except ApiError as problem:
            response = refused(problem)
        self._cluster.audit.record(_audited(http, request, name, response.status))
        return response

    async def _stream(self, http: web.Request, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(http)
        # A watcher that goes away is the usual end of a watch, not an error.
        with contextlib.suppress(ConnectionResetError):
            async with contextlib.aclosing(events(self._cluster.store, watch, self._closing)) as stream:
                async for event in stream:
                    await response.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            await response.write_eof()
        return response


def _strike(fault: Fault | None) -> None:
    if fault is not None and fault.status is not None:
        details: Object | None = {"retryAfterSeconds": 1} if fault.status == 429 else None
        raise ApiError(fault.status, "the sandbox was told to refuse this request", details=details)


def _described(verb: str, address: Address, http: web.Request) -> dict[str, str]:
    """A request in the words of a fault's `match`."""
    return {
        "verb": verb,
        "group": address.kind.group,
        "resource": address.kind.resource,
        "namespace": address.namespace,
        "name": address.name,
        "subresource": address.subresource,
        "user_agent": http.headers.get("User-Agent", ""),
    }


def _request(http: web.Request, verb: str, address: Address, raw: bytes) -> Request:
    content_type = http.headers.get("Content-Type", "").partition(";")[0].strip()
    problem: ApiError | None = None
    body: Any = None
    try:
        body = decode_body(raw)
    except ApiError as found:
        problem, body = found, raw.decode(errors="replace")
    return Request(verb, address, dict(http.query), content_type, body, problem)


def _audited(http: web.Request, request: Request, name: str, code: int) -> Write:
    address = request.address
    is_patch = request.verb == "patch"
    return Write(
        verb=request.verb,
        resource=address.kind.plural,
        namespace=address.namespace,
        name=name,
        subresource=address.subresource,
        user_agent=http.headers.get("User-Agent", ""),
        field_manager=request.query.get("fieldManager", ""),
        dry_run=request.dry_run,
        code=code,
        patch_type=PATCHES.get(request.content_type, (request.content_type,))[0] if is_patch else "",
        body=request.body,
    )
