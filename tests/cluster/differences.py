"""In what the sandbox and a real control plane may differ, and why. The suite reads this: all else must be equal."""

from tests.support.kube import Object

PLACES = {
    "rights": "the sandbox has no RBAC; a missing right is a scripted 403 there, and the ClusterRole without it here",
    "families": "on a real server only the roles of looking and of the case's family are bound, in the sandbox none is",
    "TokenReview": "the sandbox knows no tokens: the test of that right is skipped there",
    "add-ons": "snapshots, metrics and the mesh are custom resources of any fields on a real server",
    "autoscaling/v2": "Kubernetes 1.20 has autoscaling/v2beta2; the executor asks discovery",
    "volumes": "a real claim is bound to a volume that the test makes, which no driver has",
    "policy/v1": "Kubernetes 1.20 has policy/v1beta1 only; the executor asks discovery for the eviction's version",
    "logs and usage": "hollow nodes have no kubelet and no metrics server: diagnostics say that there are none",
    "patience": "the sandbox has 20 s for an action, real controllers 90 s",
}
"""What the places themselves do differently; see tests/support/places.py."""

SERVER_OWNED = {
    "/metadata/resourceVersion": "every write moves it",
    "/metadata/generation": "every change of the spec moves it, an undo too",
    "/metadata/managedFields": "the server's record of who wrote which field",
    "/status": "written by controllers and kubelets",
}
"""Fields that an undo does not restore, at both places."""

CONTROLLER_ANNOTATIONS = {
    "deployment.kubernetes.io/revision": "the deployment controller counts on: an undo is a new revision",
    "deprecated.daemonset.template.generation": "the server copies the generation there, as it did before apps/v1",
    "node.alpha.kubernetes.io/ttl": "the node controller tells kubelets how long to cache secrets",
}

CONTROLLER_TAINTS = {
    "node.kubernetes.io/unschedulable": "the node controller mirrors spec.unschedulable, a moment later",
}
"""Only real nodes get it: the sandbox's scheduler reads spec.unschedulable itself."""


def without_server_owned(item: Object) -> Object:
    """The object without what its server, and not its users, writes."""
    metadata = {name: value for name, value in item["metadata"].items() if f"/metadata/{name}" not in SERVER_OWNED}
    notes = {k: v for k, v in (metadata.pop("annotations", None) or {}).items() if k not in CONTROLLER_ANNOTATIONS}
    rest = {name: value for name, value in item.items() if f"/{name}" not in SERVER_OWNED}
    spec = dict(item.get("spec") or {})
    taints = [taint for taint in spec.pop("taints", None) or [] if taint["key"] not in CONTROLLER_TAINTS]
    spec |= {"taints": taints} if taints else {}
    return rest | {"metadata": metadata | ({"annotations": notes} if notes else {}), "spec": spec}


ANSWERS: dict[tuple[str, str], tuple[int, str]] = {}
"""By exchange and place: status and reason that are not those of the table."""
