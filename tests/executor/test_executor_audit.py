"""The audit: one line per write, who asked, what, what became of it; over HTTP and in the log."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, executor_process

SCALE = {"namespace": "production", "resource_name": "web-server", "replicas": 5}
CONTEXT = {"workflow_id": "w-1", "execution_id": "e-1", "step_id": "s-1"}


@pytest.fixture
def audited(cluster: Cluster, tmp_path: Path) -> Any:
    """An executor with a ledger of its own."""
    with executor_process(tmp_path, cluster.kubeconfig, ALLOWED_ACTIONS="*") as executor:
        yield executor


def page(executor: Executor, **filters: Any) -> dict[str, Any]:
    """One page."""
    answer = executor.http.get("/api/v1/audit", params=filters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def entries(executor: Executor, **filters: Any) -> list[dict[str, Any]]:
    """The entries of one page."""
    return list(page(executor, **filters)["entries"])


@pytest.mark.requirement("BR-WF-029")
def test_each_write_has_a_line_with_who_what_and_outcome(audited: Executor, cluster: Cluster) -> None:
    """Done, undone, refused by a rule and by the API server; what changes nothing has none."""
    audited.execute("scale_deployment", SCALE, key="k-1", **CONTEXT)
    audited.undo("k-1")
    audited.execute("scale_deployment", SCALE, dry_run=True)
    audited.execute("collect_diagnostics", {"namespace": "production"})
    cluster.merge("nodes", "node-2", {"metadata": {"annotations": {"kubernaut.io/protected": "true"}}})
    audited.execute("cordon_node", {"node_name": "node-2"}, key="k-2")
    cluster.fault("patch", "statefulsets", status=403)
    audited.execute("scale_statefulset", SCALE | {"resource_name": "postgres"}, key="k-3")
    lines = entries(audited)
    assert [(line["key"], line["outcome"], line["rule"]) for line in lines] == [
        ("k-3", "refused", None),
        ("k-2", "refused", "opted_out"),
        ("k-1:undo", "applied", None),
        ("k-1", "applied", None),
    ]
    line = lines[-1]
    told = {
        "caller": "anonymous",
        "action": "scale_deployment",
        "verb": "patch",
        "target": "Deployment production/web-server",
    }
    assert (
        line.items()
        >= (told | CONTEXT | {"kind": "Deployment", "namespace": "production", "name": "web-server"}).items()
    )
    assert [(item["field"], item["before"], item["after"]) for item in line["changes"]] == [("/spec/replicas", 3, 5)]
    assert line["at"] <= line["closed_at"]
    assert "403" in lines[0]["message"]
    logged = [json.loads(text) for text in audited.log.read_text().splitlines() if '"event":"audit"' in text]
    assert [(each["key"], each["outcome"]) for each in logged] == [
        (each["key"], each["outcome"]) for each in lines[::-1]
    ]


def test_filters_and_pages(audited: Executor, cluster: Cluster) -> None:
    """Newest first; a line that comes between two pages shifts nothing; a filter that does not exist is refused.

    A node may change between look and write; then the write is a line, refused, and another one follows.
    """
    for replicas in (4, 5, 6):
        audited.execute("scale_deployment", SCALE | {"replicas": replicas}, key=f"p-{replicas}")
    audited.execute("cordon_node", {"node_name": "node-2"}, key="n")
    first = page(audited, limit=2)
    assert [line["key"] for line in first["entries"]] == ["n", "p-6"]
    audited.execute("uncordon_node", {"node_name": "node-2"}, key="late")
    second = page(audited, limit=2, cursor=first["next_cursor"])
    assert ([line["key"] for line in second["entries"]], second["next_cursor"]) == (["p-5", "p-4"], None)
    assert list(dict.fromkeys(line["key"] for line in entries(audited, kind="Node"))) == ["late", "n"]
    assert [line["key"] for line in entries(audited, namespace="production", name="web-server")] == [
        "p-6",
        "p-5",
        "p-4",
    ]
    assert [line["key"] for line in entries(audited, key="p-5")] == ["p-5"]
    middle = second["entries"][0]["at"]
    assert list(dict.fromkeys(line["key"] for line in entries(audited, since=middle))) == ["late", "n", "p-6", "p-5"]
    assert entries(audited, since="2999-01-01T00:00:00Z") == []
    for bad in ({"limit": 0}, {"limit": 501}, {"cursor": "x"}, {"since": "soon"}, {"nmae": "x"}):
        answer = audited.http.get("/api/v1/audit", params=bad)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, next(iter(bad)))


def test_a_caller_is_told_by_name_and_secrets_are_hidden(cluster: Cluster, tmp_path: Path) -> None:
    """The shared token has a name of its own, and the audit wants it too."""
    with executor_process(tmp_path, cluster.kubeconfig, EXECUTOR_TOKEN="s3cret-token") as executor:
        assert executor.http.get("/api/v1/audit").status_code == 401
        executor.http.headers["Authorization"] = "Bearer s3cret-token"
        executor.execute("scale_deployment", SCALE)
        assert [line["caller"] for line in entries(executor)] == ["shared-token"]
        assert "s3cret" not in executor.log.read_text()


@pytest.mark.durability
def test_a_line_closes_after_kill_9(cluster: Cluster, tmp_path: Path) -> None:
    """Pending while nobody knows, applied once it is known, never two lines for one write."""
    cluster.fault("patch", "deployments", delay_seconds=1.0)
    settings = {"SYNC_WAIT": "100ms", "DRY_RUN_FIRST": "false"}
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        executor.order("scale_deployment", SCALE, key="k", **CONTEXT)
        while not (lines := entries(executor, key="k")):
            pass
        assert lines[0]["outcome"] == "pending"
        executor.kill()
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        assert executor.finished("k")["status"] == "completed"
        lines = entries(executor, key="k")
        outcomes = [line["outcome"] for line in lines]
        assert outcomes.count("applied") == 1
        assert "pending" not in outcomes
        assert lines[0].items() >= CONTEXT.items()
