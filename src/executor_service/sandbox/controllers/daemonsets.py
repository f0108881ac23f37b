"""The daemon set controller: one pod on every node that takes it, cordoned or not."""

from executor_service.sandbox.controllers.adoption import claim
from executor_service.sandbox.controllers.control import Control, ready_count
from executor_service.sandbox.controllers.templates import REVISION_HASH, pod_from, template_hash
from executor_service.sandbox.objects import Object, is_active, is_ready, is_terminating, labels_of, meta, name_of
from executor_service.sandbox.writes import random_suffix

_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


class DaemonSets:
    """Makes one pod per node follow their daemon set."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def reconcile(self, namespace: str, name: str) -> None:
        """Create, delete or replace pods, then write the status."""
        owner = self._control.store.get("daemonsets", namespace, name)
        if owner is None or is_terminating(owner):
            return
        claim(self._control.store, owner)
        nodes = self._nodes(owner)
        pods = self._control.pods_of(owner)
        taken = {pod["spec"].get("nodeName") for pod in pods}
        for node in nodes:
            if node not in taken:
                self._create(owner, node)
        for pod in pods:
            if pod["spec"].get("nodeName") not in nodes and not is_terminating(pod):
                self._control.delete_pod(owner, pod)
        self._update(owner, pods)
        self._write_status(owner, len(nodes))

    def _nodes(self, owner: Object) -> list[str]:
        selector = owner["spec"]["template"]["spec"].get("nodeSelector") or {}
        nodes = self._control.store.objects("nodes")
        return [name_of(node) for node in nodes if selector.items() <= labels_of(node).items()]

    def _create(self, owner: Object, node: str) -> None:
        revision = template_hash(owner["spec"]["template"])
        pod = pod_from(owner, f"{name_of(owner)}-{random_suffix()}", {REVISION_HASH: revision})
        pod["spec"]["nodeName"] = node
        tolerated = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in _TOLERATED]
        pod["spec"]["tolerations"] = [*(pod["spec"].get("tolerations") or []), *tolerated]
        self._control.create_pod(owner, pod)

    def _update(self, owner: Object, pods: list[Object]) -> None:
        """Replace one pod of another revision at a time."""
        if (owner["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
            return
        revision = template_hash(owner["spec"]["template"])
        outdated = [pod for pod in pods if labels_of(pod).get(REVISION_HASH) != revision and not is_terminating(pod)]
        for pod in outdated:
            if not is_ready(pod):
                self._control.delete_pod(owner, pod)
        if all(is_ready(pod) and not is_terminating(pod) for pod in pods) and outdated:
            self._control.delete_pod(owner, outdated[0])

    def _write_status(self, owner: Object, desired: int) -> None:
        pods = [pod for pod in self._control.pods_of(owner) if is_active(pod)]
        revision = template_hash(owner["spec"]["template"])
        ready = ready_count(pods)
        status = {
            "desiredNumberScheduled": desired,
            "currentNumberScheduled": len(pods),
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
            "updatedNumberScheduled": sum(1 for pod in pods if labels_of(pod).get(REVISION_HASH) == revision),
            "observedGeneration": meta(owner).get("generation", 1),
        }
        unavailable = max(0, desired - ready)
        self._control.set_status(
            "daemonsets", owner, status | ({"numberUnavailable": unavailable} if unavailable else {})
        )
