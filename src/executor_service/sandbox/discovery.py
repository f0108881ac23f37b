"""Discovery: which groups, versions and resources are served."""

from collections.abc import Set as AbstractSet
from typing import Any

from executor_service.sandbox.kinds import KINDS, VERBS, Kind, in_group, named_groups
from executor_service.sandbox.objects import Object

_VERSIONS = {kind.group: kind.version for kind in KINDS if kind.group}


def version() -> Object:
    """GET /version."""
    return {"major": "1", "minor": "33", "gitVersion": "v1.33.0+kubernaut-sandbox", "platform": "linux/amd64"}


def core_versions() -> Object:
    """GET /api."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(switched_off: AbstractSet[str]) -> Object:
    """GET /apis."""
    listed = [_group(name) for name in named_groups() if name not in switched_off]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def group(name: str) -> Object | None:
    """GET /apis/{group}, None when it is not served."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)} if name in _VERSIONS else None


def resources(name: str, served: str) -> Object | None:
    """GET /api/v1 or /apis/{group}/{version}, None when it is not served."""
    if served != _VERSIONS.get(name, "v1" if name == "" else None):
        return None
    listed: list[Any] = [entry for kind in in_group(name) for entry in _entries(kind)]
    api_version = f"{name}/{served}" if name else served
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed}


def _group(name: str) -> Object:
    served = {"groupVersion": f"{name}/{_VERSIONS[name]}", "version": _VERSIONS[name]}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _entries(kind: Kind) -> list[Object]:
    own = {
        "name": kind.resource,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(VERBS),
        "shortNames": list(kind.short_names),
    }
    return [own, *(_subresource(kind, name) for name in kind.subresources)]


def _subresource(kind: Kind, name: str) -> Object:
    entry = {"name": f"{kind.resource}/{name}", "singularName": "", "namespaced": kind.namespaced}
    match name:
        case "scale":
            return {
                **entry,
                "group": "autoscaling",
                "version": "v1",
                "kind": "Scale",
                "verbs": ["get", "patch", "update"],
            }
        case "eviction":
            return {**entry, "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"]}
        case "log":
            return {**entry, "kind": kind.kind, "verbs": ["get"]}
        case _:
            return {**entry, "kind": kind.kind, "verbs": ["get", "patch", "update"]}
