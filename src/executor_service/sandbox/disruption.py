"""Pod disruption budgets: how many pods of a budget may go now, and who decides it."""

import math
from dataclasses import dataclass

from executor_service.sandbox.objects import Object, controller_of, is_active, is_ready, labels_of, namespace_of
from executor_service.sandbox.selectors import matches_selector
from executor_service.sandbox.store import Store

_PLURALS = {"ReplicaSet": "replicasets", "StatefulSet": "statefulsets"}


@dataclass(frozen=True, slots=True)
class Room:
    """A budget's numbers, as its status shows them."""

    expected: int
    healthy: int
    desired: int

    @property
    def allowed(self) -> int:
        """Evictions that are allowed now."""
        return max(0, self.healthy - self.desired) if self.expected else 0


def budgets_of(store: Store, pod: Object) -> list[Object]:
    """The budgets whose selector matches the pod; in policy/v1 an empty selector matches all pods."""
    return [
        budget
        for budget in store.objects("poddisruptionbudgets", namespace_of(pod))
        if matches_selector((budget.get("spec") or {}).get("selector"), labels_of(pod))
    ]


def room(store: Store, budget: Object) -> Room:
    """What a budget allows, computed from the pods as they are."""
    spec: Object = budget.get("spec") or {}
    everyone = store.objects("pods", namespace_of(budget))
    pods = [pod for pod in everyone if matches_selector(spec.get("selector"), labels_of(pod))]
    healthy = sum(1 for pod in pods if is_ready(pod) and is_active(pod))
    if "maxUnavailable" in spec:
        expected = _expected(store, pods)
        return Room(expected, healthy, max(0, expected - _count(spec["maxUnavailable"], expected)))
    minimum = spec.get("minAvailable", 0)
    expected = _expected(store, pods) if isinstance(minimum, str) else len([pod for pod in pods if is_active(pod)])
    return Room(expected, healthy, _count(minimum, expected))


def _count(value: int | str, whole: int) -> int:
    """A number or a percentage of `whole`, rounded up as the disruption controller does."""
    return math.ceil(int(value.rstrip("%")) * whole / 100) if isinstance(value, str) else value


def _expected(store: Store, pods: list[Object]) -> int:
    """The sum of what the pods' controllers want; a pod without a known controller counts as one."""
    wanted: dict[str, int] = {}
    loose = 0
    for pod in pods:
        owner = controller_of(pod)
        plural = _PLURALS.get((owner or {}).get("kind", ""))
        found = store.get(plural, namespace_of(pod), owner["name"]) if owner and plural else None
        if found is None or owner is None:
            loose += 1
        else:
            wanted[owner["uid"]] = found["spec"].get("replicas", 1)
    return loose + sum(wanted.values())
