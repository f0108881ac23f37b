"""From a request's path and method to what it asks for."""

from dataclasses import dataclass

from executor_service.sandbox.kinds import Kind, find

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True, slots=True)
class Address:
    """A resource address: the kind, and what of it. `name` is empty for a collection."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Where the store keeps the object."""
        return self.namespace, self.name


def parse_path(path: str) -> Address | None:
    """The address of `/api/v1/...` or `/apis/<group>/<version>/...`, or None when nothing is served there."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        group, version, rest = "", "".join(parts[1:2]), parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and find(group, version, rest[2]):
        namespace, rest = rest[1], rest[2:]
    kind = find(group, version, rest[0]) if rest else None
    if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
        return None
    address = Address(kind, namespace, *rest[1:])
    return address if _is_served(address) else None


def _is_served(address: Address) -> bool:
    """Subresources must exist, and an object of a namespaced kind is only found in its namespace."""
    if address.subresource and address.subresource not in address.kind.subresources:
        return False
    return not (address.name and address.kind.namespaced and not address.namespace)


def verb_of(method: str, address: Address, query: dict[str, str]) -> str | None:
    """The API verb of a request, or None when the method is not allowed at this address."""
    if address.subresource == "eviction":
        return "create" if method == "POST" else None
    if method in ("GET", "HEAD"):
        return "get" if address.name else _reading_verb(query)
    if address.subresource == "log" or (address.kind.namespaced and not address.namespace):
        return None
    if method == "DELETE":
        return _deleting_verb(address)
    verb = _VERBS.get(method)
    return verb if bool(address.name) != (verb == "create") else None


def _reading_verb(query: dict[str, str]) -> str:
    return "watch" if query.get("watch") in ("true", "1") else "list"


def _deleting_verb(address: Address) -> str | None:
    if not address.name:
        return "deletecollection"
    return None if address.subresource else "delete"
