"""Server-side dry runs: before each write, and instead of it; and no write over what somebody else wrote."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, eventually, executor_process

SCALE = {"namespace": "production", "resource_name": "web-server", "replicas": 5}
MORE = {"namespace": "staging", "resource_name": "api-server", "resource_type": "deployment", "memory": "2048Mi"}
RESTART = {"namespace": "production", "resource_name": "web-server-123"}
CORDON = {"node_name": "node-2"}
DRAIN = CORDON | {"leave_protected": True}


def asked(cluster: Cluster) -> list[dict[str, Any]]:
    """Everything that the executor sent, dry runs and refused ones too."""
    entries = cluster.http.get(f"{cluster.url}/sandbox/audit").json()["writes"]
    return [entry for entry in entries if entry["user_agent"] == "executor-service"]


@pytest.mark.parametrize(
    ("action", "parameters"),
    [("scale_deployment", SCALE), ("increase_resources", MORE), ("restart_pod", RESTART), ("drain_node", DRAIN)],
)
def test_each_write_is_tried_without_effect_first(
    executor: Executor, cluster: Cluster, action: str, parameters: dict[str, Any]
) -> None:
    """The same body, then for real; nothing is sent that was not tried."""
    result = executor.execute(action, parameters)
    assert result["status"] == "completed", result
    tried = [_what(entry) for entry in asked(cluster) if entry["dry_run"]]
    done = [_what(entry) for entry in asked(cluster) if not entry["dry_run"] and entry["code"] < 300]
    assert done
    assert [each for each in done if each not in tried] == []


def _what(entry: dict[str, Any]) -> tuple[Any, ...]:
    return entry["verb"], entry["resource"], entry["name"], entry["subresource"]


@pytest.mark.parametrize(("status", "error_class"), [(403, "forbidden"), (429, "throttled"), (503, "transient")])
def test_its_rejection_is_the_answer(executor: Executor, cluster: Cluster, status: int, error_class: str) -> None:
    """Nothing else is sent, and no change is listed."""
    cluster.fault("patch", "deployments", status=status)
    result = executor.execute("scale_deployment", SCALE)
    assert (result["status"], result["error"]["class"], result["changes"]) == ("failed", error_class, [])
    assert [(entry["dry_run"], entry["code"]) for entry in asked(cluster)] == [(True, status)]


def test_a_dry_run_that_gets_no_answer_is_asked_again(executor: Executor, cluster: Cluster) -> None:
    """Nothing can have happened, so nothing is in doubt."""
    cluster.fault("patch", "deployments", drop=True)
    assert executor.execute("scale_deployment", SCALE)["status"] == "completed"
    assert len(cluster.writes()) == 1


@pytest.mark.requirement("BR-WF-031")
@pytest.mark.parametrize(
    ("action", "parameters", "target"),
    [
        ("scale_deployment", SCALE, ("deployments", "web-server", "production")),
        ("increase_resources", MORE, ("deployments", "api-server", "staging")),
        ("restart_pod", RESTART, ("pods", "web-server-123", "production")),
        ("drain_node", DRAIN, ("nodes", "node-2", "")),
    ],
)
def test_a_dry_run_tells_the_fields_and_changes_nothing(
    executor: Executor, cluster: Cluster, action: str, parameters: dict[str, Any], target: tuple[str, str, str]
) -> None:
    """The resourceVersion stays, nothing can be undone, and the real run changes what was told."""
    version = cluster.get(*target)["metadata"]["resourceVersion"]
    told = executor.execute(action, parameters, dry_run=True)
    assert (told["status"], told["undo"]["available"]) == ("completed", False), told
    assert cluster.get(*target)["metadata"]["resourceVersion"] == version
    assert all(entry["dry_run"] for entry in asked(cluster))
    assert cluster.writes() == []
    done = executor.execute(action, parameters)
    assert _fields(done) == _fields(told)
    assert _fields(told)


def _fields(result: dict[str, Any]) -> list[Any]:
    return sorted(
        (item["kind"], item["name"], item["field"], str(item["before"]), str(item["after"]))
        for item in result["changes"]
    )


def test_no_write_goes_over_what_somebody_else_wrote(plain_executor: Executor, cluster: Cluster) -> None:
    """Between our read and our write the same field and another one change: ours is planned anew, theirs is kept."""
    cluster.fault("patch", "deployments", delay_seconds=0.5)
    faults = f"{cluster.url}/sandbox/faults"
    with ThreadPoolExecutor(1) as pool:
        ordered = pool.submit(plain_executor.execute, "scale_deployment", SCALE)
        eventually(lambda: "patch" not in cluster.http.get(faults).text, "our write has reached the API server")
        cluster.merge("deployments", "web-server", {"spec": {"replicas": 4, "minReadySeconds": 1}})
        result = ordered.result()
    assert result["changes"][0]["before"] == 4
    assert cluster.get("deployments", "web-server")["spec"]["minReadySeconds"] == 1
    codes = [entry["code"] for entry in asked(cluster) if entry["verb"] == "patch"]
    assert codes[0] in {409, 422}, "a blind overwrite would have been accepted"


@pytest.fixture
def rotating(cluster: Cluster, tmp_path: Path) -> Iterator[Executor]:
    """An executor that may rotate one secret."""
    cluster.create("secrets", {"metadata": {"name": "login"}, "data": {"password": "b2xk"}})
    with executor_process(tmp_path, cluster.kubeconfig, ROTATABLE_SECRETS="production/login") as executor:
        yield executor


@pytest.mark.parametrize("ours", [False, True])
def test_a_creation_is_tried_first_too(rotating: Executor, cluster: Cluster, ours: bool) -> None:
    """Somebody else's object of its name ends it before anything is sent; ours (its mark tells) is no obstacle."""
    mark = hashlib.sha256(b"k-1").hexdigest()[:16]
    annotations = {"kubernaut.io/created-by": mark if ours else "somebody"}
    name = f"login-before-{mark}"
    metadata = {"name": name, "annotations": annotations}
    cluster.create("secrets", {"metadata": metadata, "data": {"password": "b2xk"}})
    result = rotating.execute("rotate_secrets", {"namespace": "production", "resource_name": "login"}, key="k-1")
    line = rotating.http.get("/api/v1/audit", params={"name": name}).json()["entries"][0]
    if ours:
        assert (result["status"], line["outcome"]) == ("completed", "applied"), result
        return
    assert (result["error"]["class"], line["verb"], line["outcome"]) == ("conflict", "create", "refused"), result
    assert "exists already and is not ours" in result["message"]
    assert [(entry["dry_run"], entry["code"]) for entry in asked(cluster)] == [(True, 409)]


@pytest.mark.parametrize(
    ("action", "parameters"),
    [
        ("scale_deployment", SCALE),
        ("increase_resources", MORE),
        ("restart_pod", RESTART),
        ("restart_pod", RESTART | {"resource_name": "web-server", "resource_type": "deployment"}),
        ("cordon_node", CORDON),
        ("drain_node", DRAIN),
        ("rollback_deployment", {"namespace": "production", "resource_name": "checkout"}),
    ],
)
def test_every_write_is_conditional(
    executor: Executor, cluster: Cluster, action: str, parameters: dict[str, Any]
) -> None:
    """A patch tests uid, version and old values; a removal has the uid as precondition. And so does the undo."""
    result = executor.execute(action, parameters)
    if result["undo"]["available"]:
        assert executor.undo(result["key"])["status"] == "completed"
    sent = asked(cluster)
    assert sent
    for entry in sent:
        if entry["verb"] == "patch":
            assert entry["patch_type"] == "json"
            tested = {item["path"] for item in entry["body"] if item["op"] == "test"}
            assert "/metadata/uid" in tested
            assert tested & {"/metadata/generation", "/metadata/resourceVersion"}
        else:
            options = entry["body"].get("deleteOptions", entry["body"])
            assert options["preconditions"]["uid"]
