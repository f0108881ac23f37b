"""migrate_workload and enable_debug_mode."""

from pathlib import Path
from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, essence, eventually, executor_process

WEB = {"namespace": "production", "resource_name": "web-server"}


def nodes(cluster: Cluster) -> set[str]:
    """Where web-server runs."""
    return {
        pod["spec"].get("nodeName")
        for pod in cluster.pods("app=web-server")
        if "deletionTimestamp" not in pod["metadata"]
    }


def environment(cluster: Cluster) -> list[dict[str, Any]]:
    """The variables of web-server."""
    return list(cluster.get("deployments", "web-server")["spec"]["template"]["spec"]["containers"][0].get("env", []))


def test_a_workload_moves_to_a_node_and_may_leave_it(executor: Executor, cluster: Cluster) -> None:
    """All pods run there; undo takes the binding away; drift is a conflict."""
    before = cluster.get("deployments", "web-server")
    result = executor.execute("migrate_workload", WEB | {"target_node": "node-3"})
    assert (result["status"], nodes(cluster)) == ("completed", {"node-3"}), result
    assert executor.undo(result["key"])["status"] == "completed"
    after = cluster.get("deployments", "web-server")
    for item in (before, after):
        item["metadata"].pop("annotations", None)
    assert essence(after) == essence(before)
    key = executor.execute("migrate_workload", WEB | {"target_node": "node-2"})["key"]
    selector = {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": "node-1"}}}}}
    cluster.merge("deployments", "web-server", selector)
    assert executor.undo(key)["error"]["class"] == "conflict"


def test_a_migration_looks_before_it_leaps(executor: Executor, cluster: Cluster) -> None:
    """A cordoned node, too little room, another cluster, no or two targets: nothing is written."""
    dry = executor.execute("migrate_workload", WEB | {"target_node": "node-3"}, dry_run=True)
    assert (dry["status"], dry["changes"][0]["after"]) == ("completed", "node-3")
    big = {"containers": [{"name": "web-server", "image": "i", "resources": {"requests": {"cpu": "9"}}}]}
    cluster.merge("nodes", "node-2", {"spec": {"unschedulable": True}})
    closed = executor.execute("migrate_workload", WEB | {"target_node": "node-2"})
    assert (closed["error"]["class"], "cordoned" in closed["message"]) == ("permanent", True)
    cluster.merge("deployments", "web-server", {"spec": {"template": {"spec": big}}})
    full = executor.execute("migrate_workload", WEB | {"target_node": "node-3"})
    assert (full["error"]["class"], "is needed" in full["message"]) == ("permanent", True)
    assert executor.execute("migrate_workload", WEB | {"target_cluster": "c2"})["error"]["class"] == "wrong_cluster"
    for wrong in ({}, {"target_node": "a", "target_cluster": "b"}):
        assert "exactly one" in executor.order("migrate_workload", WEB | wrong).json()["errors"][0]["rule"]
    assert cluster.writes() == []


def test_debug_mode_is_taken_back_by_itself(executor: Executor, cluster: Cluster) -> None:
    """The variable is set and hidden in the answer; after its time it is gone, by an undo under its own key."""
    target = WEB | {"duration": "1s"}
    result = executor.execute("enable_debug_mode", target)
    assert (result["status"], result["result"]["reverts_after_seconds"]) == ("completed", 1), result
    assert result["changes"][0]["after"] == "(hidden)"

    def taken_back() -> bool:
        found = executor.by_key(f"{result['key']}:auto-revert").json()
        return found["status"] == "completed" and environment(cluster) == []

    eventually(taken_back, "the debug mode is over")


def test_the_end_of_debug_mode_survives_a_kill(cluster: Cluster, tmp_path: Path) -> None:
    """Killed while it waits, the executor still takes it back after the restart, once."""
    with executor_process(tmp_path, cluster.kubeconfig) as executor:
        key = executor.execute("enable_debug_mode", WEB | {"duration": "2s"})["key"]
        executor.kill()
    assert environment(cluster) == [{"name": "LOG_LEVEL", "value": "debug"}]
    with executor_process(tmp_path, cluster.kubeconfig) as executor:
        eventually(lambda: executor.by_key(f"{key}:auto-revert").json()["status"] == "completed", "taken back")
    assert (environment(cluster), len(cluster.writes("web-server"))) == ([], 2)


def test_debug_mode_restores_an_earlier_value_and_keeps_foreign_ones(executor: Executor, cluster: Cluster) -> None:
    """Undo finds the variable by name, wherever it stands by then; another value of it is drift."""
    container = cluster.get("deployments", "web-server")["spec"]["template"]["spec"]["containers"][0]

    def set_environment(*env: dict[str, str]) -> None:
        template = {"spec": {"containers": [container | {"env": list(env)}]}}
        cluster.merge("deployments", "web-server", {"spec": {"template": template}})

    old, other = {"name": "LOG_LEVEL", "value": "info"}, {"name": "OTHER", "value": "1"}
    set_environment(old)
    order = WEB | {"auto_revert": False, "log_level": "trace"}
    result = executor.execute("enable_debug_mode", order)
    assert environment(cluster) == [{"name": "LOG_LEVEL", "value": "trace"}]
    set_environment(other, {"name": "LOG_LEVEL", "value": "trace"})
    assert executor.undo(result["key"])["status"] == "completed"
    assert environment(cluster) == [other, old]
    key = executor.execute("enable_debug_mode", order)["key"]
    set_environment({"name": "LOG_LEVEL", "value": "error"})
    assert executor.undo(key)["error"]["class"] == "conflict"


@pytest.mark.parametrize(
    ("change", "field"),
    [({"duration": "soon"}, "duration"), ({"variable": "1X"}, "variable"), ({"log_level": "a b"}, "log_level")],
)
def test_bounds_of_debug_mode(executor: Executor, cluster: Cluster, change: dict[str, Any], field: str) -> None:
    """Each rule is named; a dry run writes nothing."""
    answer = executor.order("enable_debug_mode", WEB | change)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"action.parameters.{field}")
    assert executor.execute("enable_debug_mode", WEB, dry_run=True)["status"] == "completed"
    assert cluster.writes() == []
