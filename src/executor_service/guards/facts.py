"""What the rules need to know about the cluster, looked up at the moment of the decision. Reads only."""

from collections.abc import Iterable
from math import floor

from executor_service.contract import Json, ObjectRef, Verb, Write
from executor_service.guards.rules import Marks, Nodes, Outlook
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.kinds import KINDS
from executor_service.kubernetes.observing import node_facts, pod_facts, pods_of

UNSCHEDULABLE = "/spec/unschedulable"
_REPLICAS = "/spec/replicas"
_TEMPLATE_MARKS = "/spec/template/metadata/annotations"
_COUNTED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


class Facts:
    """Every method raises ApiError when the API server cannot tell: what is not known is not allowed."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def marks(self, ref: ObjectRef, current: dict[str, Json]) -> Marks:
        """The annotations of the object, of the controllers above it, and of its namespace."""
        chain = [(ref, current), *await self._owners(ref, current)]
        if ref.namespace is not None:
            above = ObjectRef("Namespace", None, ref.namespace)
            found = await self._kube.find(above)
            chain += [(above, found)] if found is not None else []
        return Marks([(each, (item.get("metadata") or {}).get("annotations") or {}) for each, item in chain])

    async def pool(self, node: str, labels: tuple[str, ...]) -> str:
        """The pool of a node by the first label that it has; `default` without one."""
        found = await self._kube.find(ObjectRef("Node", None, node))
        has = ((found or {}).get("metadata") or {}).get("labels") or {}
        return next((str(has[label]) for label in labels if has.get(label)), "default")

    async def nodes(self, in_doubt: Iterable[Write]) -> Nodes:
        """All nodes; a cordon that is under way counts as done."""
        items = await self._kube.list("Node", None)
        doubtful = {write.ref.name for write in in_doubt if cordons(write)}
        out = {item["metadata"]["name"] for item in items if _out(item)} | doubtful
        return Nodes(len(items), frozenset(out))

    async def outlook(self, write: Write, current: dict[str, Json], in_doubt: Iterable[Write]) -> Outlook | None:
        """What the write leaves of a workload's pods; None when it takes away none that is available."""
        if write.verb in {Verb.DELETE, Verb.EVICT}:
            return await self._without(write, current, in_doubt) if write.ref.kind == "Pod" else None
        if write.verb is not Verb.PATCH or write.ref.kind not in _COUNTED:
            return None
        fewer = next((item for item in write.fields if item.pointer == _REPLICAS), None)
        if fewer is not None and (fewer.after or 0) < (1 if fewer.before is None else fewer.before):
            now = len(await self._available(write.ref, current, in_doubt))
            wanted = fewer.after or 0
            return Outlook(write.ref, wanted, min(now, wanted), now)
        if all(item.pointer.startswith(_TEMPLATE_MARKS) for item in write.fields):
            return await self._restarted(write.ref, current, in_doubt)
        return None

    async def _without(self, write: Write, pod: dict[str, Json], in_doubt: Iterable[Write]) -> Outlook | None:
        above = [found for found in await self._owners(write.ref, pod) if found[0].kind in _COUNTED]
        if not above or not _serves(pod):
            return None
        ref, workload = above[-1]
        available = await self._available(ref, workload, in_doubt)
        return Outlook(ref, _desired(ref, workload), len(available - {write.uid}), len(available | {write.uid}))

    async def _restarted(self, ref: ObjectRef, workload: dict[str, Json], in_doubt: Iterable[Write]) -> Outlook | None:
        """A rolling update of a Deployment takes available pods only down to its own maxUnavailable."""
        now, desired = len(await self._available(ref, workload, in_doubt)), _desired(ref, workload)
        left = _left_by_rollout(ref, workload["spec"], now, desired)
        return Outlook(ref, desired, left, now) if left < now else None

    async def _available(self, ref: ObjectRef, workload: dict[str, Json], in_doubt: Iterable[Write]) -> set[str]:
        leaving = {write.uid for write in in_doubt if write.verb in {Verb.DELETE, Verb.EVICT}}
        pods = await pods_of(self._kube, workload, ref.namespace)
        return {pod["metadata"]["uid"] for pod in pods if _serves(pod)} - leaving

    async def _owners(self, ref: ObjectRef, item: dict[str, Json]) -> list[tuple[ObjectRef, dict[str, Json]]]:
        """The controllers above an object that we can read, nearest first."""
        chain: list[tuple[ObjectRef, dict[str, Json]]] = []
        while True:
            references = (item.get("metadata") or {}).get("ownerReferences") or []
            above = next((entry for entry in references if entry.get("controller")), None)
            if above is None or above["kind"] not in KINDS:
                return chain
            owner = ObjectRef(above["kind"], ref.namespace, above["name"])
            found = await self._kube.find(owner)
            if found is None or any(owner == known for known, _ in chain):
                return chain
            chain.append((owner, found))
            item = found


def cordons(write: Write) -> bool:
    """Whether the write keeps new pods away from a node."""
    return write.ref.kind == "Node" and any(item.pointer == UNSCHEDULABLE and item.after for item in write.fields)


def _left_by_rollout(ref: ObjectRef, spec: dict[str, Json], now: int, desired: int) -> int:
    strategy = spec.get("strategy" if ref.kind == "Deployment" else "updateStrategy") or {}
    match strategy.get("type", "RollingUpdate"):
        case "Recreate":
            return 0
        case "OnDelete":
            return now
        case _ if ref.kind == "Deployment":
            may = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", "25%")
            return min(now, desired - _absolute(may, desired))
        case _:
            return now - 1


def _absolute(number: int | str, desired: int) -> int:
    if isinstance(number, int):
        return min(number, desired)
    return floor(int(number.rstrip("%")) / 100 * desired)


def _desired(ref: ObjectRef, workload: dict[str, Json]) -> int:
    if ref.kind == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled", 0))
    return int(workload["spec"].get("replicas", 1))


def _serves(pod: dict[str, Json]) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and bool(pod_facts(pod)["ready"])


def _out(node: dict[str, Json]) -> bool:
    facts = node_facts(node)
    return bool(facts["unschedulable"]) or not facts["ready"]
