"""What both places have beyond a plain cluster: API groups of add-ons, storage that grows, a snapshot class."""

from tests.support.kube import Object

GROUPS = {
    "snapshot.storage.k8s.io": (
        ("v1", "VolumeSnapshot", "volumesnapshots", True),
        ("v1", "VolumeSnapshotClass", "volumesnapshotclasses", False),
    ),
    "metrics.k8s.io": (("v1beta1", "PodMetrics", "pods", True),),
    "networking.istio.io": (("v1", "VirtualService", "virtualservices", True),),
}
"""API groups that a plain cluster does not have, with what the cases use of them: version, kind, plural, namespaced."""
FURNITURE: tuple[Object, ...] = (
    {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "growing"},
        "provisioner": "hollow.example.com",
        "allowVolumeExpansion": True,
    },
    {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": {"name": "snap"},
        "driver": "hollow.example.com",
        "deletionPolicy": "Retain",
    },
)


def custom_kind(group: str, version: str, kind: str, plural: str, namespaced: bool) -> Object:
    """A kind of any fields, which stands for one that an add-on would bring."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    approval = {"api-approved.kubernetes.io": "unapproved, a stand-in for tests"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": approval},
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [served],
        },
    }


def established(definition: Object) -> bool:
    """Whether a kind is served by now."""
    conditions = (definition.get("status") or {}).get("conditions") or []
    return any((each["type"], each["status"]) == ("Established", "True") for each in conditions)
