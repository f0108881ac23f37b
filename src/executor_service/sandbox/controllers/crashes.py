"""Scripted faults of pods: which pods fail to run, how that looks, and what heals them.

A fault is data on the pod template, so it survives into every pod made from it:
`sandbox.kubernaut.io/fault: crashloop | oomkilled | imagepull` and `sandbox.kubernaut.io/heals-on: restart | rollback |
never` (default never). `restart`: only the first pods of a workload fail, as many as it wanted then; every pod made
later, be it by deleting a pod or by a rollout restart, runs. `rollback`, `never`: every pod of this template fails; a
template without the annotations (the revision before) runs.
"""

from dataclasses import dataclass

from executor_service.sandbox.controllers.owners import controllers_of
from executor_service.sandbox.objects import Object, annotations_of, uid_of
from executor_service.sandbox.store import Store

FAULT = "sandbox.kubernaut.io/fault"
HEALS_ON = "sandbox.kubernaut.io/heals-on"


@dataclass(frozen=True, slots=True)
class Affliction:
    """How a fault looks in a container's status."""

    waiting: str
    message: str
    last: Object | None
    phase: str = "Running"


AFFLICTIONS = {
    "crashloop": Affliction(
        "CrashLoopBackOff", "back-off restarting failed container", {"exitCode": 1, "reason": "Error"}
    ),
    "oomkilled": Affliction(
        "CrashLoopBackOff", "back-off restarting failed container", {"exitCode": 137, "reason": "OOMKilled"}
    ),
    "imagepull": Affliction("ImagePullBackOff", "Back-off pulling image", None, phase="Pending"),
}


class Crashes:
    """Decides at the start of a pod whether it fails; remembers how many failing starts a workload has left."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._left: dict[str, int] = {}

    def strike(self, pod: Object) -> Affliction | None:
        """The affliction of a pod that starts now, or None for a healthy start."""
        affliction = AFFLICTIONS.get(annotations_of(pod).get(FAULT, ""))
        if affliction is None or annotations_of(pod).get(HEALS_ON) != "restart":
            return affliction
        workload = self._workload(pod)
        if workload is None:
            return affliction
        left = self._left.get(uid_of(workload), _first_pods(workload))
        self._left[uid_of(workload)] = max(0, left - 1)
        return affliction if left else None

    def clear(self) -> None:
        """Forget every start."""
        self._left.clear()

    def _workload(self, pod: Object) -> Object | None:
        """The topmost controller of a pod."""
        owners = controllers_of(self._store, pod)
        return owners[-1][1] if owners else None


def _first_pods(workload: Object) -> int:
    """How many pods the first generation of a workload has."""
    if workload["kind"] == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled", 1))
    return int(workload["spec"].get("replicas", 1))
