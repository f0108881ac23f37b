"""What is known about an alert when its plan is made, and the words that rule parameters may use for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflow_service.domain.alert import Alert
from workflow_service.domain.target import NoTarget, Target, top_owner
from workflow_service.ports import Observation

PLACEHOLDER = re.compile(r"\{(\w+)(\??)\}")
PLACEHOLDERS = frozenset(
    {
        "namespace",
        "name",
        "kind",
        "type",
        "node",
        "cluster",
        "subject",
        "alert",
        "severity",
        "level",
        "message",
        "reason",
    }
)
_LEVELS: Mapping[str, str] = {
    **dict.fromkeys(("critical", "high", "error"), "critical"),
    **dict.fromkeys(("low", "info"), "info"),
}
# Whoever owns a Pod or a ReplicaSet can only be known by looking; the others decide about themselves.
_OWNED = frozenset({"Pod", "ReplicaSet"})
_MESSAGE = 1000  # characters of the alert's text that a notification repeats


class DoesNotFit(Exception):
    """A rule or an action cannot be used here; the text says why not."""


@dataclass(frozen=True, slots=True)
class Situation:
    """An alert, its target, and what the executor saw of it."""

    alert: Alert
    target: Target | None
    why_no_target: str
    gone: bool  # the target itself does not exist any more, its owner does
    owner: Target | None  # None: unknown, or there is none
    owner_kind: str  # a kind, `unknown` or `none`
    facts: Mapping[str, Any]
    owner_facts: Mapping[str, Any]
    given: Mapping[str, Any] | None = None  # a template's parameters, known as `params`; None: a rule has none

    def object(self, on: str | None) -> Target | None:
        """The object an action of a rule is about; None when it touches none.

        Raises:
            DoesNotFit: there is no such object.
        """
        if on is None:
            return None
        if self.target is None:
            raise DoesNotFit(self.why_no_target)
        if on == "owner" and self.owner is None:
            raise DoesNotFit(f"who owns {subject(self.target)} is not known")
        if on == "target" and self.gone:
            raise DoesNotFit(f"{subject(self.target)} does not exist any more")
        return self.owner if on == "owner" else self.target

    def fact(self, name: str, on: str | None = None) -> Any:
        """What was seen, of the owner or of the target; of either, owner first, when `on` is None. None: not known."""
        places = {"owner": (self.owner_facts,), "target": (self.facts,)}.get(on or "", (self.owner_facts, self.facts))
        return next((place[name] for place in places if place.get(name) is not None), None)

    def words(self, on: str | None) -> dict[str, str | None]:
        """What each placeholder stands for in an action on that object; None: not known."""
        about = self.object(on) or self.target
        node = about.name if about and about.kind == "Node" else self.fact("node", "target")
        return {
            "namespace": about.namespace if about else self.alert.namespace,
            "name": about.name if about else None,
            "kind": about.kind if about else None,
            "type": about.kind.lower() if about else None,
            "node": node if isinstance(node, str) else None,
            "cluster": about.cluster if about else None,
            "subject": subject(about) if about else self.alert.resource or self.alert.namespace or "an unknown object",
            "alert": self.alert.name,
            "severity": self.alert.severity,
            "level": _LEVELS.get(self.alert.severity, "warning"),
            "message": (self.alert.summary or self.alert.description or "(the alert says no more)")[:_MESSAGE],
            "reason": self.why_no_target[:_MESSAGE],
        }


def subject(target: Target) -> str:
    """An object in a sentence: `Deployment production/web`."""
    return f"{target.kind} {target.namespace}/{target.name}" if target.namespace else f"{target.kind} {target.name}"


def situation(alert: Alert, target: Target | NoTarget, observation: Observation | None) -> Situation:
    """Put together what is known.

    `observation` is of the target; `facts["owner"]`, when present, are those of its top owner.
    """
    if isinstance(target, NoTarget):
        return _without_target(alert, target.reason)
    if observation is None:
        owner = None if target.kind in _OWNED else target
        return Situation(alert, target, "", False, owner, owner.kind if owner else "unknown", {}, {})
    if not observation.found and not observation.owners:
        return _without_target(alert, f"{subject(target)} does not exist in cluster {target.cluster}")
    return _observed(alert, target, observation)


def _without_target(alert: Alert, why: str) -> Situation:
    return Situation(alert, None, why, False, None, "none", {}, {})


def _observed(alert: Alert, target: Target, seen: Observation) -> Situation:
    top = top_owner(target, seen.owners)
    bare = top == target and target.kind == "Pod"  # nothing would bring it back
    facts = {name: fact for name, fact in seen.facts.items() if name != "owner"}
    of_owner = facts if top == target or not seen.found else seen.facts.get("owner")
    return Situation(
        alert=alert,
        target=target,
        why_no_target="",
        gone=not seen.found,
        owner=None if bare else top,
        owner_kind="none" if bare else top.kind,
        facts=facts if seen.found else {},
        owner_facts=of_owner if isinstance(of_owner, Mapping) else {},
    )
