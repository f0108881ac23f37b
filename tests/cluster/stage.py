"""One case under way: its namespace at its place, what it asks of executor-service, and what is seen of the cluster."""

import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

from tests.cluster.differences import without_server_owned
from tests.executor.conftest import Executor
from tests.support.kube import Kube, Object, Thing
from tests.support.outside import Outside
from tests.support.places import Place
from tests.support.processes import eventually

_QUIET_SECONDS = 0.5
_COUNTED = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Pod", "Job", "NetworkPolicy", "VolumeSnapshot")
_NOWHERE = ("Node",)


@dataclass
class Stage:
    """A fresh namespace, and helpers over it."""

    place: Place
    executor: Executor
    namespace: str
    outside: Outside
    notes: dict[str, Any] = field(default_factory=dict)
    """What arranging left for later, such as the name of a pod."""
    only_looks: bool = False

    @property
    def kube(self) -> Kube:
        """The administrator's client; kubectl, where one only looks and there is one."""
        return self.place.eyes if self.only_looks else self.place.kube

    def looking(self) -> Self:
        """The same case, looked at as people do."""
        return replace(self, only_looks=True)

    def thing(self, kind: str, *place: str) -> Thing:
        """An object by its name in this case's namespace, a node, or by namespace and name an object of another one."""
        *elsewhere, name = place
        home = elsewhere[0] if elsewhere else self.namespace
        return Thing(kind, "" if kind in _NOWHERE else home, name)

    def create(self, body: Object) -> None:
        """Create a workload and wait until all its pods run."""
        self.kube.create(body)
        self.settled(self.thing(str(body["kind"]), str(body["metadata"]["name"])))

    def settled(self, thing: Thing) -> None:
        """Wait until the controllers have done what the object says."""
        patience = self.place.patience
        eventually(lambda: _complete(self.kube.get(thing)), f"{thing} is complete", within=patience)

    def pods(self, app: str) -> list[Object]:
        """The pods of an application that are not on their way out."""
        found = self.kube.objects("Pod", self.namespace, labelSelector=f"app={app}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def on_node(self, node: str) -> list[Object]:
        """The pods of this case on a node."""
        return self.kube.objects("Pod", self.namespace, fieldSelector=f"spec.nodeName={node}")

    def own(self, thing: Thing) -> Object:
        """The object without the server's own fields; nothing if there is none."""
        found = self.kube.find(thing)
        return without_server_owned(found) if found else {}

    def restored(self, target: Thing, before: Object) -> None:
        """It is what it was, as soon as its controllers have done their part (a pod is taken in again)."""
        with suppress(AssertionError):
            eventually(lambda: self.own(target) == before, f"{target} is restored", within=self.place.patience)
        assert self.own(target) == before

    def versions(self, target: Thing) -> dict[str, str]:
        """The resourceVersions of the target and of everything in the namespace."""
        there = [one for one in (self.kube.find(target),) if one]
        found = there + [one for kind in _COUNTED for one in self.kube.objects(kind, self.namespace)]
        return {one["metadata"]["uid"]: one["metadata"]["resourceVersion"] for one in found}

    def quiet(self, target: Thing) -> dict[str, str]:
        """The versions once no controller has written anything for a moment."""
        seen, since = self.versions(target), time.monotonic()

        def unchanged() -> bool:
            nonlocal seen, since
            now = self.versions(target)
            if now != seen:
                seen, since = now, time.monotonic()
            return time.monotonic() - since > _QUIET_SECONDS

        eventually(unchanged, "the controllers come to rest", within=self.place.patience)
        return seen

    def begin(self, action: str, parameters: dict[str, Any], *, key: str = "", **context: Any) -> str:
        """Order an action of executor-service; its key."""
        chosen = key or str(uuid.uuid4())
        answer = self.executor.order(action, parameters, key=chosen, **context)
        assert answer.status_code in {200, 202, 403}, answer.text
        return chosen

    def order(self, action: str, parameters: dict[str, Any], **context: Any) -> Object:
        """Order an action and wait for its end; the result."""
        return self.ended(self.begin(action, parameters, **context))

    def undo(self, key: str) -> Object:
        """Take an action back and wait for the end; the result."""
        return self.ended(self.begin("undo", {"key": key}, key=f"{key}:undo"))

    def ended(self, key: str) -> Object:
        """The result of a key once it is final."""

        def final() -> Object:
            found = dict(self.executor.by_key(key).json())
            return found if found["status"] != "running" else {}

        return eventually(final, f"the end of {key}", within=self.place.patience)


def _complete(item: Object) -> bool:
    """Whether a workload's controller has seen it and all its pods are current and ready."""
    spec, status = item["spec"], item.get("status") or {}
    if status.get("observedGeneration") != item["metadata"]["generation"]:
        return False
    if item["kind"] == "DaemonSet":
        wanted = status["desiredNumberScheduled"]
        counts = [status.get(name, 0) for name in ("updatedNumberScheduled", "numberReady", "numberAvailable")]
        return wanted > 0 and counts == [wanted] * 3
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
    return counts == [spec["replicas"]] * 3
