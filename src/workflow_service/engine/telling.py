"""What the log and the metrics say of failures and of recoveries."""

from __future__ import annotations

import structlog

from workflow_service.domain import events as ev
from workflow_service.domain.answers import does
from workflow_service.domain.graph import Graph
from workflow_service.domain.run_state import RunState
from workflow_service.telemetry.failures import FailureMetrics

log = structlog.get_logger(__name__)


def tell(event: ev.Event, state: RunState, graph: Graph | None, metrics: FailureMetrics) -> None:
    """Tell of one committed event, if it is about a failure or a recovery."""
    match event:
        case ev.AttemptFailed() | ev.StepFailed() | ev.StepBlocked() | ev.StepUnknown():
            action = does(graph.steps[event.step]) if graph and event.step in graph.steps else "unknown"
            metrics.failed(failure_class=event.failure_class or "unknown", action=action)
            _tell_end(event, state, metrics, "failed")
        case ev.StepProved():
            _tell_end(event, state, metrics, "succeeded")
        case ev.RecoveryStarted():
            about = {"failed": event.failed, "failure_class": event.failure_class, "signature": event.signature}
            log.warning("another way is looked for", step=event.step, attempt=event.attempt, **about)
        case ev.RecoveryPlanned():
            metrics.recovery("planned")
            about = {"option": event.option, "source": event.source, "plan_hash": event.plan_hash}
            log.warning("another way is tried", step=event.step, attempt=event.attempt, **about)
        case ev.RecoveryRefused():
            metrics.recovery("refused")
            log.warning("there is no other way", step=event.step, reason=event.reason, why=event.why[:500])
        case ev.Escalated():
            metrics.escalated(event.reason)
            log.warning("A PERSON IS NEEDED", step=event.step, reason=event.reason, why=event.why[:500])
        case _:
            pass


def _tell_end(event: ev.StepEvent, state: RunState, metrics: FailureMetrics, outcome: str) -> None:
    if any(one.group == event.step for one in state.recoveries):
        metrics.recovery(outcome)
        log.warning("a recovery is over", step=event.step, outcome=outcome)
