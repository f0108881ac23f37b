"""taint_node and untaint_node."""

from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, essence, eventually

TAINT = {"resource_name": "node-2", "key": "dedicated", "value": "db", "effect": "NoSchedule"}


def taints(cluster: Cluster) -> list[dict[str, Any]]:
    """The node's taints."""
    return list(cluster.get("nodes", "node-2")["spec"].get("taints", []))


def test_a_taint_comes_and_goes(executor: Executor, cluster: Cluster) -> None:
    """Undo takes exactly this taint away, also when others came meanwhile."""
    before = essence(cluster.get("nodes", "node-2"))
    result = executor.execute("taint_node", TAINT)
    assert taints(cluster) == [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]
    assert executor.execute("taint_node", TAINT)["result"]["already"] is True
    foreign = {"key": "foreign", "effect": "PreferNoSchedule"}
    cluster.merge("nodes", "node-2", {"spec": {"taints": [foreign, *taints(cluster)]}})
    assert executor.undo(result["key"])["status"] == "completed"
    assert taints(cluster) == [foreign]
    cluster.merge("nodes", "node-2", {"spec": {"taints": None}})
    assert essence(cluster.get("nodes", "node-2")) == before


def test_another_value_is_replaced_only_when_asked(executor: Executor, cluster: Cluster) -> None:
    """overwrite: false is a conflict; true replaces, and undo brings the old value back."""
    executor.execute("taint_node", TAINT)
    other = TAINT | {"value": "web"}
    assert executor.execute("taint_node", other)["error"]["class"] == "conflict"
    key = executor.execute("taint_node", other | {"overwrite": True})["key"]
    assert taints(cluster)[0]["value"] == "web"
    assert executor.undo(key)["status"] == "completed"
    assert taints(cluster)[0]["value"] == "db"


def test_untaint_takes_all_effects_of_a_key_and_gives_them_back(executor: Executor, cluster: Cluster) -> None:
    """Other keys stay; with an effect only that one goes."""
    given = [{"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoSchedule"}]
    given.append({"key": "a", "effect": "PreferNoSchedule"})
    cluster.merge("nodes", "node-2", {"spec": {"taints": given}})
    result = executor.execute("untaint_node", {"node_name": "node-2", "key": "a"})
    assert (result["status"], taints(cluster)) == ("completed", [given[1]]), result
    assert executor.undo(result["key"])["status"] == "completed"
    assert sorted(map(str, taints(cluster))) == sorted(map(str, given))


def test_a_changed_taint_is_drift(executor: Executor, cluster: Cluster) -> None:
    """Somebody gave our taint another value: conflict, and it stays."""
    key = executor.execute("taint_node", TAINT)["key"]
    cluster.merge("nodes", "node-2", {"spec": {"taints": [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]}})
    assert executor.undo(key)["error"]["class"] == "conflict"
    assert taints(cluster)[0]["value"] == "x"


def test_a_dry_taint_is_only_listed(executor: Executor, cluster: Cluster) -> None:
    """The server validates it, the node stays."""
    result = executor.execute("taint_node", TAINT, dry_run=True)
    assert result["changes"][0]["field"] == "/spec/taints/[key=dedicated,effect=NoSchedule]"
    assert (taints(cluster), cluster.writes()) == ([], [])


def test_no_execute_asks_before_it_deletes_pods(executor: Executor, cluster: Cluster) -> None:
    """A pod that would not come back refuses it; where every pod has a controller, the pods move."""
    chase = TAINT | {"effect": "NoExecute"}
    lonely = {
        "metadata": {"name": "lonely"},
        "spec": {"nodeName": "node-2", "containers": [{"name": "a", "image": "b"}]},
    }
    cluster.create("pods", lonely)
    for pod in cluster.pods(namespace="kube-system"):
        if pod["spec"].get("nodeName") == "node-2":
            refused = executor.execute("taint_node", chase)
            assert (refused["status"], refused["error"]["rule"]) == ("refused", "namespace_protected")
            tolerate = {"spec": {"tolerations": [{"operator": "Exists"}]}}
            cluster.merge("pods", pod["metadata"]["name"], tolerate, "kube-system")
    refused = executor.execute("taint_node", chase)
    assert (refused["error"]["class"], "production/lonely has no controller" in refused["message"]) == (
        "permanent",
        True,
    )
    cluster.http.delete(cluster.path("pods", "lonely"), params={"gracePeriodSeconds": "0"})
    eventually(lambda: not cluster.exists("pods", "lonely"), "the pod is gone")
    assert executor.execute("taint_node", chase)["status"] == "completed"

    def moved() -> bool:
        web = cluster.pods("app=web-server")
        return len(web) == 3 and all(pod["spec"].get("nodeName") not in {None, "node-2"} for pod in web)

    eventually(moved, "the pods are elsewhere")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"effect": "Never"}, "effect"),
        ({"key": "-bad"}, "key"),
        ({"value": "a b"}, "value"),
        ({"overwrite": 1}, "overwrite"),
    ],
)
def test_bounds_of_a_taint(executor: Executor, change: dict[str, Any], field: str) -> None:
    """Each rule is named with its field."""
    answer = executor.order("taint_node", TAINT | change)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"action.parameters.{field}")


def test_the_node_controllers_taints_are_its_own(executor: Executor, cluster: Cluster) -> None:
    """node.kubernetes.io/... is refused."""
    system = {"resource_name": "node-2", "key": "node.kubernetes.io/unschedulable"}
    assert executor.execute("untaint_node", system)["status"] == "refused"
    assert executor.execute("taint_node", system | {"effect": "NoSchedule"})["error"]["class"] == "forbidden"
