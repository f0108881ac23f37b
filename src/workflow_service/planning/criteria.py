"""What an advisor calls success, or a reason to roll back, as conditions that we can evaluate: a closed list.

An advisor writes no expressions. What is on the list becomes an expression of ours; all else is reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from workflow_service.domain.target import Target

_NUMBERS = {"replicas", "ready_replicas", "available_replicas", "updated_replicas", "restarts", "crash_looping"}
_FACTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {  # by kind: facts that are numbers, facts that are bools
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), (frozenset(_NUMBERS), frozenset())),
    "Node": (frozenset({"pods"}), frozenset({"ready", "unschedulable"})),
}
_ALL_READY = "observed.ready_replicas >= observed.replicas"
_NO_CRASHES = "observed.crash_looping == 0"
_NAMED: Mapping[str, str] = {
    **dict.fromkeys(("all_replicas_ready", "pods_ready", "all_pods_ready", "deployment_ready"), _ALL_READY),
    **dict.fromkeys(("desired_replicas_running", "replicas_ready", "pods_running"), _ALL_READY),
    **dict.fromkeys(("no_crashloop_pods", "no_crash_loops", "no_crash_looping_pods"), _NO_CRASHES),
    "node_ready": "observed.ready == true",
}
# True of every step that has succeeded, and of every step that has failed.
SUCCEEDED = frozenset({"action_completed", "action_succeeded", "action_successful", "primary_action_completed"})
FAILED = frozenset({"action_failed", "action_fails", "primary_action_failed", "primary_action_fails", "primary_fails"})
_COMPARED = re.compile(r"([a-z_]+) ?(==|=|!=|>=|<=|>|<) ?(-?\d{1,9}(?:\.\d{1,6})?|true|false)")


def word(text: str) -> str:
    """A criterion as one word: `Action completed` is `action_completed`."""
    return "_".join(text.lower().replace("-", " ").split())


def expression(text: str, target: Target | None) -> str | None:
    """The expression over what is observed of the target that a criterion means; None: it cannot be evaluated.

    A pod that was replaced is not seen any more under its name, so nothing is promised about single pods.
    """
    if target is None or target.kind not in _FACTS:
        return None
    found = _NAMED.get(word(text)) or _compared(text)
    if found is None:
        return None
    numbers, bools = _FACTS[target.kind]
    return found if set(re.findall(r"observed\.(\w+)", found)) <= numbers | bools else None


def _compared(text: str) -> str | None:
    match = _COMPARED.fullmatch(" ".join(text.lower().split()))
    if match is None:
        return None
    fact, sign, value = match[1], "==" if match[2] == "=" else match[2], match[3]
    is_bool = any(fact in bools for _, bools in _FACTS.values())
    if is_bool != (value in {"true", "false"}) or (is_bool and sign not in {"==", "!="}):
        return None
    return f"observed.{fact} {sign} {value}"
