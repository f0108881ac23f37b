"""Every failure gets its class before it is journalled; the journal keeps it, whatever the patterns say later."""

from __future__ import annotations

from dataclasses import replace

from workflow_service.domain import events as ev
from workflow_service.domain.answers import does
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failure_class import FailureClass, Patterns
from workflow_service.domain.graph import Graph


def classed(event: ev.Event, graph: Graph, patterns: Patterns) -> ev.Event:
    """The event with the class of the failure it tells of, unless it has one or tells of none."""
    if not isinstance(event, ev.AttemptFailed | ev.StepBlocked | ev.StepFailed | ev.StepUnknown):
        return event
    if event.failure_class is not None:
        return event
    error = event.error_class if isinstance(event, ev.AttemptFailed) else None
    error = ErrorClass.UNKNOWN if isinstance(event, ev.StepUnknown) else error
    return replace(event, failure_class=class_of(event.step, error, event.message, graph=graph, patterns=patterns))


def class_of(step: str, error: ErrorClass | None, message: str, *, graph: Graph, patterns: Patterns) -> FailureClass:
    """The class of a step's failure."""
    return patterns.classify(error=error, message=message, action=does(graph.steps[step]))
