"""The deployment controller: revisions as replica sets, rolled out within bounds, old ones kept for rollback."""

from executor_service.sandbox.controllers.control import Control
from executor_service.sandbox.controllers.deployment_status import status_of
from executor_service.sandbox.controllers.revisions import REVISION, annotated, newborn, revision_of, split
from executor_service.sandbox.controllers.rollout import Bounds, bounds_of, new_size, old_sizes, wanted
from executor_service.sandbox.objects import (
    Object,
    annotations_of,
    clone,
    is_terminating,
    meta,
    name_of,
    namespace_of,
    owned,
    same,
)


class Deployments:
    """Makes replica sets follow their deployment."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._store = control.store

    def reconcile(self, namespace: str, name: str) -> None:
        """One step of the rollout, then the status."""
        deployment = self._store.get("deployments", namespace, name)
        if deployment is None or is_terminating(deployment):
            return
        bounds = bounds_of(deployment)
        new, old = split(deployment, self._replica_sets(deployment))
        if deployment["spec"].get("paused"):
            self._resize_while_paused(deployment, bounds, [each for each in [new, *old] if each is not None])
        else:
            new = self._current(deployment, new, old, bounds)
            if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
                self._recreate(deployment, new, old)
            else:
                self._roll(deployment, new, old, bounds)
            self._prune(deployment, old)
        self._write_status(namespace, name)

    def _replica_sets(self, deployment: Object) -> list[Object]:
        return owned(self._store.objects("replicasets", namespace_of(deployment)), deployment)

    def _current(self, deployment: Object, new: Object | None, old: list[Object], bounds: Bounds) -> Object:
        """The replica set of the present template, made if need be, carrying the newest revision."""
        if new is None:
            new = self._store.put("replicasets", newborn(deployment, old, bounds))
        else:
            marked = annotated(new, deployment, old, bounds)
            new = new if same(marked, new) else self._store.put("replicasets", marked)
        revision = str(revision_of(new))
        if annotations_of(deployment).get(REVISION) != revision:
            named = clone(deployment)
            meta(named).setdefault("annotations", {})[REVISION] = revision
            self._store.put("deployments", named)
        return new

    def _roll(self, deployment: Object, new: Object, old: list[Object], bounds: Bounds) -> None:
        size = new_size(bounds, new, [*old, new])
        if size != wanted(new):
            self._resize(deployment, new, size)
            return
        active = [each for each in old if wanted(each)]
        sizes = old_sizes(bounds, new, active)
        for each in active:
            self._resize(deployment, each, sizes.get(name_of(each), wanted(each)))

    def _recreate(self, deployment: Object, new: Object, old: list[Object]) -> None:
        """All old pods are gone before the first new one comes."""
        for each in old:
            self._resize(deployment, each, 0)
        if not any(self._control.pods_of(each) for each in old):
            self._resize(deployment, new, deployment["spec"].get("replicas", 1))

    def _resize_while_paused(self, deployment: Object, bounds: Bounds, replica_sets: list[Object]) -> None:
        active = [each for each in replica_sets if wanted(each)] or replica_sets[:1]
        if len(active) == 1:
            self._resize(deployment, active[0], bounds.replicas)

    def _resize(self, deployment: Object, replica_set: Object, size: int) -> None:
        before = wanted(replica_set)
        if size == before:
            return
        resized = clone(self._store.get("replicasets", namespace_of(replica_set), name_of(replica_set)) or replica_set)
        resized["spec"]["replicas"] = size
        meta(resized)["generation"] += 1
        self._store.put("replicasets", resized)
        direction = "up" if size > before else "down"
        message = f"Scaled {direction} replica set {name_of(replica_set)} from {before} to {size}"
        self._control.tell(deployment, "ScalingReplicaSet", message)

    def _prune(self, deployment: Object, old: list[Object]) -> None:
        """Drop the oldest empty revisions beyond revisionHistoryLimit."""
        empty = [each for each in old if not wanted(each) and not self._control.pods_of(each)]
        surplus = len(empty) - int(deployment["spec"].get("revisionHistoryLimit", 10))
        for each in sorted(empty, key=revision_of)[: max(0, surplus)]:
            self._store.remove("replicasets", namespace_of(each), name_of(each))

    def _write_status(self, namespace: str, name: str) -> None:
        deployment = self._store.get("deployments", namespace, name)
        if deployment is None:
            return
        new, old = split(deployment, self._replica_sets(deployment))
        status, look_again = status_of(deployment, new, old, self._store.now())
        self._control.set_status("deployments", deployment, status)
        if look_again is not None:
            self._control.again("deployments", deployment, look_again)
