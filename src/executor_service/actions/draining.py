"""Family nodes, the long one: move every movable pod away from a node through the eviction API."""

from typing import Annotated

from pydantic import Field

from executor_service.actions.nodes import CordonNode, cordon
from executor_service.actions.requirements import READ_PODS, rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.shielding import name_of, refuse_shielded, shielded
from executor_service.actions.spec import ActionSpec, Done
from executor_service.actions.workloads import controller_of
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef, Verb
from executor_service.kubernetes.writing import plan_removal

_MIRROR = "kubernetes.io/config.mirror"
_ENDED = frozenset({"Succeeded", "Failed"})
_RETRY_SECONDS = 2.0


class DrainNode(CordonNode):
    """Parameters of drain_node."""

    grace_period_seconds: Annotated[
        int | None, Field(ge=0, le=3600, description="Time for each pod to end; default the pod's own")
    ] = None
    ignore_daemonsets: bool = Field(default=True, description="Leave DaemonSet pods where they are")
    delete_local_data: bool = Field(default=False, description="Evict pods with emptyDir volumes too")
    force: bool = Field(default=False, description="Evict pods without a controller too (they do not come back)")
    leave_protected: bool = Field(
        default=False, description="Leave pods where they are that a rule protects, instead of refusing to drain"
    )


async def drain_node(run: Run, parameters: DrainNode) -> Done:
    """Cordon, evict, wait until the pods are gone. Disruption budgets are obeyed until the deadline."""
    ref = ObjectRef("Node", None, parameters.node_name)
    if "cordon" not in run.intents:
        await run.read(ref)
        await refuse_undrainable(run, parameters)
    await cordon(run, ref)
    pods = await _pods_on(run, parameters.node_name)  # as late as this: until the cordon others could come
    movable = [pod for pod in pods if not _tied(pod)]
    kept = await shielded(run, movable) if parameters.leave_protected else {}
    movable = [pod for pod in movable if name_of(pod) not in kept]
    await _evict_all(run, movable, parameters.grace_period_seconds)
    await _wait_until_gone(run, movable, parameters.node_name)
    evicted = sorted(slot.removeprefix("evict:") for slot in run.intents if slot.startswith("evict:"))
    left = sorted({*kept, *(name_of(pod) for pod in pods if _tied(pod))})
    message = f"{ref} {'would be drained' if run.dry_run else 'is drained'}: {len(evicted or movable)} pods moved"
    return Done(message, {"evicted": len(evicted or movable), "left_in_place": left})


async def refuse_undrainable(run: Run, parameters: DrainNode, *, besides: frozenset[str] = frozenset()) -> None:
    """Before anything is touched: pods that would be lost or must stay, unless the caller accepts that.

    `besides` are the uids of pods that will be gone before the drain begins.
    """
    there = await _pods_on(run, parameters.node_name)
    pods = [pod for pod in there if pod["metadata"]["uid"] not in besides and not _leaving(pod)]
    _refuse_unmovable(pods, parameters)
    if not parameters.leave_protected:
        found = await shielded(run, [pod for pod in pods if not _tied(pod)])
        refuse_shielded(found, f"draining {parameters.node_name}", "leave_protected: true leaves them there")


async def _pods_on(run: Run, node: str) -> list[dict[str, Json]]:
    return await run.list("Pod", None, fields=f"spec.nodeName={node}")


def _refuse_unmovable(pods: list[dict[str, Json]], parameters: DrainNode) -> None:
    reasons = []
    for pod in pods:
        owner = controller_of(pod)
        if _ended(pod) or _mirror(pod):
            continue
        if owner is None and not parameters.force:
            reasons.append(f"{name_of(pod)} has no controller (force)")
        if owner is not None and owner["kind"] == "DaemonSet":
            if not parameters.ignore_daemonsets:
                reasons.append(f"{name_of(pod)} belongs to a DaemonSet (ignore_daemonsets)")
        elif _has_local_data(pod) and not parameters.delete_local_data:
            reasons.append(f"{name_of(pod)} has local data (delete_local_data)")
    if reasons:
        raise ActionFailedError(ErrorClass.PERMANENT, f"cannot drain: {'; '.join(reasons)}")


def _tied(pod: dict[str, Json]) -> bool:
    """Finished, or bound to the node by what it is."""
    owner = controller_of(pod)
    return _ended(pod) or _mirror(pod) or (owner is not None and owner["kind"] == "DaemonSet")


async def _evict_all(run: Run, pods: list[dict[str, Json]], grace_period_seconds: int | None) -> None:
    """Round after round over the pods whose budget said no (429), until all are on their way or time is over."""
    waiting, kept = [pod for pod in pods if not _leaving(pod)], False
    while waiting:
        await run.progress(f"evicting {len(waiting)} of {len(pods)} pods")
        try:
            waiting = [pod for pod in waiting if not await _evict(run, pod, grace_period_seconds)]
        except ActionFailedError as error:
            if not kept or error.error_class is not ErrorClass.TIMEOUT:
                raise
            raise _kept([pod for pod in waiting if _slot(pod) not in run.intents]) from error
        if waiting and run.seconds_left <= _RETRY_SECONDS:
            raise _kept(waiting)
        if waiting:
            kept = True
            await run.progress(f"{len(waiting)} pods wait for their disruption budget")
            await run.pause(_RETRY_SECONDS)


def _kept(pods: list[dict[str, Json]]) -> ActionFailedError:
    names = ", ".join(sorted(name_of(pod) for pod in pods))
    return ActionFailedError(ErrorClass.TIMEOUT, f"disruption budgets kept these pods in place: {names}")


async def _evict(run: Run, pod: dict[str, Json], grace_period_seconds: int | None) -> bool:
    metadata = pod["metadata"]
    ref = ObjectRef("Pod", metadata["namespace"], metadata["name"])

    async def plan() -> Planned:
        current = await run.find(ref)
        if current is None or current["metadata"]["uid"] != metadata["uid"] or _leaving(current):
            return None
        return plan_removal(Verb.EVICT, ref, current, grace_period_seconds=grace_period_seconds), current

    try:
        await run.change(_slot(pod), ref, plan)
    except ActionFailedError as error:
        if error.error_class is ErrorClass.THROTTLED:
            return False
        if error.error_class is not ErrorClass.NOT_FOUND:
            raise
        # Its namespace is being deleted, and so it goes without us.
    return True


async def _wait_until_gone(run: Run, pods: list[dict[str, Json]], node: str) -> None:
    uids = {pod["metadata"]["uid"] for pod in pods}

    async def missing() -> str | None:
        left = [name_of(pod) for pod in await _pods_on(run, node) if pod["metadata"]["uid"] in uids]
        return f"{len(left)} pods are ending: {', '.join(sorted(left))}" if left else None

    await run.until(missing)


def _slot(pod: dict[str, Json]) -> str:
    return f"evict:{pod['metadata']['uid']}"


def _mirror(pod: dict[str, Json]) -> bool:
    return _MIRROR in (pod["metadata"].get("annotations") or {})


def _ended(pod: dict[str, Json]) -> bool:
    return (pod.get("status") or {}).get("phase") in _ENDED


def _leaving(pod: dict[str, Json]) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _has_local_data(pod: dict[str, Json]) -> bool:
    return any("emptyDir" in volume for volume in pod["spec"].get("volumes") or [])


SPECS = (
    ActionSpec(
        name="drain_node",
        family="nodes",
        description="Cordon a node and evict its pods, obeying disruption budgets. Undo lets pods onto the node again.",
        parameters=DrainNode,
        target_kinds=("Node",),
        risk="high",
        timeout_seconds=600,
        perform=drain_node,
        needs=(rights("Node", "get", "patch"), READ_PODS, rights("Pod", "create", subresource="eviction")),
        aliases={"drain": {}},
        done_when="every pod that can move is gone from the node",
        undone_by="the node takes pods again; pods that were moved stay where they are",
    ),
)
