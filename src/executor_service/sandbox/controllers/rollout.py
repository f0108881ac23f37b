"""The arithmetic of a rolling update: how many pods may be added and taken away now.

Follows the deployment controller of Kubernetes (pkg/controller/deployment/rolling.go) except for proportional scaling
in the middle of a rollout.
"""

import math
from dataclasses import dataclass

from executor_service.sandbox.objects import Object


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a rolling update may do around the wanted number of replicas."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """The most pods that may exist."""
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        """The fewest pods that must be available."""
        return max(0, self.replicas - self.unavailable)


def bounds_of(deployment: Object) -> Bounds:
    """The bounds of a deployment; surge rounds up, unavailability down, and both cannot be 0."""
    replicas = int(deployment["spec"].get("replicas", 1))
    rolling: Object = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        return Bounds(replicas, 0, 0)
    surge = _amount(rolling.get("maxSurge", 0), replicas, up=True)
    unavailable = min(_amount(rolling.get("maxUnavailable", 0), replicas, up=False), replicas)
    return Bounds(replicas, surge, unavailable if surge or unavailable else 1)


def _amount(value: int | str, whole: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    exact = int(value.rstrip("%")) * whole / 100
    return math.ceil(exact) if up else math.floor(exact)


def wanted(replica_set: Object) -> int:
    """spec.replicas of a replica set."""
    return int(replica_set["spec"].get("replicas", 0))


def available(replica_set: Object) -> int:
    """status.availableReplicas of a replica set."""
    return int((replica_set.get("status") or {}).get("availableReplicas", 0))


def new_size(bounds: Bounds, new: Object, everyone: list[Object]) -> int:
    """The size that the new replica set may have now."""
    current = wanted(new)
    if current >= bounds.replicas:
        return bounds.replicas
    room = bounds.most - sum(wanted(each) for each in everyone)
    return current + max(0, min(room, bounds.replicas - current))


def old_sizes(bounds: Bounds, new: Object, old: list[Object]) -> dict[str, int]:
    """The sizes, by name, of the old replica sets that shrink now: their failing pods first, then the others."""
    everyone = [*old, new]
    new_unavailable = wanted(new) - available(new)
    spare = sum(wanted(each) for each in everyone) - bounds.least_available - new_unavailable
    sizes = {each["metadata"]["name"]: wanted(each) for each in old}
    if spare <= 0:
        return {}
    for each in old:
        failing = min(spare, max(0, wanted(each) - available(each)))
        sizes[each["metadata"]["name"]] -= failing
        spare -= failing
    surplus = min(spare, sum(available(each) for each in everyone) - bounds.least_available)
    for each in old:
        going = max(0, min(surplus, sizes[each["metadata"]["name"]]))
        sizes[each["metadata"]["name"]] -= going
        surplus -= going
    return {each["metadata"]["name"]: sizes[each["metadata"]["name"]] for each in old}
