"""Patches: JSON Patch, merge patch and strategic merge patch, alone and through the API."""

from typing import Any

import pytest
from lightkube.resources.apps_v1 import Deployment
from lightkube.types import PatchType

from executor_service.sandbox.errors import ApiError
from executor_service.sandbox.json_patch import apply_json_patch
from executor_service.sandbox.merge_patch import apply_merge_patch
from executor_service.sandbox.strategic_patch import apply_strategic_patch

WEB = "/apis/apps/v1/namespaces/production/deployments/web-server"
DOCUMENT = {"a": {"b": [1, 2, 3], "c/d": "x", "e~f": None}, "flag": True}


@pytest.mark.parametrize(
    ("operations", "pointer", "expected"),
    [
        ([{"op": "add", "path": "/a/b/1", "value": 9}], "b", [1, 9, 2, 3]),
        ([{"op": "add", "path": "/a/b/-", "value": 9}], "b", [1, 2, 3, 9]),
        ([{"op": "remove", "path": "/a/b/0"}], "b", [2, 3]),
        ([{"op": "replace", "path": "/a/c~1d", "value": "y"}], "c/d", "y"),
        ([{"op": "copy", "from": "/a/b", "path": "/a/g"}], "g", [1, 2, 3]),
        ([{"op": "move", "from": "/a/b", "path": "/a/g"}], "g", [1, 2, 3]),
        ([{"op": "test", "path": "/a/e~0f", "value": None}], "e~f", None),
        ([{"op": "test", "path": "/a/b/0", "value": 1.0}, {"op": "replace", "path": "/a/b", "value": []}], "b", []),
    ],
)
def test_json_patch(operations: list[Any], pointer: str, expected: Any) -> None:
    """Every operation of RFC 6902 does what the RFC says, and the document it was given stays as it was."""
    before = repr(DOCUMENT)
    assert apply_json_patch(DOCUMENT, operations)["a"][pointer] == expected
    assert repr(DOCUMENT) == before


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([{"op": "test", "path": "/flag", "value": 1}], 422),
        ([{"op": "test", "path": "/nothing", "value": 1}], 422),
        ([{"op": "remove", "path": "/nothing"}], 422),
        ([{"op": "replace", "path": "/nothing", "value": 1}], 422),
        ([{"op": "add", "path": "/a/b/7", "value": 1}], 422),
        ([{"op": "add", "path": "/a/b/01", "value": 1}], 422),
        ([{"op": "move", "from": "/a", "path": "/a/b"}], 422),
        ([{"op": "explode", "path": "/a"}], 400),
        ([{"op": "add", "path": "/a"}], 400),
        ({"op": "add"}, 400),
    ],
)
def test_json_patch_refusals(operations: Any, code: int) -> None:
    """What does not apply is 422, what is not a patch is 400."""
    with pytest.raises(ApiError) as refused:
        apply_json_patch(DOCUMENT, operations)
    assert refused.value.code == code


def test_merge_patch() -> None:
    """A null deletes, objects merge, everything else is replaced (the cases of RFC 7386 appendix A)."""
    cases: list[tuple[Any, Any, Any]] = [
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ]
    for document, patch, expected in cases:
        assert apply_merge_patch(document, patch) == expected


def test_strategic_patch_keeps_the_sidecar() -> None:
    """Containers and environment merge by name, ports by number; tolerations are replaced."""
    pod = {
        "containers": [
            {"name": "main", "image": "a:1", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]},
            {"name": "sidecar", "image": "s:1"},
        ],
        "tolerations": [{"key": "old"}],
    }
    patch = {
        "containers": [
            {"name": "main", "image": "a:2", "env": [{"name": "B", "value": "2"}], "ports": [{"containerPort": 81}]}
        ],
        "tolerations": [{"key": "new"}],
    }
    merged = apply_strategic_patch(pod, patch)
    main, sidecar = merged["containers"]
    assert main["image"] == "a:2"
    assert [entry["name"] for entry in main["env"]] == ["B", "A"]  # what is new comes first, as on the real server
    assert [port["containerPort"] for port in main["ports"]] == [81, 80]
    assert sidecar == {"name": "sidecar", "image": "s:1"}
    assert merged["tolerations"] == [{"key": "new"}]


def test_strategic_directives() -> None:
    """$patch delete and replace, $retainKeys, $deleteFromPrimitiveList and $setElementOrder are obeyed."""
    document = {
        "containers": [{"name": "a"}, {"name": "b"}],
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {}},
        "finalizers": ["x", "y"],
    }
    patch = {
        "containers": [{"name": "a", "$patch": "delete"}, {"name": "c"}],
        "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}],
        "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
        "$deleteFromPrimitiveList/finalizers": ["x"],
    }
    assert apply_strategic_patch(document, patch) == {
        "containers": [{"name": "c"}, {"name": "b"}],
        "strategy": {"type": "Recreate"},
        "finalizers": ["y"],
    }
    whole = apply_strategic_patch(document, {"containers": [{"name": "z"}, {"$patch": "replace"}]})
    assert whole["containers"] == [{"name": "z"}]


async def test_failed_test_operation_is_invalid(lab: Any) -> None:
    """A JSON Patch whose test fails is 422 with the server's message, and nothing is changed."""
    version = (await lab.get(WEB))["metadata"]["resourceVersion"]
    patch = [
        {"op": "test", "path": "/spec/replicas", "value": 7},
        {"op": "replace", "path": "/spec/replicas", "value": 1},
    ]
    code, status = await lab.call("PATCH", WEB, patch, patch="json")
    assert (code, status["reason"]) == (422, "Invalid")
    assert status["message"] == "the server rejected our request due to an error in our request"
    assert (await lab.get(WEB))["metadata"]["resourceVersion"] == version


async def test_conditional_json_patch_happens_once(lab: Any) -> None:
    """A JSON Patch that tests uid and resourceVersion applies once; sent again it is refused."""
    found = (await lab.get(WEB))["metadata"]
    patch = [
        {"op": "test", "path": "/metadata/uid", "value": found["uid"]},
        {"op": "test", "path": "/metadata/resourceVersion", "value": found["resourceVersion"]},
        {"op": "replace", "path": "/spec/replicas", "value": 5},
    ]
    assert (await lab.call("PATCH", WEB, patch, patch="json"))[0] == 200
    assert (await lab.call("PATCH", WEB, patch, patch="json"))[0] == 422


async def test_merge_patch_with_a_version_is_conditional(lab: Any) -> None:
    """A resourceVersion inside a merge patch is checked: 409 when it is old."""
    version = (await lab.get(WEB))["metadata"]["resourceVersion"]
    body = {"metadata": {"resourceVersion": version}, "spec": {"replicas": 4}}
    assert (await lab.call("PATCH", WEB, body, patch="merge"))[0] == 200
    code, status = await lab.call("PATCH", WEB, body | {"spec": {"replicas": 6}}, patch="merge")
    assert (code, status["reason"]) == (409, "Conflict")


async def test_lightkube_patches(lab: Any) -> None:
    """The three patch types of lightkube arrive as what they are."""
    for kind, body, expected in (
        (PatchType.STRATEGIC, {"spec": {"replicas": 4}}, 4),
        (PatchType.MERGE, {"spec": {"replicas": 5}}, 5),
        (PatchType.JSON, [{"op": "replace", "path": "/spec/replicas", "value": 6}], 6),
    ):
        changed = await lab.client.patch(Deployment, "web-server", body, patch_type=kind)
        assert changed.spec.replicas == expected
    assert [write["patch_type"] for write in await lab.writes()] == ["strategic", "merge", "json"]


async def test_other_patch_types_are_refused(lab: Any) -> None:
    """Server-side apply and unknown media types are 415."""
    headers = {"Content-Type": "application/apply-patch+yaml"}
    assert (await lab.call("PATCH", WEB, {}, headers=headers))[0] == 415
