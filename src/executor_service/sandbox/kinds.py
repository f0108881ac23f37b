"""The resource kinds that the sandbox serves, as data."""

from collections.abc import Iterable
from dataclasses import dataclass

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Kind:
    """One served resource: its names, its scope, and which subresources it has."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    generation: bool = False
    served_as: str = ""
    """The plural in paths, where another group serves the same one."""

    @property
    def resource(self) -> str:
        """The plural that clients use."""
        return self.served_as or self.plural

    @property
    def api_version(self) -> str:
        """`v1` for the core group, `group/version` otherwise."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The resource as messages name it: `pods`, `deployments.apps`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def qualified_kind(self) -> str:
        """The kind as messages name it: `Pod`, `Deployment.apps`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


_WORKLOAD = ("scale", "status")

KINDS: tuple[Kind, ...] = (
    Kind("", "v1", "Namespace", "namespaces", namespaced=False, short_names=("ns",), subresources=("status",)),
    Kind("", "v1", "Node", "nodes", namespaced=False, short_names=("no",), subresources=("status",)),
    Kind("", "v1", "Pod", "pods", short_names=("po",), subresources=("eviction", "log", "status")),
    Kind("", "v1", "Event", "events", short_names=("ev",)),
    Kind("", "v1", "ConfigMap", "configmaps", short_names=("cm",)),
    Kind("", "v1", "Service", "services", short_names=("svc",), subresources=("status",)),
    Kind("apps", "v1", "Deployment", "deployments", short_names=("deploy",), subresources=_WORKLOAD, generation=True),
    Kind("apps", "v1", "ReplicaSet", "replicasets", short_names=("rs",), subresources=_WORKLOAD, generation=True),
    Kind("apps", "v1", "StatefulSet", "statefulsets", short_names=("sts",), subresources=_WORKLOAD, generation=True),
    Kind("apps", "v1", "DaemonSet", "daemonsets", short_names=("ds",), subresources=("status",), generation=True),
    Kind(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        short_names=("pdb",),
        subresources=("status",),
        generation=True,
    ),
    Kind("", "v1", "Secret", "secrets"),
    Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", short_names=("pvc",), subresources=("status",)),
    Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False, short_names=("sc",)),
    Kind(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        short_names=("hpa",),
        subresources=("status",),
    ),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", short_names=("netpol",), generation=True),
    Kind("batch", "v1", "Job", "jobs", subresources=("status",), generation=True),
    Kind(
        "snapshot.storage.k8s.io",
        "v1",
        "VolumeSnapshot",
        "volumesnapshots",
        short_names=("vs",),
        subresources=("status",),
        generation=True,
    ),
    Kind(
        "snapshot.storage.k8s.io",
        "v1",
        "VolumeSnapshotClass",
        "volumesnapshotclasses",
        namespaced=False,
        generation=True,
    ),
    Kind("metrics.k8s.io", "v1beta1", "PodMetrics", "podmetrics", served_as="pods"),
    Kind("networking.istio.io", "v1", "VirtualService", "virtualservices", generation=True),
)

SWITCHED_OFF = frozenset({"snapshot.storage.k8s.io", "metrics.k8s.io", "networking.istio.io"})
"""Groups that a plain cluster does not have: not served until somebody switches them on."""

_BY_PLURAL = {kind.plural: kind for kind in KINDS}
_BY_PATH = {(kind.group, kind.version, kind.resource): kind for kind in KINDS}
_PLURALS = {kind.kind: kind.plural for kind in KINDS}


def by_plural(plural: str) -> Kind:
    """The kind of a plural resource name that is known to be served."""
    return _BY_PLURAL[plural]


def plural_of(kind_name: str) -> str | None:
    """The plural resource name of a kind such as `ReplicaSet`, or None when it is not served."""
    return _PLURALS.get(kind_name)


def find(group: str, version: str, plural: str) -> Kind | None:
    """The kind under a group and version, or None when it is not served."""
    return _BY_PATH.get((group, version, plural))


def in_group(group: str) -> Iterable[Kind]:
    """The kinds of one API group, in serving order."""
    return (kind for kind in KINDS if kind.group == group)


def named_groups() -> list[str]:
    """The API groups below /apis, in serving order."""
    return list(dict.fromkeys(kind.group for kind in KINDS if kind.group))
