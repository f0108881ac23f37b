"""The eviction subresource of pods: a deletion that asks the disruption budgets first."""

from executor_service.sandbox.deletion import Options, check_preconditions, delete, read_options
from executor_service.sandbox.disruption import Room, budgets_of, room
from executor_service.sandbox.errors import ApiError, bad_request, namespace_ends
from executor_service.sandbox.kinds import by_plural
from executor_service.sandbox.objects import Object, is_ready, is_terminating, name_of
from executor_service.sandbox.reads import get
from executor_service.sandbox.store import Store


def evict(store: Store, key: tuple[str, str], body: Object, *, dry_run: bool) -> Object:
    """Evict the pod at (namespace, name).

    Raises ApiError 400, 403 (the namespace is being deleted), 404, 409 (preconditions), 429 (a budget forbids it) or
    500 (several budgets match).
    """
    kind = by_plural("pods")
    home = store.get("namespaces", "", key[0])
    if home is not None and is_terminating(home):
        raise namespace_ends(kind, key[1], key[0])
    pod = get(store, kind, key)
    named = (body.get("metadata") or {}).get("name", key[1])
    if named != key[1]:
        raise bad_request(f"name in URL does not match name in Eviction object: {named}")
    options = read_options(body.get("deleteOptions") or {}, {"dryRun": "All"} if dry_run else {})
    check_preconditions(kind, pod, options)
    _ask_budget(store, pod)
    delete(store, kind, key, Options(grace_seconds=options.grace_seconds, dry_run=options.dry_run))
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _ask_budget(store: Store, pod: Object) -> None:
    if is_terminating(pod) or (pod.get("status") or {}).get("phase") in ("Pending", "Succeeded", "Failed"):
        return
    budgets = budgets_of(store, pod)
    if len(budgets) > 1:
        message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise ApiError(500, message)
    for budget in budgets:
        found = room(store, budget)
        if not _may_go(pod, budget, found):
            raise _refusal(budget, found)


def _may_go(pod: Object, budget: Object, found: Room) -> bool:
    """An unhealthy pod may also go when the application is healthy without it, or always if the budget says so."""
    if found.allowed > 0:
        return True
    if is_ready(pod):
        return False
    always = (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    return always or (found.desired > 0 and found.healthy >= found.desired)


def _refusal(budget: Object, found: Room) -> ApiError:
    why = (
        f"The disruption budget {name_of(budget)} needs {found.desired} healthy pods and has {found.healthy} currently"
    )
    details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    return ApiError(429, "Cannot evict pod as it would violate the pod's disruption budget.", details=details)
