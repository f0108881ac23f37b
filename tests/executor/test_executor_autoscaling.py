"""update_hpa, and scaling what an autoscaler owns."""

from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, essence

TARGET = {"namespace": "production", "resource_name": "web"}
HPA: dict[str, Any] = {
    "metadata": {"name": "web"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-server"},
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}},
            }
        ],
    },
}


@pytest.fixture
def autoscaled(cluster: Cluster) -> dict[str, Any]:
    """An autoscaler of web-server."""
    return cluster.create("horizontalpodautoscalers", HPA)


def test_bounds_and_targets_change_and_come_back(
    executor: Executor, cluster: Cluster, autoscaled: dict[str, Any]
) -> None:
    """What is given changes, the rest stays; undo gives the object back, whatever order its metrics have by then."""
    wanted = {"min_replicas": 3, "max_replicas": 9, "target_cpu_utilization": 60}
    result = executor.execute("update-hpa", TARGET | wanted)
    assert (result["status"], result["result"]) == ("completed", {"min_replicas": 3, "max_replicas": 9}), result
    spec = cluster.get("horizontalpodautoscalers", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    assert [metric["resource"]["name"] for metric in spec["metrics"]] == ["memory", "cpu"]
    cluster.merge("horizontalpodautoscalers", "web", {"spec": {"metrics": spec["metrics"][::-1]}})
    assert executor.undo(result["key"])["status"] == "completed"
    assert essence(cluster.get("horizontalpodautoscalers", "web")) == essence(autoscaled)


def test_a_dry_run_changes_no_autoscaler(executor: Executor, cluster: Cluster, autoscaled: dict[str, Any]) -> None:
    """The change is listed by field, and only there."""
    result = executor.execute("update_hpa", TARGET | {"max_replicas": 9}, dry_run=True)
    assert [(change["field"], change["after"]) for change in result["changes"]] == [("/spec/maxReplicas", 9)]
    assert (cluster.writes(), essence(cluster.get("horizontalpodautoscalers", "web"))) == ([], essence(autoscaled))


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"min_replicas": 0}, "min_replicas"),
        ({"max_replicas": 1001}, "max_replicas"),
        ({"target_cpu_utilization": 101}, "target_cpu_utilization"),
        ({"min_replicas": 5, "max_replicas": 4}, "parameters"),
        ({}, "parameters"),
    ],
)
def test_bounds_of_an_autoscaler(executor: Executor, parameters: dict[str, Any], field: str) -> None:
    """Each rule is named with its field."""
    answer = executor.order("update_hpa", TARGET | parameters)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"action.parameters.{field}")


def test_one_bound_must_fit_the_other(executor: Executor, cluster: Cluster, autoscaled: dict[str, Any]) -> None:
    """A minimum above the present maximum is refused before anything is written."""
    result = executor.execute("update_hpa", TARGET | {"min_replicas": 6})
    assert (result["success"], result["error"]["class"], cluster.writes()) == (False, "permanent", [])


def test_drift_of_an_autoscaler_is_a_conflict(executor: Executor, cluster: Cluster, autoscaled: dict[str, Any]) -> None:
    """Somebody else's value stays."""
    key = executor.execute("update_hpa", TARGET | {"max_replicas": 9})["key"]
    cluster.merge("horizontalpodautoscalers", "web", {"spec": {"maxReplicas": 7}})
    assert executor.undo(key)["error"]["class"] == "conflict"
    assert cluster.get("horizontalpodautoscalers", "web")["spec"]["maxReplicas"] == 7


def test_what_an_autoscaler_owns_is_not_scaled(
    executor: Executor, cluster: Cluster, autoscaled: dict[str, Any]
) -> None:
    """The autoscaler would take it back: refused, naming it and the way that works."""
    target = {"namespace": "production", "resource_name": "web-server", "replicas": 4}
    result = executor.execute("scale_deployment", target)
    assert (result["status"], result["error"]["class"]) == ("refused", "conflict"), result
    assert "HorizontalPodAutoscaler web (2 to 5 pods)" in result["message"]
    assert cluster.writes() == []


def test_what_a_repository_keeps_is_said(executor: Executor, cluster: Cluster) -> None:
    """A change of a GitOps-managed object says who may take it back."""
    labels = {"metadata": {"labels": {"argocd.argoproj.io/instance": "shop"}}}
    cluster.merge("deployments", "web-server", labels)
    target = {"namespace": "production", "resource_name": "web-server", "replicas": 4}
    result = executor.execute("scale_deployment", target)
    assert result["result"]["managed_by"] == {"Deployment production/web-server": "Argo CD (shop)"}
    assert "Argo CD (shop)" in result["message"]
