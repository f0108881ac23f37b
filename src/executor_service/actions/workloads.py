"""Knowledge about workloads that several actions share: when a rollout is done, whose pods are whose."""

from executor_service.actions.run import Run
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef

REVISION = "deployment.kubernetes.io/revision"
_CRASHES = 3  # restarts after which a crash is no stumble at the start


def controller_of(item: dict[str, Json]) -> dict[str, Json] | None:
    """The owner reference of the controller, if there is one."""
    owners = item["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def pod_ready(pod: dict[str, Json]) -> bool:
    """Whether the pod has the condition Ready and is not on its way out."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def missing_of_rollout(workload: dict[str, Json]) -> str | None:
    """What a rollout still lacks, in words, or None when it is complete (as kubectl's `rollout status` sees it)."""
    spec, status, metadata = workload["spec"], workload.get("status") or {}, workload["metadata"]
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return "the controller has not seen the change yet"
    if workload["kind"] == "DaemonSet":
        wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
        existing, ready = wanted, status.get("numberAvailable", 0)
    else:
        wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
        existing, ready = status.get("replicas", 0), status.get("readyReplicas", 0)
        # Absent means none, but a StatefulSet has the field since Kubernetes 1.22 only.
        absent = ready if workload["kind"] == "StatefulSet" else 0
        ready = min(ready, status.get("availableReplicas", absent))
    if updated < wanted:
        return f"{updated} of {wanted} pods updated"
    if existing > wanted:
        return f"{existing - wanted} pods too many"
    return None if ready >= wanted else f"{ready} of {wanted} pods ready"


async def wait_for_rollout(run: Run, ref: ObjectRef) -> None:
    """Wait until every pod of the workload is current and ready.

    Raises ActionFailedError: timeout, or permanent as soon as the new pods keep crashing, for waiting heals no crash.
    """

    async def missing() -> str | None:
        workload = {"kind": ref.kind} | await run.read(ref)
        lacking = missing_of_rollout(workload)
        if lacking is not None and (crashing := await _crashing(run, workload)):
            raise ActionFailedError(ErrorClass.PERMANENT, f"its pods keep crashing: {crashing}")
        return lacking

    await run.until(missing)


async def _crashing(run: Run, workload: dict[str, Json]) -> str | None:
    """A pod of the Deployment's current revision that has crashed again and again, in words."""
    metadata, seen = workload["metadata"], (workload.get("status") or {}).get("observedGeneration", 0)
    if workload["kind"] != "Deployment" or seen < metadata.get("generation", 0):
        return None
    sets = await run.list("ReplicaSet", metadata["namespace"])
    owned = [item for item in sets if (controller_of(item) or {}).get("uid") == metadata["uid"]]
    newest = max(owned, key=revision_of, default=None)
    for pod in await run.list("Pod", metadata["namespace"]) if newest else []:
        if newest and (controller_of(pod) or {}).get("uid") == newest["metadata"]["uid"]:
            for container in (pod.get("status") or {}).get("containerStatuses") or []:
                waiting = (container.get("state") or {}).get("waiting") or {}
                if waiting.get("reason") == "CrashLoopBackOff" and container.get("restartCount", 0) >= _CRASHES:
                    name, count = pod["metadata"]["name"], container["restartCount"]
                    return f"{name} is in CrashLoopBackOff after {count} restarts"
    return None


def revision_of(item: dict[str, Json]) -> int:
    """The rollout revision that the Deployment controller wrote on a Deployment or ReplicaSet; 0 without one."""
    text = (item["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


async def rollout_facts(run: Run, ref: ObjectRef) -> dict[str, Json]:
    """The counters of a workload after an action."""
    workload = await run.read(ref)
    status = workload.get("status") or {}
    if ref.kind == "DaemonSet":
        return {"replicas": status.get("desiredNumberScheduled", 0), "ready_replicas": status.get("numberReady", 0)}
    return {"replicas": workload["spec"].get("replicas", 1), "ready_replicas": status.get("readyReplicas", 0)}
