"""Actions that run a Job from the operator's template, and backups."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.executor.conftest import Cluster, Executor, eventually, executor_process

HERE = {"namespace": "production"}
ORDERS: dict[str, dict[str, Any]] = {
    "cleanup_storage": HERE | {"path": "/var/log", "age_threshold": "3d"},
    "compact_storage": HERE | {"volume_name": "data"},
    "failover_database": HERE | {"resource_name": "postgres", "target_replica": "postgres-1"},
    "repair_database": HERE | {"resource_name": "postgres", "repair_type": "index"},
    "create_heap_dump": HERE | {"resource_name": "web-server-123"},
    "backup_data": HERE | {"resource_name": "postgres", "resource_type": "database", "destination": "s3://b/x"},
}
PLACES = {
    "cleanup_storage": "${path} ${age_threshold} ${dry_run}",
    "compact_storage": "${volume_name}",
    "failover_database": "${resource_name} ${target_replica} ${force}",
    "repair_database": "${resource_name} ${repair_type} ${backup_before_repair}",
    "create_heap_dump": "${resource_name} ${node_name} ${output_path}",
    "backup_data": "${resource_name} ${destination} ${retention_days}",
}
BAD: dict[str, tuple[str, Any]] = {
    "cleanup_storage": ("path", "/var; rm -rf /"),
    "compact_storage": ("volume_name", "A B"),
    "failover_database": ("force", "yes"),
    "repair_database": ("repair_type", "all"),
    "create_heap_dump": ("output_path", "dumps"),
    "backup_data": ("retention_days", 366),
}


def template(places: str, **annotations: str) -> str:
    """A Job whose command shows what was put into it."""
    container = {"name": "work", "image": "registry.local/tools:1", "command": ["work", places]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    spec = {"backoffLimit": 0, "template": {"metadata": {"annotations": annotations}, "spec": pod}}
    return yaml.safe_dump({"apiVersion": "batch/v1", "kind": "Job", "spec": spec})


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A directory with a template for every such action."""
    directory = tmp_path / "templates"
    directory.mkdir()
    for action, places in PLACES.items():
        (directory / f"{action}.yaml").write_text(template(places))
    return directory


@pytest.fixture
def worker(cluster: Cluster, templates: Path, tmp_path: Path) -> Iterator[Executor]:
    """An executor with the templates, on a cluster with volume snapshots."""
    cluster.serve("snapshot.storage.k8s.io")
    cluster.create("volumesnapshotclasses", {"metadata": {"name": "snap"}, "driver": "csi", "deletionPolicy": "Retain"})
    with executor_process(tmp_path / "data", cluster.kubeconfig, JOB_TEMPLATES=str(templates)) as executor:
        yield executor


def test_every_template_is_run_once_dry_and_bounded(worker: Executor, cluster: Cluster) -> None:
    """Dry run creates nothing; the Job has the values; its last words are in the result; undo is refused as said."""
    offered = {entry["type"]: entry for entry in worker.http.get("/api/v1/actions").json()["actions"]}
    for action, order in ORDERS.items():
        field, value = BAD[action]
        bad = worker.order(action, order | {field: value})
        assert bad.json()["errors"][0]["field"] == f"action.parameters.{field}"
        dry = worker.execute(action, order, dry_run=True)
        assert (dry["status"], cluster.all("jobs")) == ("completed", []), dry
        result = worker.execute(action, order, key=f"job-{action}")
        assert (result["status"], len(cluster.all("jobs"))) == ("completed", 1), result
        (job,) = cluster.all("jobs")
        shown = job["spec"]["template"]["spec"]["containers"][0]["command"][1]
        assert "${" not in shown
        wanted = [str(item) for name, item in order.items() if name not in {"namespace", "resource_type"}]
        assert all(item in shown for item in wanted), shown
        assert job["spec"]["activeDeadlineSeconds"] <= 1800
        assert "is done" in result["result"]["said"][0]
        assert offered[action]["reversible"] is False
        refused = worker.undo(f"job-{action}")
        assert (refused["status"], offered[action]["irreversible_reason"] in refused["message"]) == ("refused", True)
        cluster.http.delete(cluster.path("jobs", job["metadata"]["name"]))


def test_a_job_that_fails_or_hangs(worker: Executor, cluster: Cluster, templates: Path) -> None:
    """Its failure is permanent with its last words; one that never ends is a timeout; a broken template is a reason."""
    path = templates / "compact_storage.yaml"
    path.write_text(template("x", **{"sandbox.kubernaut.io/job": "fail"}))
    (templates / "cleanup_storage.yaml").write_text(template("x", **{"sandbox.kubernaut.io/job": "hang"}))
    (templates / "repair_database.yaml").write_text("kind: Pod")
    (templates / "failover_database.yaml").write_text(template("${nobody}"))
    with executor_process(templates.parent / "second", cluster.kubeconfig, JOB_TEMPLATES=str(templates)) as executor:
        failed = executor.execute("compact_storage", ORDERS["compact_storage"])
        assert (failed["error"]["class"], failed["result"]["said"]) == ("permanent", ["could not do it"]), failed
        late = executor.execute("cleanup-logs", HERE, remaining_seconds=1)
        assert late["error"]["class"] == "timeout"
        missing = {item["type"]: item["reason"] for item in executor.http.get("/api/v1/actions").json()["unavailable"]}
        assert missing["repair_database"] == "repair_database.yaml: must be one Job of batch/v1"
        unfilled = executor.execute("failover_database", ORDERS["failover_database"])
        assert (unfilled["error"]["class"], "'nobody'" in unfilled["message"]) == ("permanent", True)


def claim(cluster: Cluster, name: str) -> None:
    """A bound claim."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    cluster.create("persistentvolumeclaims", {"metadata": {"name": name}, "spec": spec})


def test_claims_are_copied_by_snapshots(worker: Executor, cluster: Cluster) -> None:
    """One per claim, ready when the action ends, in the class asked for; after a lost answer not taken twice."""
    claim(cluster, "data")
    order = HERE | {"resource_name": "data", "destination": "snap", "retention_days": 7}
    assert worker.execute("backup_data", order, dry_run=True)["status"] == "completed"
    assert cluster.all("volumesnapshots") == []
    cluster.fault("create", "volumesnapshots", drop=True)
    result = worker.execute("backup_data", order)
    assert result["status"] == "completed", result
    (snapshot,) = cluster.all("volumesnapshots")
    assert (snapshot["spec"]["volumeSnapshotClassName"], snapshot["status"]["readyToUse"]) == ("snap", True)
    assert "kubernaut.io/keep-until" in snapshot["metadata"]["annotations"]
    assert worker.undo(result["key"])["status"] == "refused"
    unknown = worker.execute("backup_data", order | {"destination": "elsewhere"})
    assert (unknown["error"]["class"], "there is snap" in unknown["message"]) == ("permanent", True)
    absent = worker.execute("backup_data", order | {"resource_name": "absent"})
    assert absent["error"]["class"] == "not_found"


def test_a_statefulset_is_copied_claim_by_claim(worker: Executor, cluster: Cluster) -> None:
    """By its claim templates; without any there is nothing to copy."""
    order = HERE | {"resource_name": "store", "resource_type": "statefulset"}
    labels = {"app": "store"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "s", "image": "i"}]}}
    spec: dict[str, Any] = {"replicas": 2, "serviceName": "s", "selector": {"matchLabels": labels}, "template": pod}
    cluster.create(
        "statefulsets",
        {"metadata": {"name": "store"}, "spec": spec | {"volumeClaimTemplates": [{"metadata": {"name": "v"}}]}},
    )
    for name in ("v-store-0", "v-store-1", "v-store-other"):
        claim(cluster, name)
    result = worker.execute("backup_data", order)
    assert result["status"] == "completed", result
    assert {item["spec"]["source"]["persistentVolumeClaimName"] for item in cluster.all("volumesnapshots")} == {
        "v-store-0",
        "v-store-1",
    }
    nothing = worker.execute("backup_data", order | {"resource_name": "postgres"})
    assert (nothing["error"]["class"], "nothing to copy" in nothing["message"]) == ("permanent", True)


def test_a_job_goes_on_after_a_kill(cluster: Cluster, templates: Path, tmp_path: Path) -> None:
    """Killed while the Job works, the executor waits for the same Job after the restart."""
    (templates / "compact_storage.yaml").write_text(template("x", **{"sandbox.kubernaut.io/job": "hang"}))
    settings = {"JOB_TEMPLATES": str(templates), "SYNC_WAIT": "100ms"}
    with executor_process(tmp_path / "data", cluster.kubeconfig, **settings) as executor:
        executor.order("compact_storage", ORDERS["compact_storage"], key="long")
        eventually(lambda: cluster.all("jobs"), "the Job")
        executor.kill()
    with executor_process(tmp_path / "data", cluster.kubeconfig, **settings) as executor:
        eventually(lambda: "works" in (executor.by_key("long").json().get("progress") or ""), "it waits")
        (job,) = cluster.all("jobs")
        done = {"status": {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1}}
        cluster.http.patch(
            cluster.path("jobs", job["metadata"]["name"]) + "/status",
            json=done,
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert executor.finished("long")["status"] == "completed"
    assert len(cluster.writes()) == 1
