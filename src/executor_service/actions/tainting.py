"""Family nodes: keeping kinds of pods away from a node by taints."""

from typing import Annotated, Literal

from pydantic import Field

from executor_service.actions.nodes import NodeName
from executor_service.actions.requirements import READ_PODS, rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.shielding import name_of, refuse_shielded, shielded
from executor_service.actions.spec import ActionSpec, Done, Parameters
from executor_service.actions.workloads import controller_of
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.kubernetes.observing import node_facts
from executor_service.kubernetes.pointers import keyed
from executor_service.kubernetes.writing import plan_patch

_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
_SYSTEM = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
TaintKey = Annotated[str, Field(pattern=_KEY, max_length=317, description="Key of the taint, such as dedicated")]


class TaintNode(Parameters):
    """Parameters of taint_node."""

    resource_name: NodeName
    key: TaintKey
    effect: Effect = Field(description="What happens to pods that do not tolerate it")
    value: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)] = None
    overwrite: bool = Field(default=False, description="Replace another value of the same key and effect")


class UntaintNode(Parameters):
    """Parameters of untaint_node."""

    resource_name: NodeName
    key: TaintKey
    effect: Annotated[Effect | None, Field(description="Default: every effect of the key")] = None
    verify_health: bool = Field(default=True, description="Refuse while the node is not Ready")


async def taint_node(run: Run, parameters: TaintNode) -> Done:
    """Add a taint. NoExecute evicts, without asking disruption budgets, so they are asked here first."""
    ref = ObjectRef("Node", None, parameters.resource_name)
    _refuse_system(parameters.key)
    at = _place(parameters.key, parameters.effect)
    wanted: dict[str, Json] = {"key": parameters.key, "effect": parameters.effect}
    wanted |= {"value": parameters.value} if parameters.value is not None else {}

    async def plan() -> Planned:
        current = await run.read(ref)
        known = _taint(current, parameters.key, parameters.effect)
        if known is not None and known.get("value") == parameters.value:
            return None
        if known is not None and not parameters.overwrite:
            text = f"{ref} has {_shown(known)} already (overwrite: true replaces it)"
            raise ActionFailedError(ErrorClass.CONFLICT, text)
        if parameters.effect == "NoExecute":
            await _refuse_loss(run, ref, wanted)
        write = plan_patch(ref, current, {at: wanted})
        return (write, current) if write else None

    write = await run.change("taint", ref, plan)
    if write is None:
        return Done(f"{ref} has {_shown(wanted)} already", {"already": True})
    return Done(f"{ref} {'would get' if run.dry_run else 'got'} taint {_shown(wanted)}", {"taint": wanted})


async def untaint_node(run: Run, parameters: UntaintNode) -> Done:
    """Take a key's taints away."""
    ref = ObjectRef("Node", None, parameters.resource_name)
    _refuse_system(parameters.key)

    async def plan() -> Planned:
        current = await run.read(ref)
        found = [
            taint
            for taint in current["spec"].get("taints") or []
            if taint["key"] == parameters.key and parameters.effect in {None, taint["effect"]}
        ]
        if found and parameters.verify_health and not node_facts(current)["ready"]:
            raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} is not Ready (verify_health: false overrides)")
        write = plan_patch(ref, current, {_place(taint["key"], taint["effect"]): None for taint in found})
        return (write, current) if write else None

    write = await run.change("untaint", ref, plan)
    if write is None:
        return Done(f"{ref} has no such taint", {"already": True})
    removed = [change.before for change in write.fields]
    return Done(f"{ref} {'would lose' if run.dry_run else 'lost'} {len(removed)} taints", {"removed": removed})


def _place(key: str, effect: str) -> str:
    return f"/spec/taints/{keyed(key=key, effect=effect)}"


def _taint(node: dict[str, Json], key: str, effect: str) -> dict[str, Json] | None:
    taints = node["spec"].get("taints") or []
    return next((taint for taint in taints if (taint["key"], taint["effect"]) == (key, effect)), None)


def _shown(taint: dict[str, Json]) -> str:
    return f"{taint['key']}={taint.get('value', '')}:{taint['effect']}"


def _refuse_system(key: str) -> None:
    if key.startswith(_SYSTEM):
        raise ActionFailedError(
            ErrorClass.FORBIDDEN, f"taint {key} belongs to the node controller (cordon_node, drain_node)", refused=True
        )


async def _refuse_loss(run: Run, ref: ObjectRef, taint: dict[str, Json]) -> None:
    """NoExecute deletes pods at once: refuse where that would hit what is protected, or loses pods for good."""
    pods = await run.list("Pod", None, fields=f"spec.nodeName={ref.name}")
    hit = [pod for pod in pods if not any(_tolerates(item, taint) for item in pod["spec"].get("tolerations") or [])]
    refuse_shielded(await shielded(run, hit), f"NoExecute on {ref.name}", "drain_node can leave them there")
    lost = [f"{name_of(pod)} has no controller and would not come back" for pod in hit if controller_of(pod) is None]
    if lost:
        text = f"NoExecute on {ref} would delete pods: {'; '.join(lost)} (drain_node obeys disruption budgets)"
        raise ActionFailedError(ErrorClass.PERMANENT, text)


def _tolerates(toleration: dict[str, Json], taint: dict[str, Json]) -> bool:
    if toleration.get("effect") not in {None, "", taint["effect"]} or toleration.get("tolerationSeconds") is not None:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in {None, "", taint["key"]}
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


SPECS = (
    ActionSpec(
        name="taint_node",
        family="nodes",
        description="Keep pods that do not tolerate it away from a node; NoExecute also deletes those that are there.",
        parameters=TaintNode,
        target_kinds=("Node",),
        risk="high",
        timeout_seconds=30,
        perform=taint_node,
        needs=(rights("Node", "get", "patch"), READ_PODS),
        parameter_aliases={"node_name": "resource_name"},
        undone_by="the taint is taken away; pods that it has moved stay where they are",
    ),
    ActionSpec(
        name="untaint_node",
        family="nodes",
        description="Take taints of one key away from a node.",
        parameters=UntaintNode,
        target_kinds=("Node",),
        risk="low",
        timeout_seconds=30,
        perform=untaint_node,
        needs=(rights("Node", "get", "patch"),),
        parameter_aliases={"node_name": "resource_name"},
        undone_by="the taints are put back",
    ),
)
