"""Revisions of a deployment: which replica set is which, and how a new one is born."""

from executor_service.sandbox.controllers.rollout import Bounds
from executor_service.sandbox.controllers.templates import TEMPLATE_HASH, template_hash, without_hash
from executor_service.sandbox.objects import (
    Object,
    annotations_of,
    clone,
    meta,
    name_of,
    namespace_of,
    owner_reference,
    same,
)

REVISION = "deployment.kubernetes.io/revision"
_HISTORY = "deployment.kubernetes.io/revision-history"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MOST = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = (REVISION, _HISTORY, _DESIRED, _MOST, "kubectl.kubernetes.io/last-applied-configuration")


def revision_of(replica_set: Object) -> int:
    """The revision that a replica set stands for, 0 when it has none."""
    return int(annotations_of(replica_set).get(REVISION, "0"))


def split(deployment: Object, replica_sets: list[Object]) -> tuple[Object | None, list[Object]]:
    """The replica set of the deployment's present template (oldest if several), and all others."""
    template = without_hash(deployment["spec"]["template"])
    ordered = sorted(replica_sets, key=lambda each: (meta(each)["creationTimestamp"], name_of(each)))
    new = next((each for each in ordered if same(without_hash(each["spec"]["template"]), template)), None)
    return new, [each for each in ordered if each is not new]


def newborn(deployment: Object, old: list[Object], bounds: Bounds) -> Object:
    """The replica set of a template that has none yet, with no replicas so far."""
    word = template_hash(deployment["spec"]["template"])
    template = clone(deployment["spec"]["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[TEMPLATE_HASH] = word
    selector = clone(deployment["spec"]["selector"])
    selector.setdefault("matchLabels", {})[TEMPLATE_HASH] = word
    replica_set: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{word}",
            "namespace": namespace_of(deployment),
            "generation": 1,
            "labels": dict(labels),
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
        "status": {"replicas": 0},
    }
    return annotated(replica_set, deployment, old, bounds)


def annotated(replica_set: Object, deployment: Object, old: list[Object], bounds: Bounds) -> Object:
    """The replica set with the deployment's annotations, sizes and the newest revision number."""
    result = clone(replica_set)
    annotations = meta(result).setdefault("annotations", {})
    annotations.update({key: value for key, value in annotations_of(deployment).items() if key not in _NOT_COPIED})
    annotations[_DESIRED] = str(bounds.replicas)
    annotations[_MOST] = str(bounds.most)
    newest = max((revision_of(each) for each in old), default=0)
    mine = revision_of(replica_set)
    if mine <= newest:
        if mine:
            annotations[_HISTORY] = ",".join(filter(None, [annotations.get(_HISTORY), str(mine)]))
        annotations[REVISION] = str(newest + 1)
    return result
