"""What cases begin with, and how to see what became of it."""

from tests.cluster.objects import FAULT, HEALS_ON, REQUESTS, deployment, workload
from tests.cluster.stage import Stage
from tests.support.kube import Object, Thing
from tests.support.processes import eventually

NODE, OTHERS = "node-2", ("node-1", "node-3")


def _at(stage: Stage, kind: str, name: str) -> Object:
    return stage.kube.get(stage.thing(kind, name))


def web(stage: Stage) -> None:
    """A Deployment of two pods that run."""
    stage.create(deployment(stage.namespace))


def database(stage: Stage) -> None:
    """A StatefulSet of one pod that runs, without requests or limits."""
    stage.create(workload("StatefulSet", stage.namespace, "db", replicas=1))


def agent(stage: Stage) -> None:
    """A DaemonSet whose pods run on every node."""
    stage.create(workload("DaemonSet", stage.namespace, "agent", replicas=None, resources=REQUESTS))


def broken_release(stage: Stage) -> None:
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


def one_pod(stage: Stage) -> None:
    """The same Deployment; the pod to be replaced is noted."""
    web(stage)
    stage.notes["pod"] = stage.pods("web")[0]["metadata"]["name"]
    stage.notes["uids"] = {pod["metadata"]["uid"] for pod in stage.pods("web")}


def both_pods(stage: Stage) -> None:
    """The same Deployment; who its pods are is noted."""
    web(stage)
    stage.notes["uids"] = {pod["metadata"]["uid"] for pod in stage.pods("web")}


def cordon(stage: Stage, *nodes: str) -> None:
    """Keep new pods away from nodes."""
    for node in nodes:
        stage.kube.change(Thing("Node", "", node), [{"op": "add", "path": "/spec/unschedulable", "value": True}])


def uncordon(stage: Stage, *nodes: str) -> None:
    """Let new pods onto nodes again."""
    for node in nodes:
        stage.kube.change(Thing("Node", "", node), [{"op": "remove", "path": "/spec/unschedulable"}])


def full_node(stage: Stage) -> None:
    """Two movable pods and one of a DaemonSet on the node, room elsewhere."""
    agent(stage)
    cordon(stage, *OTHERS)
    web(stage)
    uncordon(stage, *OTHERS)
    assert len(stage.on_node(NODE)) == 3


def replicas(stage: Stage, kind: str, name: str, number: int) -> bool:
    """Whether so many pods are wanted, and ready."""
    found = _at(stage, kind, name)
    return bool(found["spec"]["replicas"] == found["status"].get("readyReplicas") == number)


def resources(stage: Stage, kind: str, name: str) -> Object:
    """Requests and limits of a workload's container."""
    return dict(_at(stage, kind, name)["spec"]["template"]["spec"]["containers"][0]["resources"])


def replaced(stage: Stage, number: int) -> bool:
    """So many of the two pods are others now, and both are ready."""
    now = {pod["metadata"]["uid"] for pod in stage.pods("web")}
    return len(now - stage.notes["uids"]) == number and replicas(stage, "Deployment", "web", 2)


def rolled_back(stage: Stage) -> bool:
    """Whether revision 1's template is back and runs."""
    template = _at(stage, "Deployment", "web")["spec"]["template"]
    image = template["spec"]["containers"][0]["image"]
    noted = template["metadata"].get("annotations")
    return image == "registry.local/app:1" and not noted and replicas(stage, "Deployment", "web", 2)


def unschedulable(stage: Stage) -> bool:
    """Whether new pods stay away from the node."""
    return bool(_at(stage, "Node", NODE)["spec"].get("unschedulable"))


def drained(stage: Stage) -> bool:
    """Whether only the DaemonSet's pod is left on the node, and no new one may come."""
    left = [pod["metadata"]["ownerReferences"][0]["kind"] for pod in stage.on_node(NODE)]
    return left == ["DaemonSet"] and unschedulable(stage)
