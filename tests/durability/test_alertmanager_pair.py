"""Debian's real Alertmanager, two of them as an HA pair, and two replicas, one of which is killed during the send."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.alertmanager import Alertmanager, program
from tests.support.postgres import postgres
from tests.support.processes import eventually
from tests.support.two_replicas import Two

pytestmark = [pytest.mark.durability, pytest.mark.timeout(300), pytest.mark.requirement("BR-WF-001")]

GROUPS = [f"web-{number}" for number in range(8)]
NAMES = ("HighCPUUsage", "HighCPUUsageForLong")  # two alerts in each group, about the same thing
BEGAN = datetime.now(UTC) - timedelta(minutes=5)


class Pair:
    """Two Alertmanagers, each of which tells a replica of its own."""

    def __init__(self, directory: Path, stack: Two, url: str) -> None:
        binary = program()
        if isinstance(binary, str):
            pytest.skip(binary)
        self.stack = stack
        self._engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
        replicas = {"first": stack.workflow.url, "second": stack.other.url}
        self.first, self.second = (
            Alertmanager(
                binary, directory / name, webhook=f"{replica}/api/v1/alerts", group_by=["namespace", "deployment"]
            )
            for name, replica in replicas.items()
        )

    def __enter__(self) -> Pair:
        self.first.start(self.second)
        self.second.start(self.first)
        eventually(lambda: self.first.in_pair() and self.second.in_pair(), "the two are a pair")
        return self

    def __exit__(self, *error: object) -> None:
        self.first.kill()
        self.second.kill()
        self._engine.dispose()

    def tell(self, **more: str) -> None:
        """All alerts to both, as Prometheus does."""
        alerts = [
            {
                "labels": {"alertname": name, "severity": "high", "namespace": "staging", "deployment": group},
                "annotations": {"summary": "busy"},
                "startsAt": BEGAN.isoformat(),
                **more,
            }
            for group in GROUPS
            for name in NAMES
        ]
        for one in (self.first, self.second):
            one.tell(alerts)

    def stored(self) -> list[tuple[str, str, str | None]]:
        """Fingerprint, status and outcome of every alert that was stored."""
        with self._engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT fingerprint, document, outcome FROM alerts").all()
        return [(row[0], json.loads(row[1])["status"], row[2]) for row in rows]

    def times(self, status: str) -> Counter[str]:
        """How often each alert was stored with that status."""
        return Counter(name for name, found, _ in self.stored() if found == status)

    def outcomes(self) -> Counter[str] | None:
        """How many alerts have which outcome; None while one has none."""
        found = [outcome for _, _, outcome in self.stored()]
        return None if None in found else Counter(outcome for outcome in found if outcome)

    def workflows(self) -> list[dict[str, Any]]:
        """As the replica shows them that is never killed."""
        answer = self.stack.http.get(f"{self.stack.other.url}/api/v1/workflows", params={"limit": 200})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["workflows"])


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """The pair before two replicas on one PostgreSQL."""
    with postgres() as server:
        url = server.database()
        with Two(tmp_path, url) as stack:
            stack.add_deployments("staging", GROUPS)
            with Pair(tmp_path, stack, url) as running:
                yield running


def test_firing_repeated_resolved(pair: Pair) -> None:
    """No alert is lost, and each group has one workflow, from the first notification to the last."""
    every = len(GROUPS) * len(NAMES)
    pair.tell()
    eventually(pair.stored, "the first replica stores")
    pair.stack.workflow.kill()
    eventually(lambda: len(pair.times("firing")) == every, "the other Alertmanager tells the other replica")
    pair.stack.workflow.start("/readyz")
    _one_each(pair)

    before = pair.times("firing")
    eventually(lambda: len(pair.times("firing") - before) == every, "every alert is repeated")
    _one_each(pair)

    pair.tell(endsAt=datetime.now(UTC).isoformat())
    eventually(lambda: len(pair.times("resolved")) == every, "every alert resolves")
    _one_each(pair)
    outcomes = eventually(pair.outcomes, "every alert has its outcome")
    assert outcomes is not None
    assert outcomes["admitted"] == len(GROUPS), outcomes
    assert set(outcomes) <= {"admitted", "attached", "cooled_down", "resolved"}, outcomes


def _one_each(pair: Pair) -> None:
    """One workflow per group, and all of them end well."""
    eventually(lambda: all(one["ended_at"] for one in pair.workflows()), "the workflows end", within=90)
    found = pair.workflows()
    assert Counter(one["target"].rpartition("/")[2] for one in found) == Counter(GROUPS)
    assert {one["status"] for one in found} == {"completed"}
