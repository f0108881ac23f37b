"""Family restarts: a fresh pod in place of a broken one, or all pods of a Deployment one after the other."""

from typing import Literal

from pydantic import Field

from executor_service.actions.requirements import READ_WORKLOADS, rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import ActionSpec, Done, Namespaced
from executor_service.actions.workloads import controller_of, pod_ready, rollout_facts, wait_for_rollout
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef, Verb, Write
from executor_service.kubernetes.observing import owner_by_name
from executor_service.kubernetes.pointers import escape
from executor_service.kubernetes.writing import plan_patch, plan_removal

RESTARTED_BY = "kubernaut.io/restarted-by"
"""Pod template annotation; its value derives from the key, so that the same order restarts once."""


class RestartPod(Namespaced):
    """Parameters of restart_pod."""

    resource_type: Literal["pod", "deployment"] = Field(default="pod", description="Restart one pod or a rollout")
    grace_period_seconds: int = Field(default=30, ge=0, le=300, description="Time for the pod to end by itself")


async def restart_pod(run: Run, parameters: RestartPod) -> Done:
    """Delete a pod so that its controller replaces it, or roll all pods of a Deployment."""
    if parameters.resource_type == "deployment":
        return await roll(run, ObjectRef("Deployment", parameters.namespace, parameters.resource_name))
    ref = ObjectRef("Pod", parameters.namespace, parameters.resource_name)

    async def plan() -> Planned:
        pod = await run.find(ref)
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            return None
        owner = controller_of(pod)
        if owner is None:
            raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} has no controller: deleted, it would not come back")
        siblings = [item["metadata"]["uid"] for item in await _owned(run, ref.namespace, owner["uid"])]
        removal = plan_removal(Verb.DELETE, ref, pod, grace_period_seconds=parameters.grace_period_seconds)
        notes = {"owner": {name: owner[name] for name in ("kind", "name", "uid")}, "siblings": siblings}
        return removal.noting(notes), pod

    removal = await run.change("pod", ref, plan)
    if removal is None:
        return await _already_replaced(run, ref)
    fresh = None if run.dry_run else await _wait_for_replacement(run, ref, removal)
    verb = "would be deleted and replaced" if run.dry_run else "was deleted and replaced"
    owner = removal.notes["owner"]
    return Done(f"{ref} {verb}", {"owner": f"{owner['kind']}/{owner['name']}", "replacement": fresh})


async def _already_replaced(run: Run, ref: ObjectRef) -> Done:
    owner = await run.ask(owner_by_name(run.kube, ref), f"looking for the owner of {ref}")
    if owner is None:
        raise ActionFailedError(ErrorClass.NOT_FOUND, f"{ref} does not exist, and no owner of such a pod does")
    message = f"{ref} is gone already; its owner {owner} replaces it"
    return Done(message, {"already_replaced": True, "owner": f"{owner.kind}/{owner.name}"})


async def _wait_for_replacement(run: Run, ref: ObjectRef, removal: Write) -> str | None:
    """The name of a ready pod that was not there before; None when the owner wants no more pods."""
    owner, siblings = removal.notes["owner"], {*removal.notes["siblings"]}
    fresh: list[str] = []

    async def missing() -> str | None:
        pods = await _owned(run, ref.namespace, owner["uid"])
        if any(pod["metadata"]["uid"] == removal.uid for pod in pods):
            return f"{ref} is ending"
        fresh[:] = [
            pod["metadata"]["name"] for pod in pods if pod["metadata"]["uid"] not in siblings and pod_ready(pod)
        ]
        if fresh or len(pods) >= len(siblings):
            return None if fresh else "the replacement is not ready yet"
        return None if await _satisfied(run, ref, owner, len(pods)) else "the replacement has not been created yet"

    await run.until(missing)
    return fresh[0] if fresh else None


async def _satisfied(run: Run, ref: ObjectRef, owner: dict[str, Json], pods: int) -> bool:
    """Whether the owner wants no more pods than there are (or is gone itself)."""
    if owner["kind"] not in {"ReplicaSet", "StatefulSet"}:
        return False
    found = await run.find(ObjectRef(owner["kind"], ref.namespace, owner["name"]))
    return found is None or found["spec"].get("replicas", 1) <= pods


async def _owned(run: Run, namespace: str | None, uid: str) -> list[dict[str, Json]]:
    pods = await run.list("Pod", namespace)
    return [pod for pod in pods if (controller_of(pod) or {}).get("uid") == uid]


async def roll(run: Run, ref: ObjectRef, *, slot: str = "template") -> Done:
    """Have a workload's controller replace all its pods, by a mark in the template; wait until they are ready."""
    mark = run.mark

    async def plan() -> Planned:
        current = await run.read(ref)
        _refuse_on_delete(ref, current)
        pointer = f"/spec/template/metadata/annotations/{escape(RESTARTED_BY)}"
        write = plan_patch(ref, current, {pointer: mark})
        return (write, current) if write else None

    await run.change(slot, ref, plan)
    await wait_for_rollout(run, ref)
    return Done(f"{ref} {'would be restarted' if run.dry_run else 'restarted'}", await rollout_facts(run, ref))


def _refuse_on_delete(ref: ObjectRef, workload: dict[str, Json]) -> None:
    strategy = workload["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete" or workload["spec"].get("paused"):
        why = "is paused" if workload["spec"].get("paused") else "has the update strategy OnDelete"
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} {why}: nothing would be restarted")


class RestartDaemonSet(Namespaced):
    """Parameters of restart_daemonset."""

    rolling_restart: bool = Field(default=True, description="One pod after the other; false: evict all at once")


async def restart_daemonset(run: Run, parameters: RestartDaemonSet) -> Done:
    """Restart all pods of a DaemonSet by its own update strategy."""
    ref = ObjectRef("DaemonSet", parameters.namespace, parameters.resource_name)
    if not parameters.rolling_restart:
        text = "rolling_restart: false is not done: it would take the daemon from every node at once"
        raise ActionFailedError(ErrorClass.PERMANENT, text, refused=True)
    return await roll(run, ref)


SPECS = (
    ActionSpec(
        name="restart_daemonset",
        family="restarts",
        description="Restart all pods of a DaemonSet, as many at a time as its update strategy allows.",
        parameters=RestartDaemonSet,
        target_kinds=("DaemonSet",),
        risk="medium",
        timeout_seconds=600,
        perform=restart_daemonset,
        irreversible_reason="the old pods and what they held in memory are gone",
        needs=(rights("DaemonSet", "get", "patch"),),
        done_when="every pod is new and ready",
    ),
    ActionSpec(
        name="restart_pod",
        family="restarts",
        description="Replace one pod by a fresh one, or restart all pods of a Deployment one after the other.",
        parameters=RestartPod,
        target_kinds=("Pod", "Deployment"),
        risk="low",
        timeout_seconds=120,
        perform=restart_pod,
        needs=(
            rights("Pod", "get", "list", "delete"),
            *READ_WORKLOADS,
            rights("Deployment", "get", "list", "patch"),
        ),
        aliases={"delete_pod": {}, "restart_deployment": {"resource_type": "deployment"}},
        done_when="the replacement, or every pod of the Deployment, is ready",
        irreversible_reason="the old pods and what they held in memory are gone",
    ),
)
