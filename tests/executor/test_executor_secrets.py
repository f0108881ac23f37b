"""rotate_secrets: new values, the copy, restarts, undo; and no value anywhere outside the cluster."""

import base64
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, essence, executor_process

SECRET = {"namespace": "production", "resource_name": "web-token"}
OLD = base64.b64encode(b"old-and-known").decode()


@pytest.fixture
def rotator(cluster: Cluster, tmp_path: Path) -> Iterator[Executor]:
    """An executor that may rotate production/web-*, on a cluster where web-server reads web-token."""
    cluster.create("secrets", {"metadata": {"name": "web-token"}, "type": "Opaque", "data": {"token": OLD}})
    source = {"secretKeyRef": {"name": "web-token", "key": "token"}}
    container = {"name": "web-server", "image": "registry.local/web-server:1.4.2"}
    template = {"spec": {"containers": [container | {"env": [{"name": "TOKEN", "valueFrom": source}]}]}}
    cluster.merge("deployments", "web-server", {"spec": {"template": template}})
    with executor_process(
        tmp_path, cluster.kubeconfig, SYNC_WAIT="1500ms", ROTATABLE_SECRETS="production/web-*,production/other"
    ) as executor:
        yield executor


def value(cluster: Cluster, name: str = "web-token", key: str = "token") -> str:
    """What the cluster holds."""
    return str(cluster.get("secrets", name)["data"][key])


def nowhere(directory: Path, executor: Executor, *values: str) -> None:
    """Neither ledger nor log holds a value, plain or encoded."""
    with sqlite3.connect(directory / "executor.sqlite") as ledger:
        stored = "\n".join(ledger.iterdump())
    told = stored + executor.log.read_text()
    for text in values:
        assert text not in told
        assert base64.b64decode(text).decode() not in told


def test_a_rotation_and_its_undo(rotator: Executor, cluster: Cluster, tmp_path: Path) -> None:
    """The value is new, users are restarted, the copy holds the old one; undo brings it back; nothing leaks."""
    before = cluster.get("secrets", "web-token")
    pods = {pod["metadata"]["uid"] for pod in cluster.pods("app=web-server")}
    result = rotator.execute("rotate_secrets", SECRET)
    assert result["status"] == "completed", result
    assert (result["result"]["keys"], result["result"]["restarted"]) == (["token"], ["Deployment/web-server"])
    new = value(cluster)
    assert len(base64.b64decode(new)) >= 32
    assert value(cluster, result["result"]["backup"]) == OLD
    left = [pod["metadata"] for pod in cluster.pods("app=web-server") if "deletionTimestamp" not in pod["metadata"]]
    assert pods.isdisjoint(metadata["uid"] for metadata in left)
    shown = [change["after"] for change in result["changes"] if change["field"].startswith("/data")]
    assert shown == ["(hidden)", "(hidden)"]
    undone = rotator.undo(result["key"])
    assert undone["status"] == "completed", undone
    assert essence(cluster.get("secrets", "web-token")) == essence(before)
    assert cluster.exists("secrets", result["result"]["backup"])
    nowhere(tmp_path, rotator, OLD, new)


def test_a_foreign_value_is_drift(rotator: Executor, cluster: Cluster) -> None:
    """Somebody wrote another value meanwhile: conflict, theirs stays; a foreign key elsewhere stays and undo works."""
    key = rotator.execute("rotate_secrets", SECRET | {"restart_pods": False})["key"]
    ours, theirs = value(cluster), base64.b64encode(b"theirs").decode()
    cluster.merge("secrets", "web-token", {"data": {"token": theirs}})
    assert rotator.undo(key)["error"]["class"] == "conflict"
    assert value(cluster) == theirs
    cluster.merge("secrets", "web-token", {"data": {"token": ours, "more": theirs}})
    assert rotator.undo(key, suffix=":undo:r2")["status"] == "completed"
    assert (value(cluster), value(cluster, key="more")) == (OLD, theirs)


def test_a_lost_answer_rotates_once(rotator: Executor, cluster: Cluster, tmp_path: Path) -> None:
    """The answers to copy and change are cut off: both are recognised by their mark, each is written once."""
    cluster.fault("create", "secrets", drop=True)
    cluster.fault("patch", "secrets", drop=True)
    result = rotator.execute("rotate_secrets", SECRET | {"restart_pods": False})
    assert result["status"] == "completed", result
    assert len(cluster.writes("web-token")) == 1
    assert value(cluster, result["result"]["backup"]) == OLD
    nowhere(tmp_path, rotator, OLD, value(cluster))


def test_a_dry_rotation(rotator: Executor, cluster: Cluster) -> None:
    """The server validates copy and change; nothing is there afterwards."""
    result = rotator.execute("rotate_secrets", SECRET, dry_run=True)
    assert result["status"] == "completed", result
    assert {change["field"] for change in result["changes"]} >= {"", "/data", "/data/token"}
    assert (cluster.writes(), value(cluster), len(cluster.all("secrets"))) == ([], OLD, 1)


def test_without_a_copy_there_is_no_way_back(rotator: Executor, cluster: Cluster) -> None:
    """backup_old_secret: false is honest about it."""
    result = rotator.execute("rotate_secrets", SECRET | {"backup_old_secret": False, "restart_pods": False})
    assert len(cluster.all("secrets")) == 1
    undone = rotator.undo(result["key"])
    assert (undone["success"], "no copy" in undone["message"]) == (False, True)


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ({"type": "kubernetes.io/tls", "data": {"tls.crt": OLD, "tls.key": OLD}}, "of type kubernetes.io/tls"),
        ({"type": "Opaque", "data": {"user": OLD, "password": OLD}}, "name those to rotate"),
        ({"type": "Opaque", "data": {"a": OLD}, "immutable": True}, "immutable"),
    ],
)
def test_what_makes_no_sense_is_not_rotated(
    rotator: Executor, cluster: Cluster, secret: dict[str, Any], words: str
) -> None:
    """A certificate, several keys without a choice, an immutable secret: refused before anything is written."""
    cluster.create("secrets", {"metadata": {"name": "other"}} | secret)
    result = rotator.execute("rotate_secrets", SECRET | {"resource_name": "other"})
    assert (result["success"], words in result["message"], cluster.writes()) == (False, True, []), result


def test_only_listed_secrets_and_good_parameters(rotator: Executor, executor: Executor, cluster: Cluster) -> None:
    """Another name is forbidden; without the setting it is not offered; a bad key is named."""
    refused = rotator.execute("rotate_secrets", SECRET | {"resource_name": "unlisted"})
    assert (refused["status"], refused["error"]["class"]) == ("refused", "forbidden")
    answer = rotator.order("rotate_secrets", SECRET | {"keys": ["a/b"]})
    assert answer.json()["errors"][0]["field"] == "action.parameters.keys.0"
    assert "ROTATABLE_SECRETS is not set" in executor.order("rotate_secrets", SECRET).json()["detail"]
