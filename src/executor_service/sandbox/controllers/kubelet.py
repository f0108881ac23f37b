"""The kubelets: bound pods start to run, failing ones restart ever more slowly, deleted ones go away."""

from executor_service.sandbox.controllers.control import Control
from executor_service.sandbox.controllers.crashes import Affliction, Crashes
from executor_service.sandbox.objects import Object, clone, is_terminating, meta, name_of

RUN_AFTER = 0.1
"""Seconds that a pod takes to start, and to end."""
_FIRST_RESTART = 5.0
_LONGEST_RESTART = 60.0


class Kubelet:
    """Runs the pods of all nodes."""

    def __init__(self, control: Control, crashes: Crashes) -> None:
        self._control = control
        self._crashes = crashes
        self._addresses = 0

    def reconcile(self, namespace: str, name: str) -> None:
        """Start the pod if it is bound and not started; take it away if it is being deleted."""
        pod = self._control.store.get("pods", namespace, name)
        if pod is None:
            return
        if is_terminating(pod):
            if not meta(pod).get("finalizers"):
                self._control.store.remove("pods", namespace, name)
        elif pod["spec"].get("nodeName") and not (pod.get("status") or {}).get("containerStatuses"):
            self._start(pod)

    def restart(self, namespace: str, name: str) -> None:
        """One more round of a crash loop."""
        pod = self._control.store.get("pods", namespace, name)
        if pod is None or is_terminating(pod):
            return
        struggling = clone(pod)
        rounds = 0
        for entry in struggling["status"].get("containerStatuses") or []:
            if "waiting" in entry["state"] and "lastState" in entry:
                entry["restartCount"] += 1
                rounds = entry["restartCount"]
        if rounds:
            self._control.store.put("pods", struggling)
            self._complain(pod, "Back-off restarting failed container", rounds)

    def _start(self, pod: Object) -> None:
        affliction = self._crashes.strike(pod)
        self._addresses += 1
        self._control.set_status("pods", pod, _status(pod, affliction, self._control.store.now(), self._addresses))
        if affliction is None:
            self._tell(pod, "Started", f"Started container {pod['spec']['containers'][0]['name']}")
        elif affliction.last is None:
            self._tell(pod, "Failed", "Error: ImagePullBackOff", warning=True)
        else:
            self._complain(pod, "Back-off restarting failed container", 1)

    def _complain(self, pod: Object, message: str, rounds: int) -> None:
        container = pod["spec"]["containers"][0]["name"]
        self._tell(pod, "BackOff", f"{message} {container} in pod {name_of(pod)}", warning=True)
        delay = min(_FIRST_RESTART * 2 ** min(rounds - 1, 10), _LONGEST_RESTART)
        self._control.again("restarts", pod, delay)

    def _tell(self, pod: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self._control.recorder.record(pod, reason, message, component="kubelet", warning=warning)


def _status(pod: Object, affliction: Affliction | None, now: str, number: int) -> Object:
    flag = "True" if affliction is None else "False"
    address = f"10.244.{number // 250 % 250}.{number % 250 + 2}"
    flags = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": flag, "Ready": flag}
    unready = {} if affliction is None else {"reason": "ContainersNotReady"}
    return {
        "phase": "Running" if affliction is None else affliction.phase,
        "startTime": now,
        "hostIP": "10.0.0.1",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "qosClass": "Burstable",
        "conditions": [
            {"type": kind, "status": value, "lastTransitionTime": now, **(unready if value == "False" else {})}
            for kind, value in flags.items()
        ],
        "containerStatuses": [_container(spec, affliction, now) for spec in pod["spec"]["containers"]],
    }


def _container(spec: Object, affliction: Affliction | None, now: str) -> Object:
    status: Object = {"name": spec["name"], "image": spec["image"], "imageID": f"docker-pullable://{spec['image']}"}
    if affliction is None:
        running = {"state": {"running": {"startedAt": now}}, "lastState": {}, "ready": True, "started": True}
        return status | running | {"restartCount": 0}
    status["state"] = {"waiting": {"reason": affliction.waiting, "message": affliction.message}}
    status |= {"ready": False, "started": False, "restartCount": 0}
    if affliction.last is not None:
        status["lastState"] = {"terminated": {**affliction.last, "startedAt": now, "finishedAt": now}}
        status["restartCount"] = 1
    return status
