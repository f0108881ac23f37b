"""The scale subresource: a workload's replica count as autoscaling/v1 Scale."""

from executor_service.sandbox.errors import bad_request, invalid
from executor_service.sandbox.kinds import Kind
from executor_service.sandbox.objects import Object, clone, meta, name_of
from executor_service.sandbox.selectors import selector_text
from executor_service.sandbox.validation import non_negative


def scale_of(workload: Object) -> Object:
    """The Scale of a workload."""
    metadata = meta(workload)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {member: metadata[member] for member in kept if member in metadata},
        "spec": {"replicas": workload["spec"].get("replicas", 1)},
        "status": {
            "replicas": (workload.get("status") or {}).get("replicas", 0),
            "selector": selector_text(workload["spec"]["selector"]),
        },
    }


def scaled(kind: Kind, workload: Object, scale: Object) -> Object:
    """The workload with the replicas that a Scale asks for.

    The Scale's resourceVersion, when present, goes with it, so that a stale one is refused. Raises ApiError 400 or 422.
    """
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request("json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32")
    errors = non_negative("spec.replicas", replicas)
    if errors:
        raise invalid(kind, name_of(workload), errors)
    result = clone(workload)
    result["spec"]["replicas"] = replicas
    version = (scale.get("metadata") or {}).get("resourceVersion")
    if version:
        meta(result)["resourceVersion"] = version
    return result
