"""How much at once and how soon again: places, cool-down, cordoned nodes, unavailable pods; also after kill -9."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, eventually, executor_process

SCALE = {"namespace": "production", "resource_name": "web-server", "replicas": 5}
POSTGRES = {"namespace": "production", "resource_name": "postgres", "replicas": 4}
API = {"namespace": "staging", "resource_name": "api-server", "replicas": 3}
RESTART = {"namespace": "production", "resource_name": "web-server", "resource_type": "deployment"}
TIGHT = {
    "SYNC_WAIT": "100ms",
    "MAX_CONCURRENT_PER_NAMESPACE": "1",
    "MAX_CONCURRENT_PER_NODE_POOL": "1",
    "NODE_POOL_LABELS": "example.com/pool",
    "CONCURRENCY_WAIT": "200ms",
}

LEAVING = {"leave_protected": True}  # the cluster's DNS may run there


def throttled(result: dict[str, Any], rule: str, error_class: str = "throttled") -> str:
    """The message of a refusal, once it is one by that rule."""
    error = result["error"]
    assert (result["status"], error["class"], error["rule"]) == ("refused", error_class, rule), result
    assert result["changes"] == []
    assert error["message"].startswith(f"{rule}: {error['field']} {error['value']!r} ")
    return str(error["message"])


def begun(executor: Executor, key: str) -> Any:
    """Wait until the action of a key has changed something."""
    return eventually(lambda: executor.by_key(key).json()["changes"], f"{key} has begun")


def web_pods(cluster: Cluster) -> list[str]:
    """Names of the seed's ready pods of web-server."""
    return [pod["metadata"]["name"] for pod in cluster.pods("app=web-server")]


@pytest.fixture
def tight(cluster: Cluster, tmp_path: Path) -> Iterator[Executor]:
    """One action at a time per namespace and node pool; nobody waits long for a place."""
    with executor_process(tmp_path, cluster.kubeconfig, **TIGHT) as executor:
        yield executor


def test_a_full_namespace_refuses_the_next_action_and_nothing_else(tight: Executor, cluster: Cluster) -> None:
    """Other namespaces, dry runs and undos go on; whoever ends gives its place back."""
    earlier = tight.execute("scale_statefulset", POSTGRES)["key"]
    cluster.full()
    tight.order("scale_deployment", SCALE, key="holds")
    begun(tight, "holds")
    before = len(cluster.writes())
    refused = tight.execute("scale_statefulset", POSTGRES | {"replicas": 5})
    assert "MAX_CONCURRENT_PER_NAMESPACE" in throttled(refused, "concurrency")
    assert len(cluster.writes()) == before
    assert tight.execute("scale_statefulset", POSTGRES | {"replicas": 5}, dry_run=True)["status"] == "completed"
    assert tight.execute("scale_deployment", API | {"replicas": 1})["status"] == "completed"
    assert tight.undo(earlier)["status"] == "completed"
    tight.cancel("holds")
    tight.finished("holds")
    result = tight.execute("scale_statefulset", POSTGRES | {"replicas": 2})
    assert result["status"] == "completed", result


def test_an_action_waits_for_its_place(cluster: Cluster, tmp_path: Path) -> None:
    """It says so meanwhile, and is done when the other one has ended."""
    with executor_process(tmp_path, cluster.kubeconfig, **TIGHT | {"CONCURRENCY_WAIT": "60s"}) as executor:
        cluster.full()
        executor.order("scale_deployment", SCALE, key="holds")
        begun(executor, "holds")
        assert executor.order("scale_statefulset", POSTGRES | {"replicas": 2}, key="waits").status_code == 202
        said = eventually(lambda: executor.by_key("waits").json().get("progress"), "it says that it waits")
        assert said == "waits for a free place: namespace production has 1 actions under way"
        executor.cancel("holds")
        assert executor.finished("waits")["status"] == "completed"


def test_a_full_node_pool(tight: Executor, cluster: Cluster) -> None:
    """A drain that waits for a budget holds the pool's place; a node of another pool is free."""
    for node, pool in (("node-1", "a"), ("node-2", "a"), ("node-3", "b")):
        cluster.merge("nodes", node, {"metadata": {"labels": {"example.com/pool": pool}}})
    body = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "never"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "web-server"}}},
    }
    url = f"{cluster.url}/apis/policy/v1/namespaces/production/poddisruptionbudgets"
    headers = {"Content-Type": "application/json"}
    assert cluster.http.post(url, content=json.dumps(body), headers=headers).status_code == 201
    on = {pod["spec"]["nodeName"] for pod in cluster.pods("app=web-server")} & {"node-1", "node-2"}
    drained = on.pop()
    other = ({"node-1", "node-2"} - {drained}).pop()
    tight.order("drain_node", {"node_name": drained, "leave_protected": True}, key="drains")
    begun(tight, "drains")
    message = throttled(tight.execute("uncordon_node", {"node_name": drained}, key="same"), "concurrency")
    assert "node pool a" in message
    throttled(tight.execute("cordon_node", {"node_name": other}), "concurrency")
    cluster.merge("nodes", drained, {"spec": {"unschedulable": None}})
    assert tight.execute("cordon_node", {"node_name": "node-3"})["status"] == "completed"
    tight.cancel("drains")


def test_a_target_rests_from_the_same_action_of_another_workflow(cluster: Cluster, tmp_path: Path) -> None:
    """Not from another action type, nor for the same workflow, nor for an undo; other targets are free."""
    with executor_process(tmp_path, cluster.kubeconfig, ACTION_COOLDOWN="1h") as executor:
        first = executor.execute("scale_deployment", SCALE, workflow_id="w-1")
        more = SCALE | {"replicas": 6}
        for context in ({"workflow_id": "w-2"}, {}, {"workflow_id": "w-2", "dry_run": True}):
            said = throttled(executor.execute("scale_deployment", more, **context), "cooldown")
            assert "w-1" in said
            assert "Deployment production/web-server" in said
        assert len(cluster.writes()) == 1
        assert executor.execute("scale_deployment", SCALE, workflow_id="w-2")["result"]["already"] is True
        assert executor.execute("restart_pod", RESTART, workflow_id="w-2")["status"] == "completed"
        assert executor.execute("scale_deployment", API, workflow_id="w-2")["status"] == "completed"
        assert executor.execute("scale_deployment", more, workflow_id="w-1", key="again")["status"] == "completed"
        assert executor.undo("again")["status"] == "completed"
        assert executor.undo(first["key"])["status"] == "completed"


@pytest.mark.durability
def test_kill_9_in_the_middle_forgets_neither_places_nor_cool_down(cluster: Cluster, tmp_path: Path) -> None:
    """Killed while the first action waits for its pods: its place is taken and its target rests after the restart."""
    settings = TIGHT | {"ACTION_COOLDOWN": "1h"}
    cluster.full()
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        executor.order("scale_deployment", SCALE, key="first", workflow_id="w-1")
        begun(executor, "first")
        executor.kill()
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        throttled(executor.execute("scale_statefulset", POSTGRES, workflow_id="w-2"), "concurrency")
        executor.cancel("first")
        assert executor.finished("first")["status"] == "cancelled"
        executor.kill()
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        refused = executor.execute("scale_deployment", SCALE | {"replicas": 7}, workflow_id="w-2")
        throttled(refused, "cooldown")
        result = executor.execute("scale_statefulset", POSTGRES | {"replicas": 2}, workflow_id="w-2")
        assert result["status"] == "completed", result
    assert len(cluster.writes()) == 2


@pytest.mark.durability
def test_kill_9_with_a_write_in_doubt_counts_it(cluster: Cluster, tmp_path: Path) -> None:
    """Killed while the API server holds the answer to a delete: the pod counts as gone for whoever comes after."""
    names = web_pods(cluster)
    restart = {"namespace": "production", "grace_period_seconds": 0}
    cluster.full()
    cluster.fault("delete", "pods", delay_seconds=1.5)
    settings = {"SYNC_WAIT": "100ms", "DRY_RUN_FIRST": "false"}
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        executor.order("restart_pod", restart | {"resource_name": names[0]}, key="doubtful")
        faults = f"{cluster.url}/sandbox/faults"
        eventually(lambda: "delete" not in cluster.http.get(faults).text, "the delete has reached the API server")
        throttled(executor.execute("restart_pod", restart | {"resource_name": names[1]}), "unavailable_replicas")
        executor.kill()
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        throttled(executor.execute("restart_pod", restart | {"resource_name": names[2]}), "unavailable_replicas")
        begun(executor, "doubtful")
    assert [entry["name"] for entry in cluster.writes() if entry["verb"] == "delete"] == [names[0]]


def test_only_so_many_pods_of_a_workload_are_taken_at_once(executor: Executor, cluster: Cluster) -> None:
    """Three restarts of three pods at the same moment, and no room for new ones: one is done."""
    names = web_pods(cluster)
    cluster.full()
    parameters = [{"namespace": "production", "resource_name": name, "grace_period_seconds": 0} for name in names]
    with ThreadPoolExecutor(3) as pool:
        orders = [pool.submit(executor.execute, "restart_pod", each, remaining_seconds=6) for each in parameters]
        results = [order.result() for order in orders]
    assert sorted(result["status"] for result in results) == ["failed", "refused", "refused"], results
    for result in results:
        if result["status"] == "refused":
            assert "2 of 3 pods unavailable, 1 may be" in throttled(result, "unavailable_replicas")
    assert len([entry for entry in cluster.writes() if entry["verb"] == "delete"]) == 1


def test_scaling_down_and_restarting_what_is_short_of_pods(executor: Executor, cluster: Cluster) -> None:
    """Fewer replicas of what lacks half of them, and a restart of all pods at once, are refused; the undo is not."""
    key = executor.execute("scale_deployment", SCALE | {"replicas": 4})["key"]
    cluster.full()
    cluster.merge("deployments", "web-server", {"spec": {"replicas": 12}})
    said = throttled(executor.execute("scale_deployment", SCALE | {"replicas": 10}), "unavailable_replicas")
    assert "6 of 10 pods unavailable" in said
    assert executor.execute("scale_deployment", SCALE | {"replicas": 4})["status"] == "completed"
    assert executor.undo(key)["status"] == "completed"
    cluster.merge("deployments", "web-server", {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}})
    writes = len(cluster.writes())
    assert "3 of 3 pods" in throttled(executor.execute("restart_pod", RESTART), "unavailable_replicas")
    assert len(cluster.writes()) == writes


def test_what_serves_nobody_may_be_restarted(executor: Executor, cluster: Cluster) -> None:
    """A pod that crashes, or a workload of which all do: the cure is not refused. The only one that serves is kept."""
    pods = {_serves(pod): pod["metadata"]["name"] for pod in cluster.pods("app=payments")}
    crashing, serving = ({"namespace": "production", "resource_name": pods[serves]} for serves in (False, True))
    result = executor.execute("restart_pod", crashing, dry_run=True)
    assert result["status"] == "completed", result
    assert "2 of 2 pods" in throttled(executor.execute("restart_pod", serving), "unavailable_replicas")
    result = executor.execute("restart_pod", RESTART | {"resource_name": "checkout"}, dry_run=True)
    assert result["status"] == "completed", result


def _serves(pod: dict[str, Any]) -> bool:
    return any((item["type"], item["status"]) == ("Ready", "True") for item in pod["status"]["conditions"])


def test_only_so_many_nodes_are_cordoned(executor: Executor, cluster: Cluster) -> None:
    """Three cordons at once leave two nodes; a drain is refused too, of a node that others cordoned as well."""
    nodes = [{"node_name": f"node-{number}"} for number in (1, 2, 3)]
    with ThreadPoolExecutor(3) as pool:
        results = [order.result() for order in [pool.submit(executor.execute, "cordon_node", each) for each in nodes]]
    assert sorted(result["status"] for result in results) == ["completed", "refused", "refused"], results
    done = next(index for index, result in enumerate(results) if result["status"] == "completed")
    for result in results:
        if result["status"] == "refused":
            assert "2 of 3 nodes cordoned or not Ready, 1 may be" in throttled(result, "cordoned_nodes", "conflict")
    other = nodes[(done + 1) % 3]
    throttled(executor.execute("drain_node", other | LEAVING, dry_run=True), "cordoned_nodes", "conflict")
    cluster.merge("nodes", other["node_name"], {"spec": {"unschedulable": True}})
    throttled(executor.execute("drain_node", other | LEAVING), "cordoned_nodes", "conflict")
    assert len(cluster.writes()) == 1


def test_an_undo_may_cordon_whatever_the_share(executor: Executor, cluster: Cluster) -> None:
    """What was uncordoned is cordoned again, though others are by now."""
    cluster.merge("nodes", "node-1", {"spec": {"unschedulable": True}})
    key = executor.execute("uncordon_node", {"node_name": "node-1"})["key"]
    cluster.merge("nodes", "node-2", {"spec": {"unschedulable": True}})
    throttled(executor.execute("cordon_node", {"node_name": "node-1"}), "cordoned_nodes", "conflict")
    assert executor.undo(key)["status"] == "completed"
