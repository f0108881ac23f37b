"""The stateful set controller: numbered pods, in order, one at a time unless told otherwise."""

from executor_service.sandbox.controllers.adoption import claim
from executor_service.sandbox.controllers.control import Control, ready_count
from executor_service.sandbox.controllers.templates import REVISION_HASH, pod_from, template_hash
from executor_service.sandbox.objects import (
    Object,
    is_active,
    is_ready,
    is_terminating,
    labels_of,
    meta,
    name_of,
)


class StatefulSets:
    """Makes numbered pods follow their stateful set."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def reconcile(self, namespace: str, name: str) -> None:
        """One step: create, scale down or replace a pod; then the status."""
        owner = self._control.store.get("statefulsets", namespace, name)
        if owner is None or is_terminating(owner):
            return
        claim(self._control.store, owner)
        pods = {_ordinal(pod): pod for pod in self._control.pods_of(owner)}
        wanted = owner["spec"].get("replicas", 1)
        parallel = owner["spec"].get("podManagementPolicy") == "Parallel"
        settled = self._fill(owner, pods, wanted, parallel=parallel)
        if settled:
            settled = self._shrink(owner, pods, wanted, parallel=parallel)
        if settled:
            self._update(owner, pods, wanted)
        self._write_status(owner)

    def _fill(self, owner: Object, pods: dict[int, Object], wanted: int, *, parallel: bool) -> bool:
        """Create what is missing, lowest first. False while an ordered set waits for a pod."""
        for ordinal in range(wanted):
            pod = pods.get(ordinal)
            if pod is None:
                self._create(owner, ordinal)
            if not parallel and (pod is None or is_terminating(pod) or not is_ready(pod)):
                return False
        return True

    def _create(self, owner: Object, ordinal: int) -> None:
        name = f"{name_of(owner)}-{ordinal}"
        labels = {
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(ordinal),
            REVISION_HASH: update_revision(owner),
        }
        pod = pod_from(owner, name, labels)
        pod["spec"]["hostname"] = name
        if owner["spec"].get("serviceName"):
            pod["spec"]["subdomain"] = owner["spec"]["serviceName"]
        self._control.create_pod(owner, pod)

    def _shrink(self, owner: Object, pods: dict[int, Object], wanted: int, *, parallel: bool) -> bool:
        """Delete what is too much, highest first. False while an ordered set waits for an ending pod."""
        for ordinal in sorted((number for number in pods if number >= wanted), reverse=True):
            if not is_terminating(pods[ordinal]):
                self._control.delete_pod(owner, pods[ordinal])
            if not parallel:
                return False
        return True

    def _update(self, owner: Object, pods: dict[int, Object], wanted: int) -> None:
        """Replace the highest pod of another revision, waiting for each to be ready."""
        strategy: Object = owner["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        for ordinal in range(wanted - 1, partition - 1, -1):
            pod = pods.get(ordinal)
            if pod is None or is_terminating(pod):
                return
            if labels_of(pod).get(REVISION_HASH) != update_revision(owner):
                self._control.delete_pod(owner, pod)
                return
            if not is_ready(pod):
                return

    def _write_status(self, owner: Object) -> None:
        pods = [pod for pod in self._control.pods_of(owner) if is_active(pod)]
        newest = update_revision(owner)
        updated = sum(1 for pod in pods if labels_of(pod).get(REVISION_HASH) == newest)
        before: Object = owner.get("status") or {}
        done = updated == len(pods) == owner["spec"].get("replicas", 1)
        current = newest if done else before.get("currentRevision", newest)
        ready = ready_count(pods)
        status = {
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": updated,
            "currentReplicas": sum(1 for pod in pods if labels_of(pod).get(REVISION_HASH) == current),
            "currentRevision": current,
            "updateRevision": newest,
            "collisionCount": 0,
            "observedGeneration": meta(owner).get("generation", 1),
        }
        self._control.set_status("statefulsets", owner, status)


def update_revision(owner: Object) -> str:
    """The name of the revision that the present template stands for."""
    return f"{name_of(owner)}-{template_hash(owner['spec']['template'])}"


def _ordinal(pod: Object) -> int:
    return int(name_of(pod).rpartition("-")[2])
