"""Who controls an object, from the nearest controller to the topmost."""

from executor_service.sandbox.kinds import plural_of
from executor_service.sandbox.objects import Object, controller_of, namespace_of
from executor_service.sandbox.store import Store

_DEEPEST = 5
"""Longer chains do not occur; a chain that leads back to itself ends here."""


def controllers_of(store: Store, obj: Object) -> list[tuple[str, Object]]:
    """The controllers that exist, nearest first, each with its resource."""
    chain: list[tuple[str, Object]] = []
    owner = controller_of(obj)
    while owner is not None and len(chain) < _DEEPEST:
        plural = plural_of(owner["kind"])
        found = store.get(plural, namespace_of(obj), owner["name"]) if plural else None
        if plural is None or found is None:
            break
        chain.append((plural, found))
        owner = controller_of(found)
    return chain
