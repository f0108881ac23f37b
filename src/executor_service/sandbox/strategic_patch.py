"""Strategic merge patch: lists of named things merge by their key, all other lists are replaced.

The keys are those of the Kubernetes API's `patchMergeKey` tags for the kinds served here; the directives are those of
the API conventions: `$patch`, `$retainKeys`, `$setElementOrder/...`, `$deleteFromPrimitiveList/...`.
"""

from typing import Any

from executor_service.sandbox.errors import bad_request
from executor_service.sandbox.objects import Object, clone

_KEYS = {
    "addresses": "type",
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_PRIMITIVE_SETS = frozenset({"finalizers", "podCIDRs"})
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def apply_strategic_patch(document: Object, patch: Any) -> Object:
    """The document with the patch merged in.

    Raises ApiError 400 when the patch is not an object or an element of a merged list lacks its key.
    """
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: a strategic merge patch is a JSON object")
    return _merge_map(clone(document), patch)


def _merge_map(target: Object, patch: Object) -> Object:
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    kept = patch.get("$retainKeys", target)
    result = {key: value for key, value in target.items() if key in kept}
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_member(result, key, value)
    _obey_lists(result, patch)
    return result


def _obey_lists(result: Object, patch: Object) -> None:
    """The directives beside a list: what to delete from it, how to order it."""
    for key, value in patch.items():
        if key.startswith(_DELETE):
            field = key.removeprefix(_DELETE)
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif key.startswith(_ORDER):
            _order(result, key.removeprefix(_ORDER), value)


def _merge_member(result: Object, key: str, value: Any) -> None:
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        before = result.get(key)
        result[key] = _merge_map(before if isinstance(before, dict) else {}, value)
    elif isinstance(value, list):
        result[key] = _merge_list(key, result.get(key) or [], value)
    else:
        result[key] = value


def _merge_list(field: str, target: list[Any], patch: list[Any]) -> list[Any]:
    if field in _PRIMITIVE_SETS:
        return [*target, *(item for item in patch if item not in target)]
    key = _merge_key(field, [*target, *patch])
    return patch if key is None else _merge_keyed(field, key, target, patch)


def _merge_key(field: str, items: list[Any]) -> str | None:
    """The merge key of a list. `ports` is a container's (containerPort) or a service's (port)."""
    if field == "ports":
        of_container = any(isinstance(item, dict) and "containerPort" in item for item in items)
        return "containerPort" if of_container else "port"
    return _KEYS.get(field)


def _merge_keyed(field: str, key: str, target: list[Any], patch: list[Any]) -> list[Any]:
    if any(isinstance(item, dict) and item.get("$patch") == "replace" and len(item) == 1 for item in patch):
        return [item for item in patch if item != {"$patch": "replace"}]
    result = list(target)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item!r} does not contain declared merge key: {key} (in {field})")
        at = next((index for index, known in enumerate(result) if known.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(_merge_map({}, item))
        else:
            result[at] = _merge_map(result[at], item)
    return _interleaved(key, result, [item[key] for item in patch], [item.get(key) for item in target])


def _interleaved(key: str, merged: list[Any], patched: list[Any], known: list[Any]) -> list[Any]:
    """In the API server's order: what the patch names in the patch's order, before what nothing puts before it."""
    named = [item for value in patched for item in merged if item.get(key) == value]
    others = [item for item in merged if item.get(key) not in patched]
    result: list[Any] = []
    while named and others:
        first, rival = others[0].get(key), named[0].get(key)
        earlier = rival in known and known.index(first) < known.index(rival)
        result.append((others if earlier else named).pop(0))
    return [*result, *named, *others]


def _order(result: Object, field: str, order: list[Any]) -> None:
    """Sort a merged list as told; what the order does not name keeps its place after what it names."""
    items = result.get(field) or []
    key = _merge_key(field, items)
    wanted = [entry.get(key) if isinstance(entry, dict) else entry for entry in order]

    def rank(item: Any) -> int:
        value = item.get(key) if isinstance(item, dict) else item
        return wanted.index(value) if value in wanted else len(wanted)

    if items:
        result[field] = sorted(items, key=rank)
