"""Taking alerts in: how many a minute, how long until they are acknowledged, and what CPU each costs.

`python -m bench.intake`. The whole service is a process with default settings, once on either database; the executor is
a stand-in. Steady: 2,500 notifications of one alert a minute, sent when their time has come whether or not earlier ones
are answered, and measured from that time. They repeat alerts about 20 things, or each is about a thing of its own and
begins a workflow. Storm: notifications of ten alerts as fast as eight senders can, about the same 20 things. Sender and
stand-in share the machine with the service; its CPU is that of its process alone, workflows included.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import sqlalchemy as sa
import uvloop
from bench.measuring import closed_loop, quantile
from bench.report import at_least, at_most
from bench.start import StandIn, service
from tests.support.postgres import postgres

from workflow_service.store.tables import alerts

RATE = 2500  # alerts a minute
P99 = 50.0  # ms until one is acknowledged, on an idle machine
STEADY, WARM_UP = 1250, 100  # alerts: half a minute
STORM, TOGETHER, SENDERS = 10_000, 10, 8
THINGS = 20
MINUTE = 60.0


@dataclass
class Load:
    """Sends notifications and collects how long each took to be acknowledged, in seconds."""

    session: aiohttp.ClientSession
    url: str
    sent: int = 0
    waits: list[float] = field(default_factory=list)

    async def send(self, resources: list[str], *, since: float | None = None) -> None:
        """One notification of alerts about these things; the clock runs from `since`, or from now.

        Raises:
            RuntimeError: it was not taken whole.
        """
        began = time.perf_counter() if since is None else since
        self.sent += len(resources)
        async with self.session.post(self.url, json={"version": "4", "alerts": [*map(_alert, resources)]}) as answer:
            if answer.status != 200 or len((await answer.json())["alerts"]) != len(resources):
                raise RuntimeError(f"answered {answer.status}: {await answer.text()}")
        self.waits.append(time.perf_counter() - began)

    async def steady(self, number: int, thing: Callable[[], str]) -> None:
        """As many notifications of one alert each, at the rate, whatever becomes of those before."""
        began = time.perf_counter()
        async with asyncio.TaskGroup() as sending:
            for nth in range(number):
                due = began + nth * MINUTE / RATE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                sending.create_task(self.send([thing()], since=due))

    async def storm(self, thing: Callable[[], str]) -> None:
        """Ten alerts after ten, as fast as they are taken."""
        await closed_loop(STORM // TOGETHER, SENDERS, lambda: self.send([thing() for _ in range(TOGETHER)]))


@dataclass(frozen=True, slots=True)
class Taken:
    """One measurement: alerts, their seconds, the service's CPU seconds, and milliseconds until acknowledged."""

    alerts: int
    seconds: float
    cpu: float
    p50: float
    p99: float

    def __str__(self) -> str:
        a_minute, cpu_ms = MINUTE * self.alerts / self.seconds, 1000 * self.cpu / self.alerts
        times = f"p50 {self.p50:.0f} ms, p99 {self.p99:.0f} ms"
        return f"{a_minute:.0f} alerts/min, acknowledged {times}, {cpu_ms:.1f} ms CPU per alert"

    @property
    def a_minute(self) -> float:
        """Alerts a minute."""
        return MINUTE * self.alerts / self.seconds


def main() -> None:
    """Measure both databases and print."""
    print(f"taking alerts in; steady: {RATE} a minute for {MINUTE * STEADY / RATE:.0f} s, storm: {STORM} at once")
    with tempfile.TemporaryDirectory(prefix="bench-intake-") as directory, postgres() as server:
        for name, url in {
            "sqlite": f"sqlite:///{Path(directory) / 'bench.sqlite'}",
            "postgresql": server.database(),
        }.items():
            for line in uvloop.run(_measure(name, url)):
                print(line)


async def _measure(name: str, url: str) -> list[str]:
    new = map("deployment/web-{}".format, count(THINGS))
    again = (f"deployment/web-{number % THINGS}" for number in count())
    lines = []
    async with _load(url) as (load, taken):
        await load.steady(WARM_UP, new.__next__)
        for what, thing in {f"about {THINGS} things": again, "each about a thing of its own": new}.items():
            found = await taken(load.steady, STEADY, thing.__next__)
            lines.append(at_most(found.p99, P99, f"{name}, steady, {what}: {found}", f"{P99:.0f} ms for the p99"))
        found = await taken(load.storm, again.__next__)
        lines.append(at_least(found.a_minute, RATE, f"{name}, storm: {found}", f"{RATE} alerts/min"))
        lines += _stored(url, load.sent)
    return lines


@asynccontextmanager
async def _load(url: str) -> AsyncIterator[tuple[Load, Any]]:
    async with (
        service(url, StandIn()) as program,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        load = Load(http, f"{program.url}/api/v1/alerts")
        if program.process is None:
            raise RuntimeError("the service has no process")
        process = psutil.Process(program.process.pid)

        async def taken(send: Callable[..., Any], *arguments: Any) -> Taken:
            load.waits.clear()
            before, sent, began = process.cpu_times(), load.sent, time.perf_counter()
            await send(*arguments)
            seconds, after = time.perf_counter() - began, process.cpu_times()
            cpu = after.user + after.system - before.user - before.system
            p50, p99 = (1000 * quantile(load.waits, share) for share in (0.5, 0.99))
            return Taken(load.sent - sent, seconds, cpu, p50, p99)

        yield load, taken


def _alert(resource: str) -> dict[str, Any]:
    name = resource.partition("/")[2]
    labels = {"alertname": "HighCPUUsage", "severity": "warning", "namespace": "production", "deployment": name}
    return {"status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": name}


def _stored(url: str, sent: int) -> Iterator[str]:
    plain = sa.make_url(url)
    driver = "postgresql+psycopg" if plain.get_backend_name() == "postgresql" else "sqlite"
    engine = sa.create_engine(plain.set(drivername=driver))
    with engine.connect() as connection:
        stored = connection.scalar(sa.select(sa.func.count()).select_from(alerts)) or 0
    engine.dispose()
    yield at_least(stored, sent, f"{stored} alerts stored", f"the {sent} that were sent")


if __name__ == "__main__":
    main()
