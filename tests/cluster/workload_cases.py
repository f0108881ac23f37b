"""Cases of the families scaling, autoscaling, restarts, rollouts, resources, placement and debugging."""

from tests.cluster.case import Case, Drift
from tests.cluster.objects import autoscaler, deployment, hanging_job
from tests.cluster.rights import HPA, NAMESPACE, apps, core, named, noted, of
from tests.cluster.scenes import (
    NODE,
    agent,
    at,
    both_pods,
    broken_release,
    cleared,
    cordon,
    database,
    one_pod,
    replaced,
    replicas,
    resources,
    rolled_back,
    uncordon,
    web,
)
from tests.cluster.stage import Stage
from tests.support.kube import Object
from tests.support.processes import eventually

_CONTAINER = "/spec/template/spec/containers/0"
_HOST = "/spec/template/spec/nodeSelector/kubernetes.io~1hostname"
_HIDDEN = "(hidden)"


def _autoscaled(stage: Stage) -> None:
    web(stage)
    stage.kube.create(autoscaler(stage.namespace, "web", api_version=stage.kube.api_version("autoscaling/v2")))


def _bounds_and_targets(stage: Stage) -> bool:
    spec = at(stage, "HorizontalPodAutoscaler", "web")["spec"]
    targets = {each["resource"]["name"]: each["resource"]["target"]["averageUtilization"] for each in spec["metrics"]}
    return (spec["minReplicas"], spec["maxReplicas"], targets) == (2, 9, {"memory": 70, "cpu": 60})


def _pods_of_agent(stage: Stage) -> set[str]:
    return {pod["metadata"]["uid"] for pod in stage.pods("agent")}


def _agent_noted(stage: Stage) -> None:
    agent(stage)
    stage.notes["uids"] = _pods_of_agent(stage)


def _agent_replaced(stage: Stage) -> bool:
    now = _pods_of_agent(stage)
    before: set[str] = stage.notes["uids"]
    return len(now) == len(before) and now.isdisjoint(before)


def _working_job(stage: Stage) -> None:
    stage.kube.create(hanging_job(stage.namespace, "work"))
    pods: list[Object] = eventually(lambda: _ready(stage.pods("work")), "the Job works", within=stage.place.patience)
    stage.notes |= {"pod": pods[0]["metadata"]["name"], "uid": pods[0]["metadata"]["uid"]}


def _ready(pods: list[Object]) -> list[Object]:
    flags = [each for pod in pods for each in (pod.get("status") or {}).get("conditions") or []]
    return pods if any((each["type"], each["status"]) == ("Ready", "True") for each in flags) else []


def _job_pod_replaced(stage: Stage) -> bool:
    return [pod["metadata"]["uid"] != stage.notes["uid"] for pod in _ready(stage.pods("work"))] == [True]


def _measured(stage: Stage) -> None:
    web(stage)
    for pod in stage.pods("web"):
        metadata = {"name": pod["metadata"]["name"], "namespace": stage.namespace}
        used = [{"name": "main", "usage": {"cpu": "300m", "memory": "300Mi"}}]
        body = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": metadata, "containers": used}
        stage.kube.create(body | {"window": "15s"})


def _on(stage: Stage, app: str, node: str) -> bool:
    return {pod["spec"].get("nodeName") for pod in stage.pods(app)} == {node}


def _shared_node(stage: Stage) -> None:
    cleared(stage, "node-1")
    cordon(stage, NODE, "node-3")
    database(stage)
    stage.create(deployment(stage.namespace, replicas=1))
    uncordon(stage, NODE, "node-3")
    assert _on(stage, "db", "node-1")


def _left_alone(stage: Stage) -> bool:
    closed = bool(at(stage, "Node", "node-1")["spec"].get("unschedulable"))
    return _on(stage, "db", NODE) and closed and stage.on_node("node-1") == []


def _environment(stage: Stage, kind: str, name: str) -> bool:
    container = at(stage, kind, name)["spec"]["template"]["spec"]["containers"][0]
    return bool(container.get("env") == [{"name": "LOG_LEVEL", "value": "debug"}])


SCALING = (
    Case(
        name="scale a Deployment",
        type="scale_deployment",
        target=("Deployment", "web"),
        arrange=web,
        parameters=named("web", replicas=4),
        effect=lambda stage: replicas(stage, "Deployment", "web", 4),
        rights=(*apps("deployments", "get", "patch"), *HPA, *NAMESPACE),
        drift=Drift("/spec/replicas", 3),
        rival=Drift("/spec/replicas", 3),
    ),
    Case(
        name="scale a StatefulSet",
        type="scale_statefulset",
        target=("StatefulSet", "db"),
        arrange=database,
        parameters=named("db", replicas=3),
        effect=lambda stage: replicas(stage, "StatefulSet", "db", 3),
        rights=(*apps("statefulsets", "get", "patch"), *HPA),
        drift=Drift("/spec/replicas", 2),
        rival=Drift("/spec/replicas", 2),
    ),
    Case(
        name="bounds and targets of an autoscaler",
        type="update_hpa",
        target=("HorizontalPodAutoscaler", "web"),
        arrange=_autoscaled,
        parameters=named("web", max_replicas=9, target_cpu_utilization=60),
        effect=_bounds_and_targets,
        rights=of("autoscaling", "horizontalpodautoscalers", "get", "patch"),
        drift=Drift("/spec/maxReplicas", 7),
        rival=Drift("/spec/maxReplicas", 7),
    ),
)

RESTARTS = (
    Case(
        name="replace a pod",
        type="restart_pod",
        target=("Deployment", "web"),
        arrange=one_pod,
        parameters=noted("pod"),
        effect=lambda stage: replaced(stage, 1),
        rights=(*core("pods", "get", "list", "delete"), *apps("replicasets", "get")),
    ),
    Case(
        name="replace a pod of a Job",
        type="restart_pod",
        target=("Job", "work"),
        arrange=_working_job,
        parameters=noted("pod"),
        effect=_job_pod_replaced,
        rights=of("batch", "jobs", "get"),
    ),
    Case(
        name="restart a Deployment",
        type="restart_pod",
        target=("Deployment", "web"),
        arrange=both_pods,
        parameters=named("web", resource_type="deployment"),
        effect=lambda stage: replaced(stage, 2),
        rights=apps("deployments", "get", "patch"),
    ),
    Case(
        name="restart a DaemonSet",
        type="restart_daemonset",
        target=("DaemonSet", "agent"),
        arrange=_agent_noted,
        parameters=named("agent"),
        effect=_agent_replaced,
        rights=apps("daemonsets", "get", "patch"),
    ),
    Case(
        name="roll a crashing release back",
        type="rollback_deployment",
        target=("Deployment", "web"),
        arrange=broken_release,
        parameters=named("web"),
        effect=rolled_back,
        rights=(*apps("deployments", "get", "patch"), *apps("replicasets", "list")),
        drift=Drift(f"{_CONTAINER}/image", "registry.local/app:3"),
    ),
)

RESOURCES = (
    Case(
        name="more memory for a Deployment",
        type="increase_resources",
        target=("Deployment", "web"),
        arrange=web,
        parameters=named("web", resource_type="deployment", memory="1024Mi"),
        effect=lambda stage: (
            resources(stage, "Deployment", "web")
            == {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "500m", "memory": "1Gi"}}
        ),
        rights=apps("deployments", "get", "patch"),
        drift=Drift(f"{_CONTAINER}/resources/requests/memory", "256Mi"),
        rival=Drift(f"{_CONTAINER}/resources/requests/memory", "256Mi"),
    ),
    Case(
        name="a first CPU request for a StatefulSet",
        type="increase_resources",
        target=("StatefulSet", "db"),
        arrange=database,
        parameters=named("db", resource_type="statefulset", cpu="250m"),
        effect=lambda stage: resources(stage, "StatefulSet", "db") == {"requests": {"cpu": "250m"}},
        rights=apps("statefulsets", "get", "patch"),
        drift=Drift(f"{_CONTAINER}/resources", {"requests": {"cpu": "50m"}}),
        rival=Drift(f"{_CONTAINER}/resources", {"requests": {"cpu": "50m"}}, seen="50m"),
    ),
    Case(
        name="more CPU for a DaemonSet",
        type="increase_resources",
        target=("DaemonSet", "agent"),
        arrange=agent,
        parameters=named("agent", resource_type="daemonset", cpu="1"),
        effect=lambda stage: resources(stage, "DaemonSet", "agent")["requests"]["cpu"] == "1",
        rights=apps("daemonsets", "get", "patch"),
        drift=Drift(f"{_CONTAINER}/resources/requests/cpu", "200m"),
        rival=Drift(f"{_CONTAINER}/resources/requests/cpu", "200m"),
    ),
    Case(
        name="requests that fit what is used",
        type="optimize_resources",
        target=("Deployment", "web"),
        arrange=_measured,
        parameters=lambda stage: {"namespace": stage.namespace, "resource_name": "web", "dry_run": False},
        effect=lambda stage: resources(stage, "Deployment", "web")["requests"] == {"cpu": "450m", "memory": "450Mi"},
        rights=of("metrics.k8s.io", "pods", "list"),
        drift=Drift(f"{_CONTAINER}/resources/requests/cpu", "200m"),
    ),
)

PLACEMENT = (
    Case(
        name="move a Deployment to a node",
        type="migrate_workload",
        target=("Deployment", "web"),
        arrange=web,
        parameters=named("web", target_node=NODE),
        effect=lambda stage: _on(stage, "web", NODE) and replicas(stage, "Deployment", "web", 2),
        rights=(*apps("deployments", "get", "patch"), *core("nodes", "get"), *core("pods", "list")),
        drift=Drift(_HOST, "node-3"),
        rival=Drift("/spec/template/spec/nodeSelector", {"kubernetes.io/hostname": "node-1"}, seen="node-1"),
    ),
    Case(
        name="move a StatefulSet and drain the node it was on",
        type="migrate_workload",
        target=("StatefulSet", "db"),
        arrange=_shared_node,
        parameters=named("db", resource_type="statefulset", target_node=NODE, drain_source=True),
        effect=_left_alone,
        rights=(*apps("statefulsets", "patch"), *core("nodes", "patch"), *core("pods/eviction", "create")),
        drift=Drift(_HOST, "node-3"),
    ),
)


def _debugging(kind: str, name: str, resource: str) -> Case:
    variable = {"name": "LOG_LEVEL", "value": "info"}
    return Case(
        name=f"more words from a {kind}",
        type="enable_debug_mode",
        target=(kind, name),
        arrange={"Deployment": web, "StatefulSet": database, "DaemonSet": agent}[kind],
        parameters=named(name, resource_type=kind.lower(), auto_revert=False),
        effect=lambda stage: _environment(stage, kind, name),
        rights=apps(resource, "get", "patch"),
        drift=Drift(f"{_CONTAINER}/env/0/value", "error"),
        rival=Drift(f"{_CONTAINER}/env", [variable], seen=_HIDDEN) if kind == "Deployment" else None,
    )


DEBUGGING = (
    _debugging("Deployment", "web", "deployments"),
    _debugging("StatefulSet", "db", "statefulsets"),
    _debugging("DaemonSet", "agent", "daemonsets"),
)

CASES = (*SCALING, *RESTARTS, *RESOURCES, *PLACEMENT, *DEBUGGING)
