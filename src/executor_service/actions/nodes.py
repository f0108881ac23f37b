"""Family nodes: whether new pods may be placed on a node."""

from typing import Annotated

from pydantic import Field

from executor_service.actions.requirements import rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import OBJECT_NAME_PATTERN, ActionSpec, Done, Parameters
from executor_service.contract import ActionFailedError, ErrorClass, ObjectRef, Write
from executor_service.kubernetes.observing import node_facts
from executor_service.kubernetes.writing import plan_patch

NodeName = Annotated[str, Field(pattern=OBJECT_NAME_PATTERN, max_length=253, description="Name of the node")]


class CordonNode(Parameters):
    """Parameters of cordon_node."""

    node_name: NodeName


class UncordonNode(CordonNode):
    """Parameters of uncordon_node."""

    verify_health: bool = Field(default=True, description="Refuse while the node is not Ready")


async def cordon(run: Run, ref: ObjectRef) -> Write | None:
    """Keep new pods away from the node; None when it is cordoned already."""

    async def plan() -> Planned:
        current = await run.read(ref)
        write = (
            None if current["spec"].get("unschedulable") else plan_patch(ref, current, {"/spec/unschedulable": True})
        )
        return (write, current) if write else None

    return await run.change("cordon", ref, plan)


async def cordon_node(run: Run, parameters: CordonNode) -> Done:
    """Keep new pods away from a node."""
    ref = ObjectRef("Node", None, parameters.node_name)
    write = await cordon(run, ref)
    if write is None:
        return Done(f"{ref} is cordoned already", {"already": True})
    return Done(f"{ref} {'would be' if run.dry_run else 'is'} cordoned")


async def uncordon_node(run: Run, parameters: UncordonNode) -> Done:
    """Let new pods onto a node again."""
    ref = ObjectRef("Node", None, parameters.node_name)

    async def plan() -> Planned:
        current = await run.read(ref)
        if not current["spec"].get("unschedulable"):
            return None
        if parameters.verify_health and not node_facts(current)["ready"]:
            raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} is not Ready (verify_health: false overrides)")
        write = plan_patch(ref, current, {"/spec/unschedulable": None})
        return (write, current) if write else None

    write = await run.change("uncordon", ref, plan)
    if write is None:
        return Done(f"{ref} is not cordoned", {"already": True})
    return Done(f"{ref} {'would take' if run.dry_run else 'takes'} new pods again")


SPECS = (
    ActionSpec(
        name="cordon_node",
        family="nodes",
        description="Keep new pods away from a node.",
        parameters=CordonNode,
        target_kinds=("Node",),
        risk="low",
        timeout_seconds=30,
        perform=cordon_node,
        needs=(rights("Node", "get", "patch"),),
        aliases={"cordon": {}},
    ),
    ActionSpec(
        name="uncordon_node",
        family="nodes",
        description="Let new pods onto a cordoned node again.",
        parameters=UncordonNode,
        target_kinds=("Node",),
        risk="low",
        timeout_seconds=30,
        perform=uncordon_node,
        needs=(rights("Node", "get", "patch"),),
        aliases={"uncordon": {}},
    ),
)
