"""Family resources: more memory or CPU for a container of a workload."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from executor_service.actions.requirements import READ_PODS, rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import NAME_PATTERN, ActionSpec, Done, Namespaced
from executor_service.actions.workloads import rollout_facts, wait_for_rollout
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.kubernetes.quantities import parse_quantity
from executor_service.kubernetes.writing import plan_patch

_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}


class IncreaseResources(Namespaced):
    """Parameters of increase_resources."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["memory"]}, {"required": ["cpu"]}]})

    resource_type: Literal["deployment", "statefulset", "daemonset"] = Field(description="Kind of the workload")
    memory: Annotated[str | None, Field(pattern=r"^\d+(Mi|Gi|M|G)$", description="Wanted memory, such as 2Gi")] = None
    cpu: Annotated[str | None, Field(pattern=r"^\d+m?$", description="Wanted CPU, such as 500m or 2")] = None
    container_name: Annotated[
        str | None, Field(pattern=NAME_PATTERN, max_length=63, description="Needed with several containers")
    ] = None

    @model_validator(mode="after")
    def _something(self) -> "IncreaseResources":
        if self.memory is None and self.cpu is None:
            raise ValueError("at least one of memory and cpu is required")
        return self


async def increase_resources(run: Run, parameters: IncreaseResources) -> Done:
    """Raise requests and limits of one container to the wanted value; nothing is ever lowered."""
    ref = ObjectRef(_KINDS[parameters.resource_type], parameters.namespace, parameters.resource_name)
    wanted = {name: value for name, value in (("memory", parameters.memory), ("cpu", parameters.cpu)) if value}

    async def plan() -> Planned:
        current = await run.read(ref)
        containers = current["spec"]["template"]["spec"]["containers"]
        index = choose_container(ref, [item["name"] for item in containers], parameters.container_name)
        at = f"/spec/template/spec/containers/{index}"
        values: dict[str, Json] = {}
        for name, value in wanted.items():
            values |= _raised(f"{ref} container {containers[index]['name']}", containers[index], name, value, at)
        write = plan_patch(ref, current, values, guards={f"{at}/name": containers[index]["name"]})
        return (write, current) if write else None

    await run.change("resources", ref, plan)
    await wait_for_rollout(run, ref)
    verb = "would get" if run.dry_run else "got"
    amounts = " and ".join(f"{name} {value}" for name, value in wanted.items())
    return Done(f"{ref} {verb} {amounts}", await rollout_facts(run, ref))


def choose_container(ref: ObjectRef, names: list[str], wanted: str | None) -> int:
    """Where the wanted container is; the only one needs no name. Raises ActionFailedError."""
    if wanted is None:
        if len(names) > 1:
            listed = ", ".join(names)
            raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} has several containers ({listed}): name one")
        return 0
    if wanted not in names:
        raise ActionFailedError(ErrorClass.NOT_FOUND, f"{ref} has no container {wanted} (it has {', '.join(names)})")
    return names.index(wanted)


def _raised(what: str, container: dict[str, Json], name: str, value: str, at: str) -> dict[str, Json]:
    """New request and limit; an absent request counts as the limit (as in Kubernetes), an absent limit stays absent."""
    resources = container.get("resources") or {}
    limit = (resources.get("limits") or {}).get(name)
    request = (resources.get("requests") or {}).get(name, limit)
    amount = parse_quantity(value)
    values: dict[str, Json] = {}
    if request is None or parse_quantity(str(request)) < amount:
        values[f"{at}/resources/requests/{name}"] = value
    if limit is not None and parse_quantity(str(limit)) < amount:
        values[f"{at}/resources/limits/{name}"] = value
    if not values:
        now = f"request {request}, limit {limit}"
        raise ActionFailedError(ErrorClass.PERMANENT, f"{what}: {name} {value} is no increase ({now})")
    return values


SPECS = (
    ActionSpec(
        name="increase_resources",
        family="resources",
        description="Raise memory or CPU of a container (requests and limits); its pods are replaced one by one.",
        parameters=IncreaseResources,
        target_kinds=("Deployment", "StatefulSet", "DaemonSet"),
        risk="medium",
        timeout_seconds=180,
        perform=increase_resources,
        needs=(*(rights(kind, "get", "patch") for kind in _KINDS.values()), rights("ReplicaSet", "list"), READ_PODS),
        done_when="every pod has the new resources and is ready",
    ),
)
