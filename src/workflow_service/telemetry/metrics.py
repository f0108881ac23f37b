"""Every metric of the service: names, labels, buckets, and one small method per thing that happens.

The names without `wfs_` are the specification's and upstream's (the metrics of its BR-WF requirements). No label holds
an id. Series whose labels are known beforehand exist from the start, so that rates do.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from workflow_service.domain.breaker import BreakerState
from workflow_service.domain.states import ACTIVE_EXECUTION, FINAL_EXECUTION
from workflow_service.telemetry.advice import AdviceMetrics
from workflow_service.telemetry.failures import FailureMetrics
from workflow_service.telemetry.guardrails import GuardrailMetrics
from workflow_service.telemetry.intake import IntakeMetrics
from workflow_service.telemetry.notifications import NotificationMetrics
from workflow_service.telemetry.streams import StreamMetrics

_EXECUTION_BUCKETS = tuple(5.0 * 2**power for power in range(10))  # upstream: 5 s x 2^n
_STEP_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0)
_HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_COUNT_BUCKETS = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_RESOLUTION_BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1)
_BREAKER_STATES = (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN)  # the gauge shows the index
_START_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0)


class Metrics:
    """One process's metrics in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._up = Gauge("workflow_service_up", "1 while the service takes work", registry=registry)
        self._executions = Counter("workflow_service_executions_total", "Executions that ended", registry=registry)
        self._ended = Counter(
            "workflowexecution_total", "Executions that ended, by final status", ["status"], registry=registry
        )
        for status in sorted(FINAL_EXECUTION):
            self._ended.labels(status)
        self._duration = Histogram(
            "workflowexecution_duration_seconds",
            "From an execution's start to its end",
            buckets=_EXECUTION_BUCKETS,
            registry=registry,
        )
        self._active = Gauge("workflowexecution_active_total", "Executions that have not ended", registry=registry)
        self._active_by_status = Gauge(
            "wfs_executions_active", "Executions that have not ended, by status", ["status"], registry=registry
        )
        self.active({})
        self._steps = cache(  # asked at every step, so its series are known at once
            Counter(
                "workflowexecution_step_execution_total",
                "Steps that ended, by final status",
                ["status", "action"],
                registry=registry,
            ).labels
        )
        self._step_duration = cache(
            Histogram(
                "workflowexecution_step_execution_duration_seconds",
                "From a step's start to its end, all attempts included",
                ["action"],
                buckets=_STEP_BUCKETS,
                registry=registry,
            ).labels
        )
        self._http = Counter("http_requests_total", "Requests answered", ["method", "route", "code"], registry=registry)
        self._http_duration = Histogram(
            "http_request_duration_seconds",
            "From a request's head to its answer's end",
            ["method", "route"],
            buckets=_HTTP_BUCKETS,
            registry=registry,
        )
        self._queue = Gauge("wfs_queue_depth", "Drives that wait for a slot", ["queue"], registry=registry)
        self._silence = Gauge(
            "workflow_service_oldest_without_progress_seconds",
            "Since the last journal entry of the active execution that has been silent longest; parked ones left out",
            registry=registry,
        )
        self._start_latency = Histogram(
            "wfs_start_latency_seconds",
            "From an alert's arrival to the first call to the executor",
            buckets=_START_BUCKETS,
            registry=registry,
        )

        self._step_count = Histogram(
            "workflowexecution_step_count", "Steps of a plan", buckets=_COUNT_BUCKETS, registry=registry
        )
        self._parallel = Histogram(
            "workflowexecution_parallel_steps_count",
            "Steps of a plan's widest wave",
            buckets=_COUNT_BUCKETS,
            registry=registry,
        )
        self._complexity = Histogram(
            "workflowexecution_dependency_graph_complexity",
            "Dependencies in a plan",
            buckets=_COUNT_BUCKETS,
            registry=registry,
        )
        self._resolution = Histogram(
            "workflowexecution_dependency_resolution_duration_seconds",
            "Checking a plan and putting it in order",
            buckets=_RESOLUTION_BUCKETS,
            registry=registry,
        )
        self._actions = Counter("actions_executed_total", "Actions that the executor completed", registry=registry)
        self._breaker = Gauge(
            "workflow_service_circuit_breaker_state",
            "0 closed, 1 half open, 2 open",
            ["downstream"],
            registry=registry,
        )
        self._breaker_moves = Counter(
            "workflow_service_circuit_breaker_transitions_total",
            "Moves of a circuit breaker, by the state moved to",
            ["downstream", "to"],
            registry=registry,
        )
        for downstream in ("executor", "advisor"):
            self._breaker.labels(downstream).set(0)
            for state in _BREAKER_STATES:
                self._breaker_moves.labels(downstream, state)
        self.advice, self.failures = AdviceMetrics(registry), FailureMetrics(registry)
        self.intake = IntakeMetrics(registry)
        self.streams = StreamMetrics(registry)
        self.guardrails, self.notifications = GuardrailMetrics(registry), NotificationMetrics(registry)

    def up(self, taking_work: bool) -> None:
        """Whether the service takes work."""
        self._up.set(1 if taking_work else 0)

    def execution_ended(self, *, status: str, seconds: float) -> None:
        """One execution reached a final state."""
        self._executions.inc()
        self._ended.labels(status).inc()
        self._duration.observe(seconds)

    def active(self, counts: Mapping[str, int]) -> None:
        """How many executions there are per status that is not final; statuses not named have none."""
        self._active.set(sum(counts.values()))
        for status in ACTIVE_EXECUTION:
            self._active_by_status.labels(status).set(counts.get(status, 0))

    def planned(self, *, steps: int, widest: int, dependencies: int, seconds: float) -> None:
        """One plan was made; `seconds` is what putting it in order took."""
        self._step_count.observe(steps)
        self._parallel.observe(widest)
        self._complexity.observe(dependencies)
        self._resolution.observe(seconds)

    def step_ended(self, *, action: str, status: str, seconds: float) -> None:
        """One step reached a final state. `action` is a catalogue type, never free text."""
        self._steps(status, action).inc()
        self._step_duration(action).observe(seconds)
        if status == "succeeded":
            self._actions.inc()

    def http_request(self, *, method: str, route: str, code: int, seconds: float) -> None:
        """One request was answered. `route` is the route's template, never the path."""
        known = method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
        self._http.labels(known, route, str(code)).inc()
        self._http_duration.labels(known, route).observe(seconds)

    def queued(self, counts: Mapping[str, int]) -> None:
        """How many drives wait, per queue."""
        for queue, count in counts.items():
            self._queue.labels(queue).set(count)

    def silent(self, *, seconds: float) -> None:
        """How long the active execution that has been silent longest has made no progress; 0 when there is none."""
        self._silence.set(seconds)

    def first_call(self, *, seconds: float) -> None:
        """The first call to the executor went out this long after the alert came in."""
        self._start_latency.observe(seconds)

    def breaker_moved(self, to: BreakerState, *, downstream: str = "executor") -> None:
        """A breaker has moved. `downstream` is `executor`, `executor/<cluster>` of another cluster, or `advisor`."""
        self._breaker.labels(downstream).set(_BREAKER_STATES.index(to))
        self._breaker_moves.labels(downstream, to).inc()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type, as the scraper's `Accept` header wants it."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
