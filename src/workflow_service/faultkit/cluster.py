"""The sandbox cluster as an administrator sees it: targets to change, faults of its API, and its audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp

from workflow_service.faultkit.calls import Silence, insist

EACH_NAMESPACE = 20  # targets; short lists keep the executor's own lists short
EXECUTOR = "executor-service"  # how its user agent begins
MEMORY, GROWN = "64Mi", "128Mi"
REPLICAS, SCALED = 0, 1


class Field(StrEnum):
    """The fields of a target that the fault kit's plans change, one per kind of action."""

    MEMORY = "memory"
    REPLICAS = "replicas"
    RESTARTED = "restart mark"


_POINTERS = {
    "/spec/template/spec/containers/0/resources/requests/memory": Field.MEMORY,
    "/spec/replicas": Field.REPLICAS,
    "/spec/template/metadata/annotations/kubernaut.io~1restarted-by": Field.RESTARTED,
}
_BASELINE = {Field.MEMORY: MEMORY, Field.REPLICAS: REPLICAS}


@dataclass(frozen=True, slots=True)
class Target:
    """One Deployment, about which exactly one alert speaks."""

    namespace: str
    name: str

    @staticmethod
    def number(number: int) -> Target:
        """The target of alert `number`."""
        return Target(f"faultkit-{number // EACH_NAMESPACE:04}", f"shop-{number:05}")


@dataclass(frozen=True, slots=True)
class Change:
    """One accepted write of the executor to one field of a target, as the audit log has it."""

    target: Target
    field: Field
    value: object

    @property
    def back(self) -> bool:
        """Whether it wrote the value that was there at the beginning: an undo."""
        return self.field in _BASELINE and self.value == _BASELINE[self.field]


class Cluster:
    """The sandbox behind one address."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def add(self, targets: list[Target]) -> None:
        """Create the targets and their namespaces."""
        for namespace in sorted({target.namespace for target in targets}):
            await self._do("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        for target in targets:
            await self._do("POST", f"/apis/apps/v1/namespaces/{target.namespace}/deployments", _deployment(target))

    async def trouble(self, target: Target, fault: Mapping[str, Any]) -> None:
        """Let the next changes of that target meet a fault of the cluster's API."""
        match = {"verb": "patch", "resource": "deployments", "namespace": target.namespace, "name": target.name}
        await self._do("POST", "/sandbox/faults", {"match": match, **fault})

    async def changes(self) -> list[Change]:
        """Everything that the executor wrote to targets, oldest first."""
        writes = await self._do("GET", "/sandbox/audit")
        return [change for write in writes["writes"] if _counts(write) for change in read_changes(write)]

    async def _do(self, method: str, path: str, body: object = None) -> Any:
        answer = await insist(self._session, method, lambda: self._url + path, body)
        if answer.status >= 300 and answer.status != 409:  # an earlier try that was not answered has created it
            raise Silence(f"the sandbox cluster answers {method} {path} with {answer.status}: {answer.document}")
        return answer.document


def _counts(write: Mapping[str, Any]) -> bool:
    return write["user_agent"].startswith(EXECUTOR) and write["code"] < 300 and not write["dry_run"]


def read_changes(write: Mapping[str, Any]) -> Iterator[Change]:
    """What one JSON Patch of the audit log wrote, field by field (RFC 6902)."""
    target = Target(write["namespace"], write["name"])
    for operation in write["body"] if isinstance(write["body"], list) else ():
        field = _POINTERS.get(operation["path"])
        if field is not None and operation["op"] != "test":
            yield Change(target, field, operation.get("value"))


def _deployment(target: Target) -> dict[str, Any]:
    requests = {"requests": {"memory": MEMORY}}
    container = {"name": "main", "image": "registry.local/app:1", "resources": requests}
    labels = {"app": target.name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": target.name, "namespace": target.namespace},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
