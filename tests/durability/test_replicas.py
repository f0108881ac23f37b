"""Two replicas on one PostgreSQL: whatever happens to one, or to both, all workflows end and nothing is done twice."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Postgres, postgres
from tests.support.processes import Program, Stack, eventually, free_port

WORKFLOWS = 20
LEASE = 2.0  # seconds
LOG = 100_000_000  # more than any log

pytestmark = [pytest.mark.durability, pytest.mark.timeout(240), pytest.mark.requirement("BR-WF-001", "BR-WF-004")]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for this module."""
    with postgres() as running:
        yield running


class Pair(Stack):
    """A stack with a second workflow-service, both started at once on an empty database."""

    def __init__(self, directory: Path, database_url: str) -> None:
        super().__init__(
            directory, database_url=database_url, LEASE_TTL=f"{LEASE}s", MAX_CONCURRENT_WORKFLOWS="5", EXECUTE_WAIT="1s"
        )
        port = free_port()
        environment = {**self.workflow._environment, "WORKFLOW_SERVICE_PORT": str(port)}
        self.what, self.names = "", list[str]()
        self.other = Program("workflow_service", port=port, log=directory / "other.log", environment=environment)

    def __enter__(self) -> Pair:
        self.sandbox.start("/version")
        self.executor.start("/readyz")
        both = [threading.Thread(target=one.start, args=("/readyz",)) for one in (self.workflow, self.other)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        for program in (self.workflow, self.other):
            assert program.process is not None
            assert program.process.poll() is None, program.log_end()
        return self

    def __exit__(self, *error: object) -> None:
        self.other.kill()
        super().__exit__(None, None, None)

    def begin(self, what: str) -> None:
        """Alerts about as many deployments as there are workflows; return when both replicas drive some of them."""
        for program in (self.workflow, self.other):
            if program.process is None or program.process.poll() is not None:
                program.start("/readyz")
        self.what, before = what, len(self.effects())
        logged = [len(program.log_end(LOG)) for program in (self.workflow, self.other)]
        self.names = [f"{what}-{number}" for number in range(WORKFLOWS)]
        self.add_deployments("production", self.names)
        for name in self.names:
            alert = {"name": f"HighCPUUsage-{what}", "severity": "critical", "namespace": "production"}
            answer = self.execute({**alert, "resource": f"deployment/{name}"}, prefer="respond-async")
            assert answer.status_code in {200, 202}, answer.text
        eventually(lambda: len(self.effects()) >= before + 2, "some changes are made")
        for program, size in zip((self.workflow, self.other), logged, strict=True):
            eventually(lambda: "executing workflow action" in program.log_end(LOG)[size:], "both drive some")  # noqa: B023

    def every_change_once(self) -> None:
        """All workflows complete, and the cluster's audit log shows each change once."""
        found = eventually(self._over, "all workflows are over", within=90)
        assert found is not None
        assert {one["status"] for one in found} == {"completed"}
        changed = Counter(write["name"] for write in self.effects() if write["resource"] == "deployments")
        assert {name: changed[name] for name in self.names} == dict.fromkeys(self.names, 1)

    def _over(self) -> list[dict[str, Any]] | None:
        found = [one for one in self.workflows() if one["alert_name"] == f"HighCPUUsage-{self.what}"]
        return found if len(found) == WORKFLOWS and all(one["ended_at"] for one in found) else None

    def signal(self, program: Program, number: signal.Signals) -> None:
        """Send a signal to a program."""
        assert program.process is not None
        program.process.send_signal(number)

    def said(self, words: str) -> int:
        """How often either replica has said that."""
        return sum(program.log_end(LOG).count(words) for program in (self.workflow, self.other))


@pytest.fixture(scope="module")
def pair(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """All programs, two workflow-services among them."""
    with Pair(tmp_path_factory.mktemp("pair"), server.database()) as running:
        yield running


def test_a_killed_replica_is_taken_over(pair: Pair) -> None:
    """After kill -9 of one replica the other finishes what both had begun and what still waited."""
    pair.begin("killed")
    pair.other.kill()
    pair.every_change_once()


def test_a_frozen_replica_does_no_harm(pair: Pair) -> None:
    """A replica that freezes for four leases and wakes again changes nothing that the other has done meanwhile."""
    pair.begin("frozen")
    pair.signal(pair.other, signal.SIGSTOP)
    frozen_at = time.monotonic()
    eventually(lambda: time.monotonic() - frozen_at > 4 * LEASE, "four leases have passed")
    pair.signal(pair.other, signal.SIGCONT)
    pair.every_change_once()
    assert pair.said("drive failed") == 0


def test_a_database_outage_loses_nothing(pair: Pair, server: Postgres) -> None:
    """With PostgreSQL stopped for longer than a lease nobody is declared dead, and all goes on where it stood."""
    pair.begin("outage")
    taken_over = pair.said("its replica is gone")
    server.stop()
    away_since = time.monotonic()
    eventually(lambda: time.monotonic() - away_since > 2 * LEASE, "two leases have passed")
    server.start()
    pair.every_change_once()
    assert pair.said("its replica is gone") == taken_over
    assert pair.said("drive failed") == 0


def test_a_replica_stops_in_the_middle(pair: Pair) -> None:
    """SIGTERM in the middle of everything: it exits 0 soon, and the other one goes on with all of it."""
    pair.begin("stopped")
    assert pair.other.stop() == 0
    pair.every_change_once()


def test_a_replica_stops_while_the_database_is_away(pair: Pair, server: Postgres) -> None:
    """Drives that wait for the database, and DBOS's threads that do, do not keep a replica from exiting with 0."""
    pair.begin("stranded")
    logged = len(pair.other.log_end(LOG))
    server.stop()
    eventually(lambda: "waits for the database" in pair.other.log_end(LOG)[logged:], "the outage is noticed")
    code = pair.other.stop()
    server.start()
    assert code == 0
    pair.every_change_once()
