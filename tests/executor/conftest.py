"""Real processes for the executor's tests: one sandbox cluster, one executor, and new ones where a test kills them."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

DEADLINE_SECONDS = 20.0


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """The first true answer of the condition; fails after the deadline."""
    until = time.monotonic() + DEADLINE_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < until, f"not reached: {what}"
        time.sleep(0.03)
    return answer


PREFIXES = {
    "pods": "api/v1",
    "events": "api/v1",
    "services": "api/v1",
    "secrets": "api/v1",
    "configmaps": "api/v1",
    "persistentvolumeclaims": "api/v1",
    "horizontalpodautoscalers": "apis/autoscaling/v2",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "jobs": "apis/batch/v1",
    "volumesnapshots": "apis/snapshot.storage.k8s.io/v1",
}
CLUSTER_WIDE = {
    "nodes": "api/v1",
    "storageclasses": "apis/storage.k8s.io/v1",
    "volumesnapshotclasses": "apis/snapshot.storage.k8s.io/v1",
}


def essence(item: dict[str, Any]) -> dict[str, Any]:
    """An object without what only the server writes."""
    own = {"resourceVersion", "generation", "managedFields"}
    metadata = {name: value for name, value in item["metadata"].items() if name not in own and value}
    return {name: value for name, value in item.items() if name != "status"} | {"metadata": metadata}


@dataclass
class Cluster:
    """The sandbox cluster over plain HTTP, seen as an administrator and an auditor see it."""

    url: str
    kubeconfig: Path
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=10))

    def path(self, kind: str, name: str, namespace: str = "production") -> str:
        """URL of one object by plural kind."""
        if kind in CLUSTER_WIDE:
            return f"{self.url}/{CLUSTER_WIDE[kind]}/{kind}/{name}"
        prefix = PREFIXES.get(kind, "apis/apps/v1")
        return f"{self.url}/{prefix}/namespaces/{namespace}/{kind}/{name}"

    def create(self, kind: str, body: dict[str, Any], namespace: str = "production") -> dict[str, Any]:
        """Create an object behind the executor's back."""
        headers = {"Content-Type": "application/json", "User-Agent": "somebody-else"}
        url = self.path(kind, "", namespace).rstrip("/")
        answer = self.http.post(url, content=json.dumps(body), headers=headers)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def all(self, kind: str, namespace: str = "production") -> list[dict[str, Any]]:
        """All objects of a kind in a namespace."""
        return list(self.http.get(self.path(kind, "", namespace).rstrip("/")).json()["items"])

    def serve(self, group: str) -> None:
        """Switch on an API group that a plain cluster does not have."""
        answer = self.http.post(f"{self.url}/sandbox/groups", json={"group": group, "served": True})
        assert answer.status_code == 200, answer.text

    def get(self, kind: str, name: str, namespace: str = "production") -> dict[str, Any]:
        """The object; fails when it does not exist."""
        answer = self.http.get(self.path(kind, name, namespace))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def exists(self, kind: str, name: str, namespace: str = "production") -> bool:
        """Whether the object exists."""
        return self.http.get(self.path(kind, name, namespace)).status_code == 200

    def pods(self, selector: str = "", namespace: str = "production") -> list[dict[str, Any]]:
        """The pods that match."""
        url = f"{self.url}/api/v1/namespaces/{namespace}/pods"
        return list(self.http.get(url, params={"labelSelector": selector}).json()["items"])

    def merge(self, kind: str, name: str, patch: dict[str, Any], namespace: str = "production") -> None:
        """Change an object behind the executor's back."""
        headers = {"Content-Type": "application/merge-patch+json", "User-Agent": "somebody-else"}
        answer = self.http.patch(self.path(kind, name, namespace), content=json.dumps(patch), headers=headers)
        assert answer.status_code == 200, answer.text

    def fault(self, verb: str, resource: str, **effect: Any) -> None:
        """Script an API fault."""
        body = {"match": {"verb": verb, "resource": resource}} | effect
        answer = self.http.post(f"{self.url}/sandbox/faults", json=body)
        assert answer.status_code < 300, answer.text

    def full(self) -> None:
        """Leave no room for new pods: they stay Pending."""
        for node in ("node-1", "node-2", "node-3"):
            self.merge("nodes", node, {"spec": {"unschedulable": True}})

    def clear_faults(self) -> None:
        """Forget scripted faults."""
        self.http.delete(f"{self.url}/sandbox/faults")

    def writes(self, name: str = "") -> list[dict[str, Any]]:
        """Effective writes of the executor (accepted, not dry), from the audit log."""
        entries = self.http.get(f"{self.url}/sandbox/audit").json()["writes"]
        ours = [entry for entry in entries if entry["user_agent"] == "executor-service"]
        effective = [entry for entry in ours if entry["code"] < 300 and not entry["dry_run"]]
        return [entry for entry in effective if name in {"", entry["name"]}]

    def reset(self) -> None:
        """Back to the seed, with an empty audit log."""
        assert self.http.post(f"{self.url}/sandbox/reset").status_code < 300


@dataclass
class Executor:
    """One executor process and a client for it."""

    process: subprocess.Popen[str]
    url: str
    log: Path
    http: httpx2.Client

    def execute(
        self, action_type: str, parameters: dict[str, Any], *, key: str | None = None, **context: Any
    ) -> dict[str, Any]:
        """Order an action and wait for its end."""
        answer = self.order(action_type, parameters, key=key, **context)
        assert answer.status_code in {200, 202, 403}, answer.text
        return self.finished(answer.json()["key"])

    def order(
        self, action_type: str, parameters: dict[str, Any], *, key: str | None = None, **context: Any
    ) -> httpx2.Response:
        """Order an action; the answer as it comes."""
        body = {"action": {"id": "a1", "type": action_type, "parameters": parameters}, "alert": None}
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self.http.post("/api/v1/execute", json=body | {"context": context}, headers=headers)

    def finished(self, key: str) -> dict[str, Any]:
        """The result of a key once it is final."""
        found: dict[str, Any] = {}

        def final() -> bool:
            found.update(self.by_key(key).json())
            return found.get("status") != "running"

        eventually(final, f"the end of {key}")
        return found

    def by_key(self, key: str) -> httpx2.Response:
        """What is known of a key."""
        return self.http.get(f"/api/v1/actions/by-key/{key}")

    def cancel(self, key: str) -> httpx2.Response:
        """Cancel by key."""
        return self.http.post(f"/api/v1/actions/by-key/{key}/cancel")

    def undo(self, key: str, *, suffix: str = ":undo", **parameters: Any) -> dict[str, Any]:
        """Undo by key."""
        return self.execute("undo", {"key": key} | parameters, key=f"{key}{suffix}")

    def kill(self) -> None:
        """SIGKILL, and gone."""
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(DEADLINE_SECONDS)


def environment(**settings: str) -> dict[str, str]:
    """The environment of a child: ours without settings that could leak in."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    return kept | {"PYTHONUNBUFFERED": "1"} | settings


@contextmanager
def executor_process(directory: Path, kubeconfig: Path, **settings: str) -> Iterator[Executor]:
    """A started executor on an ephemeral port; killed at the end if it still runs."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / f"log-{uuid.uuid4().hex[:6]}.jsonl"
    given = {"DATA_DIR": str(directory), "EXECUTOR_SERVICE_PORT": "0", "KUBECONFIG": str(kubeconfig)} | settings
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "executor_service"],
            env=environment(**given),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        port = eventually(lambda: _port(process, log), "the executor listens")
        url = f"http://127.0.0.1:{port}"
        with httpx2.Client(base_url=url, timeout=30) as http:
            yield Executor(process, url, log, http)
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)


def _port(process: subprocess.Popen[str], log: Path) -> int | None:
    text = log.read_text()
    assert process.poll() is None, f"the executor ended: {text}"
    lines = [json.loads(line) for line in text.splitlines() if '"listening"' in line and line.endswith("}")]
    return int(lines[0]["port"]) if lines else None


@pytest.fixture(scope="session")
def sandbox_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One sandbox process for all tests."""
    kubeconfig = tmp_path_factory.mktemp("sandbox") / "kubeconfig"
    command = [sys.executable, "-m", "executor_service", "sandbox", "--port", "0", "--kubeconfig", str(kubeconfig)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        with httpx2.Client(timeout=10) as http:
            yield Cluster(f"http://127.0.0.1:{ready['port']}", kubeconfig, http)
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)
        process.stdout.close()


@pytest.fixture(scope="session")
def shared_executor(sandbox_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """One executor process for all tests that do not kill it; every test uses its own keys."""
    directory = tmp_path_factory.mktemp("executor")
    with executor_process(directory, sandbox_cluster.kubeconfig, SYNC_WAIT="1500ms") as executor:
        yield executor


@pytest.fixture(scope="session")
def plain_executor_process(sandbox_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """One executor process that sends its writes without a dry run before: a scripted fault strikes the write."""
    settings = {"SYNC_WAIT": "1500ms", "DRY_RUN_FIRST": "false"}
    with executor_process(tmp_path_factory.mktemp("plain"), sandbox_cluster.kubeconfig, **settings) as executor:
        yield executor


@pytest.fixture
def cluster(sandbox_cluster: Cluster) -> Cluster:
    """The sandbox, fresh from its seed."""
    sandbox_cluster.clear_faults()
    sandbox_cluster.reset()
    return sandbox_cluster


@pytest.fixture
def executor(shared_executor: Executor, cluster: Cluster) -> Executor:
    """The shared executor on a fresh cluster."""
    return shared_executor


@pytest.fixture
def plain_executor(plain_executor_process: Executor, cluster: Cluster) -> Executor:
    """The executor without a dry run before each write, on a fresh cluster."""
    return plain_executor_process
