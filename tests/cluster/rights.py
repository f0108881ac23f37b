"""Short ways to write rights down in the case tables."""

from collections.abc import Callable
from typing import Any

from tests.cluster.stage import Stage
from tests.support.places import Right


def apps(resource: str, *verbs: str) -> tuple[Right, ...]:
    """On a resource of the group apps."""
    return tuple(Right(verb, resource, "apps") for verb in verbs)


def core(resource: str, *verbs: str) -> tuple[Right, ...]:
    """On a resource of the core group."""
    return tuple(Right(verb, resource) for verb in verbs)


def of(group: str, resource: str, *verbs: str) -> tuple[Right, ...]:
    """On a resource of any other group."""
    return tuple(Right(verb, resource, group) for verb in verbs)


HPA, NAMESPACE = of("autoscaling", "horizontalpodautoscalers", "list"), core("namespaces", "get")


def named(name: str, **more: Any) -> Callable[[Stage], dict[str, Any]]:
    """Parameters for an object of the case's namespace."""
    return lambda stage: {"namespace": stage.namespace, "resource_name": name} | more


def noted(note: str, **more: Any) -> Callable[[Stage], dict[str, Any]]:
    """The same, for a name that was noted while arranging."""
    return lambda stage: {"namespace": stage.namespace, "resource_name": stage.notes[note]} | more
