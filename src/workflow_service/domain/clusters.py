"""Which cluster an alert belongs to, as far as labels and settings tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clusters:
    """The clusters that have an executor: our own, which is meant by alerts that name none, and others."""

    own: str = "default"
    others: frozenset[str] = frozenset()
    label: str = "cluster"  # which names an alert's cluster

    def of(self, labels: Mapping[str, str]) -> str:
        """The cluster that labels name, known or not; our own when they name none."""
        return labels.get(self.label) or self.own

    def knows(self, cluster: str) -> bool:
        """Whether there is an executor for it: nobody else's is ever asked instead."""
        return cluster == self.own or cluster in self.others

    @property
    def every(self) -> tuple[str, ...]:
        """All of them, our own first."""
        return (self.own, *sorted(self.others - {self.own}))
