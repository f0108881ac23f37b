"""A storm of alerts at two replicas, with their PostgreSQL restarted in the middle: everything is stored, once.

500 alerts; `INTAKE_STORM=10000` in the environment sends as many as the design names, and prints what was measured.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from tests.support.postgres import Postgres, postgres
from tests.support.processes import eventually
from tests.support.two_replicas import Two
from tests.unit.test_alertmanager import a_notification, an_alert

pytestmark = [pytest.mark.durability, pytest.mark.timeout(600), pytest.mark.requirement("BR-WF-001")]

ALERTS = int(os.environ.get("INTAKE_STORM", "500"))
TOGETHER = 5  # alerts in one delivery
LANES = 16  # senders at once
TARGETS = [f"web-{number}" for number in range(10)]


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL that this test may restart."""
    with postgres() as running:
        yield running


class Storm:
    """Senders that repeat on 5xx until they are told 200, as Alertmanager does."""

    def __init__(self, replicas: list[str]) -> None:
        self._replicas = replicas
        self.answers, self.looks, self.taken = Counter[int](), Counter[int](), 0
        self.waits: list[float] = []
        self.half_way = asyncio.Event()

    async def blow(self) -> None:
        """Send all alerts."""
        turns = iter(range(0, ALERTS, TOGETHER))
        async with httpx2.AsyncClient(timeout=120) as http, asyncio.TaskGroup() as lanes:
            for lane in range(LANES):
                lanes.create_task(self._lane(http, turns, self._replicas[lane % len(self._replicas)]))

    async def look(self) -> None:
        """Look at the list of workflows as people do, again and again."""
        async with httpx2.AsyncClient(timeout=120) as http:
            while True:
                answer = await http.get(f"{self._replicas[-1]}/api/v1/workflows")
                self.looks[answer.status_code] += 1
                await asyncio.sleep(0.1)  # somebody reads it

    async def _lane(self, http: httpx2.AsyncClient, turns: Iterator[int], replica: str) -> None:
        for first in turns:
            numbers = range(first, min(first + TOGETHER, ALERTS))
            body = a_notification(*map(_alert, numbers))
            while (answer := await self._send(http, replica, body)).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.2)  # the sender's back-off, not a wait for something of ours
            assert len(answer.json()["alerts"]) == len(numbers)
            self.taken += len(numbers)
            if self.taken >= ALERTS // 2:
                self.half_way.set()

    async def _send(self, http: httpx2.AsyncClient, replica: str, body: dict[str, Any]) -> httpx2.Response:
        sent = time.perf_counter()
        answer = await http.post(f"{replica}/api/v1/alerts", json=body)
        self.waits.append(time.perf_counter() - sent)
        self.answers[answer.status_code] += 1
        return answer


def _alert(number: int) -> dict[str, Any]:
    labels = {"alertname": "HighCPUUsage", "severity": "high", "namespace": "staging", "n": str(number)}
    target = TARGETS[number % len(TARGETS)]
    return an_alert(labels={**labels, "deployment": target}, fingerprint=f"{number:016x}")


def _stored(url: str) -> tuple[int, int, int]:
    """Alerts, different ones among them, and those without an outcome."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    query = "SELECT count(*), count(DISTINCT fingerprint), count(*) FILTER (WHERE outcome IS NULL) FROM alerts"
    with engine.connect() as connection:
        row = connection.exec_driver_sql(query).one()
    engine.dispose()
    return row[0], row[1], row[2]


def test_a_storm_loses_nothing(tmp_path: Path, server: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    """As many alerts in the database as were sent, each once, each with an outcome; meanwhile the API answers."""
    url = server.database()
    with Two(tmp_path, url) as stack:
        stack.add_deployments("staging", TARGETS)
        storm = Storm([stack.workflow.url, stack.other.url])

        async def blow() -> None:
            storming, looking = asyncio.create_task(storm.blow()), asyncio.create_task(storm.look())
            await storm.half_way.wait()
            await asyncio.to_thread(server.stop)
            assert not storming.done(), "the storm was over before the database went"
            await asyncio.to_thread(server.start)
            await storming
            looking.cancel()

        began = time.perf_counter()
        asyncio.run(blow())
        seconds = time.perf_counter() - began
        assert set(storm.answers) <= {200, 503}, storm.answers
        assert storm.answers[503], "nobody noticed that the database was away"
        assert storm.looks[200] > storm.looks[503], storm.looks
        assert set(storm.looks) <= {200, 503}, storm.looks
        eventually(lambda: _stored(url) == (ALERTS, ALERTS, 0), "all are decided")
        eventually(lambda: all(one["ended_at"] for one in stack.workflows()), "the workflows end", within=120)
        assert {one["target"].rpartition("/")[2] for one in stack.workflows()} == set(TARGETS)
    with capsys.disabled():
        waits = sorted(storm.waits)
        print(  # noqa: T201 - the measurement is what the run by hand is for
            f"\n{ALERTS} alerts in {seconds:.1f} s, PostgreSQL restarted in the middle; {dict(storm.answers)}; "
            f"p50 {1000 * waits[len(waits) // 2]:.0f} ms, p99 {1000 * waits[int(len(waits) * 0.99)]:.0f} ms"
        )
