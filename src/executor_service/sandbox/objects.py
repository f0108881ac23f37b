"""Kubernetes objects as plain JSON, and the questions everyone asks about them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeAlias

import orjson

Object: TypeAlias = dict[str, Any]
"""A JSON object as it travels on the wire. Stored objects are never changed in place: clone, change, put."""


def clone(value: Object) -> Object:
    """An independent deep copy."""
    copy: Object = orjson.loads(orjson.dumps(value))
    return copy


def timestamp(moment: datetime) -> str:
    """A moment as the API writes it: RFC 3339, whole seconds, UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(obj: Object) -> Object:
    """The object's metadata (shared, not copied)."""
    found: Object = obj["metadata"]
    return found


def name_of(obj: Object) -> str:
    """metadata.name."""
    return str(meta(obj).get("name", ""))


def namespace_of(obj: Object) -> str:
    """metadata.namespace, empty for cluster-scoped objects."""
    return str(meta(obj).get("namespace", ""))


def uid_of(obj: Object) -> str:
    """metadata.uid."""
    return str(meta(obj).get("uid", ""))


def labels_of(obj: Object) -> dict[str, str]:
    """metadata.labels, empty when absent."""
    return meta(obj).get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """metadata.annotations, empty when absent."""
    return meta(obj).get("annotations") or {}


def is_terminating(obj: Object) -> bool:
    """Whether deletion has been asked for."""
    return "deletionTimestamp" in meta(obj)


def controller_of(obj: Object) -> Object | None:
    """The owner reference with `controller: true`, if any."""
    return next((ref for ref in meta(obj).get("ownerReferences") or [] if ref.get("controller")), None)


def owned(candidates: Iterable[Object], owner: Object) -> list[Object]:
    """The candidates that `owner` controls."""
    uid = uid_of(owner)
    return [obj for obj in candidates if (controller_of(obj) or {}).get("uid") == uid]


def owner_reference(owner: Object) -> Object:
    """A controlling owner reference to `owner`."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(obj: Object, wanted: str) -> Object | None:
    """The status condition of that type, if any."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry.get("type") == wanted), None)


def is_ready(obj: Object) -> bool:
    """Whether the Ready condition of a pod or node is True."""
    return (condition(obj, "Ready") or {}).get("status") == "True"


def is_active(pod: Object) -> bool:
    """Whether a pod counts for its owner: neither finished nor being deleted."""
    phase = (pod.get("status") or {}).get("phase")
    return phase not in ("Succeeded", "Failed") and not is_terminating(pod)


def same(left: Any, right: Any) -> bool:
    """JSON equality: numbers by value, but true is not 1 (RFC 6902 section 4.6)."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(one, other) for one, other in zip(left, right, strict=True))
    return bool(left == right)
