"""The case table: for every action what it begins with, what is asked, what is seen, what it cannot do without."""

from collections.abc import Callable
from typing import Any

from tests.cluster.case import Case, Drift
from tests.cluster.scenes import (
    NODE,
    agent,
    both_pods,
    broken_release,
    cordon,
    database,
    drained,
    full_node,
    one_pod,
    replaced,
    replicas,
    resources,
    rolled_back,
    unschedulable,
    web,
)
from tests.cluster.stage import Stage
from tests.support.places import Right

_CONTAINER = "/spec/template/spec/containers/0"


def _apps(resource: str, *verbs: str) -> tuple[Right, ...]:
    return tuple(Right(verb, resource, "apps") for verb in verbs)


def _core(resource: str, *verbs: str) -> tuple[Right, ...]:
    return tuple(Right(verb, resource) for verb in verbs)


def _named(name: str, **more: Any) -> Callable[[Stage], dict[str, Any]]:
    return lambda stage: {"namespace": stage.namespace, "resource_name": name} | more


def _on(**parameters: Any) -> Callable[[Stage], dict[str, Any]]:
    return lambda _: {"node_name": NODE} | parameters


CASES = (
    Case(
        name="scale a Deployment",
        type="scale_deployment",
        target=("Deployment", "web"),
        arrange=web,
        parameters=_named("web", replicas=4),
        effect=lambda stage: replicas(stage, "Deployment", "web", 4),
        rights=_apps("deployments", "get", "patch"),
        drift=Drift("/spec/replicas", 3),
        rival=Drift("/spec/replicas", 3),
    ),
    Case(
        name="scale a StatefulSet",
        type="scale_statefulset",
        target=("StatefulSet", "db"),
        arrange=database,
        parameters=_named("db", replicas=3),
        effect=lambda stage: replicas(stage, "StatefulSet", "db", 3),
        rights=_apps("statefulsets", "get", "patch"),
        drift=Drift("/spec/replicas", 2),
        rival=Drift("/spec/replicas", 2),
    ),
    Case(
        name="replace a pod",
        type="restart_pod",
        target=("Deployment", "web"),
        arrange=one_pod,
        parameters=lambda stage: {"namespace": stage.namespace, "resource_name": stage.notes["pod"]},
        effect=lambda stage: replaced(stage, 1),
        rights=_core("pods", "get", "list", "delete"),
    ),
    Case(
        name="restart a Deployment",
        type="restart_pod",
        target=("Deployment", "web"),
        arrange=both_pods,
        parameters=_named("web", resource_type="deployment"),
        effect=lambda stage: replaced(stage, 2),
        rights=_apps("deployments", "get", "patch"),
    ),
    Case(
        name="roll a crashing release back",
        type="rollback_deployment",
        target=("Deployment", "web"),
        arrange=broken_release,
        parameters=_named("web"),
        effect=rolled_back,
        rights=(*_apps("deployments", "get", "patch"), *_apps("replicasets", "list")),
        drift=Drift(f"{_CONTAINER}/image", "registry.local/app:3"),
    ),
    Case(
        name="more memory for a Deployment",
        type="increase_resources",
        target=("Deployment", "web"),
        arrange=web,
        parameters=_named("web", resource_type="deployment", memory="1024Mi"),
        effect=lambda stage: (
            resources(stage, "Deployment", "web")
            == {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "500m", "memory": "1Gi"}}
        ),
        rights=_apps("deployments", "get", "patch"),
        drift=Drift(f"{_CONTAINER}/resources/requests/memory", "256Mi"),
        rival=Drift(f"{_CONTAINER}/resources/requests/memory", "256Mi"),
    ),
    Case(
        name="a first CPU request for a StatefulSet",
        type="increase_resources",
        target=("StatefulSet", "db"),
        arrange=database,
        parameters=_named("db", resource_type="statefulset", cpu="250m"),
        effect=lambda stage: resources(stage, "StatefulSet", "db") == {"requests": {"cpu": "250m"}},
        rights=_apps("statefulsets", "get", "patch"),
        drift=Drift(f"{_CONTAINER}/resources", {"requests": {"cpu": "50m"}}),
        rival=Drift(f"{_CONTAINER}/resources", {"requests": {"cpu": "50m"}}, seen="50m"),
    ),
    Case(
        name="more CPU for a DaemonSet",
        type="increase_resources",
        target=("DaemonSet", "agent"),
        arrange=agent,
        parameters=_named("agent", resource_type="daemonset", cpu="1"),
        effect=lambda stage: resources(stage, "DaemonSet", "agent")["requests"]["cpu"] == "1",
        rights=_apps("daemonsets", "get", "patch"),
        drift=Drift(f"{_CONTAINER}/resources/requests/cpu", "200m"),
        rival=Drift(f"{_CONTAINER}/resources/requests/cpu", "200m"),
    ),
    Case(
        name="cordon a node",
        type="cordon_node",
        target=("Node", NODE),
        arrange=lambda _: None,
        parameters=_on(),
        effect=unschedulable,
        rights=_core("nodes", "get", "patch"),
        drift=Drift("/spec/unschedulable", None),
        rival=Drift("/spec/unschedulable", True),
    ),
    Case(
        name="uncordon a node",
        type="uncordon_node",
        target=("Node", NODE),
        arrange=lambda stage: cordon(stage, NODE),
        parameters=_on(),
        effect=lambda stage: not unschedulable(stage),
        rights=_core("nodes", "get", "patch"),
        drift=Drift("/spec/unschedulable", True),
        rival=Drift("/spec/unschedulable", None),
    ),
    Case(
        name="drain a node",
        type="drain_node",
        target=("Node", NODE),
        arrange=full_node,
        parameters=_on(grace_period_seconds=0),
        effect=drained,
        rights=(*_core("nodes", "get", "patch"), *_core("pods", "get", "list"), *_core("pods/eviction", "create")),
        drift=Drift("/spec/unschedulable", None),
        rival=Drift("/spec/unschedulable", True),
    ),
    Case(
        name="collect diagnostics of a Deployment",
        type="collect_diagnostics",
        target=("Deployment", "web"),
        arrange=web,
        parameters=_named("web"),
        effect=lambda stage: len(stage.pods("web")) == 2,
        rights=(*_core("pods", "list"), *_core("nodes", "list"), *_core("events", "list")),
    ),
)

UNDOABLE = tuple(case for case in CASES if case.drift is not None)

_LATER = "tried on the sandbox in tests/executor; its case here is still to be written"
WITHOUT_A_CASE = dict.fromkeys(
    ("notify_only", "notify_team", "notify_oncall", "log_incident"), "tells people; the cluster is not asked"
) | dict.fromkeys(
    (
        "audit_logs",
        "enable_debug_mode",
        "migrate_workload",
        "quarantine_pod",
        "restart_daemonset",
        "taint_node",
        "untaint_node",
        "update_hpa",
        "update_network_policy",
    ),
    _LATER,
)
"""Action types that no case is about, and why."""

RIGHTS_WITHOUT_A_CASE = {
    Right("list", "deployments", "apps"): "the owner of a pod that is gone is looked for by its name",
    Right("list", "statefulsets", "apps"): "the same",
    Right("list", "daemonsets", "apps"): "the same",
    Right("get", "replicasets", "apps"): "the way from a pod to its Deployment",
    Right("get", "pods/log"): "without it diagnostics say that there are no logs",
    Right("list", "pods", "metrics.k8s.io"): "without it diagnostics say that there is no usage",
    Right("get", "namespaces"): "what a namespace's annotations say, read before each write",
    Right("create", "tokenreviews", "authentication.k8s.io"): "who calls, with EXECUTOR_AUTH=tokenreview",
} | dict.fromkeys(
    (
        *_core("persistentvolumeclaims", "get", "list", "patch"),
        *_core("pods", "patch"),
        *_core("services", "list"),
        *(Right(verb, "horizontalpodautoscalers", "autoscaling") for verb in ("get", "list", "patch")),
        *(Right(verb, "jobs", "batch") for verb in ("create", "get")),
        *(Right(verb, "networkpolicies", "networking.k8s.io") for verb in ("create", "delete", "get", "patch")),
        Right("list", "volumesnapshotclasses", "snapshot.storage.k8s.io"),
        *(Right(verb, "volumesnapshots", "snapshot.storage.k8s.io") for verb in ("create", "get")),
        *(Right(verb, "storageclasses", "storage.k8s.io") for verb in ("get", "list")),
    ),
    f"for an action that is {_LATER}",
)
"""What the delivered role grants beyond the cases' needs, and what for."""
