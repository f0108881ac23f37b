"""Against services that the environment names: WORKFLOW_INTEGRATION_TEST=true, WORKFLOW_SERVICE_URL (default :8083)."""

from __future__ import annotations

import os
from typing import Any

import httpx2
import pytest

from tests.support.replica import DISK_SPACE_HIGH, HIGH_CPU, MEMORY_LEAK

URL = os.environ.get("WORKFLOW_SERVICE_URL") or "http://127.0.0.1:8083"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        os.environ.get("WORKFLOW_INTEGRATION_TEST") != "true",
        reason="needs running services: WORKFLOW_INTEGRATION_TEST=true",
    ),
]


def test_the_service_is_there() -> None:
    """Its health check answers 200 under its name."""
    health = httpx2.get(f"{URL}/health", timeout=10)
    assert health.status_code == 200
    assert health.json()["service"] == "workflow-service"


@pytest.mark.parametrize("alert", [HIGH_CPU, MEMORY_LEAK, DISK_SPACE_HIGH], ids=lambda alert: alert["name"])
def test_the_specified_alerts_answer_success(alert: dict[str, Any]) -> None:
    """Each of the specification's alerts, twice in a row, is processed with success and at least one action."""
    for _ in range(2):
        answer = httpx2.post(f"{URL}/api/v1/execute", json=alert, timeout=120)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "success"
        result = answer.json()["result"]
        assert result["success"] is True
        assert result["workflow_id"]
        assert result["actions_total"] > 0
