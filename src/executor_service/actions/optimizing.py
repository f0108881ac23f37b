"""Family resources, the looking part: requests that fit what is used."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from executor_service.actions.requirements import rights, served
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import OBJECT_NAME_PATTERN, ActionSpec, Done, Namespace, Parameters
from executor_service.actions.workloads import wait_for_rollout
from executor_service.contract import ActionFailedError, Json, ObjectRef
from executor_service.kubernetes.observing import selector_text
from executor_service.kubernetes.pointers import keyed
from executor_service.kubernetes.quantities import parse_quantity
from executor_service.kubernetes.writing import plan_patch

_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}
_HEADROOM = {"cost": Decimal("1.2"), "balanced": Decimal("1.5"), "performance": Decimal(2)}
_LEAST = {"cpu": Decimal("0.01"), "memory": Decimal(16 * 2**20)}
_SAME = Decimal("0.1")  # smaller differences are no reason to replace pods
_MOST = 50

Usage = dict[str, dict[str, Decimal]]


class OptimizeResources(Parameters):
    """Parameters of optimize_resources."""

    namespace: Namespace
    resource_name: Annotated[
        str | None, Field(pattern=OBJECT_NAME_PATTERN, max_length=253, description="Default: every workload")
    ] = None
    resource_type: Literal["deployment", "statefulset", "daemonset"] = Field(
        default="deployment", description="Kind of the workloads"
    )
    optimization_strategy: Literal["cost", "performance", "balanced"] = Field(
        default="balanced", description="Headroom over the present use: 20, 100 or 50 per cent"
    )
    dry_run: bool = Field(default=True, description="Only say what would fit; false: change the requests")


async def optimize_resources(run: Run, parameters: OptimizeResources) -> Done:
    """Compare requests with the use that the cluster measures now; change them only when asked to.

    Limits stay; a request never exceeds its limit. One moment's use is weak evidence, therefore dry_run is the default.
    """
    kind = _KINDS[parameters.resource_type]
    workloads = await _workloads(run, parameters, kind)
    measured = await run.ask(_measured(run, parameters.namespace), "reading usage")
    advice: list[dict[str, Json]] = []
    for item in workloads[:_MOST]:
        ref = ObjectRef(kind, parameters.namespace, item["metadata"]["name"])
        usage = await _usage(run, item, measured)
        wanted = _fitting(item, usage, _HEADROOM[parameters.optimization_strategy])
        if wanted:
            advice.append({"workload": ref.name, "requests": _readable(wanted)})
        slot = f"requests:{ref.name}"
        if (wanted or slot in run.intents) and not parameters.dry_run:
            await _apply(run, ref, wanted, slot=slot)
    verb = "would fit better" if parameters.dry_run or run.dry_run else "fit better now"
    return Done(f"requests of {len(advice)} of {len(workloads)} workloads {verb}", {"advice": advice})


async def _workloads(run: Run, parameters: OptimizeResources, kind: str) -> list[dict[str, Json]]:
    if parameters.resource_name is None:
        return await run.list(kind, parameters.namespace)
    return [await run.read(ObjectRef(kind, parameters.namespace, parameters.resource_name))]


async def _measured(run: Run, namespace: str) -> Usage:
    """The use of every container, by `pod/container`."""
    items = await run.kube.list("PodMetrics", namespace)
    return {
        f"{item['metadata']['name']}/{container['name']}": {
            name: parse_quantity(str(value)) for name, value in container["usage"].items() if name in _LEAST
        }
        for item in items
        for container in item.get("containers") or []
    }


async def _usage(run: Run, workload: dict[str, Json], measured: Usage) -> Usage:
    """The most that any pod of the workload uses, by container."""
    labels = selector_text(workload["spec"]["selector"])
    pods = [pod["metadata"]["name"] for pod in await run.list("Pod", workload["metadata"]["namespace"], labels=labels)]
    most: Usage = {}
    for pod in pods:
        for container in workload["spec"]["template"]["spec"]["containers"]:
            for name, value in measured.get(f"{pod}/{container['name']}", {}).items():
                known = most.setdefault(container["name"], {})
                known[name] = max(value, known.get(name, Decimal(0)))
    return most


def _fitting(workload: dict[str, Json], usage: Usage, headroom: Decimal) -> dict[str, str]:
    """New requests by pointer, where the present ones are off by more than a tenth."""
    values: dict[str, str] = {}
    for container in workload["spec"]["template"]["spec"]["containers"]:
        resources = container.get("resources") or {}
        for name, used in usage.get(container["name"], {}).items():
            wanted = max(used * headroom, _LEAST[name])
            limit = (resources.get("limits") or {}).get(name)
            wanted = min(wanted, parse_quantity(str(limit))) if limit is not None else wanted
            now = parse_quantity(str((resources.get("requests") or {}).get(name, "0")))
            if abs(wanted - now) > now * _SAME:
                at = f"/spec/template/spec/containers/{keyed(name=container['name'])}/resources/requests/{name}"
                values[at] = _spelled(name, wanted)
    return values


def _spelled(name: str, amount: Decimal) -> str:
    return f"{int(amount * 1000)}m" if name == "cpu" else f"{-(-int(amount) // 2**20)}Mi"


def _readable(values: dict[str, str]) -> dict[str, str]:
    return {
        pointer.partition("[name=")[2].replace("]/resources/requests", ""): value for pointer, value in values.items()
    }


async def _apply(run: Run, ref: ObjectRef, values: dict[str, str], *, slot: str) -> None:
    async def plan() -> Planned:
        current = await run.read(ref)
        write = plan_patch(ref, current, dict(values))
        return (write, current) if write else None

    await run.change(slot, ref, plan)
    try:
        await wait_for_rollout(run, ref)
    except ActionFailedError as error:
        text = f"{ref} did not come up with its new requests: {error.message}"
        raise ActionFailedError(error.error_class, text) from error


SPECS = (
    ActionSpec(
        name="optimize_resources",
        family="resources",
        description="Compare requests with what is used now, and change them when asked to (dry_run: false).",
        parameters=OptimizeResources,
        target_kinds=("Deployment", "StatefulSet", "DaemonSet"),
        risk="high",
        timeout_seconds=1800,
        perform=optimize_resources,
        needs=(
            *(rights(kind, "get", "list", "patch") for kind in _KINDS.values()),
            rights("ReplicaSet", "list"),
            rights("Pod", "list"),
            rights("PodMetrics", "list"),
        ),
        requires=(served("metrics.k8s.io/v1beta1"),),
        done_when="every changed workload is rolled out, one after the other",
    ),
)
