"""Metrics of what comes in: deliveries by form, alerts by what became of them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from workflow_service.domain.admission import OUTCOMES

_OUTCOMES = (*OUTCOMES, "invalid", "undecided")


class IntakeMetrics:
    """One process's, in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._deliveries = Counter(
            "wfs_deliveries_total", "Deliveries that were stored", ["form", "quarantined"], registry=registry
        )
        self._alerts = Counter(
            "alerts_received_total", "Alerts that came, by what became of them", ["outcome"], registry=registry
        )
        self._refused = Counter(
            "wfs_deliveries_refused_total",
            "Deliveries of which nothing was stored: overload, the database away, a wrong signature",
            ["reason"],
            registry=registry,
        )
        self._alarm = Gauge(
            "wfs_alarm", "1 while this alarm about the service itself is raised", ["alarm"], registry=registry
        )
        self._undecided = Gauge(
            "wfs_alerts_undecided", "Stored alerts that wait for their decision, of all replicas", registry=registry
        )
        self._told = Counter(
            "wfs_alarm_messages_total", "Tries to tell of an alarm, by how they ended", ["outcome"], registry=registry
        )
        for told in ("arrived", "failed"):
            self._told.labels(told)
        for outcome in _OUTCOMES:
            self._alerts.labels(outcome)
        for reason in ("full", "store_unavailable", "signature"):
            self._refused.labels(reason)

    def delivered(self, form: str, *, quarantined: bool) -> None:
        """One delivery was stored; quarantined: something in it cannot be understood."""
        self._deliveries.labels(form, str(quarantined).lower()).inc()

    def decided(self, outcome: str) -> None:
        """One alert has its outcome."""
        self._alerts.labels(outcome).inc()

    def undecided(self, number: int) -> None:
        """So many alerts wait."""
        self._undecided.set(number)

    def alarm(self, name: str, *, raised: bool) -> None:
        """Where an alarm stands; names come from the settings."""
        self._alarm.labels(name).set(int(raised))

    def told(self, *, arrived: bool) -> None:
        """Somebody was to be told of an alarm."""
        self._told.labels("arrived" if arrived else "failed").inc()

    def refused(self, reason: str) -> None:
        """One delivery was not stored. `reason`: full | store_unavailable | signature."""
        self._refused.labels(reason).inc()
