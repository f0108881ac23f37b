"""What several cases begin with, and how to see what became of it."""

import time
from datetime import datetime

from tests.cluster.objects import FAULT, HEALS_ON, REQUESTS, deployment, workload
from tests.cluster.stage import Stage
from tests.support.kube import Object, Thing
from tests.support.processes import eventually

NODE, OTHERS = "node-2", ("node-1", "node-3")
COMPONENTS = {"dns": "Deployment", "proxy": "DaemonSet", "store": "StatefulSet"}
"""What NETWORK_COMPONENTS names: workloads of kube-system by their own names."""


def at(stage: Stage, kind: str, name: str) -> Object:
    """An object of the case's namespace, or a node."""
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
    notes = at(stage, "Deployment", "web")["metadata"].get("annotations") or {}
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


def cleared(stage: Stage, node: str = NODE) -> None:
    """No pod of a protected namespace on the node, nor of an earlier case whose namespace is still being deleted."""
    patience = stage.place.patience
    eventually(lambda: not _strangers(stage, node), f"{node} has no pods of earlier cases", within=patience)
    cordon(stage, node)
    number = len(stage.kube.objects("Pod", "kube-system"))
    for pod in stage.kube.objects("Pod", "kube-system", fieldSelector=f"spec.nodeName={node}"):
        stage.kube.remove(Thing("Pod", "kube-system", pod["metadata"]["name"]), gracePeriodSeconds=0)
    eventually(
        lambda: _placed_elsewhere(stage, node, number), f"{node} has no protected pods", within=stage.place.patience
    )
    uncordon(stage, node)


def _strangers(stage: Stage, node: str) -> list[str]:
    pods = stage.kube.objects("Pod", fieldSelector=f"spec.nodeName={node}")
    homes = [str(pod["metadata"]["namespace"]) for pod in pods]
    return [home for home in homes if home.startswith("proof-") and home != stage.namespace]


def _placed_elsewhere(stage: Stage, node: str, number: int) -> bool:
    pods = stage.kube.objects("Pod", "kube-system")
    return len(pods) == number and all(pod["spec"].get("nodeName") not in {None, node} for pod in pods)


def aged(stage: Stage, pods: list[Object], seconds: float = 2.0) -> None:
    """Wait until the pods are so old that their age tells them from new ones: timestamps are whole seconds."""
    born = max(datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp() for pod in pods)
    eventually(lambda: time.time() > born + seconds, "the pods are older", within=stage.place.patience)


def claim(stage: Stage, name: str) -> None:
    """A bound claim of 10Gi that may grow. In a real cluster the test makes its volume, which no driver has."""
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "growing"}
    if stage.place.name == "kubernetes":
        ref = {"kind": "PersistentVolumeClaim", "namespace": stage.namespace, "name": name}
        volume = {"capacity": {"storage": "10Gi"}, "hostPath": {"path": "/nowhere"}, "claimRef": ref}
        about = {"name": f"{stage.namespace}-{name}"}
        body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": about, "spec": spec | volume}
        stage.kube.create(body)
    wanted = spec | {"resources": {"requests": {"storage": "10Gi"}}}
    metadata = {"name": name, "namespace": stage.namespace, "labels": {"app": name}}
    stage.kube.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted})
    eventually(lambda: capacity(stage, name) == "10Gi", "the claim is bound", within=stage.place.patience)


def capacity(stage: Stage, name: str) -> str | None:
    """What a claim has."""
    status = at(stage, "PersistentVolumeClaim", name).get("status") or {}
    return (status.get("capacity") or {}).get("storage") if status.get("phase") == "Bound" else None


def full_node(stage: Stage) -> None:
    """Two movable pods and one of a DaemonSet on the node, room elsewhere."""
    cleared(stage)
    agent(stage)
    cordon(stage, *OTHERS)
    web(stage)
    uncordon(stage, *OTHERS)
    assert len(stage.on_node(NODE)) == 3


def replicas(stage: Stage, kind: str, name: str, number: int) -> bool:
    """Whether so many pods are wanted, and ready."""
    found = at(stage, kind, name)
    return bool(found["spec"]["replicas"] == found["status"].get("readyReplicas") == number)


def resources(stage: Stage, kind: str, name: str) -> Object:
    """Requests and limits of a workload's container."""
    return dict(at(stage, kind, name)["spec"]["template"]["spec"]["containers"][0]["resources"])


def replaced(stage: Stage, number: int) -> bool:
    """So many of the two pods are others now, and both are ready."""
    pods = stage.pods("web")
    now = {pod["metadata"]["uid"] for pod in pods}
    return len(now - stage.notes["uids"]) == number and [ready(pod) for pod in pods] == [True, True]


def ready(pod: Object) -> bool:
    """Whether the pod says so itself: its owner's counters follow a moment later."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def rolled_back(stage: Stage) -> bool:
    """Whether revision 1's template is back and runs."""
    template = at(stage, "Deployment", "web")["spec"]["template"]
    image = template["spec"]["containers"][0]["image"]
    noted = template["metadata"].get("annotations")
    return image == "registry.local/app:1" and not noted and replicas(stage, "Deployment", "web", 2)


def unschedulable(stage: Stage) -> bool:
    """Whether new pods stay away from the node."""
    return bool(at(stage, "Node", NODE)["spec"].get("unschedulable"))


def drained(stage: Stage) -> bool:
    """Whether only the DaemonSet's pod is left on the node, and no new one may come."""
    left = [pod["metadata"]["ownerReferences"][0]["kind"] for pod in stage.on_node(NODE)]
    return left == ["DaemonSet"] and unschedulable(stage)
