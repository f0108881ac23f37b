"""Families network and mesh: restarting what carries traffic, one workload after the other."""

from typing import Annotated, Literal

from pydantic import Field

from executor_service.actions.requirements import any_group, rights, setting
from executor_service.actions.restarts import roll
from executor_service.actions.run import Run
from executor_service.actions.spec import ActionSpec, Done, Namespace, Parameters
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef

_GROUPS = {
    "istio": ("networking.istio.io",),
    "linkerd": ("linkerd.io", "policy.linkerd.io"),
    "consul": ("consul.hashicorp.com",),
}
_PROXIES = {"istio": "istio-proxy", "linkerd": "linkerd-proxy", "consul": "consul-dataplane"}
_CONTROL = {"istio": "istio-system", "linkerd": "linkerd", "consul": "consul"}
_KINDS = ("Deployment", "StatefulSet", "DaemonSet")


class RestartNetwork(Parameters):
    """Parameters of restart_network."""

    namespace: Annotated[
        str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63, description="Where the trouble is seen")
    ]
    component: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=63, description="A name of NETWORK_COMPONENTS")
    ]


class ResetServiceMesh(Parameters):
    """Parameters of reset_service_mesh."""

    namespace: Namespace
    mesh_type: Annotated[Literal["istio", "linkerd", "consul"] | None, Field(description="Default: the one found")] = (
        None
    )


async def restart_network(run: Run, parameters: RestartNetwork) -> Done:
    """Restart a network component that the operator has named."""
    known = run.world.allowed.components
    ref = known.get(parameters.component)
    if ref is None:
        text = f"component: {parameters.component} is not one of NETWORK_COMPONENTS ({', '.join(sorted(known))})"
        raise ActionFailedError(ErrorClass.PERMANENT, text, refused=True)
    return await roll(run, ref)


async def reset_service_mesh(run: Run, parameters: ResetServiceMesh) -> Done:
    """Restart the workloads of a namespace that carry the mesh's proxy, or, in its own namespace, its control plane."""
    mesh = await _mesh(run, parameters.mesh_type)
    chosen = await _carriers(run, parameters.namespace, mesh)
    if not chosen:
        text = f"no workload in {parameters.namespace} carries {_PROXIES[mesh]}"
        return Done(text, {"mesh": mesh, "restarted": [], "already": True})
    for ref in chosen:
        await run.progress(f"restarting {ref}")
        await roll(run, ref, slot=f"restart:{ref.kind}/{ref.name}")
    names = [f"{ref.kind}/{ref.name}" for ref in chosen]
    verb = "would be restarted" if run.dry_run else "restarted"
    return Done(
        f"{len(names)} workloads of {mesh} in {parameters.namespace} {verb}", {"mesh": mesh, "restarted": names}
    )


async def _mesh(run: Run, wanted: str | None) -> str:
    groups = (await run.world.around()).groups
    found = [name for name, theirs in _GROUPS.items() if groups.intersection(theirs)]
    if wanted is None and len(found) == 1:
        return found[0]
    if wanted not in found:
        text = f"mesh_type: {wanted or 'none given'}, but this cluster has {', '.join(found) or 'none'}"
        raise ActionFailedError(ErrorClass.PERMANENT, text, refused=True)
    return str(wanted)


async def _carriers(run: Run, namespace: str, mesh: str) -> list[ObjectRef]:
    """By the pods, because the proxy is put into pods and not into templates."""
    if namespace == _CONTROL[mesh]:
        items = await run.list("Deployment", namespace)
        return [ObjectRef("Deployment", namespace, item["metadata"]["name"]) for item in items]
    pods = await run.list("Pod", namespace)
    carrying = [pod["metadata"].get("labels") or {} for pod in pods if _carries(pod, _PROXIES[mesh])]
    found: list[ObjectRef] = []
    for kind in _KINDS:
        for item in await run.list(kind, namespace):
            selector = item["spec"]["selector"].get("matchLabels") or {}
            if selector and any(selector.items() <= labels.items() for labels in carrying):
                found.append(ObjectRef(kind, namespace, item["metadata"]["name"]))
    return found


def _carries(pod: dict[str, Json], proxy: str) -> bool:
    containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]
    return any(item["name"] == proxy for item in containers)


_LOST = "the old pods and what they held in memory are gone"
_RESTARTING = (
    *(rights(kind, "get", "list", "patch") for kind in _KINDS),
    rights("ReplicaSet", "list"),
    rights("Pod", "list"),
)
SPECS = (
    ActionSpec(
        name="restart_network",
        family="network",
        description="Restart a network component that the operator has named, such as the cluster's DNS.",
        parameters=RestartNetwork,
        target_kinds=(),
        risk="high",
        timeout_seconds=600,
        perform=restart_network,
        irreversible_reason=_LOST,
        needs=_RESTARTING,
        requires=(setting("NETWORK_COMPONENTS"),),
        done_when="every pod of the component is new and ready",
        own_targets=True,
    ),
    ActionSpec(
        name="reset_service_mesh",
        family="mesh",
        description="Restart the workloads of a namespace that carry the mesh's proxy, one after the other.",
        parameters=ResetServiceMesh,
        target_kinds=(),
        risk="high",
        timeout_seconds=1800,
        perform=reset_service_mesh,
        irreversible_reason=_LOST,
        needs=_RESTARTING,
        requires=(any_group(tuple(group for groups in _GROUPS.values() for group in groups), "service mesh"),),
        done_when="every restarted workload is ready",
    ),
)
