"""Commands on two replicas: told to one, obeyed by the other, in the moments that are easily got wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.postgres import Postgres, postgres
from tests.support.two_replicas import Two, about

pytestmark = [
    pytest.mark.durability,
    pytest.mark.timeout(240),
    pytest.mark.requirement("BR-WF-004", "BR-WF-005", "BR-WF-015"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for this module."""
    with postgres() as running:
        yield running


def journal(found: dict[str, Any]) -> list[str]:
    """The kinds of its events, without those of other steps than the scaling one."""
    return [event["kind"] for event in found["events"] if event.get("step", "scale") == "scale"]


@pytest.fixture(scope="module")
def two(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Both replicas."""
    with Two(tmp_path_factory.mktemp("two"), server.database()) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(two: Two) -> Iterator[None]:
    """No faults are left."""
    yield
    two.clear()


def test_pause_during_a_back_off(two: Two) -> None:
    """It stands still without another attempt, for 24 h at most; resumed it does the one change."""
    two.fault("paused", status=503, times=1000)
    workflow_id = two.begin("paused")
    two.scaling(workflow_id, "waiting")
    answer = two.tell(workflow_id, "pause", reason="look first")
    assert (answer.status_code, answer.json()["outcome"]) == (200, "applied"), answer.text
    found = two.until(workflow_id, "paused")
    assert found["must_end_by"]
    assert two.changes("paused") == []
    two.clear()
    answer = two.tell(workflow_id, "resume", reason="looked")
    assert answer.status_code == 200, answer.text
    two.until(workflow_id, "completed")
    assert (len(two.changes("paused")), two.replicas("paused")) == (1, 2)


def test_cancel_during_an_approval(two: Two) -> None:
    """It ends at once and untouched; who may still change their mind is told what is possible."""
    two.add_deployments("staging", ["held"])
    made = two.http.post(f"{two.workflow.url}/api/v1/workflows", json={"alert": about("held"), "start": False})
    assert made.status_code == 201, made.text
    workflow_id = made.json()["workflow_id"]
    two.until(workflow_id, "awaiting_approval")
    answer = two.tell(workflow_id, "cancel", reason="false alarm")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled"), answer.text
    found = two.until(workflow_id, "cancelled")
    assert (found["reason"], found["cause"]) == ("cancel_requested", "cancel by ana: false alarm")
    late = two.tell(workflow_id, "start")
    assert (late.status_code, late.json()["allowed"]) == (409, ["retry"])
    assert two.changes("held") == []


def test_rollback_during_a_running_step(two: Two) -> None:
    """What is in flight finishes and is journalled, then it is undone: two changes, and all is as before."""
    two.fault("hasty", delay_seconds=3)
    workflow_id = two.begin("hasty")
    two.scaling(workflow_id, "running")
    answer = two.tell(workflow_id, "rollback", reason="wrong deployment")
    assert answer.status_code == 200, answer.text
    assert answer.json()["allowed"] == []
    found = two.until(workflow_id, "rolled_back")
    assert found["reason"] == "rollback_requested"
    kinds = journal(found)
    assert kinds.index("CommandApplied") < kinds.index("StepSucceeded") < kinds.index("RollbackStarted")
    assert (len(two.changes("hasty")), two.replicas("hasty")) == (2, 1)


def test_retry_after_a_takeover(two: Two) -> None:
    """The owner dies in a back-off, the other takes over and ends it; a retry does the change that is missing, once."""
    two.fault("orphan", status=503, times=1000)
    workflow_id = two.begin("orphan")
    two.scaling(workflow_id, "waiting")
    two.workflow.kill()
    try:
        cancelled = two.tell(workflow_id, "cancel", reason="not now")
        assert cancelled.status_code in {200, 202}, cancelled.text
        two.until(workflow_id, "cancelled")
        two.clear()
        answer = two.tell(workflow_id, "retry", reason="now")
        assert answer.status_code == 200, answer.text
        found = two.until(workflow_id, "completed")
    finally:
        two.workflow.start("/readyz")
    assert found["execution_id"] == answer.json()["execution_id"]
    assert found["events"][0]["kind"] == "Inherited"
    assert (len(two.changes("orphan")), two.replicas("orphan")) == (1, 2)
