"""The metrics of what goes wrong: failures by class, recoveries, escalations, and how many executions end badly."""

from __future__ import annotations

import math

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from workflow_service.domain.recovery import ESCALATING
from workflow_service.domain.termination import Termination

log = structlog.get_logger(__name__)

OUTCOMES = ("planned", "refused", "succeeded", "failed")  # of recoveries; the last two follow a planned one


class FailureMetrics:
    """Counters in a registry that others share."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failures = Counter(
            "wfs_failures_total", "Attempts and steps that failed", ["failure_class", "action"], registry=registry
        )
        self._recoveries = Counter(
            "wfs_recoveries_total", "Recoveries, by what became of them", ["outcome"], registry=registry
        )
        for outcome in OUTCOMES:
            self._recoveries.labels(outcome)
        self._escalations = Counter(
            "wfs_escalations_total", "Workflows for which a person is needed", ["reason"], registry=registry
        )
        for reason in sorted(ESCALATING):
            self._escalations.labels(reason)
        self._termination = Gauge(
            "kubernaut_workflow_termination_rate",
            "Share of the executions of the last 24 h that ended badly; NaN: too few ended to say",
            registry=registry,
        )
        self._termination.set(math.nan)

    def failed(self, *, failure_class: str, action: str) -> None:
        """An attempt or a step failed. `action` is a catalogue type or a kind of step, never free text."""
        self._failures.labels(failure_class, action).inc()

    def recovery(self, outcome: str) -> None:
        """A recovery was planned or refused; or one that was planned has succeeded or failed."""
        self._recoveries.labels(outcome).inc()

    def escalated(self, reason: str) -> None:
        """A person is needed."""
        self._escalations.labels(reason).inc()

    def terminated(self, found: Termination) -> None:
        """How many executions have ended badly of late; said aloud when they are many."""
        self._termination.set(math.nan if found.rate is None else found.rate)
        if found.alarming:
            log.warning("many executions end badly", ended=found.ended, badly=found.badly, stops=found.too_many)
