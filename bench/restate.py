"""One measurement of Restate: a handler of N no-op steps in this process, its server beside it.

The load comes through the server's ingress from this same process, as there is no other way to start a handler; its
CPU counts here and the server's does not.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import uvloop
from bench.measuring import Reading, Task, measure, print_reading, task_from_arguments
from bench.restate_parts import BINARY
from tests.support.processes import free_port

UP = 30.0  # seconds that the server may take to come up
SERVICE, HANDLER = "bench", "run"


def main() -> None:
    """Measure and print."""
    print_reading(uvloop.run(_measure(task_from_arguments())))


async def _measure(task: Task) -> Reading:
    starts: list[float] = []
    born: dict[str, float] = {}
    async with _served(born, starts) as (session, ingress):

        async def run_one() -> None:
            name = uuid.uuid4().hex
            born[name] = time.perf_counter()
            async with session.post(ingress, json={"id": name, "steps": task.steps}) as answer:
                answer.raise_for_status()
                if await answer.json() != task.steps:
                    raise RuntimeError("a handler did not run all its steps")

        return await measure(task, run_one, starts)


@asynccontextmanager
async def _served(born: dict[str, float], starts: list[float]) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    ports = {name: free_port() for name in ("ingress", "admin", "node", "service")}
    with tempfile.TemporaryDirectory(prefix="restate-", ignore_cleanup_errors=True) as directory:
        server = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [str(BINARY), "--no-logo", "--listen-mode", "tcp", "--node-name", "bench", "--base-dir", directory],
            env={**os.environ, **_settings(ports)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stop = asyncio.Event()
        serving = _serve(ports["service"], born, starts, stop)
        try:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                await _register(session, ports)
                yield session, f"http://127.0.0.1:{ports['ingress']}/{SERVICE}/{HANDLER}"
        finally:
            stop.set()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            server.kill()
            server.wait()


def _settings(ports: dict[str, int]) -> dict[str, str]:
    return {
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_BIND_IP": "127.0.0.1",
        "RESTATE_ADVERTISED_HOST": "127.0.0.1",
        "RESTATE_BIND_PORT": str(ports["node"]),
        "RESTATE_INGRESS__BIND_PORT": str(ports["ingress"]),
        "RESTATE_ADMIN__BIND_PORT": str(ports["admin"]),
    }


def _serve(port: int, born: dict[str, float], starts: list[float], stop: asyncio.Event) -> asyncio.Task[None]:
    from hypercorn.asyncio import serve  # type: ignore[import-not-found]  # with it
    from hypercorn.config import Config  # type: ignore[import-not-found]  # with it

    import restate  # type: ignore[import-not-found]  # only in `.bench`, see restate_parts

    service = restate.Service(SERVICE)

    async def step(number: int) -> dict[str, Any]:
        return {"ok": True, "number": number}

    async def run(ctx: Any, order: dict[str, Any]) -> int:
        if (started := born.pop(order["id"], None)) is not None:
            starts.append(time.perf_counter() - started)
        for number in range(order["steps"]):
            await ctx.run("step", step, args=(number,))
        return int(order["steps"])

    service.handler(HANDLER)(run)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.h2_max_concurrent_streams = config.keep_alive_max_requests = 2**31 - 1
    config.loglevel = "ERROR"
    return asyncio.create_task(serve(restate.app([service]), config, shutdown_trigger=stop.wait))


async def _register(session: aiohttp.ClientSession, ports: dict[str, int]) -> None:
    """Tell the server of the handler, as soon as both are up."""
    order = {"uri": f"http://127.0.0.1:{ports['service']}", "force": True}
    async with asyncio.timeout(UP):
        while True:
            try:
                async with session.post(f"http://127.0.0.1:{ports['admin']}/deployments", json=order) as answer:
                    if answer.status < 300:
                        return
            except aiohttp.ClientConnectionError:
                pass  # not up yet
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    main()
