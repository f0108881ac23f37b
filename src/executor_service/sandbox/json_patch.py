"""JSON Patch (RFC 6902) on plain JSON, with the JSON Pointer rules of RFC 6901."""

from typing import Any

from executor_service.sandbox.errors import bad_request, unprocessable_patch
from executor_service.sandbox.objects import Object, clone, same

_NEEDS = {
    "add": ("value",),
    "replace": ("value",),
    "test": ("value",),
    "remove": (),
    "move": ("from",),
    "copy": ("from",),
}


def apply_json_patch(document: Object, operations: Any) -> Object:
    """The document with all operations applied.

    Raises ApiError 400 when the patch is malformed and 422 when an operation does not apply or a `test` fails, with the
    message the API server gives.
    """
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON Patch is an array of operations")
    result: Any = clone(document)
    for operation in operations:
        _check(operation)
        try:
            result = _apply(result, operation)
        except (KeyError, IndexError, ValueError, TypeError) as problem:
            raise unprocessable_patch() from problem
    if not isinstance(result, dict):
        raise unprocessable_patch()
    return result


def _check(operation: Any) -> None:
    if not isinstance(operation, dict) or operation.get("op") not in _NEEDS:
        raise bad_request(f"error decoding patch: {operation!r} is not an operation")
    for member in ("path", *(part for part in _NEEDS[operation["op"]] if part != "value")):
        if not isinstance(operation.get(member), str):
            raise bad_request(f"error decoding patch: operation {operation['op']} needs a string {member!r}")
    if "value" in _NEEDS[operation["op"]] and "value" not in operation:
        raise bad_request(f"error decoding patch: operation {operation['op']} needs 'value'")


def _apply(document: Any, operation: Object) -> Any:
    path = _parse(operation["path"])
    match operation["op"]:
        case "add":
            return _add(document, path, operation["value"])
        case "replace":
            _find(document, path)
            return _add(_remove(document, path), path, operation["value"]) if path else operation["value"]
        case "remove":
            return _remove(document, path)
        case "test":
            _test(document, path, operation["value"])
            return document
        case "copy":
            return _add(document, path, clone({"value": _find(document, _parse(operation["from"]))})["value"])
        case _:
            return _move(document, _parse(operation["from"]), path)


def _parse(pointer: str) -> list[str]:
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise ValueError(pointer)
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def _index(part: str, end: int) -> int:
    """A list position in 0..end; ValueError for anything else (no sign, no leading zero)."""
    if not part.isdigit() or (len(part) > 1 and part[0] == "0") or int(part) > end:
        raise ValueError(part)
    return int(part)


def _step(container: Any, part: str) -> Any:
    return container[_index(part, len(container) - 1)] if isinstance(container, list) else container[part]


def _find(document: Any, path: list[str]) -> Any:
    for part in path:
        document = _step(document, part)
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _find(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise TypeError(path)
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        raise ValueError("the whole document cannot be removed")
    parent, last = _find(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        del parent[_index(last, len(parent) - 1)]
    else:
        del parent[last]
    return document


def _move(document: Any, source: list[str], target: list[str]) -> Any:
    if target[: len(source)] == source and target != source:
        raise ValueError("a value cannot be moved into itself")
    value = _find(document, source)
    return _add(_remove(document, source), target, value)


def _test(document: Any, path: list[str], expected: Any) -> None:
    try:
        found = _find(document, path)
    except (KeyError, IndexError):
        # The API server's library lets a test for null pass on an absent member.
        found = None
    if not same(found, expected):
        raise ValueError(path)
