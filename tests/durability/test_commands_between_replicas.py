"""Commands on two replicas: told to one, obeyed by the other, in the moments that are easily got wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.postgres import Postgres, postgres
from tests.support.processes import Program, Stack, eventually, free_port

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


class Two(Stack):
    """A stack with two replicas. Alerts go to the first, which so owns what it admits; commands go to the second."""

    def __init__(self, directory: Path, database_url: str) -> None:
        super().__init__(directory, database_url=database_url, LEASE_TTL="1s")
        port = free_port()
        environment = {**self.workflow._environment, "WORKFLOW_SERVICE_PORT": str(port)}
        self.other = Program("workflow_service", port=port, log=directory / "other.log", environment=environment)

    def __enter__(self) -> Two:
        super().__enter__()
        self.other.start("/readyz")
        return self

    def __exit__(self, *error: object) -> None:
        self.other.kill()
        super().__exit__(None, None, None)

    def fault(self, name: str, **more: Any) -> None:
        """Something is wrong with the next patches of that deployment."""
        match = {"verb": "patch", "resource": "deployments", "name": name}
        answer = self.http.post(f"{self.sandbox.url}/sandbox/faults", json={"match": match, **more})
        assert answer.status_code < 300, answer.text

    def clear(self) -> None:
        """All is well with the cluster."""
        self.http.delete(f"{self.sandbox.url}/sandbox/faults")

    def begin(self, name: str) -> str:
        """A workflow that scales a deployment of its own from 1 to 2."""
        self.add_deployments("staging", [name])
        return str(self.execute(about(name), prefer="respond-async").json()["result"]["workflow_id"])

    def tell(self, workflow_id: str, verb: str, **body: Any) -> httpx2.Response:
        """Tell the second replica what to do."""
        url = f"{self.other.url}/api/v1/workflows/{workflow_id}/{verb}"
        return self.http.post(url, json=body, headers={"X-Service-Name": "ana"})

    def seen(self, workflow_id: str) -> dict[str, Any]:
        """The workflow as the second replica shows it."""
        answer = self.http.get(f"{self.other.url}/api/v1/workflows/{workflow_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def until(self, workflow_id: str, *wanted: str) -> dict[str, Any]:
        """The workflow in one of these statuses."""
        return (
            eventually(
                lambda: found if (found := self.seen(workflow_id))["status"] in wanted else None,
                f"{workflow_id} is {' or '.join(wanted)}",
            )
            or {}
        )

    def scaling(self, workflow_id: str, status: str) -> None:
        """Wait until the scaling step has that status."""

        def look() -> bool:
            steps = self.seen(workflow_id)["result"]["execution_details"]["steps"]
            return any((step["id"], step["status"]) == ("scale", status) for step in steps)

        eventually(look, f"the scaling step is {status}")

    def changes(self, name: str) -> list[int]:
        """The numbers of replicas that the cluster was told, one after the other."""
        return [
            write["code"] for write in self.effects() if (write["resource"], write["name"]) == ("deployments", name)
        ]

    def replicas(self, name: str) -> int:
        """What the cluster has."""
        return int(self.deployment("staging", name)["spec"]["replicas"])


def about(name: str) -> dict[str, str]:
    """An alert."""
    return {"name": "HighCPUUsage", "severity": "high", "namespace": "staging", "resource": f"deployment/{name}"}


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
