"""restart_network, reset_service_mesh, optimize_resources and audit_logs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, essence, eventually, executor_process

HERE = {"namespace": "production"}


def use(cluster: Cluster, app: str, cpu: str, memory: str) -> None:
    """Measured use of every pod of an app."""
    for pod in cluster.pods(f"app={app}"):
        if "deletionTimestamp" in pod["metadata"]:
            continue
        containers = [{"name": app, "usage": {"cpu": cpu, "memory": memory}}]
        body = {"metadata": {"name": pod["metadata"]["name"]}, "containers": containers, "window": "15s"}
        url = f"{cluster.url}/apis/metrics.k8s.io/v1beta1/namespaces/production/pods"
        assert cluster.http.post(url, json=body).status_code == 201


@pytest.fixture
def rich(cluster: Cluster, tmp_path: Path) -> Iterator[Executor]:
    """An executor on a cluster with metrics and a mesh, that may restart the cluster's DNS."""
    for group in ("metrics.k8s.io", "networking.istio.io"):
        cluster.serve(group)
    settings = {"NETWORK_COMPONENTS": "dns=Deployment/kube-system/coredns", "SYNC_WAIT": "1500ms"}
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        yield executor


def test_a_named_component_restarts_and_nothing_else_there(rich: Executor, cluster: Cluster) -> None:
    """The operator's word opens the protected namespace for exactly this; other names are refused."""
    order = {"namespace": "kube-system", "component": "dns"}
    assert rich.execute("restart_network", order, dry_run=True)["status"] == "completed"
    assert cluster.writes() == []
    result = rich.execute("restart_network", order)
    assert (result["status"], len(cluster.writes("coredns"))) == ("completed", 1), result
    assert rich.undo(result["key"])["status"] == "refused"
    assert rich.execute("restart_network", order | {"component": "proxy"})["status"] == "refused"
    direct = {"namespace": "kube-system", "resource_name": "coredns", "resource_type": "deployment"}
    assert rich.execute("restart_pod", direct)["error"]["class"] == "forbidden"
    assert rich.order("restart_network", order | {"component": "A"}).json()["errors"][0]["field"].endswith("component")


@pytest.mark.parametrize("rule", ["namespace_not_allowed", "own_namespace", "opted_out"])
def test_every_other_rule_holds_for_a_named_component(cluster: Cluster, tmp_path: Path, rule: str) -> None:
    """Naming opens PROTECTED_NAMESPACES only; the order's own namespace is not judged."""
    settings = {"NETWORK_COMPONENTS": "dns=Deployment/kube-system/coredns", "POD_NAMESPACE": "production"}
    settings |= {"ALLOWED_NAMESPACES": "prod*"} if rule == "namespace_not_allowed" else {}
    settings |= {"POD_NAMESPACE": "kube-system"} if rule == "own_namespace" else {}
    if rule == "opted_out":
        mine = {"metadata": {"annotations": {"kubernaut.io/protected": "true"}}}
        cluster.merge("deployments", "coredns", mine, "kube-system")
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        order = {"namespace": "production", "component": "dns"}
        result = executor.execute("restart_network", order)
    assert (result["status"], result["error"]["rule"]) == ("refused", rule), result
    assert result["error"]["value"] in {"kube-system", "Deployment kube-system/coredns"}
    assert cluster.writes() == []


def test_a_mesh_is_reset_where_its_proxy_runs(rich: Executor, cluster: Cluster) -> None:
    """Only workloads with the proxy restart; another mesh is refused; without any there is nothing to do."""
    assert rich.execute("reset_service_mesh", HERE)["result"]["already"] is True
    container = {"name": "istio-proxy", "image": "proxy"}
    live = cluster.get("deployments", "web-server")["spec"]["template"]["spec"]["containers"]
    both = {"spec": {"template": {"spec": {"containers": [*live, container]}}}}
    cluster.merge("deployments", "web-server", both)

    def carried() -> bool:
        return any(len(pod["spec"]["containers"]) == 2 for pod in cluster.pods("app=web-server"))

    eventually(carried, "a pod with the proxy")
    assert rich.execute("reset_service_mesh", HERE, dry_run=True)["result"]["restarted"] == ["Deployment/web-server"]
    result = rich.execute("reset_service_mesh", HERE | {"mesh_type": "istio"})
    assert (result["status"], result["result"]["restarted"]) == ("completed", ["Deployment/web-server"]), result
    assert {entry["name"] for entry in cluster.writes()} == {"web-server"}
    assert rich.undo(result["key"])["status"] == "refused"
    assert rich.execute("reset_service_mesh", HERE | {"mesh_type": "linkerd"})["status"] == "refused"
    assert rich.order("reset_service_mesh", HERE | {"mesh_type": "x"}).status_code == 422


def requests(cluster: Cluster) -> dict[str, str]:
    """What web-server asks for."""
    found = cluster.get("deployments", "web-server")["spec"]["template"]["spec"]["containers"][0]["resources"]
    return dict(found["requests"])


def test_requests_fit_what_is_used(rich: Executor, cluster: Cluster) -> None:
    """By default only told; changed when asked; never above the limit; undone field by field; drift is a conflict."""
    use(cluster, "web-server", "200m", "1Gi")
    before = cluster.get("deployments", "web-server")
    order = HERE | {"resource_name": "web-server"}
    told = rich.execute("optimize_resources", order)
    assert told["result"]["advice"] == [
        {"workload": "web-server", "requests": {"web-server/cpu": "300m", "web-server/memory": "512Mi"}}
    ]
    real = order | {"dry_run": False, "optimization_strategy": "cost"}
    dry = rich.execute("optimize_resources", real, dry_run=True)
    assert (len(dry["changes"]), cluster.writes()) == (2, [])
    result = rich.execute("optimize_resources", real)
    assert (result["status"], requests(cluster)) == ("completed", {"cpu": "240m", "memory": "512Mi"}), result
    assert rich.undo(result["key"])["status"] == "completed"
    after = cluster.get("deployments", "web-server")
    for item in (before, after):
        item["metadata"].pop("annotations", None)
    assert essence(after) == essence(before)
    use(cluster, "web-server", "200m", "1Gi")
    key = rich.execute("optimize_resources", real)["key"]
    container = cluster.get("deployments", "web-server")["spec"]["template"]["spec"]["containers"][0]
    container["resources"]["requests"]["cpu"] = "333m"
    cluster.merge("deployments", "web-server", {"spec": {"template": {"spec": {"containers": [container]}}}})
    assert rich.undo(key)["error"]["class"] == "conflict"
    bad = rich.order("optimize_resources", HERE | {"optimization_strategy": "fast"})
    assert bad.json()["errors"][0]["field"] == "action.parameters.optimization_strategy"


def test_what_a_plain_cluster_lacks_is_said(executor: Executor) -> None:
    """Without metrics, mesh, snapshots, templates and settings those actions are unavailable, each with its reason."""
    answer = executor.http.get("/api/v1/actions").json()
    missing = {entry["type"]: entry["reason"] for entry in answer["unavailable"]}
    assert missing["optimize_resources"] == "this cluster does not serve metrics.k8s.io/v1beta1"
    assert missing["restart_network"] == "NETWORK_COMPONENTS is not set"
    assert missing["cleanup_storage"] == "JOB_TEMPLATES has no cleanup_storage.yaml"
    assert "no service mesh was found" in missing["reset_service_mesh"]
    assert "does not serve snapshot.storage.k8s.io/v1" in missing["backup_data"]
    offered = {entry["type"] for entry in answer["actions"]}
    assert offered.isdisjoint(missing)
    assert len(offered) + len(missing) >= 37


def test_an_audit_reads_and_changes_nothing(executor: Executor, cluster: Cluster) -> None:
    """Events and births in the time asked for, of one object if wanted; also where nothing may be changed."""
    result = executor.execute("audit_logs", HERE | {"resource_name": "checkout", "output_format": "text"})
    assert result["status"] == "completed", result
    assert {entry["object"] for entry in result["result"]["changes"]} == {"Deployment/checkout"}
    assert result["result"]["events"]
    assert "checkout" in result["result"]["text"]
    recent: Any = executor.execute("audit_logs", HERE | {"time_range": "1m"})["result"]["changes"]
    assert recent == []
    assert executor.execute("audit_logs", {"namespace": "kube-system"})["status"] == "completed"
    assert executor.order("audit_logs", HERE | {"time_range": "1y"}).status_code == 422
    assert cluster.writes() == []
