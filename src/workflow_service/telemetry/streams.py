"""Metrics of event streams: how many there are, and how they end."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

ENDS = ("left", "stopping", "lifetime", "unauthorized", "too_slow", "stalled")


class StreamMetrics:
    """One process's, in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge("wfs_event_streams", "Event streams that are open", registry=registry)
        self._ended = Counter(
            "wfs_event_streams_ended_total", "Event streams that ended, by why", ["reason"], registry=registry
        )
        for reason in ENDS:
            self._ended.labels(reason)

    def opened(self) -> None:
        """A stream begins."""
        self._open.inc()

    def ended(self, reason: str) -> None:
        """A stream is over. `reason` is one of `ENDS`."""
        self._open.dec()
        self._ended.labels(reason).inc()
