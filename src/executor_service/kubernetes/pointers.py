"""JSON pointers (RFC 6901): reading, field-level differences, and equality as Kubernetes means it. Pure."""

from executor_service.contract import FieldChange, Json
from executor_service.kubernetes.quantities import parse_quantity


def escape(token: str) -> str:
    """One path segment as a pointer spells it."""
    return token.replace("~", "~0").replace("/", "~1")


def unescape(token: str) -> str:
    """The inverse of `escape`."""
    return token.replace("~1", "/").replace("~0", "~")


def resolve(document: Json, pointer: str) -> Json:
    """The value at the pointer, or None when any part of the way is missing."""
    value = document
    for token in pointer.split("/")[1:]:
        if isinstance(value, dict):
            value = value.get(unescape(token))
        elif isinstance(value, list) and token.isdigit() and int(token) < len(value):
            value = value[int(token)]
        else:
            return None
    return value


def differences(before: Json, after: Json, prefix: str) -> list[FieldChange]:
    """The smallest fields in which two documents differ; lists of other lengths differ as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        pairs = [(f"{prefix}/{escape(key)}", before.get(key), after.get(key)) for key in keys]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(f"{prefix}/{index}", old, new) for index, (old, new) in enumerate(zip(before, after, strict=True))]
    else:
        return [] if before == after else [FieldChange(prefix, before, after)]
    return [change for pointer, old, new in pairs for change in differences(old, new, pointer)]


def same(pointer: str, left: Json, right: Json) -> bool:
    """Equality; below `resources` quantities are compared by value (the server may respell 1024Mi as 1Gi)."""
    if left == right:
        return True
    if "/resources/" not in pointer or not (isinstance(left, str) and isinstance(right, str)):
        return False
    try:
        return parse_quantity(left) == parse_quantity(right)
    except ValueError:
        return False
