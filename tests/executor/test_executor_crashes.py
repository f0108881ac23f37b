"""kill -9, lost answers, API outages: every intended change happens exactly once."""

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.executor.conftest import Cluster, Executor, environment, eventually, executor_process

from executor_service.contract import ObjectRef, Status
from executor_service.execution.acceptance import fingerprint
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.writing import plan_patch, send
from executor_service.ledger.database import open_database
from executor_service.ledger.ledger import Ledger
from executor_service.ledger.rows import ActionRow

SCALE = {"namespace": "production", "resource_name": "web-server", "replicas": 5}


@dataclass(frozen=True, slots=True)
class Remains:
    """What a process killed at some point leaves: a running row, perhaps an intent, perhaps its effect."""

    key: str
    ref: ObjectRef
    action: str = "scale_deployment"
    planned: bool = True
    sent: bool = False

    @property
    def row(self) -> ActionRow:
        """The row of a scale order (to 5 replicas) that has begun."""
        parameters = {"namespace": self.ref.namespace, "resource_name": self.ref.name, "replicas": 5}
        now = time.time()
        return ActionRow(
            key=self.key,
            action_id=str(uuid.uuid4()),
            fingerprint=fingerprint(self.action, parameters, dry_run=False),
            type=self.action,
            parameters=parameters,
            dry_run=False,
            request={},
            status=Status.RUNNING,
            cancel_requested=False,
            message="accepted",
            progress=None,
            result={},
            changes=[],
            error=None,
            created_at=now,
            deadline_at=now + 60,
            finished_at=None,
        )


WEB = Remains("killed-web", ObjectRef("Deployment", "production", "web-server"))


async def leave_behind(url: str, cluster: Cluster, *remains: Remains) -> None:
    """Write the remains into a ledger, and their effects into the cluster."""
    engine, lock = await open_database(url)
    ledger = await Ledger.open(engine)
    kube = KubeClient(cluster.kubeconfig)
    for left in remains:
        await ledger.insert(left.row)
        current = await kube.get(left.ref)
        write = plan_patch(left.ref, current, {"/spec/replicas": 5})
        assert write is not None
        if left.planned:
            await ledger.plan(left.key, "replicas", write, seq=1)
        if left.sent:
            await send(kube, write, current, dry_run=False)
    await kube.close()
    await engine.dispose()
    await lock.release()


def sqlite(directory: Path) -> str:
    """The URL of the ledger that an executor with this DATA_DIR uses."""
    return f"sqlite+aiosqlite:///{directory / 'executor.sqlite'}"


@pytest.mark.durability
@pytest.mark.requirement("BR-WF-004")
async def test_rows_left_at_any_point_are_resumed_to_exactly_one_write(cluster: Cluster, tmp_path: Path) -> None:
    """Killed before the intent, between intent and send, or between send and record: one write each in the audit.

    Overtaken by somebody else's value meanwhile: no write, a conflict, the change stays listed, undo refuses drift.
    """
    remains = [
        replace(WEB, planned=False),
        Remains("killed-api", ObjectRef("Deployment", "staging", "api-server")),
        Remains("killed-db", ObjectRef("StatefulSet", "production", "postgres"), "scale_statefulset", sent=True),
    ]
    overtaken = Remains("killed-late", ObjectRef("Deployment", "production", "payments"))
    await leave_behind(sqlite(tmp_path), cluster, *remains, overtaken)
    cluster.merge("deployments", "payments", {"spec": {"replicas": 1}})
    with executor_process(tmp_path, cluster.kubeconfig) as executor:
        results = [executor.finished(left.key) for left in remains]
        late = executor.finished(overtaken.key)
        assert (late["status"], late["error"]["class"], len(late["changes"])) == ("failed", "conflict", 1), late
        assert executor.undo(overtaken.key)["error"]["class"] == "conflict"
    assert [result["status"] for result in results] == ["completed"] * 3, results
    assert [(len(result["changes"]), result["changes"][0]["after"]) for result in results] == [(1, 5)] * 3
    assert [len(cluster.writes(left.ref.name)) for left in remains] == [1, 1, 1]
    assert cluster.writes("payments") == []


@pytest.mark.durability
@pytest.mark.requirement("BR-WF-004")
def test_killing_the_executor_in_the_middle_of_a_write_costs_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """SIGKILL while the API server holds the answer; after the restart: one write, the same key, completed."""
    cluster.fault("patch", "deployments", delay_seconds=1.0)
    with executor_process(tmp_path, cluster.kubeconfig, SYNC_WAIT="100ms", DRY_RUN_FIRST="false") as executor:
        assert executor.order("scale_deployment", SCALE, key="kill-1").status_code == 202
        ledger_id = executor.by_key("kill-1").json()["ledger_id"]
        faults = f"{cluster.url}/sandbox/faults"
        eventually(lambda: "patch" not in cluster.http.get(faults).text, "the write has reached the API server")
        executor.kill()
    with executor_process(tmp_path, cluster.kubeconfig) as executor:
        result = executor.finished("kill-1")
        assert (result["status"], result["ledger_id"]) == ("completed", ledger_id), result
        assert executor.order("scale_deployment", SCALE, key="kill-1").json()["action_id"] == result["action_id"]
    assert len(cluster.writes("web-server")) == 1
    assert cluster.get("deployments", "web-server")["spec"]["replicas"] == 5


@pytest.mark.durability
@pytest.mark.parametrize(
    ("action", "parameters", "verb", "resource"),
    [
        ("restart_pod", {"namespace": "production", "resource_name": "web-server-123"}, "delete", "pods"),
        (
            "restart_pod",
            {"namespace": "production", "resource_name": "web-server", "resource_type": "deployment"},
            "patch",
            "deployments",
        ),
        ("scale_deployment", SCALE, "patch", "deployments"),
    ],
)
def test_a_lost_answer_does_not_repeat_the_effect(
    plain_executor: Executor, cluster: Cluster, action: str, parameters: dict[str, object], verb: str, resource: str
) -> None:
    """The write took effect, its answer never came: read, compare, done."""
    cluster.fault(verb, resource, drop=True)
    result = plain_executor.execute(action, parameters)
    assert result["status"] == "completed", result
    assert result["changes"]
    assert len([entry for entry in cluster.writes() if entry["verb"] == verb]) == 1


def test_an_effect_in_doubt_outlasts_an_outage_of_the_api(plain_executor: Executor, cluster: Cluster) -> None:
    """No answer to the write, then only errors to the questions: it stays running until the truth is known."""
    cluster.fault("patch", "deployments", drop=True, delay_seconds=0.4)
    faults = f"{cluster.url}/sandbox/faults"
    with ThreadPoolExecutor(1) as pool:
        ordered = pool.submit(plain_executor.execute, "scale_deployment", SCALE, key="outage")
        eventually(lambda: "patch" not in cluster.http.get(faults).text, "our write has reached the API server")
        cluster.fault("get", "deployments", status=500, times=6)
        eventually(lambda: "not known" in plain_executor.by_key("outage").json().get("progress", ""), "it says so")
        result = ordered.result()
    assert result["status"] == "completed", result
    assert len(cluster.writes("web-server")) == 1


@pytest.mark.parametrize(("status", "error_class"), [(503, "transient"), (429, "throttled"), (403, "forbidden")])
def test_a_refused_write_is_not_repeated_here(
    plain_executor: Executor, cluster: Cluster, status: int, error_class: str
) -> None:
    """Retrying effects is the caller's business; the class says whether it makes sense; no change is listed."""
    cluster.fault("patch", "deployments", status=status)
    result = plain_executor.execute("scale_deployment", SCALE)
    assert (result["status"], result["error"]["class"], result["changes"]) == ("failed", error_class, [])
    assert cluster.writes() == []


def test_a_concurrent_writer_makes_us_plan_again(plain_executor: Executor, cluster: Cluster) -> None:
    """Somebody changes the object between our read and our write: no blind overwrite, the fresh value is `before`."""
    cluster.fault("patch", "deployments", delay_seconds=0.5)
    faults = f"{cluster.url}/sandbox/faults"
    with ThreadPoolExecutor(1) as pool:
        ordered = pool.submit(plain_executor.execute, "scale_deployment", SCALE)
        eventually(lambda: "patch" not in cluster.http.get(faults).text, "our write has reached the API server")
        cluster.merge("deployments", "web-server", {"spec": {"replicas": 4}})
        result = ordered.result()
    assert (result["status"], result["changes"][0]["before"]) == ("completed", 4), result
    assert len(cluster.writes("web-server")) == 1


@pytest.mark.durability
async def test_a_second_instance_refuses_to_start(tmp_path: Path) -> None:
    """Two on one ledger could act twice: exit 1 and one clear line; when the first is gone, the second may."""
    engine, lock = await open_database(sqlite(tmp_path))
    settings = environment(DATA_DIR=str(tmp_path), EXECUTOR_SERVICE_PORT="0")
    line = [sys.executable, "-m", "executor_service"]
    ended = await asyncio.to_thread(
        subprocess.run, line, env=settings, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("refusing to start: another executor-service uses the ledger ")
    await engine.dispose()
    await lock.release()
    engine, lock = await open_database(sqlite(tmp_path))
    await engine.dispose()
    await lock.release()


@pytest.mark.durability
def test_sigterm_ends_with_0_and_a_waiting_action_goes_on_after_the_restart(cluster: Cluster, tmp_path: Path) -> None:
    """An action that waits for a rollout is interrupted at a safe point and resumed."""
    cluster.full()
    with executor_process(tmp_path, cluster.kubeconfig, SYNC_WAIT="100ms") as executor:
        assert executor.order("scale_deployment", SCALE, key="long").status_code == 202
        eventually(lambda: executor.by_key("long").json()["changes"], "the change is made")
        assert executor.stop() == 0
    with executor_process(tmp_path, cluster.kubeconfig, SYNC_WAIT="100ms") as executor:
        assert executor.by_key("long").json()["status"] == "running"
        cancelled = eventually(lambda: _final(executor.cancel("long").json), "cancelled")
    assert (cancelled["status"], [change["after"] for change in cancelled["changes"]]) == ("cancelled", [5])
    assert len(cluster.writes("web-server")) == 1


def _final(answer: Callable[[], dict[str, object]]) -> dict[str, object] | None:
    result = answer()
    return result if result["status"] != "running" else None


@pytest.mark.durability
def test_it_starts_and_serves_while_the_cluster_is_away(cluster: Cluster, tmp_path: Path) -> None:
    """Not ready, degraded, but notifications work and changes fail as transient; it recovers by itself."""
    kubeconfig = tmp_path / "kubeconfig"
    with executor_process(tmp_path, kubeconfig) as executor:
        assert executor.http.get("/readyz").status_code == 503
        assert executor.http.get("/health").json()["status"] == "degraded"
        assert executor.execute("notify_only", {"message": "m"})["status"] == "completed"
        assert executor.execute("scale_deployment", SCALE)["error"]["class"] == "transient"
        for nonsense in ("{", "apiVersion: v1", "clusters: [{name: a, cluster: {server: 'http://[bad'}}]"):
            kubeconfig.write_text(nonsense)
            assert executor.http.get("/readyz").status_code == 503
        kubeconfig.write_bytes(cluster.kubeconfig.read_bytes())
        assert executor.http.get("/readyz").status_code == 200
