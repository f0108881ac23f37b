"""From an alert's HTTP request to the executor's first call: the whole service as a process, a stand-in executor here.

Two loads. `steady`: 50 workflows in flight all the time, each of whose actions takes two seconds. `burst`: 50 alerts at
the same instant, again and again. The clock runs from before the request is sent until the executor's handler is
entered. Client and stand-in share this process, and the machine with the service.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web
from bench.measuring import Reading, print_reading, quantile
from tests.support.processes import Program, free_port

from executor_service.actions.catalogue import Catalogue
from executor_service.kubernetes.surroundings import Surroundings

IN_FLIGHT = 50
TAKES = 2.0  # seconds that an action of the steady load takes
WARM_UP, ALERTS = 50, 300  # of the steady load
BURSTS = 5
LATEST = 60.0  # seconds in which a workflow has to end
LEDGER = "bench-ledger"


class StandIn:
    """An executor that looks at nothing, does nothing, and notes when each alert's first call came."""

    def __init__(self) -> None:
        self.takes = 0.0
        self._first: dict[str, asyncio.Future[float]] = {}
        offered = Catalogue().offer(Surroundings())
        self._catalogue = {"ledger_id": LEDGER, "digest": offered.digest, "actions": offered.entries}

    def expect(self, resource: str) -> asyncio.Future[float]:
        """When the first call about that resource comes, in seconds of the performance counter."""
        first = self._first[resource] = asyncio.get_running_loop().create_future()
        return first

    def application(self) -> web.Application:
        """Its HTTP side."""
        routes = [
            web.get("/api/v1/actions", self._actions),
            web.post("/api/v1/observe", self._observe),
            web.post("/api/v1/execute", self._execute),
            web.get("/health", self._actions),
        ]
        application = web.Application()
        application.add_routes(routes)
        return application

    async def _actions(self, _request: web.Request) -> web.Response:
        return web.json_response(self._catalogue)

    async def _observe(self, _request: web.Request) -> web.Response:
        facts = {"replicas": 1, "ready_replicas": 1}
        return web.json_response({"found": True, "facts": facts, "observed_at": datetime.now(UTC).isoformat()})

    async def _execute(self, request: web.Request) -> web.Response:
        now = time.perf_counter()
        order = await request.json()
        first = self._first.get(order["alert"].get("resource", ""))
        if first is not None and not first.done():
            first.set_result(now)
        await asyncio.sleep(self.takes)
        result = {"success": True, "status": "completed", "action_id": uuid.uuid4().hex, "message": "done"}
        stamp = {"timestamp": datetime.now(UTC).isoformat(), "ledger_id": LEDGER}
        return web.json_response({**result, **stamp, "result": {}, "changes": [], "undo": {"available": False}})


class Load:
    """Sends alerts and collects how long each waited for its first call."""

    def __init__(self, session: aiohttp.ClientSession, url: str, executor: StandIn) -> None:
        self._session, self._url, self._executor = session, url, executor
        self.waits: list[float] = []

    async def one(self) -> None:
        """One alert until its workflow has ended.

        Raises:
            RuntimeError: it did not end in time.
            asyncio.InvalidStateError: it ended without a call.
        """
        resource = f"deployment/web-{uuid.uuid4().hex}"
        first = self._executor.expect(resource)
        alert = {"name": "HighCPUUsage", "severity": "critical", "namespace": "production", "resource": resource}
        sent = time.perf_counter()
        async with self._session.post(self._url, json=alert, headers={"Prefer": f"wait={LATEST:.0f}"}) as answer:
            if answer.status != 200:
                raise RuntimeError(f"the alert was answered {answer.status}: {await answer.text()}")
        self.waits.append(first.result() - sent)

    async def steady(self, alerts: int) -> None:
        """As many alerts, one after another in each of 50 lanes that begin one after another."""
        turns = iter(range(alerts))

        async def lane(number: int) -> None:
            await asyncio.sleep(TAKES * number / IN_FLIGHT)
            for _ in turns:
                await self.one()

        async with asyncio.TaskGroup() as lanes:
            for number in range(IN_FLIGHT):
                lanes.create_task(lane(number))

    async def burst(self) -> None:
        """50 alerts at the same instant."""
        await asyncio.gather(*(self.one() for _ in range(IN_FLIGHT)))


def main() -> None:
    """Measure the database whose URL is the argument; print a reading of the steady load, then one of the bursts."""
    for reading in uvloop.run(_measure(sys.argv[1])):
        print_reading(reading)


async def _measure(url: str) -> list[Reading]:
    executor = StandIn()
    async with service(url, executor) as running, aiohttp.ClientSession(connector=_unlimited()) as session:
        load = Load(session, f"{running.url}/api/v1/execute", executor)
        executor.takes = TAKES
        await load.steady(WARM_UP)
        steady = await _reading(load, lambda: load.steady(ALERTS))
        executor.takes = 0.0
        await load.burst()

        async def bursts() -> None:
            for _ in range(BURSTS):
                await load.burst()
                await asyncio.sleep(1.0)  # for what the burst left to do

        return [steady, await _reading(load, bursts)]


async def _reading(load: Load, send: Callable[[], Awaitable[None]]) -> Reading:
    load.waits.clear()
    began = time.perf_counter()
    await send()
    seconds = time.perf_counter() - began
    p50, p99 = (1000 * quantile(load.waits, share) for share in (0.5, 0.99))
    return Reading(actions=len(load.waits), seconds=seconds, cpu_seconds=0.0, start_p50=p50, start_p99=p99)


def _unlimited() -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(limit=0)


@asynccontextmanager
async def service(url: str, executor: StandIn) -> AsyncIterator[Program]:
    """workflow-service as a process on that database, with its default settings and this executor."""
    runner = web.AppRunner(executor.application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = runner.addresses[0]
    with tempfile.TemporaryDirectory(prefix="bench-start-", ignore_cleanup_errors=True) as directory:
        settings = {
            "WORKFLOW_SERVICE_PORT": str(port := free_port()),
            "EXECUTOR_SERVICE_URL": f"http://127.0.0.1:{address[1]}",
            "DATABASE_URL": url,
            "DATA_DIR": directory,
            **dict.fromkeys(
                ("STORM_IN_NAMESPACE", "STORM_IN_CLUSTER", "BUDGET_IN_NAMESPACE", "BUDGET_IN_CLUSTER"), "0"
            ),
        }
        log = Path(os.devnull)
        program = Program("workflow_service", port=port, log=log, environment=settings)
        try:
            await asyncio.to_thread(program.start, "/readyz")
            yield program
        finally:
            await asyncio.to_thread(program.stop)
            await runner.cleanup()


if __name__ == "__main__":
    main()
