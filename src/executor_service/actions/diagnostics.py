"""Family diagnostics: gather what a person would look at first. Reads only; the answer is capped in size."""

from typing import Annotated, Literal

import orjson
from pydantic import Field

from executor_service.actions.requirements import READ_NODES, READ_PODS, READ_WORKLOADS, rights
from executor_service.actions.run import Run
from executor_service.actions.spec import OBJECT_NAME_PATTERN, ActionSpec, Done, Namespace, Parameters
from executor_service.contract import Json, ObjectRef
from executor_service.kubernetes.errors import ApiError, ApiStatusError
from executor_service.kubernetes.observing import canonical_kind, node_facts, observe, pod_facts, selector_text

_MAX_BYTES = 128 * 1024
_MAX_PODS, _MAX_EVENTS, _MAX_LOGS, _LOG_LINES = 20, 30, 3, 50
_SHORT = 500


class CollectDiagnostics(Parameters):
    """Parameters of collect_diagnostics."""

    namespace: Namespace
    resource_name: Annotated[
        str | None, Field(pattern=OBJECT_NAME_PATTERN, max_length=253, description="Default: the whole namespace")
    ] = None
    resource_type: Annotated[
        Literal["pod", "deployment", "statefulset", "daemonset", "replicaset", "node"] | None,
        Field(description="Kind of the resource; default: found by its name"),
    ] = None
    include_logs: bool = Field(default=True, description="Last log lines of troubled pods")
    include_metrics: bool = Field(default=True, description="Current usage, where the cluster measures it")
    include_events: bool = Field(default=True, description="Recent events")


async def collect_diagnostics(run: Run, parameters: CollectDiagnostics) -> Done:
    """Owner status, pods, nodes, events, logs and usage around a target."""
    target = await _target(run, parameters)
    found: dict[str, Json] = {"namespace": parameters.namespace, "target": str(target) if target else None}
    if target is not None:
        seen = await run.ask(observe(run.kube, target), f"reading {target}")
        found |= {"found": seen.found, "facts": seen.facts, "owners": [str(owner) for owner in seen.owners]}
        target = seen.owners[-1] if seen.resolved_through_owner else target
    await run.progress("reading pods")
    pods = await _pods(run, parameters.namespace, target)
    found["pods"] = [{"name": pod["metadata"]["name"]} | pod_facts(pod) for pod in _troubled_first(pods)[:_MAX_PODS]]
    found["nodes"] = await _nodes(run, pods, target)
    if parameters.include_events:
        found["events"] = await _events(run, parameters.namespace, target, pods)
    if parameters.include_metrics:
        found["usage"] = await _usage(run, parameters.namespace, {pod["metadata"]["name"] for pod in pods})
    if parameters.include_logs:
        found["logs"] = await _logs(run, _troubled_first(pods)[:_MAX_LOGS])
    troubled = sum(not entry["ready"] for entry in found["pods"])
    about = str(target) if target else f"namespace {parameters.namespace}"
    return Done(f"diagnostics of {about}: {len(pods)} pods, {troubled} not ready", _capped(found))


async def _target(run: Run, parameters: CollectDiagnostics) -> ObjectRef | None:
    """The named object; without a kind, the first that exists, else a pod that may be gone."""
    if parameters.resource_name is None:
        return None
    if parameters.resource_type is not None:
        kind = canonical_kind(parameters.resource_type) or "Pod"
        return ObjectRef(kind, None if kind == "Node" else parameters.namespace, parameters.resource_name)
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        candidate = ObjectRef(kind, parameters.namespace, parameters.resource_name)
        if await run.find(candidate) is not None:
            return candidate
    return ObjectRef("Pod", parameters.namespace, parameters.resource_name)


async def _pods(run: Run, namespace: str, target: ObjectRef | None) -> list[dict[str, Json]]:
    if target is None:
        return await run.list("Pod", namespace)
    if target.kind == "Node":
        return await run.list("Pod", None, fields=f"spec.nodeName={target.name}")
    item = await run.find(target)
    if item is None:
        return []
    if target.kind == "Pod":
        return [item]
    return await run.list("Pod", namespace, labels=selector_text(item["spec"].get("selector") or {}))


def _troubled_first(pods: list[dict[str, Json]]) -> list[dict[str, Json]]:
    def rank(pod: dict[str, Json]) -> tuple[bool, int]:
        facts = pod_facts(pod)
        return facts["ready"], -facts["restarts"]

    return sorted(pods, key=rank)


async def _nodes(run: Run, pods: list[dict[str, Json]], target: ObjectRef | None) -> list[dict[str, Json]]:
    names = {pod["spec"].get("nodeName") for pod in pods} | (
        {target.name} if target and target.kind == "Node" else set()
    )
    nodes = await run.list("Node", None)
    chosen = [node for node in nodes if node["metadata"]["name"] in names]
    return [{"name": node["metadata"]["name"]} | node_facts(node) for node in chosen[:_MAX_PODS]]


async def _events(
    run: Run, namespace: str, target: ObjectRef | None, pods: list[dict[str, Json]]
) -> list[dict[str, Json]]:
    names = {pod["metadata"]["name"] for pod in pods} | ({target.name} if target else set())
    events = await run.list("Event", namespace)
    about = [item for item in events if (item.get("involvedObject") or {}).get("name") in names]
    newest = sorted(about, key=lambda item: item.get("lastTimestamp") or item.get("eventTime") or "", reverse=True)
    return [
        {
            "object": f"{item['involvedObject'].get('kind')}/{item['involvedObject'].get('name')}",
            "type": item.get("type"),
            "reason": item.get("reason"),
            "message": str(item.get("message", ""))[:_SHORT],
            "count": item.get("count", 1),
            "last_seen": item.get("lastTimestamp") or item.get("eventTime"),
        }
        for item in newest[:_MAX_EVENTS]
    ]


async def _usage(run: Run, namespace: str, names: set[str]) -> Json:
    try:
        measured = await run.kube.read(await run.kube.place("PodMetrics", namespace))
    except ApiError as error:
        return {"unavailable": _why(error)}
    items = [item for item in measured.get("items", []) if item["metadata"]["name"] in names]
    return [{"pod": item["metadata"]["name"], "containers": item.get("containers", [])} for item in items[:_MAX_PODS]]


async def _logs(run: Run, pods: list[dict[str, Json]]) -> list[dict[str, Json]]:
    logs = []
    for pod in pods:
        ref = ObjectRef("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
        container = pod["spec"]["containers"][0]["name"]
        params = {"container": container, "tailLines": str(_LOG_LINES), "limitBytes": str(_MAX_BYTES // 8)}
        try:
            text: str | None = await run.kube.read_text(f"{await run.kube.place_of(ref)}/log", params=params)
            why = None
        except ApiError as error:
            text, why = None, _why(error)
        logs.append({"pod": ref.name, "container": container, "lines": text, "unavailable": why})
    return logs


def _why(error: ApiError) -> str:
    return f"{error.code} {error.reason}".strip() if isinstance(error, ApiStatusError) else type(error).__name__


def _capped(found: dict[str, Json]) -> dict[str, Json]:
    """Drop the largest parts until the answer fits, and say which."""
    dropped: list[str] = []
    for part in ("logs", "usage", "events", "nodes", "pods"):
        if len(orjson.dumps(found)) <= _MAX_BYTES:
            break
        found.pop(part, None)
        dropped.append(part)
    return found | {"truncated": dropped} if dropped else found


SPECS = (
    ActionSpec(
        name="collect_diagnostics",
        family="diagnostics",
        description="Gather status, pods, nodes, events, logs and usage around a target; changes nothing.",
        parameters=CollectDiagnostics,
        target_kinds=("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Node"),
        risk="low",
        timeout_seconds=60,
        perform=collect_diagnostics,
        needs=(
            *READ_WORKLOADS,
            READ_PODS,
            READ_NODES,
            rights("Event", "list"),
            rights("Pod", "get", subresource="log"),
            rights("PodMetrics", "list"),
        ),
        aliases={"monitor": {}},
        done_when="what was found is in the result",
        changes=False,
        irreversible_reason="it changes nothing",
    ),
)
