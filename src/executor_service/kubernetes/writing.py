"""Conditional writes: planned from an object just read, sent as JSON Patch with tests, and compared afterwards.

A patch tests the uid, the version (`metadata.generation` where the kind counts its spec changes, so that mere status
updates do not disturb; `resourceVersion` elsewhere), the given guards and every old value. Whoever sends it twice
changes the object at most once.
"""

import base64
import hashlib
import secrets
from enum import Enum, auto

from executor_service.contract import FieldChange, Json, ObjectRef, Verb, Write
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.kinds import KINDS
from executor_service.kubernetes.pointers import actual, is_keyed, resolve, same

CREATED_BY = "kubernaut.io/created-by"
"""Annotation on what we create; its value derives from the key, so that the same order creates once."""
SECRET_BYTES = 32  # of chance in a new secret value
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


def plan_creation(
    ref: ObjectRef,
    content: dict[str, Json],
    mark: str,
    *,
    sealed: dict[str, dict[str, Json]] | None = None,
    kept: bool = False,
) -> tuple[Write, dict[str, Json]]:
    """A write that creates the object, once per mark, and the whole document. Its name should derive from the mark."""
    given = content.get("metadata") or {}
    metadata = given | {"name": ref.name} | ({"namespace": ref.namespace} if ref.namespace else {})
    metadata["annotations"] = (given.get("annotations") or {}) | {CREATED_BY: mark}
    metadata["labels"] = (given.get("labels") or {}) | {"app.kubernetes.io/managed-by": "kubernaut-executor"}
    about = {"apiVersion": KINDS[ref.kind].api_version, "kind": ref.kind}
    document = about | {name: value for name, value in content.items() if name != "metadata"} | {"metadata": metadata}
    return Write(Verb.CREATE, ref, fields=(FieldChange("", None, document),), sealed=sealed or {}, kept=kept), document


def plan_removal(verb: Verb, ref: ObjectRef, current: dict[str, Json], *, grace_period_seconds: int | None) -> Write:
    """A delete or an eviction of exactly this pod, by its uid."""
    uid = current["metadata"]["uid"]
    fields = (FieldChange("/metadata/uid", uid, None),)
    return Write(verb, ref, uid, fields, grace_period_seconds=grace_period_seconds)


def patch_operations(
    write: Write, current: dict[str, Json], values: dict[str, Json] | None = None
) -> list[dict[str, Json]]:
    """RFC 6902 operations for the write; missing parents are created as the object at hand needs it.

    `values` are what is sealed in the write, by pointer. Removals come last and backwards, so that no position moves.
    """
    tests = {"/metadata/uid": write.uid} | write.version | write.guards
    tests |= {item.pointer: item.before for item in write.fields if item.before is not None}
    operations: list[dict[str, Json]] = [
        {"op": "test", "path": actual(current, path), "value": value} for path, value in tests.items()
    ]
    made: set[str] = set()
    removals: list[dict[str, Json]] = []
    for item in [*write.fields, *_unsealed_changes(current, values or {})]:
        path = actual(current, item.pointer)
        if item.after is None:
            removals.insert(0, {"op": "remove", "path": path})
            continue
        operations += _parents(current, item, made)
        verb = "replace" if item.before is not None else "add"
        operations.append({"op": verb, "path": path, "value": item.after})
    return operations + removals


def _unsealed_changes(current: dict[str, Json], values: dict[str, Json]) -> list[FieldChange]:
    return [FieldChange(pointer, resolve(current, pointer), value) for pointer, value in values.items()]


def _parents(current: dict[str, Json], item: FieldChange, made: set[str]) -> list[dict[str, Json]]:
    tokens = item.pointer.split("/")[1:]
    paths = ["/" + "/".join(tokens[: end + 1]) for end in range(len(tokens) - 1)]
    missing: list[tuple[str, Json]] = [
        (path, [] if is_keyed(child) else {})
        for path, child in zip(paths, tokens[1:], strict=True)
        if path not in made and resolve(current, path) is None
    ]
    made.update(path for path, _ in missing)
    return [{"op": "add", "path": actual(current, path), "value": empty} for path, empty in missing]


async def unseal(client: KubeClient, write: Write) -> dict[str, Json]:
    """The secret values of a write, made or fetched now; they exist in memory only. Raises ApiError."""
    values: dict[str, Json] = {}
    for pointer, source in write.sealed.items():
        if source["from"] == "chance":
            values[pointer] = base64.b64encode(secrets.token_urlsafe(SECRET_BYTES).encode()).decode()
        else:
            original = await client.get(ObjectRef("Secret", source["namespace"], source["name"]))
            values[pointer] = resolve(original, source["pointer"])
    return values


def fingerprint_of(value: Json) -> str | None:
    """What may be stored of a secret value made by chance: it cannot be guessed from this."""
    return None if value is None else f"sha256:{hashlib.sha256(str(value).encode()).hexdigest()}"


def sealed_as_stored(write: Write, answer: dict[str, Json]) -> dict[str, dict[str, Json]]:
    """The sealed pointers with the fingerprint of what the server stored, where chance made it."""
    return {
        pointer: source | ({"sha256": fingerprint_of(resolve(answer, pointer))} if source["from"] == "chance" else {})
        for pointer, source in write.sealed.items()
    }


async def send(client: KubeClient, write: Write, current: dict[str, Json], *, dry_run: bool) -> dict[str, Json]:
    """Send the write once; the answer is the object as it now is (or the server's Status). Raises ApiError."""
    path = await client.place_of(write.ref)
    if write.verb is Verb.PATCH:
        operations = patch_operations(write, current, await unseal(client, write))
        answer = await client.send("PATCH", path, operations, content_type=JSON_PATCH, dry_run=dry_run)
        return dict(answer)
    if write.verb is Verb.CREATE:
        return await _create(client, write, dry_run=dry_run)
    options: dict[str, Json] = {"preconditions": {"uid": write.uid}}
    if write.grace_period_seconds is not None:
        options["gracePeriodSeconds"] = write.grace_period_seconds
    if dry_run:
        options["dryRun"] = ["All"]
    if write.verb is Verb.DELETE:
        options |= {} if write.ref.kind == "Pod" else {"propagationPolicy": "Background"}
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


async def _create(client: KubeClient, write: Write, *, dry_run: bool) -> dict[str, Json]:
    document = write.fields[0].after
    for pointer, value in (await unseal(client, write)).items():
        document = document | {pointer.removeprefix("/"): value}
    path = await client.place(write.ref.kind, write.ref.namespace)
    return dict(await client.send("POST", path, document, dry_run=dry_run))


def _compare_creation(write: Write, current: dict[str, Json] | None) -> Standing:
    if current is None:
        return Standing.UNTOUCHED
    mark = write.fields[0].after["metadata"]["annotations"][CREATED_BY]
    ours = (current["metadata"].get("annotations") or {}).get(CREATED_BY) == mark
    return Standing.LANDED if ours else Standing.DIFFERENT


def compare(write: Write, current: dict[str, Json] | None) -> Standing:
    """What the object says about a write that may or may not have been applied."""
    if write.verb is Verb.CREATE:
        return _compare_creation(write, current)
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
