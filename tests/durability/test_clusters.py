"""Two clusters, each with an executor and a sandbox of its own: what is about one of them never touches the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from tests.support.processes import Program, Stack, eventually, free_port
from tests.support.wire import Wire
from tests.support.wired_stack import Bench, step

pytestmark = [pytest.mark.durability, pytest.mark.timeout(120), pytest.mark.requirement("BR-WF-001", "BR-WF-004")]

TOKEN = "the-token-of-eu"


class Abroad(Stack):
    """Sandbox and executor of the cluster `eu`, which asks for a token."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        super().__init__(directory)
        port = free_port()
        environment = {
            "EXECUTOR_SERVICE_PORT": str(port),
            "KUBECONFIG": str(directory / "kubeconfig"),
            "DATA_DIR": str(directory / "executor"),
            "CLUSTER_NAME": "eu",
            "EXECUTOR_TOKEN": TOKEN,
        }
        log = directory / "executor.log"
        self.executor = Program("executor_service", port=port, log=log, environment=environment)

    def __enter__(self) -> Self:
        self.sandbox.start("/version")
        self.executor.start("/readyz")
        return self

    def changes(self, name: str) -> list[Any]:
        """What its cluster accepted about that deployment, as numbers of replicas."""
        return [one["resource"] for one in self.effects() if one["name"] == name]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Abroad]]:
    """The stack of our own cluster, whose workflow-service knows the cluster `eu` too."""
    directory = tmp_path_factory.mktemp("clusters")
    secret = directory / "eu-token"
    secret.write_text(TOKEN, "utf-8")
    with Wire() as wire, Abroad(directory / "eu") as abroad:
        executors = {"EXECUTORS": f"eu={abroad.executor.url}", "EXECUTOR_TOKEN_FILES": f"eu={secret}"}
        with Bench(directory, wire, **executors) as bench:
            for cluster in (bench, abroad):
                cluster.add_deployments("production", ["shared", "second", "third"])
            yield bench, abroad


def about(rule: str, name: str, **labels: str) -> dict[str, Any]:
    """An alert about a deployment that both clusters have."""
    return {
        "name": rule,
        "severity": "critical",
        "namespace": "production",
        "resource": f"deployment/{name}",
        "labels": labels,
    }


def test_each_acts_in_its_own(both: tuple[Bench, Abroad]) -> None:
    """The same words about two clusters are two incidents; each is looked at, changed and judged in its own."""
    bench, abroad = both
    here = bench.execute(about("scale", "shared")).json()["result"]
    assert here["success"], here
    assert (bench.changes("shared"), abroad.changes("shared")) == (1, [])
    there = bench.execute(about("scale", "shared", cluster="eu")).json()["result"]
    assert there["success"], there
    assert there["workflow_id"] != here["workflow_id"]
    assert bench.changes("shared") == 1
    assert abroad.changes("shared")
    found = bench.workflow_detail(there["workflow_id"])
    assert found["target"] == "target:eu/production/deployment/shared"
    asked = httpx2.get(f"{abroad.executor.url}/api/v1/actions/by-key/x", headers={"Authorization": f"Bearer {TOKEN}"})
    [begun] = [event for event in found["events"] if event["kind"] == "StepStarted"]
    assert begun["ledger_id"] == asked.json()["ledger_id"]


def test_it_is_undone_where_it_was_done(both: tuple[Bench, Abroad]) -> None:
    """A failure is rolled back by the executor that made the change."""
    bench, abroad = both
    answer = bench.execute(about("vain", "second", cluster="eu")).json()["result"]
    found = bench.workflow_detail(answer["workflow_id"])
    assert found["status"] == "rolled_back", found
    assert step(found)["undo"] == "undone"
    assert abroad.deployment("production", "second")["spec"]["replicas"] == 1
    assert len(abroad.changes("second")) == 2
    assert bench.changes("second") == 0


def test_nothing_is_done_about_an_unknown_cluster(both: tuple[Bench, Abroad]) -> None:
    """It is stored and refused by name, alone in its delivery; nobody's executor hears of it."""
    bench, abroad = both
    labels = {"alertname": "scale", "severity": "critical", "namespace": "production", "deployment": "third"}
    alerts = [{"labels": {**labels, "cluster": cluster}} for cluster in ("mars", "eu")]
    answer = bench.http.post(f"{bench.workflow.url}/api/v1/alerts", json={"version": "4", "alerts": alerts}).json()
    refused, taken = answer["alerts"]
    assert (refused["outcome"], refused["workflow_id"], taken["outcome"]) == ("refused", None, "admitted")
    assert refused["reason"] == "unknown_cluster: label cluster='mars' must be one of default, eu"
    rules = bench.http.get(f"{bench.workflow.url}/api/v1/alerts/{refused['alert_id']}/explain").json()["rules"]
    assert [(one["rule"], one["decided"]) for one in rules] == [("watchdog", "goes on"), ("cluster", "refused")]
    listed = bench.http.get(f"{bench.workflow.url}/api/v1/alerts", params={"outcome": "refused"}).json()["alerts"]
    assert [one["alert_id"] for one in listed] == [refused["alert_id"]]
    result = bench.execute(about("scale", "third", cluster="mars")).json()["result"]
    assert (result["success"], result["status"]) == (False, "refused")
    assert "unknown_cluster" in result["abort_reason"]
    eventually(lambda: bench.workflow_detail(taken["workflow_id"])["ended_at"], "the other one ends")
    assert bench.changes("third") == 0
    assert abroad.changes("third")


def test_one_that_is_away_stops_nobody_else(both: tuple[Bench, Abroad]) -> None:
    """Health names it, and what is about the other cluster goes on."""
    bench, abroad = both
    abroad.executor.kill()
    waits = bench.execute(about("restart", "second", cluster="eu"), prefer="respond-async")
    health = bench.http.get(f"{bench.workflow.url}/health").json()
    assert health["status"] == "degraded"
    assert health["executors"] == {"default": True, "eu": False}
    assert set(health["circuit_breakers"]) == {"executor", "executor/eu", "advisor"}
    assert bench.execute(about("scale", "third")).json()["result"]["success"]
    abroad.executor.start("/readyz")
    workflow_id = waits.json()["result"]["workflow_id"]
    if workflow_id:
        eventually(lambda: bench.workflow_detail(workflow_id)["ended_at"], "it goes on when its executor is back")
    assert bench.changes("third") == 1
