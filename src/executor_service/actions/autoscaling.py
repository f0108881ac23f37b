"""Family autoscaling: the bounds and targets of a HorizontalPodAutoscaler, and who is scaled by one."""

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from executor_service.actions.requirements import either, rights, served
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import ActionSpec, Done, Namespaced
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.errors import ApiStatusError
from executor_service.kubernetes.pointers import keyed, resolve
from executor_service.kubernetes.writing import plan_patch

_NAMES = ("min_replicas", "max_replicas", "target_cpu_utilization", "target_memory_utilization")


class UpdateHpa(Namespaced):
    """Parameters of update_hpa."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [name]} for name in _NAMES]})

    min_replicas: Annotated[int | None, Field(ge=1, le=100, description="Fewest pods")] = None
    max_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Most pods")] = None
    target_cpu_utilization: Annotated[int | None, Field(ge=1, le=100, description="Per cent of the CPU request")] = None
    target_memory_utilization: Annotated[
        int | None, Field(ge=1, le=100, description="Per cent of the memory request")
    ] = None

    @model_validator(mode="after")
    def _sensible(self) -> "UpdateHpa":
        if all(getattr(self, name) is None for name in _NAMES):
            raise ValueError(f"at least one of {', '.join(_NAMES)} is required")
        if self.min_replicas is not None and self.max_replicas is not None and self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas must not be larger than max_replicas")
        return self


async def autoscaler_of(kube: KubeClient, ref: ObjectRef) -> dict[str, Json] | None:
    """The autoscaler of a workload, if it has one and this cluster has any. Raises ApiError."""
    try:
        found = await kube.list("HorizontalPodAutoscaler", ref.namespace)
    except ApiStatusError as error:
        if error.code == 404:
            return None
        raise
    wanted = {"kind": ref.kind, "name": ref.name}
    return next((item for item in found if wanted.items() <= item["spec"]["scaleTargetRef"].items()), None)


async def refuse_autoscaled(run: Run, ref: ObjectRef) -> None:
    """Raise when an autoscaler would take the number of pods back at once."""
    autoscaler = await run.ask(autoscaler_of(run.kube, ref), f"looking for the autoscaler of {ref}")
    if autoscaler is not None:
        spec, name = autoscaler["spec"], autoscaler["metadata"]["name"]
        bounds = f"{spec.get('minReplicas', 1)} to {spec['maxReplicas']}"
        message = f"{ref} is scaled by HorizontalPodAutoscaler {name} ({bounds} pods): change that with update_hpa"
        raise ActionFailedError(ErrorClass.CONFLICT, message, refused=True)


async def update_hpa(run: Run, parameters: UpdateHpa) -> Done:
    """Set bounds and utilization targets; what is not given stays."""
    ref = ObjectRef("HorizontalPodAutoscaler", parameters.namespace, parameters.resource_name)

    async def plan() -> Planned:
        current = await run.read(ref)
        values: dict[str, Json] = {}
        if parameters.min_replicas is not None:
            values["/spec/minReplicas"] = parameters.min_replicas
        if parameters.max_replicas is not None:
            values["/spec/maxReplicas"] = parameters.max_replicas
        _refuse_crossed(ref, current["spec"], parameters)
        for name, target in (
            ("cpu", parameters.target_cpu_utilization),
            ("memory", parameters.target_memory_utilization),
        ):
            values |= _target(current, name, target)
        write = plan_patch(ref, current, values)
        return (write, current) if write else None

    write = await run.change("hpa", ref, plan)
    spec = (await run.read(ref))["spec"]
    facts = {"min_replicas": spec.get("minReplicas", 1), "max_replicas": spec["maxReplicas"]}
    if write is None:
        return Done(f"{ref} has these values already", {"already": True} | facts)
    return Done(f"{ref} {'would be' if run.dry_run else 'is'} changed", facts)


def _refuse_crossed(ref: ObjectRef, spec: dict[str, Json], parameters: UpdateHpa) -> None:
    """One bound alone must fit the other as it is."""
    fewest = parameters.min_replicas or spec.get("minReplicas", 1)
    most = parameters.max_replicas or spec["maxReplicas"]
    if fewest > most:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref}: min_replicas {fewest} would exceed max_replicas {most}")


def _target(current: dict[str, Json], name: str, target: int | None) -> dict[str, Json]:
    if target is None:
        return {}
    at = f"/spec/metrics/{keyed(type='Resource', resource__name=name)}"
    known = resolve(current, at)
    wanted = {"type": "Utilization", "averageUtilization": target}
    return {at: (known or {"type": "Resource"}) | {"resource": {"name": name, "target": wanted}}}


SPECS = (
    ActionSpec(
        name="update_hpa",
        family="autoscaling",
        description="Change bounds or utilization targets of a HorizontalPodAutoscaler.",
        parameters=UpdateHpa,
        target_kinds=("HorizontalPodAutoscaler",),
        risk="medium",
        timeout_seconds=60,
        perform=update_hpa,
        needs=(rights("HorizontalPodAutoscaler", "get", "patch"),),
        requires=(either(served("autoscaling/v2"), served("autoscaling/v2beta2")),),
    ),
)
