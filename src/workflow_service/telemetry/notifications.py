"""Whether people could be told, as metrics."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge


class NotificationMetrics:
    """Counts tries, and what has not arrived."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._told = Counter(
            "wfs_notifications_total",
            "Tries to tell somebody, by channel and by how they ended (delivered, failed, given_up)",
            ["channel", "outcome"],
            registry=registry,
        )
        self._overdue = Gauge(
            "wfs_notifications_overdue",
            "Notifications that were tried and have not arrived, by channel",
            ["channel"],
            registry=registry,
        )

    def told(self, *, channel: str, outcome: str) -> None:
        """One try; of several addresses of a kind each counts for the kind."""
        self._told.labels(channel.partition(":")[0], outcome).inc()

    def overdue(self, by_channel: Mapping[str, int]) -> None:
        """How many wait for another try."""
        by_kind: dict[str, int] = {}
        for channel, number in by_channel.items():
            kind = channel.partition(":")[0]
            by_kind[kind] = by_kind.get(kind, 0) + number
        for kind, number in by_kind.items():
            self._overdue.labels(kind).set(number)
