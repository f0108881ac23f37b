"""rollback_deployment and increase_resources: effect, undo to the prior object, refusals."""

from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor

CHECKOUT = {"namespace": "production", "resource_name": "checkout"}
API = {"namespace": "staging", "resource_name": "api-server", "resource_type": "deployment"}


def resources(cluster: Cluster) -> dict[str, Any]:
    """Requests and limits of the API server's container."""
    template = cluster.get("deployments", "api-server", "staging")["spec"]["template"]
    return dict(template["spec"]["containers"][0]["resources"])


def stable(deployment: dict[str, Any]) -> dict[str, Any]:
    """The part of an object that only people write."""
    return dict(deployment["spec"])


@pytest.mark.requirement("BR-WF-012", "BR-WF-015")
def test_a_rollback_heals_and_can_be_undone(executor: Executor, cluster: Cluster) -> None:
    """The previous revision's template is back and ready; undo restores the exact prior spec."""
    original = stable(cluster.get("deployments", "checkout"))
    result = executor.execute("rollback_deployment", CHECKOUT)
    assert result["status"] == "completed", result
    assert (result["result"]["from_revision"], result["result"]["to_revision"]) == (2, 1)
    assert cluster.get("deployments", "checkout")["status"]["readyReplicas"] == 3
    assert result["changes"]
    assert executor.undo(result["key"])["status"] == "completed"
    assert stable(cluster.get("deployments", "checkout")) == original


def test_a_revision_that_does_not_exist_is_a_permanent_error(executor: Executor, cluster: Cluster) -> None:
    """The known revisions are named and nothing changes."""
    result = executor.execute("rollback_deployment", CHECKOUT | {"revision": 9})
    assert result["error"]["class"] == "permanent"
    assert "1, 2" in result["error"]["message"]
    assert cluster.writes() == []


@pytest.mark.requirement("BR-WF-012", "BR-WF-015")
def test_resources_grow_and_shrink_back(executor: Executor, cluster: Cluster) -> None:
    """Request and limit reach the wanted memory, CPU stays; undo restores both."""
    original = resources(cluster)
    result = executor.execute("increase_resources", API | {"memory": "2Gi"})
    assert result["status"] == "completed", result
    now = resources(cluster)
    assert (now["requests"]["memory"], now["limits"]["memory"]) == ("2Gi", "2Gi")
    assert now["limits"]["cpu"] == original["limits"]["cpu"]
    assert executor.undo(result["key"])["status"] == "completed"
    assert resources(cluster) == original


@pytest.mark.parametrize(
    ("wanted", "error_class"),
    [
        ({"memory": "128Mi"}, "permanent"),
        ({"cpu": "100m"}, "permanent"),
        ({"cpu": "1", "container_name": "x"}, "not_found"),
    ],
)
def test_what_is_no_increase_is_refused(
    executor: Executor, cluster: Cluster, wanted: dict[str, str], error_class: str
) -> None:
    """Resources are never lowered, and an unknown container is named."""
    result = executor.execute("increase_resources", API | wanted)
    assert (result["status"], result["error"]["class"]) == ("failed", error_class)
    assert cluster.writes() == []
