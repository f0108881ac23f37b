"""The cluster's housekeeping: nodes' taints and lost pods, orphans of deleted owners, namespaces, budgets' status."""

from executor_service.sandbox.controllers.control import Control
from executor_service.sandbox.controllers.scheduler import tolerates
from executor_service.sandbox.deletion import Options, delete, dependents
from executor_service.sandbox.disruption import room
from executor_service.sandbox.kinds import KINDS, by_plural
from executor_service.sandbox.objects import Object, clone, is_terminating, meta, name_of, namespace_of

_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_FOREGROUND = "foregroundDeletion"


class Upkeep:
    """The small controllers that serve no workload in particular."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._store = control.store

    def node(self, _: str, name: str) -> None:
        """Keep the taint of a cordoned node; a node that is gone takes its pods with it."""
        node = self._store.get("nodes", "", name)
        if node is None:
            for pod in self._store.objects("pods"):
                if pod["spec"].get("nodeName") == name:
                    self._store.remove("pods", namespace_of(pod), name_of(pod))
            return
        self._evict_intolerant(node)
        taints = (node.get("spec") or {}).get("taints") or []
        kept = [taint for taint in taints if taint.get("key") != _UNSCHEDULABLE]
        if (node.get("spec") or {}).get("unschedulable"):
            kept.append({"key": _UNSCHEDULABLE, "effect": "NoSchedule"})
        if kept != taints:
            changed = clone(node)
            changed["spec"]["taints"] = kept
            if not kept:
                del changed["spec"]["taints"]
            self._store.put("nodes", changed)

    def _evict_intolerant(self, node: Object) -> None:
        """Delete the pods that do not tolerate a NoExecute taint of their node."""
        chasing = [each for each in (node.get("spec") or {}).get("taints") or [] if each.get("effect") == "NoExecute"]
        for pod in self._store.objects("pods") if chasing else []:
            here = pod["spec"].get("nodeName") == name_of(node) and not is_terminating(pod)
            if here and not all(tolerates(pod, taint) for taint in chasing):
                delete(self._store, by_plural("pods"), (namespace_of(pod), name_of(pod)), Options())

    def deleted_owner(self, owner: Object) -> None:
        """Delete what named a deleted object as its owner and has no other owner."""
        for plural, dependent in dependents(self._store, owner):
            if len(meta(dependent)["ownerReferences"]) == 1:
                delete(self._store, by_plural(plural), (namespace_of(dependent), name_of(dependent)), Options())

    def foreground(self, plural: str, namespace: str, name: str) -> None:
        """Delete the dependents of an owner that waits for them, and the owner after the last one."""
        owner = self._store.get(plural, namespace, name)
        if owner is None or not waits_for_dependents(owner):
            return
        waiting = dependents(self._store, owner)
        for kind, dependent in waiting:
            if not is_terminating(dependent):
                policy = Options(policy="Foreground")
                delete(self._store, by_plural(kind), (namespace_of(dependent), name_of(dependent)), policy)
        if waiting:
            return
        others = [each for each in meta(owner)["finalizers"] if each != _FOREGROUND]
        if others:
            freed = clone(owner)
            meta(freed)["finalizers"] = others
            self._store.put(plural, freed)
        else:
            self._store.remove(plural, namespace, name)

    def namespace(self, _: str, name: str) -> None:
        """Empty a namespace that is being deleted, then let it go."""
        home = self._store.get("namespaces", "", name)
        if home is None or not is_terminating(home):
            return
        for kind in KINDS:
            for obj in self._store.objects(kind.plural, name) if kind.namespaced else []:
                self._store.remove(kind.plural, name, name_of(obj))
        self._store.remove("namespaces", "", name)

    def budget(self, namespace: str, name: str) -> None:
        """Write a disruption budget's numbers into its status."""
        budget = self._store.get("poddisruptionbudgets", namespace, name)
        if budget is None:
            return
        found = room(self._store, budget)
        status = {
            "currentHealthy": found.healthy,
            "desiredHealthy": found.desired,
            "expectedPods": found.expected,
            "disruptionsAllowed": found.allowed,
            "observedGeneration": meta(budget).get("generation", 1),
        }
        self._control.set_status("poddisruptionbudgets", budget, status)


def waits_for_dependents(obj: Object) -> bool:
    """Whether an object is being deleted after its dependents."""
    return is_terminating(obj) and _FOREGROUND in (meta(obj).get("finalizers") or [])
