"""Which kinds the executor knows, and where the API serves them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A served resource: its API path prefix, its plural, and whether it lives in a namespace."""

    prefix: str
    plural: str
    namespaced: bool = True
    older: tuple[str, ...] = ()
    """Versions with the same fields, for clusters that do not serve the prefix's: the newest first."""

    @property
    def version(self) -> str:
        """The version of its API that is asked first."""
        return self.prefix.rpartition("/")[2]

    @property
    def group(self) -> str:
        """The API group, empty for the core."""
        return self.prefix.split("/")[1] if self.prefix.startswith("apis/") else ""

    @property
    def api_version(self) -> str:
        """As objects of the kind say it: `v1`, `batch/v1`."""
        return self.prefix.partition("/")[2]


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
    "Service": Kind("api/v1", "services"),
    "Secret": Kind("api/v1", "secrets"),
    "PersistentVolumeClaim": Kind("api/v1", "persistentvolumeclaims"),
    "StorageClass": Kind("apis/storage.k8s.io/v1", "storageclasses", namespaced=False),
    "HorizontalPodAutoscaler": Kind("apis/autoscaling/v2", "horizontalpodautoscalers", older=("v2beta2",)),
    "NetworkPolicy": Kind("apis/networking.k8s.io/v1", "networkpolicies"),
    "Job": Kind("apis/batch/v1", "jobs"),
    "VolumeSnapshot": Kind("apis/snapshot.storage.k8s.io/v1", "volumesnapshots"),
    "VolumeSnapshotClass": Kind("apis/snapshot.storage.k8s.io/v1", "volumesnapshotclasses", namespaced=False),
}

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


def collection_path(kind: str, namespace: str | None, *, version: str = "") -> str:
    """The path of all objects of a kind, in one namespace or everywhere; of the first version if none is said."""
    known = KINDS[kind]
    scope = f"/namespaces/{namespace}" if known.namespaced and namespace else ""
    prefix = f"{known.prefix.removesuffix(known.version)}{version or known.version}"
    return f"{prefix}{scope}/{known.plural}"
