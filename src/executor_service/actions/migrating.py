"""Family placement: a workload to another node."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from executor_service.actions.draining import DrainNode, drain_node, refuse_undrainable
from executor_service.actions.requirements import READ_PODS, rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import NAME_PATTERN, OBJECT_NAME_PATTERN, ActionSpec, Done, Namespaced
from executor_service.actions.workloads import rollout_facts, wait_for_rollout
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.kubernetes.observing import node_facts, selector_text
from executor_service.kubernetes.pointers import escape
from executor_service.kubernetes.quantities import parse_quantity
from executor_service.kubernetes.writing import plan_patch

_HOST = "kubernetes.io/hostname"
_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet"}


class MigrateWorkload(Namespaced):
    """Parameters of migrate_workload."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["target_node"]}, {"required": ["target_cluster"]}]}
    )

    resource_type: Literal["deployment", "statefulset"] = Field(
        default="deployment", description="Kind of the workload"
    )
    target_node: Annotated[
        str | None, Field(pattern=OBJECT_NAME_PATTERN, max_length=253, description="Node that shall run it")
    ] = None
    target_cluster: Annotated[
        str | None, Field(pattern=NAME_PATTERN, max_length=253, description="Other clusters are refused")
    ] = None
    drain_source: bool = Field(default=False, description="Drain the node that it ran on afterwards")
    leave_protected: bool = Field(default=False, description="With drain_source: as in drain_node")

    @model_validator(mode="after")
    def _one_target(self) -> "MigrateWorkload":
        if (self.target_node is None) == (self.target_cluster is None):
            raise ValueError("exactly one of target_node and target_cluster is required")
        return self


async def migrate_workload(run: Run, parameters: MigrateWorkload) -> Done:
    """Bind a workload's pods to a node by its template's node selector and wait until they run there."""
    if parameters.target_node is None:
        text = f"this executor serves one cluster; {parameters.target_cluster} is not its business"
        raise ActionFailedError(ErrorClass.WRONG_CLUSTER, text, refused=True)
    ref = ObjectRef(_KINDS[parameters.resource_type], parameters.namespace, parameters.resource_name)
    node = ObjectRef("Node", None, parameters.target_node)

    async def plan() -> Planned:
        current = await run.read(ref)
        host = await _room(run, node, current)
        pods = await _elsewhere(run, current, node.name)
        sources = sorted({pod["spec"]["nodeName"] for pod in pods})
        if parameters.drain_source and len(sources) > 1:
            raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} runs on {', '.join(sources)}: drain them one by one")
        if parameters.drain_source and sources:
            moving = frozenset(pod["metadata"]["uid"] for pod in pods)
            await refuse_undrainable(run, _drain(parameters, sources[0]), besides=moving)
        write = plan_patch(ref, current, {f"/spec/template/spec/nodeSelector/{escape(_HOST)}": host})
        return (write.noting({"sources": sources}), current) if write else None

    write = await run.change("selector", ref, plan)
    if write is None:
        return Done(f"{ref} is bound to {node.name} already", {"already": True} | await rollout_facts(run, ref))
    await wait_for_rollout(run, ref)
    facts = {"from": write.notes["sources"], "to": node.name} | await rollout_facts(run, ref)
    if parameters.drain_source and write.notes["sources"]:
        drained = await drain_node(run, _drain(parameters, write.notes["sources"][0]))
        facts["drained"] = drained.result
    return Done(f"{ref} {'would move' if run.dry_run else 'moved'} to {node.name}", facts)


async def _room(run: Run, node: ObjectRef, workload: dict[str, Json]) -> str:
    """The host label of a node that can take all pods of the workload. Raises when it cannot."""
    found = await run.read(node)
    facts = node_facts(found)
    if not facts["ready"] or facts["unschedulable"] or facts["pressure"]:
        state = ", ".join(
            ["not Ready"] * (not facts["ready"]) + ["cordoned"] * facts["unschedulable"] + facts["pressure"]
        )
        raise ActionFailedError(ErrorClass.PERMANENT, f"{node} takes no pods: {state}")
    pods = await run.list("Pod", None, fields=f"spec.nodeName={node.name}")
    running = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}]
    allocatable = (found.get("status") or {}).get("allocatable") or {}
    for resource in ("cpu", "memory"):
        free = parse_quantity(allocatable.get(resource, "0")) - sum(
            _requested(pod["spec"], resource) for pod in running
        )
        wanted = _requested(workload["spec"]["template"]["spec"], resource) * workload["spec"].get("replicas", 1)
        if wanted > free:
            raise ActionFailedError(ErrorClass.PERMANENT, f"{node} has {free} {resource} free, {wanted} is needed")
    host: str = (found["metadata"].get("labels") or {}).get(_HOST, node.name)
    return host


def _requested(pod: dict[str, Json], resource: str) -> Decimal:
    amounts = [((item.get("resources") or {}).get("requests") or {}).get(resource, "0") for item in pod["containers"]]
    return sum((parse_quantity(str(amount)) for amount in amounts), Decimal(0))


async def _elsewhere(run: Run, workload: dict[str, Json], target: str) -> list[dict[str, Json]]:
    selector = selector_text(workload["spec"]["selector"])
    pods = await run.list("Pod", workload["metadata"]["namespace"], labels=selector)
    return [pod for pod in pods if pod["spec"].get("nodeName") not in {None, target}]


def _drain(parameters: MigrateWorkload, node: str) -> DrainNode:
    return DrainNode(node_name=node, leave_protected=parameters.leave_protected)


SPECS = (
    ActionSpec(
        name="migrate_workload",
        family="placement",
        description="Move a workload's pods to one node, by the node selector of its template.",
        parameters=MigrateWorkload,
        target_kinds=("Deployment", "StatefulSet"),
        risk="high",
        timeout_seconds=900,
        perform=migrate_workload,
        needs=(
            *(rights(kind, "get", "patch") for kind in _KINDS.values()),
            rights("ReplicaSet", "list"),
            READ_PODS,
            rights("Node", "get", "patch"),
            rights("Pod", "create", subresource="eviction"),
        ),
        done_when="every pod runs on the node and is ready",
        undone_by="the node selector is put back, so that the scheduler may place the pods again",
    ),
)
