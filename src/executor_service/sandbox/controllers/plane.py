"""The control plane: all controllers on one work queue, and which change wakes which of them."""

from functools import partial

from executor_service.sandbox.controllers.control import Control
from executor_service.sandbox.controllers.crashes import Crashes
from executor_service.sandbox.controllers.daemonsets import DaemonSets
from executor_service.sandbox.controllers.deployments import Deployments
from executor_service.sandbox.controllers.jobs import Jobs
from executor_service.sandbox.controllers.kubelet import RUN_AFTER, Kubelet
from executor_service.sandbox.controllers.owners import controllers_of
from executor_service.sandbox.controllers.recorder import Recorder
from executor_service.sandbox.controllers.replicasets import ReplicaSets
from executor_service.sandbox.controllers.scheduler import Scheduler
from executor_service.sandbox.controllers.statefulsets import StatefulSets
from executor_service.sandbox.controllers.storage import Storage
from executor_service.sandbox.controllers.upkeep import Upkeep, waits_for_dependents
from executor_service.sandbox.controllers.work import WorkQueue
from executor_service.sandbox.objects import (
    Object,
    controller_of,
    is_terminating,
    namespace_of,
)
from executor_service.sandbox.store import Change, Store

_WORKLOADS = ("deployments", "replicasets", "statefulsets", "daemonsets")
_OWNERS = (*_WORKLOADS, "jobs")
_STORAGE = ("persistentvolumeclaims", "volumesnapshots")
_FOREGROUND = (
    *_OWNERS,
    *_STORAGE,
    "poddisruptionbudgets",
    "horizontalpodautoscalers",
    "networkpolicies",
    "volumesnapshotclasses",
    "virtualservices",
)
_CHILDLESS = ("pods", "events", "configmaps", "services", "nodes", "namespaces")


class ControlPlane:
    """Wakes controllers after changes of the store."""

    def __init__(self, store: Store, speed: float) -> None:
        self._store = store
        self.work = WorkQueue(speed)
        self._recorder = Recorder(store)
        self._crashes = Crashes(store)
        self._control = Control(store, self.work, self._recorder)
        self._upkeep = Upkeep(self._control)
        kubelet = Kubelet(self._control, self._crashes)
        storage, jobs = Storage(self._control), Jobs(self._control)
        for name, reconcile in (
            ("deployments", Deployments(self._control).reconcile),
            ("replicasets", ReplicaSets(self._control).reconcile),
            ("statefulsets", StatefulSets(self._control).reconcile),
            ("daemonsets", DaemonSets(self._control).reconcile),
            ("scheduler", Scheduler(self._control).reconcile),
            ("kubelet", kubelet.reconcile),
            ("restarts", kubelet.restart),
            ("nodes", self._upkeep.node),
            ("namespaces", self._upkeep.namespace),
            ("persistentvolumeclaims", storage.claim),
            ("volumesnapshots", storage.snapshot),
            ("jobs", jobs.reconcile),
            ("jobpods", jobs.work),
            ("poddisruptionbudgets", self._upkeep.budget),
        ):
            self.work.register(name, reconcile)
        for plural in _FOREGROUND:
            self.work.register(f"foreground/{plural}", partial(self._upkeep.foreground, plural))
        store.listen(self._react)

    def clear(self) -> None:
        """Forget everything that is waiting or remembered."""
        self.work.clear()
        self._recorder.clear()
        self._crashes.clear()

    def _react(self, change: Change) -> None:
        obj = change.after
        if change.plural in ("nodes", "namespaces", "poddisruptionbudgets", *_STORAGE, *_OWNERS):
            self._control.again(change.plural, obj)
        if change.plural == "pods":
            self._react_to_pod(obj, gone=change.type == "DELETED")
        elif change.plural == "nodes":
            self._react_to_node()
        self._wake_owner(obj)
        if change.type == "DELETED" and change.plural not in _CHILDLESS:
            self._upkeep.deleted_owner(obj)
        elif waits_for_dependents(obj) and change.plural in _FOREGROUND:
            self._control.again(f"foreground/{change.plural}", obj)

    def _react_to_pod(self, pod: Object, *, gone: bool) -> None:
        if gone:
            pass  # nothing is left to run or place; its budgets still want to know
        elif is_terminating(pod) or (pod["spec"].get("nodeName") and not (pod.get("status") or {}).get("podIP")):
            self._control.again("kubelet", pod, RUN_AFTER)
        elif not pod["spec"].get("nodeName"):
            self._control.again("scheduler", pod)
        if controller_of(pod) is None:
            for plural in ("replicasets", "statefulsets", "daemonsets"):
                for owner in self._store.objects(plural, namespace_of(pod)):
                    self._control.again(plural, owner)
        for budget in self._store.objects("poddisruptionbudgets", namespace_of(pod)):
            self._control.again("poddisruptionbudgets", budget)

    def _react_to_node(self) -> None:
        for pod in self._store.objects("pods"):
            if not pod["spec"].get("nodeName"):
                self._control.again("scheduler", pod)
        for daemon in self._store.objects("daemonsets"):
            self._control.again("daemonsets", daemon)

    def _wake_owner(self, obj: Object) -> None:
        """The owner looks again, and its own owner too: it may wait for the last pod to be gone."""
        for plural, owner in controllers_of(self._store, obj):
            if plural in _OWNERS:
                self._control.again(plural, owner)
            if waits_for_dependents(owner):
                self._control.again(f"foreground/{plural}", owner)
