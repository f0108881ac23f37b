"""restart_pod, for one pod and for a rollout."""

import pytest
from tests.executor.conftest import Cluster, Executor

POD = {"namespace": "production", "resource_name": "web-server-123"}


@pytest.mark.requirement("BR-WF-012")
def test_a_pod_is_replaced_by_a_ready_one(executor: Executor, cluster: Cluster) -> None:
    """The old pod is gone, a new one is ready, and the plan's word "irreversible" is repeated."""
    result = executor.execute("restart_pod", POD)
    assert result["status"] == "completed", result
    assert not cluster.exists("pods", "web-server-123")
    fresh = cluster.get("pods", result["result"]["replacement"])
    assert any(item["type"] == "Ready" and item["status"] == "True" for item in fresh["status"]["conditions"])
    assert result["undo"]["available"] is False
    refused = executor.undo(result["key"])
    assert (refused["status"], refused["error"]["class"]) == ("refused", "permanent")


def test_a_pod_that_is_gone_already_is_a_success_without_changes(executor: Executor, cluster: Cluster) -> None:
    """A second alert about the same pod finds it replaced and says so."""
    assert executor.execute("restart_pod", POD)["status"] == "completed"
    again = executor.execute("restart_pod", POD)
    assert (again["status"], again["changes"]) == ("completed", []), again
    assert again["result"] == {"already_replaced": True, "owner": "Deployment/web-server"}
    assert len(cluster.writes()) == 1


def test_a_pod_nobody_owns_is_not_found(executor: Executor) -> None:
    """No pod and no owner of such a name: not_found."""
    result = executor.execute("restart_pod", {"namespace": "production", "resource_name": "nothing-here"})
    assert result["error"]["class"] == "not_found"


def test_a_rollout_restart_heals_a_crash_loop(executor: Executor, cluster: Cluster) -> None:
    """Every pod is replaced and ready afterwards; one write did it."""
    target = {"namespace": "production", "resource_name": "payments", "resource_type": "deployment"}
    old = {pod["metadata"]["uid"] for pod in cluster.pods("app=payments")}
    result = executor.execute("restart_pod", target)
    assert result["status"] == "completed", result
    staying = [pod for pod in cluster.pods("app=payments") if "deletionTimestamp" not in pod["metadata"]]
    assert not old & {pod["metadata"]["uid"] for pod in staying}
    assert len(cluster.writes()) == 1


def test_a_dry_restart_leaves_the_pod(executor: Executor, cluster: Cluster) -> None:
    """Dry run of a delete deletes nothing."""
    result = executor.execute("restart_pod", POD, dry_run=True)
    assert result["status"] == "completed", result
    assert cluster.exists("pods", "web-server-123")
    assert cluster.writes() == []
