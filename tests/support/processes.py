"""The three programs as processes that a test can start, kill and start again."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx2

DEADLINE = 45.0  # seconds until a test gives up waiting for a condition

Found = TypeVar("Found")


def eventually(look: Callable[[], Found], what: str, *, within: float = DEADLINE) -> Found:
    """The first true answer of `look`; fails when there is none in time."""
    until = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < until, f"did not happen within {within:g} s: {what}"
        time.sleep(0.05)
    return found


def free_port() -> int:
    """A port that nobody listens on, and that nobody takes while whoever has it is killed and not back yet.

    The kernel gives ports from 32768 on to whoever asks for any; those below are dealt out here.
    """
    while True:
        port = next(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _dealt() -> Iterator[int]:
    """The ports of this process, in turn."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
    first = random.randrange(1000)  # noqa: S311 - another run on this machine is to be elsewhere, mostly
    for number in itertools.count(first):
        yield 20_000 + 1000 * worker + number % 1000


_PORTS = _dealt()


class Program:
    """One program on one port, with its log; started and ended by pid."""

    def __init__(
        self, module: str, *, port: int, log: Path, environment: Mapping[str, str], arguments: tuple[str, ...] = ()
    ) -> None:
        self.port, self.url, self._log = port, f"http://127.0.0.1:{port}", log
        self._command = [sys.executable, "-m", module, *arguments]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._environment = {**kept, **environment}
        self.process: subprocess.Popen[bytes] | None = None

    def twin(self, *, log: Path, module: str = "workflow_service") -> Program:
        """Another workflow-service with the same settings, on a port of its own."""
        port = free_port()
        settings = {**self._environment, "WORKFLOW_SERVICE_PORT": str(port)}
        return Program(module, port=port, log=log, environment=settings)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; after SIGKILL it is gone when this returns."""
        if self.process is not None:
            self.process.send_signal(number)
            if number is signal.SIGKILL:
                self.process.wait()

    def start(self, ready: str) -> None:
        """Start it and wait until the path `ready` answers 200."""
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        eventually(lambda: self._answers(ready), f"{self._command} answers\n{self.log_end()}")

    def _answers(self, path: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self._command} ended: {self.process.returncode}\n{self.log_end()}"
        try:
            return httpx2.get(f"{self.url}{path}", timeout=2).status_code == 200
        except httpx2.HTTPError:
            return False

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=35)

    def log_end(self, size: int = 4000) -> str:
        """The end of what it printed."""
        return self._log.read_text(errors="replace")[-size:] if self._log.exists() else ""


class Stack:
    """Sandbox cluster, executor and workflow-service together."""

    def __init__(self, directory: Path, *, database_url: str | None = None, **settings: str) -> None:
        sandbox_port, kubeconfig = free_port(), directory / "kubeconfig"
        self.sandbox = Program(
            "executor_service",
            port=sandbox_port,
            log=directory / "sandbox.log",
            environment={},
            arguments=("sandbox", "--port", str(sandbox_port), "--kubeconfig", str(kubeconfig)),
        )
        executor_port, workflow_port = free_port(), free_port()
        self.executor = Program(
            "executor_service",
            port=executor_port,
            log=directory / "executor.log",
            environment={
                "EXECUTOR_SERVICE_PORT": str(executor_port),
                "KUBECONFIG": str(kubeconfig),
                "DATA_DIR": str(directory / "executor"),
            },
        )
        database = {"DATABASE_URL": database_url} if database_url else {}
        self.workflow = Program(
            "workflow_service",
            port=workflow_port,
            log=directory / "workflow.log",
            environment={
                "WORKFLOW_SERVICE_PORT": str(workflow_port),
                "EXECUTOR_SERVICE_URL": self.executor.url,
                "DATA_DIR": str(directory / "workflow"),
                **database,
                **settings,
            },
        )
        self.http = httpx2.Client(timeout=90)

    def __enter__(self) -> Stack:
        self.sandbox.start("/version")
        self.executor.start("/readyz")
        self.workflow.start("/readyz")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        for program in (self.workflow, self.executor, self.sandbox):
            program.kill()

    def execute(self, alert: Mapping[str, Any], *, prefer: str | None = None) -> httpx2.Response:
        """POST an alert."""
        headers = {"Prefer": prefer} if prefer else {}
        return self.http.post(f"{self.workflow.url}/api/v1/execute", json=alert, headers=headers)

    def workflows(self, **chosen: str) -> list[dict[str, Any]]:
        """The list, newest first."""
        answer = self.http.get(f"{self.workflow.url}/api/v1/workflows", params={"limit": 200, **chosen})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["workflows"])

    def workflow_detail(self, workflow_id: str) -> dict[str, Any]:
        """One workflow whole."""
        answer = self.http.get(f"{self.workflow.url}/api/v1/workflows/{workflow_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, number: int) -> list[dict[str, Any]] | None:
        """The workflows, once `number` of them are there and all are over."""
        found = self.workflows()
        return found if len(found) == number and all(one["ended_at"] for one in found) else None

    def effects(self) -> list[dict[str, Any]]:
        """The executor's accepted writes, from the cluster's own audit log."""
        writes = self.http.get(f"{self.sandbox.url}/sandbox/audit").json()["writes"]
        return [
            write
            for write in writes
            if write["user_agent"].startswith("executor-service") and write["code"] < 300 and not write["dry_run"]
        ]

    def deployment(self, namespace: str, name: str) -> dict[str, Any]:
        """A deployment as the cluster has it."""
        url = f"{self.sandbox.url}/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
        return dict(self.http.get(url).json())

    def add_deployments(self, namespace: str, names: list[str]) -> None:
        """More deployments of one replica, as an administrator would create them."""
        for name in names:
            body = {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": {"app": name}},
                    "template": {
                        "metadata": {"labels": {"app": name}},
                        "spec": {"containers": [{"name": "main", "image": "registry.local/app:1"}]},
                    },
                },
            }
            url = f"{self.sandbox.url}/apis/apps/v1/namespaces/{namespace}/deployments"
            answer = self.http.post(url, content=json.dumps(body), headers={"Content-Type": "application/json"})
            assert answer.status_code == 201, answer.text
