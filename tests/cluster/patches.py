"""Patches, and the answers that any Kubernetes API server must give, the sandbox too."""

from typing import Any

from tests.cluster.exchange import CONTAINER, DRY, OTHER_UID, POD, SET, WEB, Exchange


def _patch(*operations: tuple[Any, ...]) -> list[dict[str, Any]]:
    """A JSON Patch from (op, path, value) or (op, path)."""
    return [dict(zip(("op", "path", "value"), each, strict=False)) for each in operations]


PATCHES = (
    Exchange(
        "a label that is none",
        "PATCH",
        WEB,
        422,
        "Invalid",
        {"metadata": {"labels": {"a": "not a label"}}},
        "merge",
    ),
    Exchange(
        "a JSON Patch whose test holds",
        "PATCH",
        WEB,
        200,
        body=_patch(("test", "/spec/replicas", 1), ("replace", "/spec/replicas", 2)),
        patch="json",
        query=DRY,
        answer={"/spec/replicas": 2},
    ),
    Exchange(
        "a JSON Patch whose test fails",
        "PATCH",
        WEB,
        422,
        "Invalid",
        _patch(("test", "/spec/replicas", 9), ("replace", "/spec/replicas", 2)),
        patch="json",
    ),
    Exchange(
        "a JSON Patch that tests another uid",
        "PATCH",
        WEB,
        422,
        "Invalid",
        _patch(("test", "/metadata/uid", OTHER_UID), ("replace", "/spec/replicas", 2)),
        patch="json",
    ),
    Exchange(
        "a JSON Patch that removes what is not there",
        "PATCH",
        WEB,
        422,
        "Invalid",
        _patch(("remove", "/spec/nothing")),
        patch="json",
    ),
    Exchange(
        "a JSON Patch below a parent that is not there",
        "PATCH",
        SET,
        422,
        "Invalid",
        _patch(("add", f"{CONTAINER}/resources/limits/cpu", "1")),
        patch="json",
    ),
    Exchange(
        "quantities in the server's spelling",
        "PATCH",
        WEB,
        200,
        body=_patch(
            ("replace", f"{CONTAINER}/resources/limits/memory", "2048Mi"),
            ("replace", f"{CONTAINER}/resources/limits/cpu", "0.75"),
            ("replace", f"{CONTAINER}/resources/requests/memory", "1.5Gi"),
            ("replace", f"{CONTAINER}/resources/requests/cpu", "0.1"),
        ),
        patch="json",
        query=DRY,
        answer={
            f"{CONTAINER}/resources": {
                "limits": {"cpu": "750m", "memory": "2Gi"},
                "requests": {"cpu": "100m", "memory": "1536Mi"},
            }
        },
    ),
    Exchange(
        "empty maps are not stored",
        "PATCH",
        WEB,
        200,
        body=_patch(("add", "/spec/template/metadata/annotations", {}), ("add", "/metadata/annotations", {})),
        patch="json",
        query=DRY,
        answer={"/spec/template/metadata/annotations": None, "/metadata/annotations": None},
    ),
    Exchange(
        "a request above its limit",
        "PATCH",
        WEB,
        422,
        "Invalid",
        _patch(("replace", f"{CONTAINER}/resources/requests/cpu", "2")),
        patch="json",
    ),
    Exchange(
        "a quantity that is none",
        "PATCH",
        WEB,
        422,
        "Invalid",
        _patch(("replace", f"{CONTAINER}/resources/requests/cpu", "much")),
        patch="json",
    ),
    Exchange("a negative number of replicas", "PATCH", WEB, 422, "Invalid", {"spec": {"replicas": -1}}, "merge"),
    Exchange("a merge patch of a wrong type", "PATCH", WEB, 422, "Invalid", {"spec": {"replicas": "two"}}, "merge"),
    Exchange(
        "a merge patch of an old version",
        "PATCH",
        WEB,
        409,
        "Conflict",
        {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 2}},
        "merge",
    ),
    Exchange(
        "a merge patch in a dry run",
        "PATCH",
        WEB,
        200,
        body={"spec": {"replicas": 7}},
        patch="merge",
        query=DRY,
        answer={"/spec/replicas": 7},
    ),
    Exchange(
        "a strategic patch keeps what it does not name",
        "PATCH",
        WEB,
        200,
        body={"spec": {"template": {"spec": {"containers": [{"name": "second", "image": "s:1"}]}}}},
        patch="strategic-merge",
        query=DRY,
        answer={f"{CONTAINER}/name": "second", "/spec/template/spec/containers/1/name": "main"},
    ),
    Exchange(
        "another selector",
        "PATCH",
        WEB,
        422,
        "Invalid",
        {"spec": {"selector": {"matchLabels": {"app": "other"}}}},
        "merge",
    ),
    Exchange(
        "another service name of a StatefulSet", "PATCH", SET, 422, "Invalid", {"spec": {"serviceName": "x"}}, "merge"
    ),
    Exchange("a pod on another node", "PATCH", POD, 422, "Invalid", {"spec": {"nodeName": "node-9"}}, "merge"),
    Exchange("a patch of an unknown kind of patch", "PATCH", WEB, 415, "UnsupportedMediaType", {}, "strange"),
    Exchange("a dry run of another word", "PATCH", WEB, 422, "Invalid", {}, "merge", {"dryRun": "Some"}),
)
