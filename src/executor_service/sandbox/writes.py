"""Creating and changing objects: every check of the API server between a decoded request and the store."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from executor_service.sandbox.admission import admit_change
from executor_service.sandbox.defaults import apply_defaults
from executor_service.sandbox.errors import (
    already_exists,
    bad_request,
    field_invalid,
    invalid,
    namespace_ends,
    not_found,
    stale,
)
from executor_service.sandbox.kinds import Kind, by_plural
from executor_service.sandbox.objects import Object, clone, is_terminating, meta, name_of, namespace_of, same
from executor_service.sandbox.shapes import shape_problem
from executor_service.sandbox.store import Store
from executor_service.sandbox.validation import validate, validate_update

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)
_BRINGS_STATUS = ("nodes",)
_COUNTERS_AT_BIRTH = {
    "replicasets": ("replicas",),
    "statefulsets": ("replicas", "availableReplicas"),
    "daemonsets": ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"),
    "poddisruptionbudgets": ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"),
}
"""The counters that the API always shows, also as 0; typed clients require them."""
_PHASE_AT_BIRTH = {"pods": "Pending", "namespaces": "Active", "persistentvolumeclaims": "Pending"}


@dataclass(frozen=True, slots=True)
class Change:
    """How one object is to be changed."""

    transform: Callable[[Object], Object]
    status_only: bool = False
    dry_run: bool = False
    patched: bool = False
    """A patch whose result cannot be decoded is 422; a whole object that cannot be decoded is 400."""


def random_suffix() -> str:
    """Five characters as the API server appends to generateName."""
    return "".join(secrets.choice(SUFFIX_ALPHABET) for _ in range(5))


def create(store: Store, kind: Kind, body: Object, *, namespace: str = "", dry_run: bool = False) -> Object:
    """Create an object. Raises ApiError 400, 403, 404 (namespace), 409 (name taken) or 422."""
    obj = clone(body)
    _identify(kind, obj, namespace)
    _decode(kind, obj, patched=False)
    if meta(obj).get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    if not name_of(obj) and meta(obj).get("generateName"):
        meta(obj)["name"] = f"{meta(obj)['generateName']}{random_suffix()}"
    _newborn(store, kind, obj)
    errors = validate(kind, obj)
    if errors:
        raise invalid(kind, name_of(obj), errors)
    if kind.namespaced:
        _living_namespace(store, kind, obj)
    if store.get(kind.plural, namespace, name_of(obj)) is not None:
        raise already_exists(kind, name_of(obj))
    if dry_run:
        return obj
    meta(obj).pop("uid")
    return store.put(kind.plural, obj)


def _newborn(store: Store, kind: Kind, obj: Object) -> None:
    metadata = meta(obj)
    for member in (*_SERVER_OWNED, "resourceVersion", "managedFields"):
        metadata.pop(member, None)
    metadata["uid"] = "00000000-0000-0000-0000-000000000000"
    metadata["creationTimestamp"] = store.now()
    if kind.generation:
        metadata["generation"] = 1
    if "status" in kind.subresources and kind.plural not in _BRINGS_STATUS:
        obj["status"] = dict.fromkeys(_COUNTERS_AT_BIRTH.get(kind.plural, ()), 0)
    if kind.plural in _PHASE_AT_BIRTH:
        obj["status"] = {"phase": _PHASE_AT_BIRTH[kind.plural]}
    if kind.plural == "namespaces":
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = name_of(obj)
        obj.setdefault("spec", {})["finalizers"] = ["kubernetes"]


def _living_namespace(store: Store, kind: Kind, obj: Object) -> None:
    home = store.get("namespaces", "", namespace_of(obj))
    if home is None:
        raise not_found(by_plural("namespaces"), namespace_of(obj))
    if is_terminating(home):
        raise namespace_ends(kind, name_of(obj), namespace_of(obj))


def change(store: Store, kind: Kind, key: tuple[str, str], wanted: Change) -> Object:
    """Change the object at (namespace, name). Raises ApiError 400, 404, 409 (stale version) or 422."""
    old = store.get(kind.plural, *key)
    if old is None:
        raise not_found(kind, key[1])
    new = wanted.transform(clone(old))
    _identify(kind, new, key[0], key[1])
    _decode(kind, new, patched=wanted.patched)
    _check_identity(kind, old, new)
    new = _keep_other_part(kind, old, new, status_only=wanted.status_only)
    _keep_server_owned(kind, old, new)
    errors = validate(kind, new) + validate_update(kind, old, new)
    if errors:
        raise invalid(kind, key[1], errors)
    admit_change(store, kind, old, new)
    if same(old, new):
        return old
    if wanted.dry_run:
        return new
    stored = store.put(kind.plural, new)
    if is_terminating(stored) and not meta(stored).get("finalizers") and kind.plural != "pods":
        store.remove(kind.plural, *key)
    return stored


def _identify(kind: Kind, obj: Object, namespace: str, name: str = "") -> None:
    """Check what the body says about itself against the address it was sent to."""
    for member, expected in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if obj.setdefault(member, expected) != expected:
            raise bad_request(
                f"the object provided is unrecognized: {member} is {obj[member]!r}, expected {expected!r}"
            )
    metadata = obj.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    if kind.namespaced and (metadata.get("namespace") or namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if kind.namespaced:
        metadata["namespace"] = namespace
    if name and (metadata.get("name") or name) != name:
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    if name:
        metadata["name"] = name


def _decode(kind: Kind, obj: Object, *, patched: bool) -> None:
    problem = shape_problem(kind, obj)
    if problem is not None:
        if patched:
            raise invalid(kind, str(meta(obj).get("name", "")), [field_invalid("patch", "{...}", problem)])
        raise bad_request(problem)
    apply_defaults(kind, obj)


def _check_identity(kind: Kind, old: Object, new: Object) -> None:
    version = meta(new).get("resourceVersion")
    if version and version != meta(old)["resourceVersion"]:
        raise stale(kind, name_of(old))
    uid = meta(new).get("uid")
    if uid and uid != meta(old)["uid"]:
        raise invalid(kind, name_of(old), [field_invalid("metadata.uid", uid, "field is immutable")])


def _keep_other_part(kind: Kind, old: Object, new: Object, *, status_only: bool) -> Object:
    """A status write changes status only; any other write leaves the status of such kinds alone."""
    if status_only:
        return {**clone(old), "status": new.get("status") or {}}
    if "status" in kind.subresources:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return new


def _keep_server_owned(kind: Kind, old: Object, new: Object) -> None:
    metadata = meta(new)
    for member in (*_SERVER_OWNED, "resourceVersion"):
        metadata.pop(member, None)
        if member in meta(old):
            metadata[member] = meta(old)[member]
    if kind.generation and _bumps_generation(kind, old, new):
        metadata["generation"] = meta(old).get("generation", 0) + 1


def _bumps_generation(kind: Kind, old: Object, new: Object) -> bool:
    """The spec counts; for deployments the server also counts annotations (its update strategy does)."""
    if not same(old.get("spec"), new.get("spec")):
        return True
    before, after = meta(old).get("annotations") or {}, meta(new).get("annotations") or {}
    return kind.plural == "deployments" and before != after
