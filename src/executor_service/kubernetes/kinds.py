"""Which kinds the executor knows, and where the API serves them."""

from dataclasses import dataclass

from executor_service.contract import ObjectRef


@dataclass(frozen=True, slots=True)
class Kind:
    """A served resource: its API path prefix, its plural, and whether it lives in a namespace."""

    prefix: str
    plural: str
    namespaced: bool = True


KINDS: dict[str, Kind] = {
    "Deployment": Kind("apis/apps/v1", "deployments"),
    "StatefulSet": Kind("apis/apps/v1", "statefulsets"),
    "DaemonSet": Kind("apis/apps/v1", "daemonsets"),
    "ReplicaSet": Kind("apis/apps/v1", "replicasets"),
    "Pod": Kind("api/v1", "pods"),
    "Event": Kind("api/v1", "events"),
    "Node": Kind("api/v1", "nodes", namespaced=False),
    "Namespace": Kind("api/v1", "namespaces", namespaced=False),
    "PodMetrics": Kind("apis/metrics.k8s.io/v1beta1", "pods"),
}

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


def collection_path(kind: str, namespace: str | None) -> str:
    """The path of all objects of a kind, in one namespace or everywhere."""
    known = KINDS[kind]
    scope = f"/namespaces/{namespace}" if known.namespaced and namespace else ""
    return f"{known.prefix}{scope}/{known.plural}"


def object_path(ref: ObjectRef) -> str:
    """The path of one object."""
    return f"{collection_path(ref.kind, ref.namespace)}/{ref.name}"
