"""Watches: every change once, in order, from the version that was asked for."""

import asyncio
import json
from typing import Any

import pytest
from lightkube import ApiError
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod

WEB = "/apis/apps/v1/namespaces/production/deployments/web-server"
PODS = "/api/v1/namespaces/production/pods"


async def collect(lab: Any, path: str) -> list[Any]:
    """All events of a watch that ends by itself."""
    async with lab.http.get(path) as response:
        assert response.status == 200
        return [json.loads(line) async for line in response.content]


async def test_lightkube_sees_changes_from_a_version(lab: Any) -> None:
    """A watch that starts at a list's version yields what came after it, and only that."""
    items = lab.client.list(Deployment)
    assert len([item async for item in items]) == 3
    stream = lab.client.watch(
        Deployment, resource_version=items.resourceVersion, fields={"metadata.name": "web-server"}
    )
    await lab.client.patch(Deployment, "web-server", {"spec": {"replicas": 4}})
    async with asyncio.timeout(5):
        kind, seen = await anext(stream)
    await stream.aclose()
    assert (kind, seen.spec.replicas) == ("MODIFIED", 4)


async def test_watch_without_a_version_begins_with_everything(lab: Any) -> None:
    """What exists comes first as ADDED; the watch ends after timeoutSeconds, with a bookmark."""
    path = f"{PODS}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true&labelSelector=app=postgres"
    seen = await collect(lab, path)
    assert [event["type"] for event in seen] == ["ADDED"] * 3 + ["BOOKMARK"]
    assert seen[0]["object"]["kind"] == "Pod"


async def test_leaving_a_selector_is_a_deletion(lab: Any) -> None:
    """An object that no longer matches is DELETED for the watcher, and ADDED when it matches again."""
    version = (await lab.get(PODS))["metadata"]["resourceVersion"]
    for colour in ("red", "blue", "red"):
        body = {"metadata": {"labels": {"colour": colour}}}
        await lab.call("PATCH", f"{PODS}/postgres-0", body, patch="merge")
    path = f"{PODS}?watch=1&timeoutSeconds=1&labelSelector=colour=red&resourceVersion={version}"
    assert [event["type"] for event in await collect(lab, path)] == ["ADDED", "DELETED", "ADDED"]


async def test_deletions_are_seen(lab: Any) -> None:
    """A deleted pod is first MODIFIED (it is ending), then DELETED with a newer version."""
    stream = lab.client.watch(
        Pod, resource_version=lab.sandbox.cluster.store.version, fields={"metadata.name": "web-server-123"}
    )
    await lab.client.delete(Pod, "web-server-123")
    async with asyncio.timeout(5):
        first, second = await anext(stream), await anext(stream)
    await stream.aclose()
    assert (first[0], second[0]) == ("MODIFIED", "DELETED")
    assert int(second[1].metadata.resourceVersion) > int(first[1].metadata.resourceVersion)


async def test_old_and_future_versions(lab: Any) -> None:
    """A version whose history is gone ends with ERROR 410, also for lightkube; one never reached is 504."""
    await lab.call("POST", "/sandbox/reset")
    seen = await collect(lab, f"{PODS}?watch=1&resourceVersion=1001")
    assert [(event["type"], event["object"]["code"]) for event in seen] == [("ERROR", 410)]
    with pytest.raises(ApiError) as expired:
        await anext(lab.client.watch(Pod, resource_version="1001"))
    assert expired.value.status.code == 410
    assert (await lab.call("GET", f"{PODS}?resourceVersion=999999999"))[0] == 504


async def test_stopping_ends_open_watches(lab: Any) -> None:
    """A sandbox that stops ends its watches instead of waiting for them."""
    async with lab.http.get(f"{WEB.rpartition('/')[0]}?watch=1") as response:
        await response.content.readline()
        async with asyncio.timeout(5):
            await lab.sandbox.stop()
            await response.content.read()
