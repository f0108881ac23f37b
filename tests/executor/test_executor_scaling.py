"""scale_deployment and scale_statefulset: effect, undo, drift, dry run, honest failure."""

import pytest
from tests.executor.conftest import Cluster, Executor

WEB = {"namespace": "production", "resource_name": "web-server"}
DEPLOYMENT = {"cluster": "default", "kind": "Deployment", "namespace": "production", "name": "web-server"}


def replicas(cluster: Cluster, kind: str = "deployments", name: str = "web-server") -> int:
    """The wanted replicas now."""
    return int(cluster.get(kind, name)["spec"]["replicas"])


@pytest.mark.requirement("BR-WF-012")
def test_scaling_a_deployment_changes_it_and_lists_the_change(executor: Executor, cluster: Cluster) -> None:
    """The replicas are set, the pods are ready when the action ends, and the change names before and after."""
    result = executor.execute("scale_deployment", WEB | {"replicas": 5})
    assert (result["status"], result["success"]) == ("completed", True), result
    assert cluster.get("deployments", "web-server")["status"]["readyReplicas"] == 5
    assert result["changes"] == [DEPLOYMENT | {"field": "/spec/replicas", "before": 3, "after": 5}]
    assert result["undo"]["available"] is True
    assert result["undo"]["until"].endswith("Z")


@pytest.mark.requirement("BR-WF-015")
def test_undo_restores_the_replicas_once(executor: Executor, cluster: Cluster) -> None:
    """Undo writes the earlier value back; a second undo is a success without a second effect."""
    key = executor.execute("scale_deployment", WEB | {"replicas": 5})["key"]
    before = len(cluster.writes())
    result = executor.undo(key)
    assert result["status"] == "completed", result
    assert replicas(cluster) == 3
    assert executor.by_key(key).json()["undo"]["available"] is False
    again = executor.undo(key, suffix=":undo:r1")
    assert (again["status"], again["changes"]) == ("completed", [])
    assert len(cluster.writes()) == before + 1


def test_undo_refuses_drift_and_changes_nothing(executor: Executor, cluster: Cluster) -> None:
    """A foreign change of our field is a conflict; force writes over it."""
    key = executor.execute("scale_deployment", WEB | {"replicas": 5})["key"]
    cluster.merge("deployments", "web-server", {"spec": {"replicas": 4}})
    result = executor.undo(key)
    assert (result["status"], result["error"]["class"]) == ("failed", "conflict"), result
    assert replicas(cluster) == 4
    assert executor.undo(key, suffix=":undo:r1", force=True)["status"] == "completed"
    assert replicas(cluster) == 3


def test_undo_keeps_a_foreign_change_elsewhere(executor: Executor, cluster: Cluster) -> None:
    """Only our field is written back."""
    key = executor.execute("scale_deployment", WEB | {"replicas": 4})["key"]
    cluster.merge("deployments", "web-server", {"spec": {"minReadySeconds": 1}})
    assert executor.undo(key)["status"] == "completed"
    spec = cluster.get("deployments", "web-server")["spec"]
    assert (spec["replicas"], spec["minReadySeconds"]) == (3, 1)


@pytest.mark.requirement("BR-WF-031")
def test_a_dry_run_tells_the_change_and_makes_none(executor: Executor, cluster: Cluster) -> None:
    """The server validates the write, the answer lists it, nothing is written and nothing can be undone."""
    result = executor.execute("scale_deployment", WEB | {"replicas": 7}, dry_run=True)
    assert result["changes"] == [DEPLOYMENT | {"field": "/spec/replicas", "before": 3, "after": 7}]
    assert result["undo"]["available"] is False
    assert replicas(cluster) == 3
    assert cluster.writes() == []


def test_a_dry_undo_leaves_the_change(executor: Executor, cluster: Cluster) -> None:
    """It lists what it would write back; the real undo is still available."""
    key = executor.execute("scale_deployment", WEB | {"replicas": 4})["key"]
    result = executor.execute("undo", {"key": key}, key=f"{key}:dry", dry_run=True)
    assert (result["status"], result["changes"][0]["after"]) == ("completed", 3), result
    assert replicas(cluster) == 4
    assert executor.by_key(key).json()["undo"]["available"] is True


def test_a_statefulset_is_scaled_and_undone(executor: Executor, cluster: Cluster) -> None:
    """scale_statefulset has effect and undo."""
    target = {"namespace": "production", "resource_name": "postgres", "replicas": 4}
    result = executor.execute("scale_statefulset", target)
    assert (result["status"], replicas(cluster, "statefulsets", "postgres")) == ("completed", 4), result
    assert executor.undo(result["key"])["status"] == "completed"
    assert replicas(cluster, "statefulsets", "postgres") == 3


def test_scaling_to_the_present_number_is_a_success_without_a_write(executor: Executor, cluster: Cluster) -> None:
    """Nothing to do is said, not done."""
    result = executor.execute("scale_deployment", WEB | {"replicas": 3})
    assert (result["status"], result["changes"], result["result"]["already"]) == ("completed", [], True)
    assert cluster.writes() == []


def test_what_never_becomes_ready_fails_with_timeout_and_its_changes(executor: Executor, cluster: Cluster) -> None:
    """The remaining time bounds the wait; the change that was made is still listed and can be undone."""
    cluster.full()
    result = executor.execute("scale_deployment", WEB | {"replicas": 4}, remaining_seconds=1.0)
    assert (result["status"], result["error"]["class"]) == ("failed", "timeout"), result
    assert [change["after"] for change in result["changes"]] == [4]
    assert executor.undo(result["key"], suffix=":undo")["changes"][0]["after"] == 3


def test_pods_that_keep_crashing_are_not_waited_for(executor: Executor, cluster: Cluster) -> None:
    """A permanent failure as soon as it is seen, with the change that was made."""
    broken = {"namespace": "production", "resource_name": "checkout", "replicas": 4}
    result = executor.execute("scale_deployment", broken)
    assert (result["status"], result["error"]["class"]) == ("failed", "permanent"), result
    assert "CrashLoopBackOff" in result["error"]["message"]
    assert [change["after"] for change in result["changes"]] == [4]


@pytest.mark.parametrize(
    ("target", "error_class"),
    [
        ({"namespace": "production", "resource_name": "absent", "replicas": 2}, "not_found"),
        ({"namespace": "kube-system", "resource_name": "coredns", "replicas": 2}, "forbidden"),
    ],
)
def test_absent_and_protected_targets_end_with_their_class(
    executor: Executor, cluster: Cluster, target: dict[str, object], error_class: str
) -> None:
    """The error class is what a retry policy needs; nothing is written."""
    result = executor.execute("scale_deployment", target)
    assert (result["success"], result["error"]["class"], result["changes"]) == (False, error_class, [])
    assert cluster.writes() == []


def test_an_object_opts_out_by_annotation(executor: Executor, cluster: Cluster) -> None:
    """kubernaut.io/protected on the object refuses every change to it."""
    cluster.merge("deployments", "web-server", {"metadata": {"annotations": {"kubernaut.io/protected": "true"}}})
    result = executor.execute("scale_deployment", WEB | {"replicas": 5})
    assert (result["status"], result["error"]["class"]) == ("refused", "forbidden")
    assert replicas(cluster) == 3
