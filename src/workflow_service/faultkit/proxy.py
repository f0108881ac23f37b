"""A real HTTP proxy between the replicas and the executor that passes requests on, or has something happen to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from random import Random

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from workflow_service.faultkit.faults import Mishap

PATIENCE = 15.0  # seconds after which workflow-service gives up an effect's answer (clients.executor.Patience)
LATER = 2.0  # and at most so much longer what is late is held back
HOSTS, PORTS = "127.0.0.1", range(20_000, 30_000)  # below the ports that Linux gives to outgoing connections
_HOP_BY_HOP = frozenset({"host", "connection", "content-length", "transfer-encoding", "keep-alive"})


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Proxy:
    """Stands before the executor; while its door is shut, connections are refused as by a dead process."""

    def __init__(
        self,
        upstream: Callable[[], str],
        plan: Iterator[Mishap | None],
        *,
        rng: Random,
        struck: Callable[[Mishap, str], None],
    ) -> None:
        """`upstream`: where the executor is now. `struck` is told of every mishap and the execution that it met."""
        self._upstream, self._plan, self._rng, self._struck = upstream, plan, rng, struck
        self._calm = False
        self._late = 0
        self._on_time = asyncio.Event()
        self._on_time.set()
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._session: aiohttp.ClientSession | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where the replicas find it; the same for its whole life."""
        return f"http://{HOSTS}:{self.port}"

    async def start(self) -> None:
        """Begin to pass on.

        Raises:
            OSError: no port is free.
        """
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60), auto_decompress=False
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handle_signals=False)
        await self._runner.setup()
        for port in self._rng.sample(PORTS, 50):
            with suppress(OSError):
                self.port = port
                await self.open_door()
                return
        raise OSError("no free port for the proxy")

    async def open_door(self) -> None:
        """Take connections."""
        if self._site is None and self._runner is not None:
            site = web.TCPSite(self._runner, HOSTS, self.port)
            await site.start()
            self._site = site

    async def shut_door(self) -> None:
        """Refuse new connections; what comes over old ones is cut."""
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()

    def calm(self) -> None:
        """From now on nothing happens to requests any more."""
        self._calm = True

    async def on_time(self) -> None:
        """Return once everything that was held back has been delivered."""
        await self._on_time.wait()

    async def close(self) -> None:
        """End it."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        call = _Call(request.method, request.raw_path, headers, await request.read())
        mishap = None if self._calm or not _asks_for_effect(call) else next(self._plan)
        if mishap is not None:
            self._struck(mishap, _execution(call))
        answer = await self._pass(call) if mishap is None else await self._counted(call, mishap)
        if answer is None or self._site is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
        return answer

    async def _counted(self, call: _Call, mishap: Mishap) -> web.Response | None:
        self._late += 1
        self._on_time.clear()
        try:
            return await self._suffer(call, mishap)
        finally:
            self._late -= 1
            if not self._late:
                self._on_time.set()

    async def _suffer(self, call: _Call, mishap: Mishap) -> web.Response | None:
        """What the caller gets; None: nothing, its connection is cut."""
        answer: web.Response | None = None
        if mishap in {Mishap.HANG, Mishap.LATE_REQUEST}:
            await self._hold()
        if mishap is Mishap.TWICE:
            answer, _ = await asyncio.gather(self._pass(call), self._pass(call))
        elif mishap not in {Mishap.HANG, Mishap.ERROR_BEFORE}:
            answer = await self._pass(call)
        if mishap is Mishap.LATE_ANSWER:
            await self._hold()
        if mishap in {Mishap.ERROR_BEFORE, Mishap.ERROR_AFTER}:
            return _error()
        return None if mishap is Mishap.CUT else answer

    async def _hold(self) -> None:
        """Until the caller has certainly given up."""
        await asyncio.sleep(PATIENCE + self._rng.uniform(0.2, LATER))

    async def _pass(self, call: _Call) -> web.Response | None:
        if self._session is None:
            raise RuntimeError("the proxy is not started")
        try:
            async with self._session.request(
                call.method,
                URL(self._upstream() + call.path, encoded=True),
                headers=call.headers,
                data=call.body,
                allow_redirects=False,
            ) as answer:
                body = await answer.read()
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
                return web.Response(status=answer.status, body=body, headers=kept)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


def _asks_for_effect(call: _Call) -> bool:
    return call.method == "POST" and call.path.endswith("/api/v1/execute")


def _execution(call: _Call) -> str:
    return str(orjson.loads(call.body)["context"]["execution_id"])


def _error() -> web.Response:
    body = {"type": "about:blank", "title": "Internal Server Error", "status": 500, "detail": "the fault kit says so"}
    return web.json_response(body, status=500, content_type="application/problem+json")
