"""kill -9 in the middle costs nothing: every workflow ends, and the cluster's own audit log shows each change once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.support.postgres import Postgres, postgres
from tests.support.processes import Stack, eventually

WORKFLOWS = 20

pytestmark = [pytest.mark.durability, pytest.mark.timeout(240), pytest.mark.requirement("BR-WF-001", "BR-WF-004")]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for this module."""
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """All three programs, on either database."""
    url = request.getfixturevalue("server").database() if request.param == "postgresql" else None
    with Stack(tmp_path, database_url=url) as running:
        yield running


def _send(stack: Stack) -> list[str]:
    names = [f"shop-{number}" for number in range(WORKFLOWS)]
    stack.add_deployments("production", names)
    for name in names:
        answer = stack.execute(
            {
                "name": "HighCPUUsage",
                "severity": "critical",
                "namespace": "production",
                "resource": f"deployment/{name}",
            },
            prefer="respond-async",
        )
        assert answer.status_code in {200, 202}, answer.text
    return names


def _every_change_once(stack: Stack, names: list[str]) -> None:
    found = eventually(lambda: stack.ended(WORKFLOWS), "all workflows are over", within=120) or []
    assert {one["status"] for one in found} == {"completed"}
    scaled = Counter(write["name"] for write in stack.effects() if write["resource"] == "deployments")
    assert scaled == Counter(names)
    assert {stack.deployment("production", name)["spec"]["replicas"] for name in names} == {2}


def test_workflow_service_killed_in_flight(stack: Stack) -> None:
    """With 20 workflows in flight, kill -9 of workflow-service and a restart: all complete, no change twice."""
    names = _send(stack)
    eventually(lambda: len(stack.effects()) >= 2, "some changes are made")
    stack.workflow.kill()
    stack.workflow.start("/readyz")
    _every_change_once(stack, names)


def test_executor_service_killed_in_flight(stack: Stack) -> None:
    """With 20 workflows in flight, kill -9 of executor-service and a restart: all complete, no change twice."""
    names = _send(stack)
    eventually(lambda: len(stack.effects()) >= 2, "some changes are made")
    stack.executor.kill()
    stack.executor.start("/readyz")
    _every_change_once(stack, names)


def test_a_key_whose_request_died(stack: Stack) -> None:
    """Sent again under its key after kill -9 in the middle, an alert is answered once it is done, and is done once."""
    stack.add_deployments("production", ["keyed"])
    alert = {"name": "HighCPUUsage", "severity": "critical", "namespace": "production", "resource": "deployment/keyed"}
    url, headers = f"{stack.workflow.url}/api/v1/execute", {"Idempotency-Key": "k-1"}
    stack.executor.kill()
    with ThreadPoolExecutor() as pool:
        lost = pool.submit(httpx2.post, url, json=alert, headers=headers, timeout=60)
        eventually(stack.workflows, "the first request is under way")
        stack.workflow.kill()
        assert isinstance(lost.exception(timeout=60), httpx2.TransportError)
    stack.executor.start("/readyz")
    stack.workflow.start("/readyz")
    answer = httpx2.post(url, json=alert, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["result"]["status"]) == (200, "completed")
    assert [write["name"] for write in stack.effects() if write["resource"] == "deployments"] == ["keyed"]
