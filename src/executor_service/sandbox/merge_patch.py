"""JSON Merge Patch (RFC 7386)."""

from typing import Any

from executor_service.sandbox.errors import bad_request
from executor_service.sandbox.objects import Object


def apply_merge_patch(document: Object, patch: Any) -> Object:
    """The document with the patch merged in. Raises ApiError 400 when the patch is not an object."""
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: a merge patch is a JSON object")
    merged: Object = _merge(document, patch)
    return merged


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result
