"""Deleting objects: preconditions, grace, finalizers, and what happens to dependents."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from executor_service.sandbox.errors import bad_request, conflict, forbidden, not_found
from executor_service.sandbox.kinds import KINDS, Kind
from executor_service.sandbox.objects import (
    Object,
    clone,
    is_terminating,
    meta,
    name_of,
    namespace_of,
    timestamp,
    uid_of,
)
from executor_service.sandbox.store import Store

_FOREGROUND = "foregroundDeletion"
_POLICIES = ("Background", "Foreground", "Orphan")
_UNDELETABLE = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, slots=True)
class Options:
    """The part of DeleteOptions that is honoured."""

    uid: str | None = None
    resource_version: str | None = None
    policy: str = "Background"
    grace_seconds: int | None = None
    dry_run: bool = False


def read_options(body: Object, query: dict[str, str]) -> Options:
    """DeleteOptions from the body, with the query parameters of the same names. Raises ApiError 400."""
    preconditions = body.get("preconditions") or {}
    policy = body.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    if policy not in _POLICIES:
        raise bad_request(f'invalid DeleteOptions: propagationPolicy: Unsupported value: "{policy}"')
    return Options(
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        policy=policy,
        grace_seconds=_grace(body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))),
        dry_run=bool(body.get("dryRun") or query.get("dryRun")),
    )


def _grace(value: Any) -> int | None:
    if value is None:
        return None
    if not str(value).isdigit():
        raise bad_request(f"invalid DeleteOptions: gracePeriodSeconds: Invalid value: {value}: must be a whole number")
    return int(value)


def delete(store: Store, kind: Kind, key: tuple[str, str], options: Options) -> Object:
    """Delete the object at (namespace, name); what the API answers: the object while it is ending, else a Status.

    Raises ApiError 403, 404 or 409 (preconditions).
    """
    obj = store.get(kind.plural, *key)
    if obj is None:
        raise not_found(kind, key[1])
    check_preconditions(kind, obj, options)
    if kind.plural == "namespaces" and key[1] in _UNDELETABLE:
        raise forbidden(kind, key[1], "this namespace may not be deleted")
    ending = _ending(store, kind, obj, options)
    if ending is None:
        if not options.dry_run:
            store.remove(kind.plural, *key)
        return obj if kind.plural == "pods" else success(kind, obj)
    if not options.dry_run and ending is not obj:
        return store.put(kind.plural, ending)
    return ending


def check_preconditions(kind: Kind, obj: Object, options: Options) -> None:
    """Raise ApiError 409 when the object is not the one that was meant."""
    if options.uid is not None and options.uid != uid_of(obj):
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid_of(obj)}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(kind, name_of(obj), f"Precondition failed: {why}")
    version = meta(obj)["resourceVersion"]
    if options.resource_version is not None and options.resource_version != version:
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion "
            f"in record ({version}). The object might have been modified"
        )
        raise conflict(kind, name_of(obj), f"Precondition failed: {why}")


def _ending(store: Store, kind: Kind, obj: Object, options: Options) -> Object | None:
    """The object as it looks while it is ending, or None when it goes at once."""
    if options.policy == "Orphan" and not options.dry_run:
        _orphan(store, obj)
    grace = _pod_grace(obj, options) if kind.plural == "pods" else 0
    finalizers = _finalizers(kind, obj, options)
    lingers = grace > 0 or bool(finalizers) or kind.plural == "namespaces"
    if not lingers:
        return None
    if is_terminating(obj):
        return obj
    ending = clone(obj)
    if finalizers:
        meta(ending)["finalizers"] = finalizers
    meta(ending)["deletionTimestamp"] = timestamp(datetime.now(UTC) + timedelta(seconds=grace))
    meta(ending)["deletionGracePeriodSeconds"] = grace
    if kind.plural == "namespaces":
        ending["status"] = {"phase": "Terminating"}
    return ending


def _finalizers(kind: Kind, obj: Object, options: Options) -> list[str]:
    """What has to let go first; a foreground deletion waits for the dependents."""
    finalizers = list(meta(obj).get("finalizers") or [])
    if options.policy == "Foreground" and kind.generation and _FOREGROUND not in finalizers:
        finalizers.append(_FOREGROUND)
    return finalizers


def _pod_grace(pod: Object, options: Options) -> int:
    """Seconds of grace: none for a pod that never reached a node."""
    spec: Object = pod.get("spec") or {}
    if not spec.get("nodeName"):
        return 0
    return int(
        spec.get("terminationGracePeriodSeconds", 30) if options.grace_seconds is None else options.grace_seconds
    )


def _orphan(store: Store, owner: Object) -> None:
    for plural, dependent in dependents(store, owner):
        freed = clone(dependent)
        kept = [ref for ref in meta(freed)["ownerReferences"] if ref.get("uid") != uid_of(owner)]
        meta(freed)["ownerReferences"] = kept
        store.put(plural, freed)


def dependents(store: Store, owner: Object) -> list[tuple[str, Object]]:
    """Every object that names `owner` in its owner references, with its resource."""
    uid = uid_of(owner)
    return [
        (kind.plural, obj)
        for kind in KINDS
        if kind.namespaced and kind.plural != "events"
        for obj in store.objects(kind.plural, namespace_of(owner))
        if any(ref.get("uid") == uid for ref in meta(obj).get("ownerReferences") or [])
    ]


def success(kind: Kind, obj: Object) -> Object:
    """The Status of a finished deletion."""
    group = {"group": kind.group} if kind.group else {}
    details = {"name": name_of(obj), **group, "kind": kind.plural, "uid": uid_of(obj)}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
