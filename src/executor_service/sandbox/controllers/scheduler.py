"""The scheduler: pods without a node go to the emptiest node that takes them."""

from collections.abc import Iterable
from decimal import Decimal

from executor_service.sandbox.controllers.control import Control
from executor_service.sandbox.objects import Object, clone, is_active, is_ready, is_terminating, labels_of, name_of
from executor_service.sandbox.quantities import parse_quantity

_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


class Scheduler:
    """Binds pods to nodes."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def reconcile(self, namespace: str, name: str) -> None:
        """Bind the pod, or say why no node takes it; a change of a node has the pod looked at again."""
        pod = self._control.store.get("pods", namespace, name)
        if pod is None or is_terminating(pod) or pod["spec"].get("nodeName"):
            return
        nodes = self._control.store.objects("nodes")
        everyone = [other for other in self._control.store.objects("pods") if is_active(other)]
        residents = {name_of(node): _on(everyone, name_of(node)) for node in nodes}
        obstacles = {name_of(node): _obstacle(pod, node, residents[name_of(node)]) for node in nodes}
        fitting = [node for node, obstacle in obstacles.items() if obstacle is None]
        if fitting:
            self._bind(pod, min(fitting, key=lambda node: (len(residents[node]), node)))
        else:
            self._cannot(pod, [obstacle for obstacle in obstacles.values() if obstacle])

    def _bind(self, pod: Object, node: str) -> None:
        bound = clone(pod)
        bound["spec"]["nodeName"] = node
        self._control.store.put("pods", bound)
        message = f"Successfully assigned {pod['metadata']['namespace']}/{name_of(pod)} to {node}"
        self._control.recorder.record(pod, "Scheduled", message, component="default-scheduler")

    def _cannot(self, pod: Object, obstacles: list[str]) -> None:
        counted = ", ".join(f"{obstacles.count(one)} {one}" for one in dict.fromkeys(obstacles))
        message = f"0/{len(obstacles)} nodes are available: {counted}."
        known = (pod.get("status") or {}).get("conditions") or []
        if any(entry.get("message") == message for entry in known):
            return
        blocked = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        blocked["lastTransitionTime"] = self._control.store.now()
        self._control.set_status("pods", pod, {"phase": "Pending", "conditions": [blocked]})
        recorder = self._control.recorder
        recorder.record(pod, "FailedScheduling", message, component="default-scheduler", warning=True)


def _on(pods: Iterable[Object], node: str) -> list[Object]:
    return [pod for pod in pods if pod["spec"].get("nodeName") == node]


def _obstacle(pod: Object, node: Object, residents: list[Object]) -> str | None:
    """Why a node does not take a pod, in the scheduler's words."""
    spec: Object = node.get("spec") or {}
    if spec.get("unschedulable") and not tolerates(pod, {"key": _UNSCHEDULABLE, "effect": "NoSchedule"}):
        return "node(s) were unschedulable"
    if not is_ready(node):
        return "node(s) were not ready"
    for taint in spec.get("taints") or []:
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerates(pod, taint):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not (pod["spec"].get("nodeSelector") or {}).items() <= labels_of(node).items():
        return "node(s) didn't match Pod's node affinity/selector"
    for resource in ("cpu", "memory"):
        limit = parse_quantity((node.get("status") or {}).get("allocatable", {}).get(resource, "1E"))
        if sum((_request(other, resource) for other in [*residents, pod]), Decimal(0)) > limit:
            return f"Insufficient {resource}"
    return None


def tolerates(pod: Object, taint: Object) -> bool:
    """Whether a pod puts up with a taint."""
    return any(
        toleration.get("effect") in (None, "", taint.get("effect"))
        and toleration.get("key") in (None, "", taint["key"])
        and (toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", ""))
        for toleration in pod["spec"].get("tolerations") or []
    )


def _request(pod: Object, resource: str) -> Decimal:
    requests = (((each.get("resources") or {}).get("requests")) or {} for each in pod["spec"].get("containers") or [])
    return sum((parse_quantity(request.get(resource, "0")) for request in requests), Decimal(0))
