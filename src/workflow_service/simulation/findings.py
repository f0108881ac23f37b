"""What a simulation finds out on its way: dry runs, conditions, what the guardrails say, and what nobody can know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workflow_service.domain.guardrails_about import Finding
from workflow_service.ports import ActionOutcome


@dataclass(frozen=True, slots=True)
class Tried:
    """A step's action, as the executor tried it without effect. `outcome` None: it could not be asked."""

    parameters: Mapping[str, Any]
    outcome: ActionOutcome | None
    seconds: float | None  # that it usually takes; None: nobody knows
    known_by: str  # history | plan | nothing


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something about a step that only a real run tells."""

    step: str
    what: str
    why: str


@dataclass(slots=True)
class Findings:
    """By step, where it is about one; in the order in which it was found."""

    owners: Mapping[str, str]  # identities of objects, and of who decides about them
    tried: dict[str, Tried] = field(default_factory=dict)
    conditions: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    said: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    doubts: dict[Doubt, None] = field(default_factory=dict)
    _changed: dict[str, frozenset[str]] = field(default_factory=dict)

    def doubt(self, step: str, what: str, why: str) -> None:
        """Nobody can know this."""
        self.doubts[Doubt(step, what, why)] = None

    def changes(self, step: str, identities: Iterable[str]) -> None:
        """By now a real run would have changed these."""
        self._changed[step] = self._changed.get(step, frozenset()) | self._whose(identities)

    @property
    def changed(self) -> Sequence[str]:
        """The steps that would have changed something by now."""
        return tuple(self._changed)

    def changed_before(self, identities: Iterable[str]) -> Sequence[str]:
        """The steps that would have changed the same by now."""
        mine = self._whose(identities)
        return tuple(step for step, theirs in self._changed.items() if mine & theirs)

    def _whose(self, identities: Iterable[str]) -> frozenset[str]:
        return frozenset(self.owners.get(one, one) for one in identities)
