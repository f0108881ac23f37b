"""What may be changed at all: protected namespaces, opt-out, opt-in, allow-lists. A refusal names its rule."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, eventually, executor_process

SCALE = {"namespace": "production", "resource_name": "web-server", "replicas": 5}
API = {"namespace": "staging", "resource_name": "api-server", "replicas": 3}
POD = {"namespace": "production", "resource_name": "web-server-123"}
DNS = {"namespace": "kube-system", "resource_name": "coredns", "replicas": 1}
PROTECTED = {"kubernaut.io/protected": "true"}
ALLOWED = {"kubernaut.io/remediation": "allowed"}


def annotate(cluster: Cluster, namespace: str, annotations: Mapping[str, str | None]) -> None:
    """Write on a namespace."""
    url = f"{cluster.url}/api/v1/namespaces/{namespace}"
    headers = {"Content-Type": "application/merge-patch+json", "User-Agent": "somebody-else"}
    body = json.dumps({"metadata": {"annotations": annotations}})
    assert cluster.http.patch(url, content=body, headers=headers).status_code == 200


def mark(cluster: Cluster, kind: str, name: str, annotations: dict[str, str]) -> None:
    """Write on an object."""
    cluster.merge(kind, name, {"metadata": {"annotations": annotations}})


def refused(result: dict[str, Any], rule: str, error_class: str = "forbidden") -> dict[str, Any]:
    """The error of a refusal, once it is one by that rule."""
    assert result["status"] == "refused", result
    error = dict(result["error"])
    assert (error["rule"], error["class"], result["changes"]) == (rule, error_class, []), result
    assert error["message"].startswith(f"{rule}: {error['field']} ")
    assert str(error["value"]) in error["message"]
    return error


def test_a_protected_namespace(executor: Executor, cluster: Cluster) -> None:
    """Refused before anything is read; a dry run says the same; what only looks is allowed."""
    for dry_run in (False, True):
        error = refused(executor.execute("scale_deployment", DNS, dry_run=dry_run), "namespace_protected")
        assert (error["field"], error["value"]) == ("namespace", "kube-system")
    assert executor.execute("collect_diagnostics", {"namespace": "kube-system"})["status"] == "completed"
    assert cluster.writes() == []


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"POD_NAMESPACE": "staging"}, "own_namespace"),
        ({"ALLOWED_NAMESPACES": "prod*,default"}, "namespace_not_allowed"),
        ({"ALLOWED_ACTIONS": "restart_*,*_node"}, "action_not_allowed"),
        ({"REQUIRE_OPT_IN": "true"}, "not_opted_in"),
    ],
)
def test_what_settings_close(cluster: Cluster, tmp_path: Path, settings: dict[str, str], rule: str) -> None:
    """Each by its rule, and nothing is written; without the setting the same order is done."""
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        refused(executor.execute("scale_deployment", API), rule)
        assert cluster.writes() == []
    relaxed = {"POD_NAMESPACE": "staging", "PROTECT_OWN_NAMESPACE": "false"}
    with executor_process(tmp_path, cluster.kubeconfig, **relaxed) as executor:
        assert executor.execute("scale_deployment", API)["status"] == "completed"


def test_opt_out_by_object_owner_or_namespace(executor: Executor, cluster: Cluster) -> None:
    """A protected Deployment protects its pods too; the undo of an earlier change is refused as well."""
    done = executor.execute("scale_deployment", SCALE)
    mark(cluster, "deployments", "web-server", PROTECTED)
    error = refused(executor.execute("scale_deployment", SCALE | {"replicas": 4}), "opted_out")
    assert error["value"] == "Deployment production/web-server"
    above = refused(executor.execute("restart_pod", POD), "opted_out")["value"]
    # A Deployment copies its annotations to its ReplicaSet, a moment later.
    assert above.startswith(("ReplicaSet production/web-server-", "Deployment production/web-server"))
    refused(executor.undo(done["key"]), "opted_out")
    annotate(cluster, "staging", PROTECTED)
    assert refused(executor.execute("scale_deployment", API), "opted_out")["value"] == "Namespace staging"
    mark(cluster, "nodes", "node-2", PROTECTED)
    refused(executor.execute("cordon_node", {"node_name": "node-2"}), "opted_out")
    assert len(cluster.writes()) == 1
    annotate(cluster, "staging", {"kubernaut.io/protected": None})
    assert executor.execute("scale_deployment", API)["status"] == "completed"


def test_opt_in_by_object_owner_or_namespace(cluster: Cluster, tmp_path: Path) -> None:
    """Only what is annotated, or stands below it, may be changed."""
    with executor_process(tmp_path, cluster.kubeconfig, REQUIRE_OPT_IN="true") as executor:
        refused(executor.execute("scale_deployment", SCALE), "not_opted_in")
        refused(executor.execute("restart_pod", POD), "not_opted_in")
        refused(executor.execute("cordon_node", {"node_name": "node-2"}), "not_opted_in")
        assert cluster.writes() == []
        mark(cluster, "deployments", "web-server", ALLOWED)
        annotate(cluster, "staging", ALLOWED)
        mark(cluster, "nodes", "node-2", ALLOWED)
        for action, parameters in (
            ("scale_deployment", SCALE),
            ("restart_pod", POD),
            ("scale_deployment", API),
            ("cordon_node", {"node_name": "node-2"}),
        ):
            assert executor.execute(action, parameters)["status"] == "completed"


def test_an_undo_is_allowed_whatever_the_list_of_actions_says(cluster: Cluster, tmp_path: Path) -> None:
    """What was done before the list was made can be taken back."""
    with executor_process(tmp_path, cluster.kubeconfig) as executor:
        key = executor.execute("scale_deployment", SCALE)["key"]
    with executor_process(tmp_path, cluster.kubeconfig, ALLOWED_ACTIONS="restart_pod") as executor:
        assert executor.undo(key)["status"] == "completed"


def test_what_cannot_be_asked_is_not_allowed(executor: Executor, cluster: Cluster) -> None:
    """Without an answer about the namespace nothing is written."""
    cluster.fault("get", "namespaces", status=403, times=9)
    result = executor.execute("scale_deployment", SCALE)
    assert (result["status"], result["error"]["class"], result["changes"]) == ("failed", "forbidden", [])
    assert "Namespace" in result["error"]["message"] or "said about" in result["error"]["message"]
    assert cluster.writes() == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_drain_says_what_must_stay_before_it_touches_anything(
    executor: Executor, cluster: Cluster, *, dry_run: bool
) -> None:
    """By annotation of pod, owner or namespace, or by the namespace's name: all pods and rules at once, no cordon."""
    node = str(cluster.pods("app=coredns", "kube-system")[0]["spec"]["nodeName"])
    web, stateful = _named(cluster, "web-server", node), _named(cluster, "postgres", node)
    api, dns = _named(cluster, "api-server", node, "staging"), _named(cluster, "coredns", node, "kube-system")
    mark(cluster, "pods", web[0].partition("/")[2], PROTECTED)
    mark(cluster, "statefulsets", "postgres", PROTECTED)
    annotate(cluster, "staging", PROTECTED)
    result = executor.execute("drain_node", {"node_name": node}, dry_run=dry_run)
    assert (result["status"], result["error"]["class"], result["changes"]) == ("refused", "forbidden", []), result
    assert result["error"]["value"].split(", ") == sorted([*web[:1], *stateful, *api, *dns])
    for pod, rule in ((web[0], "opted_out"), (stateful[0], "opted_out"), (dns[0], "namespace_protected")):
        assert f"{pod}: {rule}: " in result["message"]
    assert "leave_protected" in result["message"]
    assert cluster.writes() == []


def test_a_drain_leaves_what_must_stay_if_told_to(executor: Executor, cluster: Cluster) -> None:
    """The others go; what stayed is listed."""
    node = str(cluster.pods("app=coredns", "kube-system")[0]["spec"]["nodeName"])
    dns = _named(cluster, "coredns", node, "kube-system")
    mark(cluster, "statefulsets", "postgres", PROTECTED)
    stateful = _named(cluster, "postgres", node)
    result = executor.execute("drain_node", {"node_name": node, "leave_protected": True})
    assert result["status"] == "completed", result
    assert {*dns, *stateful} <= {*result["result"]["left_in_place"]}
    assert _named(cluster, "web-server", node) == []
    assert _named(cluster, "postgres", node) == stateful


def test_a_migration_that_drains_its_source_looks_there_before_it_moves(executor: Executor, cluster: Cluster) -> None:
    """The workload stays where it is when the node that it leaves could not be drained."""
    node = str(cluster.pods("app=coredns", "kube-system")[0]["spec"]["nodeName"])
    cluster.merge("deployments", "api-server", _only_on(node), "staging")
    eventually(lambda: _all_on(cluster, node), "the workload is on one node")
    target = next(name for name in ("node-1", "node-2", "node-3") if name != node)
    order = {"namespace": "staging", "resource_name": "api-server", "target_node": target, "drain_source": True}
    refused(executor.execute("migrate_workload", order), "namespace_protected")
    assert cluster.writes() == []
    result = executor.execute("migrate_workload", order | {"leave_protected": True})
    assert result["status"] == "completed", result
    assert _named(cluster, "coredns", node, "kube-system")[0] in result["result"]["drained"]["left_in_place"]


def test_no_execute_refuses_for_owners_and_namespaces_too(executor: Executor, cluster: Cluster) -> None:
    """It would delete the pods at once, whatever speaks for them above."""
    for pod in cluster.pods(namespace="kube-system"):
        tolerations = {"spec": {"tolerations": [{"operator": "Exists"}]}}
        cluster.merge("pods", pod["metadata"]["name"], tolerations, "kube-system")
    mark(cluster, "deployments", "web-server", PROTECTED)
    annotate(cluster, "staging", PROTECTED)
    web, api = cluster.pods("app=web-server")[0], cluster.pods("app=api-server", "staging")[0]
    for pod in (web, api):
        order = {"resource_name": pod["spec"]["nodeName"], "key": "chase", "effect": "NoExecute"}
        error = executor.execute("taint_node", order)["error"]
        assert (error["rule"], pod["metadata"]["name"] in error["value"]) == ("opted_out", True), error
    assert cluster.writes() == []


def _named(cluster: Cluster, app: str, node: str, namespace: str = "production") -> list[str]:
    pods = [pod for pod in cluster.pods(f"app={app}", namespace) if pod["spec"].get("nodeName") == node]
    return sorted(
        f"{namespace}/{pod['metadata']['name']}" for pod in pods if "deletionTimestamp" not in pod["metadata"]
    )


def _all_on(cluster: Cluster, node: str) -> bool:
    pods = cluster.pods("app=api-server", "staging")
    return len(pods) == 2 and {pod["spec"].get("nodeName") for pod in pods} == {node}


def _only_on(node: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": node}}}}}
