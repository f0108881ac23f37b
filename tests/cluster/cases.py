"""The case table: for every action what it begins with, what is asked, what is seen, and what it cannot do without."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.cluster.objects import FAULT, HEALS_ON, REQUESTS, deployment, workload
from tests.cluster.stage import Stage
from tests.support.kube import Object, Thing
from tests.support.places import Right
from tests.support.processes import eventually

NODE, OTHERS = "node-2", ("node-1", "node-3")
_CONTAINER = "/spec/template/spec/containers/0"


@dataclass(frozen=True, slots=True)
class Drift:
    """A foreign change of the very field that the action changes: the pointer, and the value (None: taken away)."""

    pointer: str
    value: Any
    seen: Any = None
    """What the action tells as the value before, if that is not `value` itself."""

    @property
    def operations(self) -> list[Object]:
        """As a JSON Patch."""
        if self.value is None:
            return [{"op": "remove", "path": self.pointer}]
        return [{"op": "add", "path": self.pointer, "value": self.value}]


@dataclass(frozen=True, slots=True)
class Case:
    """One way to use an action. `target` is the object that it changes (or, if it changes none, looks at)."""

    name: str
    type: str
    target: tuple[str, str]
    arrange: Callable[[Stage], None]
    parameters: Callable[[Stage], dict[str, Any]]
    effect: Callable[[Stage], bool]
    rights: tuple[Right, ...]
    """Without any one of these it must fail as `forbidden`."""
    drift: Drift | None = None
    """After the action, so that its undo is refused; None for what cannot be undone."""
    rival: Drift | None = None
    """Just before the action's write arrives, so that it must look again; None where no such thing is tried."""

    def thing(self, stage: Stage) -> Thing:
        """The target at this stage."""
        return stage.thing(*self.target)


def _apps(resource: str, *verbs: str) -> tuple[Right, ...]:
    return tuple(Right(verb, resource, "apps") for verb in verbs)


def _core(resource: str, *verbs: str) -> tuple[Right, ...]:
    return tuple(Right(verb, resource) for verb in verbs)


def _at(stage: Stage, kind: str, name: str) -> Object:
    return stage.kube.get(stage.thing(kind, name))


def _web(stage: Stage) -> None:
    stage.create(deployment(stage.namespace))


def _database(stage: Stage) -> None:
    stage.create(workload("StatefulSet", stage.namespace, "db", replicas=1))


def _agent(stage: Stage) -> None:
    stage.create(workload("DaemonSet", stage.namespace, "agent", replicas=None, resources=REQUESTS))


def _broken_release(stage: Stage) -> None:
    """Revision 1 runs, revision 2 keeps crashing."""
    stage.create(deployment(stage.namespace))
    template = {
        "metadata": {"annotations": {FAULT: "crashloop", HEALS_ON: "rollback"}},
        "spec": {"containers": [{"name": "main", "image": "registry.local/app:2"}]},
    }
    path = stage.kube.path(stage.thing("Deployment", "web"))
    stage.kube.done("PATCH", path, {"spec": {"template": template}}, patch="strategic-merge")
    eventually(lambda: _revision(stage) == "2", "the new release is being rolled out")


def _revision(stage: Stage) -> str:
    notes = _at(stage, "Deployment", "web")["metadata"].get("annotations") or {}
    return str(notes.get("deployment.kubernetes.io/revision"))


def _one_pod(stage: Stage) -> None:
    _web(stage)
    stage.notes["pod"] = stage.pods("web")[0]["metadata"]["name"]
    stage.notes["uids"] = {pod["metadata"]["uid"] for pod in stage.pods("web")}


def _both_pods(stage: Stage) -> None:
    _web(stage)
    stage.notes["uids"] = {pod["metadata"]["uid"] for pod in stage.pods("web")}


def _cordon(stage: Stage, *nodes: str) -> None:
    for node in nodes:
        stage.kube.change(Thing("Node", "", node), [{"op": "add", "path": "/spec/unschedulable", "value": True}])


def _uncordon(stage: Stage, *nodes: str) -> None:
    for node in nodes:
        stage.kube.change(Thing("Node", "", node), [{"op": "remove", "path": "/spec/unschedulable"}])


def full_node(stage: Stage) -> None:
    """Two movable pods and one of a DaemonSet on the node, room elsewhere."""
    _agent(stage)
    _cordon(stage, *OTHERS)
    _web(stage)
    _uncordon(stage, *OTHERS)
    assert len(stage.on_node(NODE)) == 3


def _replicas(stage: Stage, kind: str, name: str, number: int) -> bool:
    found = _at(stage, kind, name)
    return bool(found["spec"]["replicas"] == found["status"].get("readyReplicas") == number)


def _resources(stage: Stage, kind: str, name: str) -> Object:
    return dict(_at(stage, kind, name)["spec"]["template"]["spec"]["containers"][0]["resources"])


def _replaced(stage: Stage, number: int) -> bool:
    """So many of the two pods are others now, and both are ready."""
    now = {pod["metadata"]["uid"] for pod in stage.pods("web")}
    return len(now - stage.notes["uids"]) == number and _replicas(stage, "Deployment", "web", 2)


def _rolled_back(stage: Stage) -> bool:
    template = _at(stage, "Deployment", "web")["spec"]["template"]
    image = template["spec"]["containers"][0]["image"]
    noted = template["metadata"].get("annotations")
    return image == "registry.local/app:1" and not noted and _replicas(stage, "Deployment", "web", 2)


def _unschedulable(stage: Stage) -> bool:
    return bool(_at(stage, "Node", NODE)["spec"].get("unschedulable"))


def _drained(stage: Stage) -> bool:
    left = [pod["metadata"]["ownerReferences"][0]["kind"] for pod in stage.on_node(NODE)]
    return left == ["DaemonSet"] and _unschedulable(stage)


def _named(name: str, **more: Any) -> Callable[[Stage], dict[str, Any]]:
    return lambda stage: {"namespace": stage.namespace, "resource_name": name} | more


def _on(**parameters: Any) -> Callable[[Stage], dict[str, Any]]:
    return lambda _: {"node_name": NODE} | parameters


CASES = (
    Case(
        name="scale a Deployment",
        type="scale_deployment",
        target=("Deployment", "web"),
        arrange=_web,
        parameters=_named("web", replicas=4),
        effect=lambda stage: _replicas(stage, "Deployment", "web", 4),
        rights=_apps("deployments", "get", "patch"),
        drift=Drift("/spec/replicas", 3),
        rival=Drift("/spec/replicas", 3),
    ),
    Case(
        name="scale a StatefulSet",
        type="scale_statefulset",
        target=("StatefulSet", "db"),
        arrange=_database,
        parameters=_named("db", replicas=3),
        effect=lambda stage: _replicas(stage, "StatefulSet", "db", 3),
        rights=_apps("statefulsets", "get", "patch"),
        drift=Drift("/spec/replicas", 2),
        rival=Drift("/spec/replicas", 2),
    ),
    Case(
        name="replace a pod",
        type="restart_pod",
        target=("Deployment", "web"),
        arrange=_one_pod,
        parameters=lambda stage: {"namespace": stage.namespace, "resource_name": stage.notes["pod"]},
        effect=lambda stage: _replaced(stage, 1),
        rights=_core("pods", "get", "list", "delete"),
    ),
    Case(
        name="restart a Deployment",
        type="restart_pod",
        target=("Deployment", "web"),
        arrange=_both_pods,
        parameters=_named("web", resource_type="deployment"),
        effect=lambda stage: _replaced(stage, 2),
        rights=_apps("deployments", "get", "patch"),
    ),
    Case(
        name="roll a crashing release back",
        type="rollback_deployment",
        target=("Deployment", "web"),
        arrange=_broken_release,
        parameters=_named("web"),
        effect=_rolled_back,
        rights=(*_apps("deployments", "get", "patch"), *_apps("replicasets", "list")),
        drift=Drift(f"{_CONTAINER}/image", "registry.local/app:3"),
    ),
    Case(
        name="more memory for a Deployment",
        type="increase_resources",
        target=("Deployment", "web"),
        arrange=_web,
        parameters=_named("web", resource_type="deployment", memory="1024Mi"),
        effect=lambda stage: (
            _resources(stage, "Deployment", "web")
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
        arrange=_database,
        parameters=_named("db", resource_type="statefulset", cpu="250m"),
        effect=lambda stage: _resources(stage, "StatefulSet", "db") == {"requests": {"cpu": "250m"}},
        rights=_apps("statefulsets", "get", "patch"),
        drift=Drift(f"{_CONTAINER}/resources", {"requests": {"cpu": "50m"}}),
        rival=Drift(f"{_CONTAINER}/resources", {"requests": {"cpu": "50m"}}, seen="50m"),
    ),
    Case(
        name="more CPU for a DaemonSet",
        type="increase_resources",
        target=("DaemonSet", "agent"),
        arrange=_agent,
        parameters=_named("agent", resource_type="daemonset", cpu="1"),
        effect=lambda stage: _resources(stage, "DaemonSet", "agent")["requests"]["cpu"] == "1",
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
        effect=_unschedulable,
        rights=_core("nodes", "get", "patch"),
        drift=Drift("/spec/unschedulable", None),
        rival=Drift("/spec/unschedulable", True),
    ),
    Case(
        name="uncordon a node",
        type="uncordon_node",
        target=("Node", NODE),
        arrange=lambda stage: _cordon(stage, NODE),
        parameters=_on(),
        effect=lambda stage: not _unschedulable(stage),
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
        effect=_drained,
        rights=(*_core("nodes", "get", "patch"), *_core("pods", "get", "list"), *_core("pods/eviction", "create")),
        drift=Drift("/spec/unschedulable", None),
        rival=Drift("/spec/unschedulable", True),
    ),
    Case(
        name="collect diagnostics of a Deployment",
        type="collect_diagnostics",
        target=("Deployment", "web"),
        arrange=_web,
        parameters=_named("web"),
        effect=lambda stage: len(stage.pods("web")) == 2,
        rights=(*_core("pods", "list"), *_core("nodes", "list"), *_core("events", "list")),
    ),
)

UNDOABLE = tuple(case for case in CASES if case.drift is not None)

WITHOUT_A_CASE = dict.fromkeys(
    ("notify_only", "notify_team", "notify_oncall", "log_incident"), "tells people; the cluster is not asked"
)
"""Action types that no case is about, and why."""

RIGHTS_WITHOUT_A_CASE = {
    Right("list", "deployments", "apps"): "the owner of a pod that is gone is looked for by its name",
    Right("list", "statefulsets", "apps"): "the same",
    Right("list", "daemonsets", "apps"): "the same",
    Right("get", "replicasets", "apps"): "the way from a pod to its Deployment",
    Right("get", "pods/log"): "without it diagnostics say that there are no logs",
    Right("list", "pods", "metrics.k8s.io"): "without it diagnostics say that there is no usage",
}
"""What the delivered role grants beyond the cases' needs, and what for."""
