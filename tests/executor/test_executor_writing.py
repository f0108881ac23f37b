"""Pure parts of conditional writes: pointers, quantities, operations, comparison after a lost answer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor_service.contract import ObjectRef, Verb, Write
from executor_service.kubernetes.pointers import differences, escape, resolve, same, unescape
from executor_service.kubernetes.quantities import parse_quantity
from executor_service.kubernetes.writing import Standing, compare, patch_operations, plan_patch

REF = ObjectRef("Deployment", "a", "b")
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


def deployment(replicas: int | None = 3, *, generation: int = 1, **metadata: Any) -> dict[str, Any]:
    """A small object."""
    spec = {} if replicas is None else {"replicas": replicas}
    return {"metadata": {"uid": "u", "resourceVersion": "9", "generation": generation} | metadata, "spec": spec}


def planned(values: dict[str, Any], current: dict[str, Any]) -> Write:
    """A plan that has something to do."""
    write = plan_patch(REF, current, values)
    assert write is not None
    return write


@given(st.text(max_size=20))
def test_pointer_tokens_survive_escaping(token: str) -> None:
    """RFC 6901: ~ and / are escaped and come back."""
    assert unescape(escape(token)) == token
    assert "/" not in escape(token)


@given(documents, documents)
def test_differences_name_fields_that_differ(before: Any, after: Any) -> None:
    """Every difference resolves to its old and new value; equal documents have none."""
    for change in differences(before, after, ""):
        if change.pointer:
            assert resolve(before, change.pointer) == change.before
            assert resolve(after, change.pointer) == change.after
    assert differences(before, before, "") == []


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_write_survives_the_ledger(before: int, after: int) -> None:
    """What is stored is what is read back."""
    write = plan_patch(REF, deployment(before), {"/spec/replicas": after}, guards={"/x": [1]})
    assert (write is None) == (before == after)
    if write is not None:
        kept = write.taking_back("k", "s").noting({"a": 1})
        assert Write.from_json(kept.to_json()) == kept


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("500m", 0.5), ("1Ki", 1024), ("1.5Gi", 1.5 * 2**30), ("2e3", 2000), ("1G", 10**9)]
)
def test_quantities(text: str, value: float) -> None:
    """Kubernetes' grammar."""
    assert float(parse_quantity(text)) == value


def test_only_resources_are_compared_as_quantities() -> None:
    """1024Mi is 1Gi as memory, not as a label."""
    assert same("/spec/containers/0/resources/limits/memory", "1024Mi", "1Gi")
    assert not same("/metadata/labels/size", "1024Mi", "1Gi")
    assert not same("/spec/containers/0/resources/limits/memory", "1Gi", "much")


def test_a_patch_tests_identity_version_and_old_values() -> None:
    """Whoever changed the object meanwhile makes the patch fail instead of being overwritten."""
    current = deployment()
    operations = patch_operations(planned({"/spec/replicas": 5}, current), current)
    tests = {item["path"]: item["value"] for item in operations if item["op"] == "test"}
    assert tests == {"/metadata/uid": "u", "/metadata/generation": 1, "/spec/replicas": 3}
    assert operations[-1] == {"op": "replace", "path": "/spec/replicas", "value": 5}


def test_missing_parents_are_created_once() -> None:
    """JSON Patch adds no parents by itself."""
    current = deployment()
    values = {"/spec/template/metadata/annotations/a": "1", "/spec/template/metadata/annotations/b": "2"}
    operations = patch_operations(planned(values, current), current)
    added = [item["path"] for item in operations if item["op"] == "add"]
    parents = ["/spec/template", "/spec/template/metadata", "/spec/template/metadata/annotations"]
    assert added == [*parents, *values]


def test_without_generation_the_resource_version_is_tested() -> None:
    """Nodes count no spec changes."""
    current = {"metadata": {"uid": "u", "resourceVersion": "9"}, "spec": {}}
    assert planned({"/spec/unschedulable": True}, current).version == {"/metadata/resourceVersion": "9"}


@pytest.mark.parametrize(
    ("now", "standing"),
    [
        (deployment(5, generation=2), Standing.LANDED),
        (deployment(3), Standing.UNTOUCHED),
        (deployment(3, resourceVersion="11"), Standing.UNTOUCHED),
        (deployment(3, generation=3), Standing.MOVED),
        (deployment(4, generation=2), Standing.DIFFERENT),
        (deployment(5, uid="other"), Standing.GONE),
        (None, Standing.GONE),
    ],
)
def test_what_an_object_says_about_a_write_in_doubt(now: dict[str, Any] | None, standing: Standing) -> None:
    """A status update (another resourceVersion) disturbs nothing; a spec change in between does."""
    assert compare(planned({"/spec/replicas": 5}, deployment()), now) is standing


def test_a_delete_in_doubt() -> None:
    """Gone, another object, or on its way: done. Still there: not done."""
    write = Write(Verb.DELETE, ObjectRef("Pod", "a", "p"), "u")
    assert compare(write, None) is Standing.GONE
    assert compare(write, deployment(uid="v")) is Standing.GONE
    assert compare(write, deployment(deletionTimestamp="now")) is Standing.LANDED
    assert compare(write, deployment()) is Standing.UNTOUCHED
