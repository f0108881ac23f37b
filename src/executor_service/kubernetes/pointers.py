"""JSON pointers (RFC 6901): reading, field-level differences, and equality as Kubernetes means it. Pure.

A token such as `[name=web]` stands for the element of a list whose members have these values (`resource.name=cpu` looks
one level deeper): the position of an element in a list is not what we changed, and others may move it.
"""

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
        elif isinstance(value, list) and is_keyed(token):
            found = position(value, token)
            value = None if found is None else value[found]
        elif isinstance(value, list) and token.isdigit() and int(token) < len(value):
            value = value[int(token)]
        else:
            return None
    return value


def is_keyed(token: str) -> bool:
    """Whether the token names a list element by its members."""
    return token.startswith("[") and token.endswith("]")


def keyed(**members: str) -> str:
    """The token of the element with these members; `__` in a name goes one level deeper."""
    return "[" + ",".join(f"{name.replace('__', '.')}={escape(value)}" for name, value in members.items()) + "]"


def position(items: list[Json], token: str) -> int | None:
    """Where the element of a keyed token is, or None."""
    wanted = [part.partition("=") for part in unescape(token[1:-1]).split(",")]
    for index, item in enumerate(items):
        if all(resolve(item, "/" + name.replace(".", "/")) == value for name, _, value in wanted):
            return index
    return None


def actual(document: Json, pointer: str) -> str:
    """The pointer as this document's server understands it: keyed tokens become positions, an absent one the end."""
    value, tokens = document, []
    for token in pointer.split("/")[1:]:
        shown = token
        if is_keyed(token):
            found = position(value, token) if isinstance(value, list) else None
            shown = "-" if found is None else str(found)
        tokens.append(shown)
        value = resolve(value, f"/{token}")
    return "".join(f"/{token}" for token in tokens)


def contains(document: Json, part: Json) -> bool:
    """Whether everything in `part` is in the document, which may have more (a server adds defaults)."""
    if part in ({}, []):
        return document in ({}, [], None)  # a server does not keep what is empty
    if isinstance(part, dict):
        return isinstance(document, dict) and all(contains(document.get(name), item) for name, item in part.items())
    if isinstance(part, list):
        return (
            isinstance(document, list)
            and len(document) == len(part)
            and all(contains(one, other) for one, other in zip(document, part, strict=True))
        )
    return bool(document == part)


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
