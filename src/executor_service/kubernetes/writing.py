"""Conditional writes: planned from an object just read, sent as JSON Patch with tests, and compared afterwards.

A patch tests the uid, the version (`metadata.generation` where the kind counts its spec changes, so that mere status
updates do not disturb; `resourceVersion` elsewhere), the given guards and every old value. Whoever sends it twice
changes the object at most once.
"""

from enum import Enum, auto

from executor_service.contract import FieldChange, Json, ObjectRef, Verb, Write
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.kinds import object_path
from executor_service.kubernetes.pointers import resolve, same

JSON_PATCH = "application/json-patch+json"


class Standing(Enum):
    """How an object compares with a write whose outcome is in doubt."""

    LANDED = auto()
    UNTOUCHED = auto()
    """The old values, and proof that nothing was written in between."""
    MOVED = auto()
    """The old values, but the object was written by somebody in between."""
    DIFFERENT = auto()
    GONE = auto()


def plan_patch(
    ref: ObjectRef, current: dict[str, Json], values: dict[str, Json], *, guards: dict[str, Json] | None = None
) -> Write | None:
    """A write that sets the pointers to the values (None removes), or None when all of them hold already."""
    fields = tuple(
        FieldChange(pointer, resolve(current, pointer), value)
        for pointer, value in values.items()
        if not same(pointer, resolve(current, pointer), value)
    )
    if not fields:
        return None
    metadata = current["metadata"]
    counted = "generation" in metadata
    version_at = "/metadata/generation" if counted else "/metadata/resourceVersion"
    version = {version_at: metadata["generation" if counted else "resourceVersion"]}
    return Write(Verb.PATCH, ref, metadata["uid"], fields, guards or {}, version)


def plan_removal(verb: Verb, ref: ObjectRef, current: dict[str, Json], *, grace_period_seconds: int | None) -> Write:
    """A delete or an eviction of exactly this pod, by its uid."""
    uid = current["metadata"]["uid"]
    fields = (FieldChange("/metadata/uid", uid, None),)
    return Write(verb, ref, uid, fields, grace_period_seconds=grace_period_seconds)


def patch_operations(write: Write, current: dict[str, Json]) -> list[dict[str, Json]]:
    """RFC 6902 operations for the write; missing parents are created as the object at hand needs it."""
    tests = {"/metadata/uid": write.uid} | write.version | write.guards
    tests |= {item.pointer: item.before for item in write.fields if item.before is not None}
    operations: list[dict[str, Json]] = [{"op": "test", "path": path, "value": value} for path, value in tests.items()]
    made: set[str] = set()
    for item in write.fields:
        operations += _parents(current, item, made)
        if item.after is None:
            operations += [{"op": "remove", "path": item.pointer}]
        else:
            operations += [{"op": "replace" if item.before is not None else "add", "path": item.pointer}]
            operations[-1]["value"] = item.after
    return operations


def _parents(current: dict[str, Json], item: FieldChange, made: set[str]) -> list[dict[str, Json]]:
    tokens = item.pointer.split("/")[1:-1]
    paths = ["/" + "/".join(tokens[: end + 1]) for end in range(len(tokens))]
    missing = [path for path in paths if path not in made and resolve(current, path) is None]
    made.update(missing)
    return [{"op": "add", "path": path, "value": {}} for path in missing]


async def send(client: KubeClient, write: Write, current: dict[str, Json], *, dry_run: bool) -> dict[str, Json]:
    """Send the write once; the answer is the object as it now is (or the server's Status). Raises ApiError."""
    path = object_path(write.ref)
    if write.verb is Verb.PATCH:
        operations = patch_operations(write, current)
        answer = await client.send("PATCH", path, operations, content_type=JSON_PATCH, dry_run=dry_run)
        return dict(answer)
    options: dict[str, Json] = {"preconditions": {"uid": write.uid}}
    if write.grace_period_seconds is not None:
        options["gracePeriodSeconds"] = write.grace_period_seconds
    if dry_run:
        options["dryRun"] = ["All"]
    if write.verb is Verb.DELETE:
        body = {"apiVersion": "v1", "kind": "DeleteOptions"} | options
        return dict(await client.send("DELETE", path, body, dry_run=dry_run))
    metadata = {"name": write.ref.name, "namespace": write.ref.namespace}
    eviction = {
        "apiVersion": await client.eviction_version(),
        "kind": "Eviction",
        "metadata": metadata,
        "deleteOptions": options,
    }
    return dict(await client.send("POST", f"{path}/eviction", eviction, dry_run=dry_run))


def compare(write: Write, current: dict[str, Json] | None) -> Standing:
    """What the object says about a write that may or may not have been applied."""
    if current is None or current["metadata"]["uid"] != write.uid:
        return Standing.GONE
    if write.verb is not Verb.PATCH:
        leaving = "deletionTimestamp" in current["metadata"]
        return Standing.LANDED if leaving else Standing.UNTOUCHED
    if all(same(item.pointer, resolve(current, item.pointer), item.after) for item in write.fields):
        return Standing.LANDED
    if not all(same(item.pointer, resolve(current, item.pointer), item.before) for item in write.fields):
        return Standing.DIFFERENT
    return Standing.UNTOUCHED if conditions_hold(write, current) else Standing.MOVED


def conditions_hold(write: Write, current: dict[str, Json]) -> bool:
    """Whether the server would find every tested value in this object."""
    tests = {"/metadata/uid": write.uid} | write.version | write.guards
    tests |= {item.pointer: item.before for item in write.fields if item.before is not None}
    return all(resolve(current, path) == value for path, value in tests.items())
