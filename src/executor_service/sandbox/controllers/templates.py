"""Pods and hashes from pod templates."""

import hashlib

import orjson

from executor_service.sandbox.defaults import apply_defaults
from executor_service.sandbox.kinds import by_plural
from executor_service.sandbox.objects import (
    Object,
    annotations_of,
    clone,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
)
from executor_service.sandbox.writes import SUFFIX_ALPHABET

TEMPLATE_HASH = "pod-template-hash"
REVISION_HASH = "controller-revision-hash"


def template_hash(template: Object) -> str:
    """A short word that is the same for equal templates; the hash labels themselves do not count."""
    plain = without_hash(template)
    number = int.from_bytes(hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).digest()[:8])
    letters = []
    for _ in range(10):
        number, at = divmod(number, len(SUFFIX_ALPHABET))
        letters.append(SUFFIX_ALPHABET[at])
    return "".join(letters)


def without_hash(template: Object) -> Object:
    """The template without the labels that controllers add."""
    plain = clone(template)
    labels = plain.setdefault("metadata", {}).get("labels") or {}
    for label in (TEMPLATE_HASH, REVISION_HASH):
        labels.pop(label, None)
    return plain


def template_labels(owner: Object) -> dict[str, str]:
    """The labels of a workload's pod template."""
    return (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}


def pod_from(owner: Object, name: str, extra_labels: dict[str, str]) -> Object:
    """A new pod of `owner`, made from its template."""
    template = clone(owner["spec"]["template"])
    source = {"metadata": template.get("metadata") or {}}
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": f"{name_of(owner)}-",
            "namespace": namespace_of(owner),
            "labels": {**labels_of(source), **extra_labels},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": template["spec"],
        "status": {"phase": "Pending"},
    }
    annotations = annotations_of(source)
    if annotations:
        pod["metadata"]["annotations"] = dict(annotations)
    apply_defaults(by_plural("pods"), pod)
    return pod
