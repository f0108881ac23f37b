"""cordon_node, uncordon_node and drain_node."""

import json

import pytest
from tests.executor.conftest import Cluster, Executor, eventually

NODE = {"node_name": "node-2"}
DRAIN = NODE | {"leave_protected": True}  # the cluster's DNS runs there


def cordoned(cluster: Cluster, name: str = "node-2") -> bool:
    """Whether new pods stay away."""
    return bool(cluster.get("nodes", name)["spec"].get("unschedulable"))


def budget(cluster: Cluster, labels: dict[str, str]) -> None:
    """A disruption budget that never allows anything."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "never"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": labels}},
    }
    url = f"{cluster.url}/apis/policy/v1/namespaces/production/poddisruptionbudgets"
    answer = cluster.http.post(url, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text


@pytest.mark.requirement("BR-WF-012", "BR-WF-015")
def test_a_cordon_and_its_undo(executor: Executor, cluster: Cluster) -> None:
    """Cordon sets the flag; its undo and uncordon take it away."""
    key = executor.execute("cordon_node", NODE)["key"]
    assert cordoned(cluster)
    assert executor.execute("cordon_node", NODE)["result"] == {"already": True}
    assert executor.undo(key)["status"] == "completed"
    assert not cordoned(cluster)


def test_an_uncordon_and_its_undo(executor: Executor, cluster: Cluster) -> None:
    """Uncordon removes the flag; its undo sets it again."""
    cluster.merge("nodes", "node-2", {"spec": {"unschedulable": True}})
    result = executor.execute("uncordon_node", NODE)
    assert (result["status"], cordoned(cluster)) == ("completed", False), result
    assert executor.undo(result["key"])["status"] == "completed"
    assert cordoned(cluster)


def test_a_drain_moves_every_movable_pod(executor: Executor, cluster: Cluster) -> None:
    """Only DaemonSet pods and protected namespaces stay; undo lets pods onto the node again."""
    result = executor.execute("drain_node", DRAIN)
    assert result["status"] == "completed", result
    left = [pod for pod in cluster.pods() if pod["spec"].get("nodeName") == "node-2"]
    assert {pod["metadata"]["ownerReferences"][0]["kind"] for pod in left} == {"DaemonSet"}
    assert cordoned(cluster)
    assert executor.undo(result["key"])["status"] == "completed"
    assert not cordoned(cluster)


def test_an_undo_of_a_drain_leaves_a_node_cordoned_that_was_so_before(executor: Executor, cluster: Cluster) -> None:
    """The cordon was somebody else's; the pods stay where they went; and the answer says why there is no undo."""
    cluster.merge("nodes", "node-2", {"spec": {"unschedulable": True}})
    result = executor.execute("drain_node", DRAIN)
    assert (result["status"], result["undo"]["reason"]) == ("completed", "what it did is not taken back"), result
    assert {change["kind"] for change in result["changes"]} == {"Pod"}
    undone = executor.undo(result["key"])
    assert (undone["status"], undone["result"], undone["changes"]) == ("completed", {"undone": 0}, []), undone
    assert cordoned(cluster)


def test_a_budget_that_never_frees_ends_the_drain_by_its_deadline(executor: Executor, cluster: Cluster) -> None:
    """The pods that could not go are named, the error class is timeout, and undo opens the node again."""
    budget(cluster, {"app": "web-server"})
    result = executor.execute("drain_node", DRAIN, remaining_seconds=1.5)
    assert (result["status"], result["error"]["class"]) == ("failed", "timeout"), result
    assert "production/web-server" in result["error"]["message"]
    assert cordoned(cluster)
    assert executor.undo(result["key"])["status"] == "completed"
    assert not cordoned(cluster)


def test_a_drain_can_be_cancelled_while_it_waits(executor: Executor, cluster: Cluster) -> None:
    """A waiting drain answers 202 with progress; cancel ends it and lists what it changed."""
    budget(cluster, {"app": "web-server"})
    answer = executor.order("drain_node", DRAIN, key="drain-cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    waiting = eventually(lambda: executor.by_key("drain-cancel").json().get("progress"), "progress")
    assert "pods" in waiting
    result = executor.cancel("drain-cancel").json()
    assert (result["status"], result["success"]) == ("cancelled", False)
    assert result["changes"][0]["field"] == "/spec/unschedulable"
    assert executor.undo("drain-cancel")["status"] == "completed"
    assert not cordoned(cluster)


def test_a_dry_drain_touches_nothing(executor: Executor, cluster: Cluster) -> None:
    """It lists the cordon and every eviction it would ask for."""
    result = executor.execute("drain_node", DRAIN, dry_run=True)
    assert result["status"] == "completed", result
    assert {change["kind"] for change in result["changes"]} == {"Node", "Pod"}
    assert cluster.writes() == []
    assert not cordoned(cluster)


def test_a_pod_that_is_on_its_way_out_keeps_no_drain_from_beginning(executor: Executor, cluster: Cluster) -> None:
    """It has no controller, but it goes without us: the drain waits for it."""
    lonely = {
        "metadata": {"name": "lonely"},
        "spec": {"nodeName": "node-2", "containers": [{"name": "a", "image": "b"}]},
    }
    cluster.create("pods", lonely)
    refused = executor.execute("drain_node", NODE)
    assert (refused["error"]["class"], "lonely has no controller" in refused["message"]) == ("permanent", True)
    cluster.merge("pods", "lonely", {"metadata": {"finalizers": ["example.com/hold"]}})
    cluster.http.delete(cluster.path("pods", "lonely"))
    assert executor.order("drain_node", DRAIN, key="waits-for-lonely").status_code == 202
    progress = eventually(lambda: _waits_for(executor, "lonely"), "the drain waits for the pod")
    assert "ending" in progress
    cluster.merge("pods", "lonely", {"metadata": {"finalizers": None}})
    assert executor.finished("waits-for-lonely")["status"] == "completed"


def _waits_for(executor: Executor, pod: str) -> str:
    progress = str(executor.by_key("waits-for-lonely").json().get("progress"))
    return progress if pod in progress else ""
