"""A stand-in for kubelets: nodes that are Ready and pods that run, without a container anywhere.

A real API server, scheduler and controllers believe what a kubelet reports. This one reports: nodes are Ready (kept
alive by leases, so that a node object is not written again and again), a bound pod runs and is ready, a deleted pod is
gone. As in the sandbox, a pod with the annotation `sandbox.kubernaut.io/fault: crashloop` crashes again and again, and
one that is not to be restarted (a Job's) has done its work at once, unless `sandbox.kubernaut.io/job: hang` is on it.
"""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import httpx2

from tests.support.kube import Kube, Object, Server, Thing

NODES = ("node-1", "node-2", "node-3")
_FAULT = "sandbox.kubernaut.io/fault"
_OUTCOME = "sandbox.kubernaut.io/job"
_LEASES = "kube-node-lease"
_HEARTBEAT_SECONDS = 5.0
_WATCH_SECONDS = 5
_CAPACITY = {"cpu": "16", "memory": "64Gi", "pods": "250"}


class HollowNodes:
    """Registers the nodes and plays their kubelets until it is stopped."""

    def __init__(self, server: Server, nodes: tuple[str, ...] = NODES) -> None:
        self._server, self._nodes = server, nodes
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._kept_up, args=(each,)) for each in (self._beat, self._serve)]

    def start(self) -> None:
        """Make the nodes Ready, then play on in the background."""
        kube = Kube(self._server)
        for name in self._nodes:
            kube.create(_node(name))
            kube.done("PATCH", f"/api/v1/nodes/{name}/status", {"status": _node_status(name)}, patch="merge")
        kube.close()
        for thread in self._threads:
            thread.start()

    @property
    def playing(self) -> bool:
        """Whether it was started."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Stop playing; returns when nothing runs any more."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _kept_up(self, play: Callable[[Kube], None]) -> None:
        """Play, and again after the connection broke, until it is over."""
        while not self._over.is_set():
            kube = Kube(self._server)
            try:
                play(kube)
            except httpx2.HTTPError:
                self._over.wait(0.5)
            finally:
                kube.close()

    def _beat(self, kube: Kube) -> None:
        while not self._over.is_set():
            for name in self._nodes:
                lease = _lease(name)
                code, _ = kube.call("PATCH", kube.path(Thing("Lease", _LEASES, name)), lease, patch="merge")
                if code == 404:
                    kube.call("POST", kube.collection("Lease", _LEASES), lease)
            self._over.wait(_HEARTBEAT_SECONDS)

    def _serve(self, kube: Kube) -> None:
        """Everything there is, then what changes, in one watch after the other."""
        found = kube.done("GET", "/api/v1/pods")
        for pod in found["items"]:
            self._look_after(kube, pod)
        version = found["metadata"]["resourceVersion"]
        while not self._over.is_set():
            query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(_WATCH_SECONDS)}
            with kube.http.stream("GET", "/api/v1/pods", params=query) as stream:
                for line in stream.iter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "DELETED":
                        self._look_after(kube, event["object"])

    def _look_after(self, kube: Kube, pod: Object) -> None:
        metadata = pod["metadata"]
        if pod["spec"].get("nodeName") not in self._nodes:
            return
        path = kube.path(Thing("Pod", metadata["namespace"], metadata["name"]))
        if "deletionTimestamp" in metadata:
            kube.call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}})
        elif not (pod.get("status") or {}).get("containerStatuses"):
            kube.call("PATCH", f"{path}/status", {"status": _pod_status(pod)}, patch="merge")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _node(name: str) -> Object:
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def _node_status(name: str) -> Object:
    ready = {"type": "Ready", "status": "True", "reason": "HollowNode", "message": "no kubelet, a test's stand-in"}
    told = ("architecture", "bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "kubeletVersion")
    info = dict.fromkeys((*told, "machineID", "operatingSystem", "osImage", "systemUUID"), "hollow")
    now = {"lastHeartbeatTime": _now(), "lastTransitionTime": _now()}
    return {"capacity": _CAPACITY, "allocatable": _CAPACITY, "nodeInfo": info, "conditions": [ready | now]}


def _lease(name: str) -> Object:
    renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": _LEASES},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renewed},
    }


def _pod_status(pod: Object) -> Object:
    hangs = (pod["metadata"].get("annotations") or {}).get(_OUTCOME) == "hang"
    if pod["spec"].get("restartPolicy", "Always") != "Always" and not hangs:
        return _ended(pod)
    crashes = (pod["metadata"].get("annotations") or {}).get(_FAULT) == "crashloop"
    flag, now = "False" if crashes else "True", _now()
    flags = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": flag, "Ready": flag}
    containers = [
        {"name": each["name"], "image": each["image"], "imageID": "", "ready": not crashes}
        | (_crashing(now) if crashes else {"restartCount": 0, "state": {"running": {"startedAt": now}}})
        for each in pod["spec"]["containers"]
    ]
    conditions = [{"type": name, "status": value, "lastTransitionTime": now} for name, value in flags.items()]
    address = {"hostIP": "10.0.0.1", "podIP": "10.244.0.9", "startTime": now}
    return {"phase": "Running", "conditions": conditions, "containerStatuses": containers} | address


def _ended(pod: Object) -> Object:
    now, said = _now(), f"{pod['metadata']['name']} is done"
    ended = {"exitCode": 0, "reason": "Completed", "message": said, "startedAt": now, "finishedAt": now}
    containers = [
        {"name": each["name"], "image": each["image"], "imageID": "", "ready": False, "restartCount": 0}
        | {"state": {"terminated": ended}}
        for each in pod["spec"]["containers"]
    ]
    return {"phase": "Succeeded", "containerStatuses": containers, "startTime": now}


def _crashing(now: str) -> Object:
    ended = {"exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}
    return {"restartCount": 5, "state": {"waiting": waiting}, "lastState": {"terminated": ended}}
