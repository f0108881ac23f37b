"""Family scaling: more or fewer pods of a workload."""

from pydantic import Field

from executor_service.actions.autoscaling import refuse_autoscaled
from executor_service.actions.requirements import READ_PODS, rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import ActionSpec, Done, Namespaced, Replicas
from executor_service.actions.workloads import rollout_facts, wait_for_rollout
from executor_service.contract import ObjectRef
from executor_service.kubernetes.writing import plan_patch


class ScaleDeployment(Namespaced):
    """Parameters of scale_deployment."""

    replicas: Replicas


class ScaleStatefulSet(ScaleDeployment):
    """Parameters of scale_statefulset."""

    wait_for_ready: bool = Field(default=True, description="Wait until all pods are ready")


_HPA = rights("HorizontalPodAutoscaler", "list")


async def _scale(run: Run, ref: ObjectRef, replicas: int, *, wait: bool) -> Done:
    async def plan() -> Planned:
        current = await run.read(ref)
        await refuse_autoscaled(run, ref)
        write = plan_patch(ref, current, {"/spec/replicas": replicas})
        return (write, current) if write else None

    write = await run.change("replicas", ref, plan)
    if wait:
        await wait_for_rollout(run, ref)
    if write is None:
        return Done(f"{ref} already has {replicas} replicas", {"already": True} | await rollout_facts(run, ref))
    verb = "would be scaled" if run.dry_run else "scaled"
    message = f"{ref} {verb} from {write.fields[0].before} to {replicas} replicas"
    return Done(message, await rollout_facts(run, ref))


async def scale_deployment(run: Run, parameters: ScaleDeployment) -> Done:
    """Set the replicas and wait until they are ready."""
    ref = ObjectRef("Deployment", parameters.namespace, parameters.resource_name)
    return await _scale(run, ref, parameters.replicas, wait=True)


async def scale_statefulset(run: Run, parameters: ScaleStatefulSet) -> Done:
    """Set the replicas and, if wanted, wait until they are ready."""
    ref = ObjectRef("StatefulSet", parameters.namespace, parameters.resource_name)
    return await _scale(run, ref, parameters.replicas, wait=parameters.wait_for_ready)


SPECS = (
    ActionSpec(
        name="scale_deployment",
        family="scaling",
        description="Set the number of replicas of a Deployment and wait until they are ready.",
        parameters=ScaleDeployment,
        target_kinds=("Deployment",),
        risk="low",
        timeout_seconds=120,
        perform=scale_deployment,
        needs=(rights("Deployment", "get", "patch"), rights("ReplicaSet", "list"), READ_PODS, _HPA),
        aliases={"scale": {}, "scale_replicas": {}},
        done_when="as many pods as wanted are ready and none is left over",
    ),
    ActionSpec(
        name="scale_statefulset",
        family="scaling",
        description="Set the number of replicas of a StatefulSet and wait until they are ready.",
        parameters=ScaleStatefulSet,
        target_kinds=("StatefulSet",),
        risk="medium",
        timeout_seconds=300,
        perform=scale_statefulset,
        needs=(rights("StatefulSet", "get", "patch"), _HPA),
        done_when="as many pods as wanted are ready and none is left over",
    ),
)
