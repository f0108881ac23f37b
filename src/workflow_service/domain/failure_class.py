"""How bad a failure is: four classes, told by patterns over its error class, its message and the type of its action.

A class chooses defaults only: what a step says of itself always wins. The first pattern that matches decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from workflow_service.domain.errors import ErrorClass

MAX_MESSAGE = 2000  # characters of a message that are looked at
NO_ERROR = "none"  # what stands for the error class of a failure that is no action's answer


class FailureClass(StrEnum):
    """How bad a failure is, worst first (upstream's BR-WF-CRITICAL-001)."""

    CRITICAL = "critical"  # something larger than the action is broken
    HIGH = "high"  # the same action again would not help
    MEDIUM = "medium"  # it may pass
    LOW = "low"  # it was not meant to cure anything


@dataclass(frozen=True, slots=True)
class Pattern:
    """Failures of one class. All that is given must match, any one of each; case does not matter.

    `*` stands for anything. Error classes and action types are matched as a whole, messages anywhere.
    """

    failure_class: FailureClass
    errors: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()

    def matches(self, *, error: str, message: str, action: str) -> bool:
        """Whether such a failure is one of these."""
        anywhere = tuple(f"*{glob}*" for glob in self.messages)
        given = ((self.errors, error), (anywhere, message), (self.actions, action))
        return all(not globs or any(fits(glob, text) for glob in globs) for globs, text in given)


@dataclass(frozen=True, slots=True)
class Patterns:
    """The operator's patterns; those that come with the service follow them."""

    own: tuple[Pattern, ...] = ()

    def classify(self, *, error: ErrorClass | None, message: str, action: str) -> FailureClass:
        """The class of a failure. `error` None: it is no action's answer. `action`: its type, else the step's kind."""
        said = NO_ERROR if error is None else error.value
        shown = message[:MAX_MESSAGE]
        known: Iterable[Pattern] = (*self.own, *SHIPPED)
        fitting = (one.failure_class for one in known if one.matches(error=said, message=shown, action=action))
        # what is left was forbidden, not found, too late, wrong for good, unknown, or not proved
        return next(fitting, FailureClass.HIGH)


def fits(glob: str, text: str) -> bool:
    """Whether the whole text is what the glob says, in any case. Linear, whatever is in them."""
    first, *rest = glob.lower().split("*")
    text = text.lower()
    if not rest:
        return first == text
    if not text.startswith(first):
        return False
    *middle, last = rest
    place = len(first)
    for part in middle:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return len(text) - place >= len(last) and text.endswith(last)


def worst(classes: Iterable[FailureClass | None]) -> FailureClass | None:
    """The worst of them; None: there is none."""
    present = set(classes)
    return next((one for one in FailureClass if one in present), None)


# After upstream's error patterns and its failure matrix (4.8, 4.9 of its workflow engine), and unlike them in three
# points. `context deadline exceeded` is an API server's slow answer and no catastrophe. An action that only looks or
# tells is never worse than low. What upstream says of step names is said of action types: steps are named by anybody.
SHIPPED = (
    Pattern(FailureClass.CRITICAL, errors=("wrong_cluster",)),
    Pattern(
        FailureClass.LOW,
        actions=("notify_*", "log_incident", "collect_*", "*diagnostics*", "get_*", "list_*", "describe_*"),
    ),
    Pattern(
        FailureClass.CRITICAL,
        messages=(
            "out of memory",
            "no space left",
            "disk*full",
            "disk space exhausted",
            "connection pool exhausted",
            "network partition",
            "etcdserver: mvcc",
            "etcdserver: no leader",
        ),
    ),
    Pattern(
        FailureClass.CRITICAL,
        actions=(
            "*database_migration*",
            "*security_update*",
            "*cluster_config*",
            "*network_policy*",
            "*resource_quota*",
            "*backup*",
            "*restore*",
        ),
    ),
    Pattern(FailureClass.MEDIUM, errors=("transient", "throttled", "conflict")),
)
