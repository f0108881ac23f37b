"""A sandbox in this process, and the clients that reach it: lightkube through its kubeconfig, and plain HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from lightkube import AsyncClient, KubeConfig

from executor_service.sandbox.server import Sandbox, start

_SPEED = 20.0
_DEADLINE_SECONDS = 10.0


@dataclass(frozen=True)
class Lab:
    """One sandbox with its clients."""

    sandbox: Sandbox
    kubeconfig: Path
    http: aiohttp.ClientSession

    @cached_property
    def client(self) -> AsyncClient:
        """The lightkube client, made when a test first uses it: its TLS set-up is the slowest part of a test."""
        return AsyncClient(config=KubeConfig.from_file(self.kubeconfig), namespace="production", field_manager="lab")

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Send one request; `patch` is the short name of a patch type. Returns status and JSON."""
        patch = options.pop("patch", None)
        content = f"application/{patch}-patch+json" if patch else "application/json"
        headers = {"Content-Type": content, **options.pop("headers", {})}
        async with self.http.request(method, path, json=body, headers=headers, **options) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> Any:
        """The object at a path that exists."""
        code, found = await self.call("GET", path)
        assert code == 200, found
        return found

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait, woken by every change of the cluster, until a condition over its store holds."""
        changed = asyncio.Event()
        stop_listening = self.sandbox.cluster.store.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                while not holds():
                    changed.clear()
                    await changed.wait()
        finally:
            stop_listening()

    def pods(self, namespace: str, app: str) -> list[Any]:
        """The pods of an application, straight from the store."""
        found = self.sandbox.cluster.store.objects("pods", namespace)
        return [pod for pod in found if (pod["metadata"].get("labels") or {}).get("app") == app]

    def ready(self, namespace: str, app: str) -> int:
        """How many pods of an application are ready and not ending."""
        return sum(
            any(entry["type"] == "Ready" and entry["status"] == "True" for entry in pod["status"].get("conditions", []))
            and "deletionTimestamp" not in pod["metadata"]
            for pod in self.pods(namespace, app)
        )

    def status(self, plural: str, namespace: str, name: str) -> Any:
        """The status of an object, straight from the store."""
        found = self.sandbox.cluster.store.get(plural, namespace, name)
        assert found is not None
        return found["status"]

    def restarts(self, pod: Any) -> int:
        """How often a pod's containers were restarted."""
        return sum(entry["restartCount"] for entry in pod["status"].get("containerStatuses", []))

    async def writes(self) -> list[Any]:
        """The audit."""
        found: list[Any] = (await self.get("/sandbox/audit"))["writes"]
        return found


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A freshly seeded sandbox with fast controllers."""
    kubeconfig = tmp_path / "kubeconfig"
    sandbox = await start(0, kubeconfig, audit_file=tmp_path / "audit.jsonl", speed=_SPEED)
    async with aiohttp.ClientSession(sandbox.url) as http:
        lab = Lab(sandbox, kubeconfig, http)
        yield lab
        if "client" in vars(lab):
            await lab.client.close()
    await sandbox.stop()
