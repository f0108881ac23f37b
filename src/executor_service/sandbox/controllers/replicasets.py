"""The replica set controller: as many pods as wanted, and the counters of it."""

from executor_service.sandbox.controllers.adoption import claim
from executor_service.sandbox.controllers.control import Control, ready_count
from executor_service.sandbox.controllers.templates import pod_from, template_labels
from executor_service.sandbox.objects import Object, is_active, is_ready, is_terminating, labels_of, meta, name_of
from executor_service.sandbox.writes import random_suffix


class ReplicaSets:
    """Makes pods follow their replica set."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def reconcile(self, namespace: str, name: str) -> None:
        """Create or delete what is missing or too much, then write the status."""
        owner = self._control.store.get("replicasets", namespace, name)
        if owner is None or is_terminating(owner):
            return
        claim(self._control.store, owner)
        active = [pod for pod in self._control.pods_of(owner) if is_active(pod)]
        missing = owner["spec"].get("replicas", 1) - len(active)
        for _ in range(missing):
            self._control.create_pod(owner, pod_from(owner, f"{name}-{random_suffix()}", {}))
        for pod in sorted(active, key=_deletion_rank)[: max(0, -missing)]:
            self._control.delete_pod(owner, pod)
        self._control.set_status("replicasets", owner, self._status(owner))

    def _status(self, owner: Object) -> Object:
        pods = [pod for pod in self._control.pods_of(owner) if is_active(pod)]
        wanted = template_labels(owner)
        ready = ready_count(pods)
        status = {
            "replicas": len(pods),
            "fullyLabeledReplicas": sum(1 for pod in pods if wanted.items() <= labels_of(pod).items()),
            "observedGeneration": meta(owner).get("generation", 1),
        }
        return status | ({"readyReplicas": ready, "availableReplicas": ready} if ready else {})


def _deletion_rank(pod: Object) -> tuple[bool, bool, int, str, str]:
    """Which pods go first: without a node, not ready, restarted most, youngest (the real controller's order)."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    restarts = max((entry.get("restartCount", 0) for entry in statuses), default=0)
    assigned = bool(pod["spec"].get("nodeName"))
    return assigned, is_ready(pod), -restarts, _reversed(meta(pod)["creationTimestamp"]), name_of(pod)


def _reversed(time: str) -> str:
    """A key that sorts later times first."""
    return "".join(chr(255 - ord(letter)) for letter in time)
