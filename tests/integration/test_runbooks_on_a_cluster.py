"""Runbooks that come with the service, on a sandbox cluster: from a stock alert to the healed object."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Stack, eventually

pytestmark = pytest.mark.requirement("BR-WF-001")

MEASURED = {"container": "kube-rbac-proxy-main", "instance": "10.0.0.9:8443", "job": "kube-state-metrics"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All three services with nothing but defaults."""
    directory: Path = tmp_path_factory.mktemp("runbooks")
    with Stack(directory) as running:
        yield running


def outcome(stack: Stack, name: str, severity: str = "warning", **labels: str) -> dict[str, Any]:
    """What becomes of such an alert, whole."""
    labels = {"alertname": name, "severity": severity, **MEASURED, **labels}
    alert = {"name": name, "severity": severity, "namespace": labels.get("namespace"), "labels": labels}
    answer = stack.execute(alert, prefer="respond-async")
    assert answer.status_code in {200, 202}, answer.text
    workflow_id = str(answer.json()["result"]["workflow_id"])
    eventually(lambda: stack.workflow_detail(workflow_id)["ended_at"], f"{name} ends")
    return stack.workflow_detail(workflow_id)


def plan_of(detail: dict[str, Any]) -> dict[str, Any]:
    """What its plan says of itself."""
    return dict(detail["result"]["execution_details"]["plan"]["metadata"])


def rule_of(detail: dict[str, Any]) -> str:
    """What made its plan."""
    return str(plan_of(detail)["rule"])


def get(stack: Stack, path: str) -> dict[str, Any]:
    """An object of the cluster."""
    return dict(stack.http.get(f"{stack.sandbox.url}{path}").json())


def test_only_the_pods_that_are_not_ready_are_replaced(stack: Stack) -> None:
    """One of two pods of payments crashes: it is replaced, the other stays, and the Deployment is proven ready."""
    path = "/apis/apps/v1/namespaces/production/deployments/payments"
    crashing = eventually(
        lambda: get(stack, path)["status"].get("unavailableReplicas") == 1, "one of the pods crashes, the other serves"
    )
    assert crashing
    detail = outcome(stack, "KubeDeploymentReplicasMismatch", namespace="production", deployment="payments")
    assert (detail["status"], rule_of(detail)) == ("completed", "deployment-replicas@1.0.0"), detail
    assert get(stack, path)["status"]["readyReplicas"] == 2
    assert [write["verb"] for write in stack.effects() if write["resource"] == "pods"] == ["delete"]


def test_a_node_that_is_well_again_takes_work_again(stack: Stack) -> None:
    """It is cordoned, seen to be well, and uncordoned."""
    detail = outcome(stack, "KubeNodeNotReady", node="node-3", condition="Ready", status="true")
    assert (detail["status"], rule_of(detail)) == ("completed", "node-not-ready@1.0.0"), detail
    assert not get(stack, "/api/v1/nodes/node-3")["spec"].get("unschedulable")


def test_what_belongs_to_the_cluster_is_told_of(stack: Stack) -> None:
    """Nothing is sent that changes anything in kube-system."""
    before = len(stack.effects())
    detail = outcome(stack, "KubeDeploymentReplicasMismatch", namespace="kube-system", deployment="coredns")
    assert (detail["status"], rule_of(detail)) == ("completed", "control-plane-workload@1.0.0"), detail
    assert len(stack.effects()) == before


def test_without_prometheus_a_person_is_told(stack: Stack) -> None:
    """What needs a number that nobody can give is passed over, and the plan says why."""
    labels = {"namespace": "production", "persistentvolumeclaim": "data-postgres-0", "job": "kubelet"}
    detail = outcome(stack, "KubePersistentVolumeFillingUp", "critical", **labels)
    assert (detail["status"], rule_of(detail)) == ("completed", "volume-needs-a-person@1.0.0"), detail
    assert "query_metrics" in str(plan_of(detail)["considered"])
