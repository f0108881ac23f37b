"""The Prometheus metrics of the executor, in a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """One instance per application, handed to whoever counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.actions = Counter(
            "executor_actions",
            "Finished actions by type and final status",
            ["action", "status"],
            registry=self._registry,
        )
        self.duration = Histogram(
            "executor_action_duration_seconds",
            "From acceptance to the final status",
            ["action"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.writes = Counter(
            "executor_cluster_writes",
            "Effects by verb and how they ended",
            ["verb", "outcome"],
            registry=self._registry,
        )
        self.running = Gauge("executor_actions_running", "Actions that are running now", registry=self._registry)
        self.up = Gauge("executor_service_up", "1 while the service runs", registry=self._registry)
        self.up.set(1)

    def exposition(self) -> bytes:
        """The text that a Prometheus server scrapes."""
        return generate_latest(self._registry)
