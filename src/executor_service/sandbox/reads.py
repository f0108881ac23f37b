"""Getting and listing objects, in pages when asked."""

import base64
import binascii
from dataclasses import dataclass

from executor_service.sandbox.errors import bad_request, from_the_future, not_found
from executor_service.sandbox.kinds import Kind
from executor_service.sandbox.objects import Object, name_of, namespace_of
from executor_service.sandbox.selectors import Matcher, fields, labels
from executor_service.sandbox.store import Store


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects of a kind a list or watch is about."""

    kind: Kind
    namespace: str
    matchers: tuple[Matcher, ...] = ()

    def accepts(self, obj: Object) -> bool:
        """Whether the object is in the namespace and matches every selector."""
        return self.namespace in ("", namespace_of(obj)) and all(matcher(obj) for matcher in self.matchers)


def read_filter(kind: Kind, namespace: str, query: dict[str, str]) -> Filter:
    """The filter of a request. Raises ApiError 400 for a selector that cannot be read."""
    matchers: list[Matcher] = []
    if query.get("labelSelector"):
        matchers.append(labels(query["labelSelector"]))
    if query.get("fieldSelector"):
        matchers.append(fields(kind, query["fieldSelector"]))
    return Filter(kind, namespace, tuple(matchers))


def get(store: Store, kind: Kind, key: tuple[str, str]) -> Object:
    """The object at (namespace, name). Raises ApiError 404."""
    obj = store.get(kind.plural, *key)
    if obj is None:
        raise not_found(kind, key[1])
    return obj


def whole_number(query: dict[str, str], name: str) -> int:
    """A non-negative integer of the query, 0 when absent. Raises ApiError 400."""
    text = query.get(name) or "0"
    if not text.isdigit():
        raise bad_request(f'invalid {name}: Invalid value: "{text}": must be a non-negative integer')
    return int(text)


def list_page(store: Store, wanted: Filter, query: dict[str, str]) -> Object:
    """The list answer. Items carry no apiVersion and kind, as in the real server's lists."""
    version = whole_number(query, "resourceVersion")
    if version > store.version:
        raise from_the_future(version, store.version)
    items = [obj for obj in store.objects(wanted.kind.plural, wanted.namespace) if wanted.accepts(obj)]
    start = _start(query.get("continue", ""))
    items = [obj for obj in items if (namespace_of(obj), name_of(obj)) > start] if start else items
    limit = whole_number(query, "limit") or len(items)
    metadata: Object = {"resourceVersion": str(store.version)}
    if limit < len(items):
        metadata["continue"] = _token(items[limit - 1])
        metadata["remainingItemCount"] = len(items) - limit
    return {
        "kind": f"{wanted.kind.kind}List",
        "apiVersion": wanted.kind.api_version,
        "metadata": metadata,
        "items": [{key: obj[key] for key in obj if key not in ("apiVersion", "kind")} for obj in items[:limit]],
    }


def _token(last: Object) -> str:
    return base64.urlsafe_b64encode(f"{namespace_of(last)}/{name_of(last)}".encode()).decode()


def _start(token: str) -> tuple[str, str] | None:
    if not token:
        return None
    try:
        namespace, _, name = base64.urlsafe_b64decode(token).decode().partition("/")
    except (binascii.Error, UnicodeDecodeError) as problem:
        raise bad_request("continue key is not valid") from problem
    return namespace, name
