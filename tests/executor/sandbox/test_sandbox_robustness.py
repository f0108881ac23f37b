"""Whatever a client sends, the sandbox answers like an API server: never with a crash, neither then nor later."""

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

import pytest

APPS = "/apis/apps/v1/namespaces/production"
WRONG: tuple[Any, ...] = (None, -1, True, "x", [], [None], {"x": 1})
PATHS = {
    "deployments": f"{APPS}/deployments/rich",
    "poddisruptionbudgets": "/apis/policy/v1/namespaces/production/poddisruptionbudgets/rich",
    "statefulsets": f"{APPS}/statefulsets/postgres",
    "daemonsets": f"{APPS}/daemonsets/log-agent",
    "pods": "/api/v1/namespaces/production/pods/web-server-123",
    "nodes": "/api/v1/nodes/node-1",
}


SELECTOR = {"matchLabels": {"app": "rich"}, "matchExpressions": [{"key": "app", "operator": "In", "values": ["rich"]}]}
CONTAINER = {
    "name": "main",
    "image": "a:1",
    "env": [{"name": "A", "value": "1"}],
    "ports": [{"containerPort": 80}],
    "resources": {"requests": {"cpu": "1m"}, "limits": {"memory": "1Gi"}},
}
POD = {
    "containers": [CONTAINER],
    "initContainers": [{"name": "first", "image": "a:1"}],
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}],
}
RICH = {
    "metadata": {"name": "rich", "labels": {"app": "rich"}, "annotations": {"a": "b"}},
    "spec": {"replicas": 1, "selector": SELECTOR, "template": {"metadata": {"labels": {"app": "rich"}}, "spec": POD}},
}
BUDGET = {"metadata": {"name": "rich"}, "spec": {"selector": SELECTOR, "maxUnavailable": "30%"}}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutated(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with one thing replaced."""
    copied = copy.deepcopy(body)
    place = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copied


@pytest.mark.parametrize("plural", PATHS)
async def test_no_wrong_value_crashes_the_sandbox(lab: Any, plural: str) -> None:
    """Every field of an object replaced by wrong values: accepted or refused, and the controllers go on."""
    crashes: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: crashes.append(context))
    path = PATHS[plural]
    await lab.call("POST", PATHS["deployments"].removesuffix("/rich"), RICH)
    await lab.call("POST", PATHS["poddisruptionbudgets"].removesuffix("/rich"), BUDGET)
    await lab.until(lambda: lab.ready("production", "rich") == 1)
    body = await lab.get(path)
    del body["metadata"]["resourceVersion"]
    body["metadata"].pop("creationTimestamp")
    for place in places(body):
        address = f"{path}/status" if place[0] == "status" else path
        for value in WRONG:
            async with lab.http.put(address, json=mutated(body, place, value)) as response:
                assert response.status in (200, 400, 409, 422), (place, value, await response.text())
    await lab.call("PUT", path, body)
    await lab.call("POST", "/api/v1/namespaces/production/configmaps", {"metadata": {"name": "still-here"}})
    assert crashes == []
