"""Facts about an object as it is now, and its owners, for conditions and planning. Reads only."""

import re
from dataclasses import dataclass, field

from executor_service.contract import Json, ObjectRef
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.kinds import KINDS

OBSERVABLE = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Node")
_POD_OF_SET = re.compile(r"^(?P<owner>.+)-[a-z0-9]{5}$")
_POD_OF_STATEFUL_SET = re.compile(r"^(?P<owner>.+)-\d+$")
_POD_OF_DEPLOYMENT = re.compile(r"^(?P<owner>.+)-[a-z0-9]{6,10}-[a-z0-9]{5}$")


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of an object: facts are flat; owners go from the nearest to the top."""

    found: bool
    ref: ObjectRef
    facts: dict[str, Json] = field(default_factory=dict)
    owners: list[ObjectRef] = field(default_factory=list)
    resolved_through_owner: bool = False


def canonical_kind(kind: str) -> str | None:
    """The kind as the API spells it, from any case; None when it cannot be observed."""
    return next((known for known in OBSERVABLE if known.lower() == kind.strip().lower()), None)


async def observe(kube: KubeClient, ref: ObjectRef) -> Observation:
    """Facts now; a vanished pod is seen through the owner that its name tells. Raises ApiError."""
    current = await kube.find(ref)
    if current is not None:
        return Observation(True, ref, await _facts(kube, ref, current), await owners_of(kube, ref, current))
    if ref.kind != "Pod":
        return Observation(False, ref)
    owner = await owner_by_name(kube, ref)
    if owner is None:
        return Observation(False, ref)
    item = await kube.get(owner)
    owners = [owner, *await owners_of(kube, owner, item)]
    top = owners[-1]
    facts = await _facts(kube, top, item if top == owner else await kube.get(top))
    return Observation(False, ref, facts, owners, resolved_through_owner=True)


async def owners_of(kube: KubeClient, ref: ObjectRef, item: dict[str, Json]) -> list[ObjectRef]:
    """The controllers above an object, nearest first. Raises ApiError."""
    owners: list[ObjectRef] = []
    while True:
        references = item["metadata"].get("ownerReferences") or []
        above = next((entry for entry in references if entry.get("controller")), None)
        if above is None:
            return owners
        owners.append(ObjectRef(above["kind"], ref.namespace, above["name"]))
        found = await kube.find(owners[-1]) if above["kind"] in KINDS else None
        if found is None:
            return owners
        item = found


async def owner_by_name(kube: KubeClient, pod: ObjectRef) -> ObjectRef | None:
    """Who would have owned a pod of this name: generated forms first, then the longest workload name before it."""
    forms = (
        (_POD_OF_SET, ("ReplicaSet", "DaemonSet")),
        (_POD_OF_STATEFUL_SET, ("StatefulSet",)),
        (_POD_OF_DEPLOYMENT, ("Deployment",)),
    )
    for pattern, kinds in forms:
        match = pattern.match(pod.name)
        for kind in kinds if match else ():
            candidate = ObjectRef(kind, pod.namespace, match["owner"] if match else "")
            if await kube.find(candidate) is not None:
                return candidate
    named = [
        ObjectRef(kind, pod.namespace, item["metadata"]["name"])
        for kind in ("Deployment", "StatefulSet", "DaemonSet")
        for item in await kube.list(kind, pod.namespace)
        if pod.name.startswith(item["metadata"]["name"] + "-")
    ]
    return max(named, key=lambda found: len(found.name), default=None)


async def pods_of(kube: KubeClient, workload: dict[str, Json], namespace: str | None) -> list[dict[str, Json]]:
    """The pods that a workload's selector matches. Raises ApiError."""
    selector = (workload["spec"].get("selector") or {}) if "spec" in workload else {}
    text = selector_text(selector)
    return await kube.list("Pod", namespace, labels=text) if text else []


def selector_text(selector: dict[str, Json]) -> str:
    """A LabelSelector in the form of a query parameter."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or []:
        match rule["operator"]:
            case "Exists":
                parts.append(rule["key"])
            case "DoesNotExist":
                parts.append(f"!{rule['key']}")
            case operator:
                word = "in" if operator == "In" else "notin"
                parts.append(f"{rule['key']} {word} ({','.join(rule['values'])})")
    return ",".join(parts)


async def _facts(kube: KubeClient, ref: ObjectRef, item: dict[str, Json]) -> dict[str, Json]:
    if ref.kind == "Pod":
        return pod_facts(item)
    if ref.kind == "Node":
        pods = await kube.list("Pod", None, fields=f"spec.nodeName={ref.name}")
        return node_facts(item) | {"pods": len(pods)}
    return workload_facts(ref.kind, item) | crash_facts(await pods_of(kube, item, ref.namespace))


def workload_facts(kind: str, item: dict[str, Json]) -> dict[str, Json]:
    """Counters and images of a workload."""
    status = item.get("status") or {}
    names: tuple[str, ...] = ("readyReplicas", "availableReplicas", "updatedReplicas")
    if kind == "DaemonSet":
        names = ("desiredNumberScheduled", "numberReady", "numberAvailable", "updatedNumberScheduled")
    counts = [] if kind == "DaemonSet" else [item["spec"].get("replicas", 1)]
    counts += [status.get(name, 0) for name in names]
    facts = dict(zip(("replicas", "ready_replicas", "available_replicas", "updated_replicas"), counts, strict=True))
    return facts | {"images": [container["image"] for container in item["spec"]["template"]["spec"]["containers"]]}


def crash_facts(pods: list[dict[str, Json]]) -> dict[str, Json]:
    """Restarts and crash loops over a workload's pods."""
    each = [pod_facts(pod) for pod in pods]
    looping = sum(facts["waiting_reason"] == "CrashLoopBackOff" for facts in each)
    return {"restarts": sum(facts["restarts"] for facts in each), "crash_looping": looping}


def pod_facts(item: dict[str, Json]) -> dict[str, Json]:
    """Phase, readiness, restarts, node, and why a container waits."""
    status = item.get("status") or {}
    containers = status.get("containerStatuses") or []
    waiting = [((entry.get("state") or {}).get("waiting") or {}).get("reason") for entry in containers]
    conditions = status.get("conditions") or []
    return {
        "phase": status.get("phase", "Unknown"),
        "ready": any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions),
        "restarts": sum(entry.get("restartCount", 0) for entry in containers),
        "node": item["spec"].get("nodeName"),
        "waiting_reason": next((reason for reason in waiting if reason), None),
    }


def node_facts(item: dict[str, Json]) -> dict[str, Json]:
    """Readiness, pressure and schedulability of a node."""
    conditions = {entry["type"]: entry["status"] for entry in (item.get("status") or {}).get("conditions") or []}
    pressure = sorted(name for name, status in conditions.items() if name.endswith("Pressure") and status == "True")
    return {
        "ready": conditions.get("Ready") == "True",
        "unschedulable": bool(item["spec"].get("unschedulable", False)),
        "pressure": pressure,
    }
