"""Target locks on two replicas: by different alerts at one object, judged by the cluster's own audit log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.postgres import Postgres, postgres
from tests.support.processes import eventually
from tests.support.two_replicas import Two, about
from workflow_service.store.tables import active_identities, target_locks, target_waits

pytestmark = [
    pytest.mark.durability,
    pytest.mark.timeout(240),
    pytest.mark.requirement("BR-WF-001", "BR-WF-004"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for this module."""
    with postgres() as running:
        yield running


@pytest.fixture(scope="module")
def database_url(server: Postgres) -> str:
    """The replicas' database."""
    return server.database()


@pytest.fixture(scope="module")
def two(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Both replicas."""
    with Two(tmp_path_factory.mktemp("two"), database_url) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(two: Two) -> Iterator[None]:
    """No faults are left."""
    yield
    two.clear()


def a_pod_of(two: Two, name: str) -> str:
    """A pod of that deployment, as soon as there is one."""

    def look() -> str | None:
        items = two.http.get(f"{two.sandbox.url}/api/v1/namespaces/staging/pods").json()["items"]
        return next((one["metadata"]["name"] for one in items if one["metadata"]["name"].startswith(f"{name}-")), None)

    return str(eventually(look, f"{name} has a pod"))


def about_pod(pod: str) -> dict[str, str]:
    """Another alert, about a pod: its deployment is restarted."""
    return {"name": "MemoryLeak", "severity": "high", "namespace": "staging", "resource": f"pod/{pod}"}


def forget_identities(database_url: str, workflow_id: str) -> None:
    """As if the workflow's alert had not told what its plan changes: then nothing but the lock keeps others off."""
    engine = sa.create_engine(sa.make_url(database_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        gone = connection.execute(sa.delete(active_identities).where(active_identities.c.workflow_id == workflow_id))
    assert gone.rowcount
    engine.dispose()


def second(two: Two, name: str) -> str:
    """A workflow about a pod of that deployment, given to the other replica."""
    alert, headers = about_pod(a_pod_of(two, name)), {"Prefer": "respond-async"}
    answer = two.http.post(f"{two.other.url}/api/v1/execute", json=alert, headers=headers)
    return str(answer.json()["result"]["workflow_id"])


def waiting(two: Two, workflow_id: str) -> dict[str, Any]:
    """The workflow once it waits for its target."""
    return (
        eventually(lambda: found if (found := two.seen(workflow_id))["reason"] == "awaits_target" else None, "it waits")
        or {}
    )


def nothing_left(database_url: str) -> None:
    """No target is held and nobody waits for one."""
    engine = sa.create_engine(sa.make_url(database_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        for table in (target_locks, target_waits):
            assert connection.execute(sa.select(table)).all() == []
    engine.dispose()


def test_a_deployment_and_its_pod_are_never_changed_at_once(two: Two, database_url: str) -> None:
    """The replica that comes second waits for the first; in the audit log one change is over before the other."""
    two.fault("shared", delay_seconds=3)
    first = two.begin("shared")
    two.scaling(first, "running")
    forget_identities(database_url, first)
    other = second(two, "shared")
    assert first in waiting(two, other)["cause"]
    assert len(two.changes("shared")) <= 1
    ended = two.until(first, "completed")
    begun = two.until(other, "completed")
    started = next(event["at"] for event in begun["events"] if event["kind"] == "Started")
    assert started >= ended["ended_at"]
    fields = [write["body"] for write in two.effects() if write["name"] == "shared"]
    assert len(fields) == 2
    assert "replicas" in str(fields[0])
    assert "template" in str(fields[1])
    nothing_left(database_url)


def test_a_lock_outlives_its_replica(two: Two, database_url: str) -> None:
    """Kill -9 of the holder's replica: its lock stays, the successor drive goes on and ends, then the waiter runs."""
    two.fault("heir", status=503, times=1000)
    first = two.begin("heir")
    two.scaling(first, "waiting")
    forget_identities(database_url, first)
    other = second(two, "heir")
    assert first in waiting(two, other)["cause"]
    two.workflow.kill()
    try:

        def taken_over() -> bool:
            attempts = [event for event in two.seen(first)["events"] if event["kind"] == "StepStarted"]
            return len(attempts) > 2 or two.seen(first)["ended_at"] is not None

        before = waiting(two, other)
        assert before["status"] == "queued"
        two.clear()
        eventually(taken_over, "another replica goes on")
        ended = two.until(first, "completed", "failed", "rolled_back")
        begun = two.until(other, "completed")
    finally:
        two.workflow.start("/readyz")
    started = next(event["at"] for event in begun["events"] if event["kind"] == "Started")
    assert started >= ended["ended_at"]
    assert ended["status"] == "completed"
    nothing_left(database_url)


def test_a_waiter_whose_replica_is_gone_has_its_turn(two: Two, database_url: str) -> None:
    """Who waits is nobody's: whichever replica is left wakes it, also when the holder's end finds it alone."""
    two.fault("left", delay_seconds=3)
    two.add_deployments("staging", ["left"])
    headers = {"Prefer": "respond-async"}
    answer = two.http.post(f"{two.other.url}/api/v1/execute", json=about("left"), headers=headers)
    first = str(answer.json()["result"]["workflow_id"])
    two.scaling(first, "running")
    forget_identities(database_url, first)
    alert = about_pod(a_pod_of(two, "left"))
    other = str(two.execute(alert, prefer="respond-async").json()["result"]["workflow_id"])
    waiting(two, other)
    two.workflow.kill()
    try:
        two.until(first, "completed")
        two.until(other, "completed")
    finally:
        two.workflow.start("/readyz")
    nothing_left(database_url)
