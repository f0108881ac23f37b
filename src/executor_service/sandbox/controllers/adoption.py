"""Which pods belong to a workload by their labels: others are let go, matching ones without a controller taken in."""

from executor_service.sandbox.objects import (
    Object,
    clone,
    controller_of,
    is_active,
    labels_of,
    meta,
    namespace_of,
    owner_reference,
    uid_of,
)
from executor_service.sandbox.selectors import matches_selector
from executor_service.sandbox.store import Store


def claim(store: Store, owner: Object) -> None:
    """Release the owner's pods that its selector no longer matches, adopt those that it does."""
    selector = owner["spec"]["selector"]
    for pod in store.objects("pods", namespace_of(owner)):
        fits = matches_selector(selector, labels_of(pod))
        controller = controller_of(pod)
        if controller is not None and controller.get("uid") == uid_of(owner) and not fits:
            _release(store, pod, owner)
        elif controller is None and fits and is_active(pod):
            adopted = clone(pod)
            meta(adopted)["ownerReferences"] = [*(meta(pod).get("ownerReferences") or []), owner_reference(owner)]
            store.put("pods", adopted)


def _release(store: Store, pod: Object, owner: Object) -> None:
    freed = clone(pod)
    kept = [ref for ref in meta(pod)["ownerReferences"] if ref.get("uid") != uid_of(owner)]
    meta(freed)["ownerReferences"] = kept
    if not kept:
        del meta(freed)["ownerReferences"]
    store.put("pods", freed)
