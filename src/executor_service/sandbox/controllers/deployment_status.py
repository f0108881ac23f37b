"""The status of a deployment: counters over its replica sets, and the two conditions people wait for."""

from datetime import datetime

from executor_service.sandbox.controllers.rollout import bounds_of
from executor_service.sandbox.objects import Object, condition, meta, name_of

_COUNTERS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")


def status_of(deployment: Object, new: Object | None, old: list[Object], now: str) -> tuple[Object, float | None]:
    """The status, and after how many seconds the progress deadline has to be looked at again (None: never)."""
    everyone = [each for each in [*old, new] if each is not None]
    bounds = bounds_of(deployment)
    counts = {
        "replicas": _total(everyone, "replicas"),
        "updatedReplicas": _total([new] if new else [], "replicas"),
        "readyReplicas": _total(everyone, "readyReplicas"),
        "availableReplicas": _total(everyone, "availableReplicas"),
        "unavailableReplicas": max(0, bounds.replicas - _total(everyone, "availableReplicas")),
    }
    enough = counts["availableReplicas"] >= bounds.least_available
    complete = (
        counts["updatedReplicas"] == counts["replicas"] == bounds.replicas
        and counts["availableReplicas"] >= bounds.replicas
    )
    progressing, look_again = _progressing(deployment, new, counts, complete=complete, now=now)
    status: Object = {key: value for key, value in counts.items() if value}
    status["observedGeneration"] = meta(deployment).get("generation", 1)
    status["conditions"] = [_available(deployment, enough=enough, now=now), progressing]
    return status, look_again


def _total(replica_sets: list[Object], counter: str) -> int:
    return sum((each.get("status") or {}).get(counter, 0) for each in replica_sets)


def _available(deployment: Object, *, enough: bool, now: str) -> Object:
    if enough:
        words = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        words = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return _condition(deployment, "Available", words, now)


def _progressing(
    deployment: Object, new: Object | None, counts: dict[str, int], *, complete: bool, now: str
) -> tuple[Object, float | None]:
    """True while the rollout moves or is done, False once nothing has moved for progressDeadlineSeconds."""
    name = name_of(new) if new else ""
    if complete:
        words = ("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
        return _condition(deployment, "Progressing", words, now), None
    known = condition(deployment, "Progressing")
    before: Object = deployment.get("status") or {}
    generation = before.get("observedGeneration") == meta(deployment).get("generation")
    if not (known and generation and all(before.get(key, 0) == counts[key] for key in _COUNTERS)):
        words = ("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
        moved = _condition(deployment, "Progressing", words, now) | {"lastUpdateTime": now}
        return moved, float(deployment["spec"].get("progressDeadlineSeconds", 600))
    left = float(deployment["spec"].get("progressDeadlineSeconds", 600)) - _seconds(
        known.get("lastUpdateTime", now), now
    )
    if left > 0 or known.get("reason") == "NewReplicaSetAvailable":
        return known, max(left, 1.0) if left > 0 else None
    words = ("False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.')
    return _condition(deployment, "Progressing", words, now), None


def _condition(deployment: Object, kind: str, words: tuple[str, str, str], now: str) -> Object:
    status, reason, message = words
    known = condition(deployment, kind)
    if known and (known.get("status"), known.get("reason"), known.get("message")) == words:
        return known
    since = known.get("lastTransitionTime", now) if known and known.get("status") == status else now
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": now,
        "lastTransitionTime": since,
    }


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
