"""What may be changed at all: protected namespaces, opt-out, opt-in, allow-lists. A refusal names its rule."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, executor_process

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
    assert above.startswith("ReplicaSet production/web-server-")  # a Deployment copies its annotations to it
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
