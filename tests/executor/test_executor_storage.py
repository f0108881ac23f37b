"""expand_pvc."""

from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, eventually, executor_process

CLAIM = {"namespace": "production", "resource_name": "data"}


def storage(cluster: Cluster, *, expandable: bool = True, **annotations: str) -> None:
    """A storage class and a bound claim of 10Gi."""
    cluster.create(
        "storageclasses", {"metadata": {"name": "fast"}, "provisioner": "csi", "allowVolumeExpansion": expandable}
    )
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "10Gi"}},
    }
    cluster.create("persistentvolumeclaims", {"metadata": {"name": "data"}, "spec": spec})
    eventually(lambda: capacity(cluster) == "10Gi", "the claim is bound")
    if annotations:
        cluster.merge("persistentvolumeclaims", "data", {"metadata": {"annotations": annotations}})


def capacity(cluster: Cluster) -> str | None:
    """What the claim has."""
    found: str | None = (
        cluster.get("persistentvolumeclaims", "data").get("status", {}).get("capacity", {}).get("storage")
    )
    return found


@pytest.fixture
def grower(cluster: Cluster, tmp_path: Any) -> Any:
    """An executor that has looked around a cluster with growing storage."""
    storage(cluster)
    with executor_process(tmp_path, cluster.kubeconfig, SYNC_WAIT="1500ms") as executor:
        yield executor


def test_a_claim_grows_and_that_is_final(grower: Executor, cluster: Cluster) -> None:
    """The capacity is there when the action ends; undo is refused with the reason, which the catalogue said before."""
    offered = {entry["type"]: entry for entry in grower.http.get("/api/v1/actions").json()["actions"]}
    assert (offered["expand_pvc"]["reversible"], "smaller" in offered["expand_pvc"]["irreversible_reason"]) == (
        False,
        True,
    )
    result = grower.execute("expand_pvc", CLAIM | {"new_size": "20Gi"})
    assert (result["status"], result["result"]["capacity"], capacity(cluster)) == ("completed", "20Gi", "20Gi"), result
    assert result["undo"]["available"] is False
    refused = grower.undo(result["key"])
    assert (refused["status"], refused["error"]["class"]) == ("refused", "permanent")
    assert grower.execute("expand_pvc", CLAIM | {"size": "20Gi"})["result"]["already"] is True
    assert grower.execute("expand_pvc", CLAIM | {"size": "5Gi"})["error"]["class"] == "permanent"


def test_growing_storage_has_bounds_and_a_dry_run(grower: Executor, cluster: Cluster) -> None:
    """Nothing changes; a bad size is named."""
    result = grower.execute("expand_pvc", CLAIM | {"size": "20Gi"}, dry_run=True)
    assert (result["changes"][0]["after"], capacity(cluster), cluster.writes()) == ("20Gi", "10Gi", [])
    for bad in ("0", "abc", "-1Gi", 20):
        answer = grower.order("expand_pvc", CLAIM | {"size": bad})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "action.parameters.size")


def test_what_does_not_grow_in_time_is_a_timeout(grower: Executor, cluster: Cluster) -> None:
    """The change is listed, the message says what is missing."""
    stuck = {"metadata": {"annotations": {"sandbox.kubernaut.io/stuck": "true"}}}
    cluster.merge("persistentvolumeclaims", "data", stuck)
    result = grower.execute("expand_pvc", CLAIM | {"size": "20Gi"}, remaining_seconds=0.7)
    assert (result["error"]["class"], len(result["changes"])) == ("timeout", 1)
    assert "10Gi of 20Gi" in result["message"]


def test_without_growing_storage_it_is_not_offered(cluster: Cluster, tmp_path: Any) -> None:
    """It stands among the unavailable with the reason, and an order for it is 422 with that reason."""
    storage(cluster, expandable=False)
    with executor_process(tmp_path, cluster.kubeconfig) as executor:
        listed = executor.http.get("/api/v1/actions").json()
        assert "expand_pvc" not in {entry["type"] for entry in listed["actions"]}
        missing = {entry["type"]: entry["reason"] for entry in listed["unavailable"]}
        assert missing["expand_pvc"] == "no storage class has allowVolumeExpansion"
        answer = executor.order("expand_pvc", CLAIM | {"size": "20Gi"}, key="not-here")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "action.type")
        assert "allowVolumeExpansion" in answer.json()["detail"]
        assert executor.by_key("not-here").status_code == 404
