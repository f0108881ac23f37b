"""What becomes of an alert, from what is known about the same thing at that moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from workflow_service.domain.alert import Alert
from workflow_service.domain.target import NoTarget, resolve


@dataclass(frozen=True, slots=True)
class Choice:
    """One outcome: admitted | attached | cooled_down | resolved. An admitted alert has no workflow yet."""

    outcome: str
    reason: str
    workflow_id: str | None


@dataclass(slots=True)
class Known:
    """What is known about a number of identities: by each, the workflow that runs, and the one that succeeded last."""

    active: dict[str, str] = field(default_factory=dict)
    recent: Mapping[str, str] = field(default_factory=dict)

    def running(self, identities: Iterable[str]) -> str | None:
        """The workflow that runs for any of them."""
        return next((self.active[one] for one in identities if one in self.active), None)

    def succeeded(self, identities: Iterable[str]) -> str | None:
        """The workflow that has succeeded shortly before for any of them."""
        return next((self.recent[one] for one in identities if one in self.recent), None)

    def begins(self, identities: Iterable[str], workflow_id: str) -> None:
        """From now on this workflow runs for them."""
        self.active.update(dict.fromkeys(identities, workflow_id))


def identities_of(alert: Alert, fingerprint: str, cluster: str) -> tuple[str, ...]:
    """Everything by which this alert and another can be about the same thing, sorted."""
    target = resolve(alert, cluster)
    own = f"alert:{fingerprint}"
    return (own,) if isinstance(target, NoTarget) else tuple(sorted((own, target.identity)))


def choose(alert: Alert, identities: Iterable[str], known: Known, *, cooldown: timedelta) -> Choice:
    """The first rule that applies, in the order of design section 5."""
    names = tuple(identities)
    active = known.running(names)
    if active is not None:
        return Choice("attached", "a workflow about the same thing is running", active)
    if alert.status == "resolved":
        return Choice("resolved", "the alert has resolved and no workflow is running for it", None)
    recent = known.succeeded(names)
    if recent is not None:
        why = f"the same thing was remediated less than {cooldown.total_seconds():g} s ago"
        return Choice("cooled_down", why, recent)
    return Choice("admitted", "", None)
