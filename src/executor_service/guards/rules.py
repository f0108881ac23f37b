"""The rules as decisions over facts: each answers with a refusal or with None. Pure."""

from collections.abc import Container
from dataclasses import dataclass, field
from math import floor

from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.guards.asked import UNDO
from executor_service.policy import Policy, matches

PROTECTED = "kubernaut.io/protected"
"""Annotation of an object, its owner or its namespace: with the value "true" it is never changed by us."""

REMEDIATION = "kubernaut.io/remediation"
"""Annotation of an object, its owner or its namespace: "allowed" is what REQUIRE_OPT_IN asks for."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that says no: which one, about which field and value, and why in words."""

    error_class: ErrorClass
    rule: str
    field: str
    value: Json
    why: str

    @property
    def message(self) -> str:
        """For people."""
        return f"{self.rule}: {self.field} {self.value!r} {self.why}"

    @property
    def about(self) -> dict[str, Json]:
        """For machines."""
        return {"rule": self.rule, "field": self.field, "value": self.value}

    def error(self) -> ActionFailedError:
        """As the ending of an action that changed nothing."""
        return ActionFailedError(self.error_class, self.message, refused=True, about=self.about)


@dataclass(frozen=True, slots=True)
class ClosedNamespaces(Container[str]):
    """The namespaces that settings alone close to every change."""

    protected: frozenset[str]
    policy: Policy

    def __contains__(self, namespace: object) -> bool:
        return self.refusal(namespace) is not None if isinstance(namespace, str) else False

    def refusal(self, namespace: str | None, *, named: bool = False) -> Refusal | None:
        """Why nothing there may be changed; None stands for what lives in no namespace.

        What the operator has `named` may be changed in a protected namespace too, in no other closed one.
        """
        if namespace is None:
            return None
        if namespace in self.protected and not named:
            return _no("namespace_protected", "namespace", namespace, "is protected (PROTECTED_NAMESPACES)")
        if self.policy.protect_own and namespace == self.policy.own_namespace:
            return _no("own_namespace", "namespace", namespace, "is the executor's own (PROTECT_OWN_NAMESPACE)")
        if not matches(namespace, self.policy.allowed_namespaces):
            return _no("namespace_not_allowed", "namespace", namespace, "is not one of ALLOWED_NAMESPACES")
        return None


@dataclass(frozen=True, slots=True)
class Marks:
    """The annotations that speak about an object: its own, its owners', its namespace's, nearest first."""

    of: list[tuple[ObjectRef, dict[str, str]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Pods of a workload: wanted and available after a write, available now."""

    workload: ObjectRef
    desired: int
    available: int
    available_now: int


@dataclass(frozen=True, slots=True)
class Nodes:
    """How many nodes there are, and which are cordoned or not Ready."""

    total: int
    out: frozenset[str]


@dataclass(frozen=True, slots=True)
class Earlier:
    """A change of the same target by the same action type, and how many seconds ago."""

    seconds: float
    workflow_id: str | None


def action_refusal(policy: Policy, action_type: str) -> Refusal | None:
    """Whether the action type may be ordered at all; an undo always may."""
    if action_type == UNDO or matches(action_type, policy.allowed_actions):
        return None
    return _no("action_not_allowed", "action.type", action_type, "is not one of ALLOWED_ACTIONS")


def marks_refusal(policy: Policy, marks: Marks) -> Refusal | None:
    """Opted out by anything above it; or, where opting in is required, by nothing opted in."""
    for ref, annotations in marks.of:
        if annotations.get(PROTECTED) == "true":
            return _no("opted_out", "object", str(ref), f"is protected by its annotation {PROTECTED}")
    if not policy.require_opt_in or any(found.get(REMEDIATION) == "allowed" for _, found in marks.of):
        return None
    looked = ", ".join(str(ref) for ref, _ in marks.of)
    why = f"is not annotated {REMEDIATION}: allowed, nor is anything above it ({looked}; REQUIRE_OPT_IN)"
    return _no("not_opted_in", "object", str(marks.of[0][0]), why)


def cooldown_refusal(policy: Policy, action_type: str, target: ObjectRef, earlier: Earlier | None) -> Refusal | None:
    """Whether the target still rests from the same action of somebody else."""
    if earlier is None or earlier.seconds >= policy.cooldown:
        return None
    whom = f"workflow {earlier.workflow_id}" if earlier.workflow_id else "a caller without workflow"
    left = policy.cooldown - earlier.seconds
    why = f"had {action_type} {earlier.seconds:.0f} s ago for {whom}; again in {left:.0f} s (ACTION_COOLDOWN)"
    return Refusal(ErrorClass.THROTTLED, "cooldown", "target", str(target), why)


def unavailable_refusal(policy: Policy, outlook: Outlook | None) -> Refusal | None:
    """Whether too many pods of a workload would be missing. What serves nobody may always be taken away."""
    if outlook is None or outlook.available_now == 0:
        return None
    missing = max(outlook.desired - outlook.available, 0)
    allowed = floor(policy.unavailable_share * outlook.desired)
    if policy.unavailable_share > 0:
        allowed = max(allowed, 1)
    if missing <= allowed:
        return None
    why = f"would have {missing} of {outlook.desired} pods unavailable, {allowed} may be (MAX_UNAVAILABLE_REPLICAS)"
    return Refusal(ErrorClass.THROTTLED, "unavailable_replicas", "workload", str(outlook.workload), why)


def cordoned_refusal(policy: Policy, name: str, nodes: Nodes) -> Refusal | None:
    """Whether too many nodes would be cordoned or not Ready with this one."""
    out = len(nodes.out | {name})
    allowed = floor(policy.cordoned_share * nodes.total)
    if out <= allowed:
        return None
    why = f"would make {out} of {nodes.total} nodes cordoned or not Ready, {allowed} may be (MAX_CORDONED_NODES)"
    # Trying again soon does not help, and a drain would wait for it as for a disruption budget.
    return Refusal(ErrorClass.CONFLICT, "cordoned_nodes", "node", name, why)


def place_refusal(place: str, limit: int, setting: str) -> Refusal:
    """No place became free in time."""
    why = f"has {limit} actions under way, which is the most at once ({setting})"
    return Refusal(ErrorClass.THROTTLED, "concurrency", "place", place, why)


def _no(rule: str, named: str, value: str, why: str) -> Refusal:
    return Refusal(ErrorClass.FORBIDDEN, rule, named, value, why)
