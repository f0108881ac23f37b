"""What an action needs before it can be offered here: rights, API groups, settings, storage, templates."""

from collections.abc import Callable
from dataclasses import dataclass

from executor_service.kubernetes.kinds import KINDS
from executor_service.kubernetes.surroundings import Surroundings
from executor_service.kubernetes.templates import Template


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a role: which verbs on which resource of which API group."""

    group: str
    resource: str
    verbs: tuple[str, ...]


def rights(kind: str, *verbs: str, subresource: str = "") -> Rule:
    """The rule for a kind that the executor knows."""
    known = KINDS[kind]
    return Rule(known.group, f"{known.plural}/{subresource}" if subresource else known.plural, verbs)


READ_WORKLOADS = tuple(rights(kind, "get", "list") for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"))
READ_PODS = rights("Pod", "get", "list")
READ_NODES = rights("Node", "get", "list")
LOOKING = (*READ_WORKLOADS, READ_PODS, READ_NODES, rights("StorageClass", "list"))
"""What observing and the look around need, whatever actions are offered."""
GUARDING = (
    rights("Namespace", "get"),
    rights("Job", "get"),
    Rule("authentication.k8s.io", "tokenreviews", ("create",)),
)
"""What the guards read besides: annotations of namespaces and of a pod's Job; and with tokenreview who calls."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A condition in words, and why it does not hold (None when it does). `setting` names what an operator sets."""

    text: str
    lacking: Callable[[Surroundings], str | None]
    setting: str | None = None


def setting(name: str) -> Requirement:
    """That a setting of the executor is set."""
    return Requirement(
        f"setting {name}", lambda here: None if name in here.settings else f"{name} is not set", setting=name
    )


def served(group_version: str) -> Requirement:
    """That the API server serves a group in this version."""

    def lacking(here: Surroundings) -> str | None:
        if not here.known:
            return "the cluster could not be asked yet"
        return None if group_version in here.served else f"this cluster does not serve {group_version}"

    return Requirement(f"API {group_version}", lacking)


def template(name: str) -> Requirement:
    """That there is a usable Job template for it."""

    def lacking(here: Surroundings) -> str | None:
        found = here.templates.get(name)
        if isinstance(found, Template):
            return None
        return found or f"JOB_TEMPLATES has no {name}.yaml"

    return Requirement(f"Job template {name}.yaml in JOB_TEMPLATES", lacking, setting="JOB_TEMPLATES")


def growing_storage() -> Requirement:
    """That at least one storage class allows expansion."""

    def lacking(here: Surroundings) -> str | None:
        if not here.known:
            return "the cluster could not be asked yet"
        return None if here.growing_storage else "no storage class has allowVolumeExpansion"

    return Requirement("a storage class with allowVolumeExpansion", lacking)


def any_group(groups: tuple[str, ...], what: str) -> Requirement:
    """That one of several API groups is served, in any version."""

    def lacking(here: Surroundings) -> str | None:
        if not here.known:
            return "the cluster could not be asked yet"
        return None if here.groups.intersection(groups) else f"no {what} was found (API groups {', '.join(groups)})"

    return Requirement(f"{what} ({' or '.join(groups)})", lacking)


def either(*options: Requirement) -> Requirement:
    """That at least one of them holds."""

    def lacking(here: Surroundings) -> str | None:
        reasons = [reason for option in options if (reason := option.lacking(here))]
        return "; ".join(reasons) if len(reasons) == len(options) else None

    return Requirement(" or ".join(option.text for option in options), lacking)
