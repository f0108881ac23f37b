"""AI, executor and Redis all down: it starts, serves and plans, and what it took on is done when the executor is up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Stack, eventually, free_port
from tests.support.replica import HIGH_CPU

pytestmark = [pytest.mark.durability, pytest.mark.timeout(120)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """workflow-service alone: nobody listens on the ports of the others."""
    stack = Stack(
        tmp_path,
        REDIS_URL=f"redis://127.0.0.1:{free_port()}",
        AI_SERVICE_URL=f"http://127.0.0.1:{free_port()}",
    )
    try:
        stack.workflow.start("/readyz")
        yield stack
    finally:
        stack.http.close()
        for program in (stack.workflow, stack.executor, stack.sandbox):
            program.kill()


@pytest.mark.requirement("BR-WF-001")
def test_everything_else_is_down(stack: Stack) -> None:
    """Degraded but ready; an alert is taken and planned; it waits, and completes when the executor is started."""
    health = stack.http.get(f"{stack.workflow.url}/health")
    assert health.status_code == 200
    assert health.json()["status"] == "degraded"
    components = health.json()["components"]
    assert components["executor"] is False
    assert components["state_manager"] is components["orchestrator"] is True

    answer = stack.execute(HIGH_CPU, prefer="respond-async")
    assert answer.status_code == 202
    workflow_id = answer.json()["result"]["workflow_id"]
    eventually(lambda: _held(stack, workflow_id), "the workflow is planned and waits for the executor")
    held = stack.workflow_detail(workflow_id)
    assert held["result"]["actions_total"] > 0
    assert held["result"]["execution_details"]["plan"]["metadata"]["creation_method"] == "fallback"
    assert held["ended_at"] is None

    stack.sandbox.start("/version")
    stack.executor.start("/readyz")
    eventually(lambda: stack.ended(1), "the workflow ends")
    assert stack.workflow_detail(workflow_id)["status"] == "completed"
    assert stack.effects()


def _held(stack: Stack, workflow_id: str) -> bool:
    return any(event["kind"] == "Held" for event in stack.workflow_detail(workflow_id)["events"])
