"""One step's next move: from its plan, its state and the time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from workflow_service.domain import scope
from workflow_service.domain.bounds import run_deadline, step_deadline
from workflow_service.domain.decisions import (
    Action,
    BeginStep,
    FailStep,
    Look,
    OpenStep,
    PassStep,
    SkipStep,
    StartStep,
)
from workflow_service.domain.expressions import EvaluationFailed
from workflow_service.domain.graph import Graph
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.plan import Step, StepKind
from workflow_service.domain.run_state import RunState, StepState
from workflow_service.domain.states import StepStatus
from workflow_service.domain.step_rules import MAX_ITEMS

MAX_NODES = 1000  # steps of one execution, items included
_FOR_EVER = timedelta(days=1)


def next_move(graph: Graph, state: RunState, name: str, now: datetime, alert: Mapping[str, Any]) -> Action | None:
    """What a step does next that may go on; None: nothing before its time, which `next_time` tells."""
    at, step = state.steps[name], graph.steps[name]
    if at.status is StepStatus.WAITING:
        return _go_on(graph, state, name, now, alert)
    if at.cleared or not (step.when or step.preconditions):
        return _begin(graph, state, name, now, alert)
    try:
        if not scope.truth(graph, state, name, alert):
            return SkipStep(name, f"its condition is false: {step.when}")
    except EvaluationFailed as error:
        return FailStep(name, "condition_error", f"when: {error}")
    if step.preconditions and step.for_each is None:
        return Look(name, after=False, since=now, until=run_deadline(graph, state) or now + _FOR_EVER)
    return _begin(graph, state, name, now, alert)


def next_time(graph: Graph, name: str, at: StepState) -> datetime | None:
    """When the step has its next move; None: at once."""
    if graph.steps[name].kind is StepKind.CHECK:
        return None  # it looks from the beginning; its bound ends the look
    return at.proving_from or at.not_before


def only_starts(graph: Graph, name: str, at: StepState) -> bool:
    """Whether nothing but its start can come next: without room for that it need not be looked at."""
    step = graph.steps[name]
    plain = step.kind is StepKind.ACTION and step.for_each is None
    return plain and at.status is StepStatus.PENDING and (at.cleared or not (step.when or step.preconditions))


def proving(graph: Graph, name: str, at: StepState) -> bool:
    """Whether its effect is there and only to be looked at."""
    if at.status is not StepStatus.WAITING:
        return False
    return at.proving_from is not None or graph.steps[name].kind is StepKind.CHECK


def _begin(graph: Graph, state: RunState, name: str, now: datetime, alert: Mapping[str, Any]) -> Action:
    step = graph.steps[name]
    if graph.group(name):
        return _open(graph, state, name, alert)
    match step.kind:
        case StepKind.WAIT:
            return BeginStep(name, now + timedelta(seconds=step.wait or 0))
        case StepKind.APPROVAL:
            return BeginStep(name, now + timedelta(seconds=step.deadline), approval=True)
        case StepKind.CHECK:
            return BeginStep(name, now + timedelta(seconds=step.deadline))
        case _:
            return _start(graph, state, name, alert)


def _start(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> Action:
    action = graph.steps[name].action
    attempt = state.steps[name].next_attempt
    if action is None or not has_expressions(action.parameters):
        return StartStep(name, attempt)
    try:
        return StartStep(name, attempt, scope.parameters(graph, state, name, alert))
    except EvaluationFailed as error:
        return FailStep(name, "parameter_error", f"parameters: {error}")


def _open(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> Action:
    if graph.steps[name].for_each is None:
        return OpenStep(name)
    try:
        items = tuple(scope.items(graph, state, name, alert))
    except EvaluationFailed as error:
        return FailStep(name, "items_error", f"for_each: {error}")
    if not items:
        return SkipStep(name, "there are no items")
    if len(items) > MAX_ITEMS:
        return FailStep(name, "items_error", f"for_each: gives {len(items)} items; {MAX_ITEMS} is the most")
    grown = graph.grown({**state.items, name: items})
    if len(grown.steps) > MAX_NODES:
        return FailStep(name, "items_error", f"for_each: makes {len(grown.steps)} steps; {MAX_NODES} is the most")
    return OpenStep(name, items, tuple(one for one in grown.order if one not in state.steps))


def _go_on(graph: Graph, state: RunState, name: str, now: datetime, alert: Mapping[str, Any]) -> Action | None:
    at, step = state.steps[name], graph.steps[name]
    if (time := next_time(graph, name, at)) is not None and time > now:
        return None
    if step.kind is StepKind.CHECK:
        return _look_after(graph, state, name, step, since=at.started_at or now, now=now)
    if at.asking:
        return FailStep(name, "approval_expired", "nobody answered in time")
    if step.kind is StepKind.WAIT:
        return PassStep(name)
    if at.proving_from is not None:
        return _look_after(graph, state, name, step, since=at.proving_from, now=now)
    return _start(graph, state, name, alert)


def _look_after(graph: Graph, state: RunState, name: str, step: Step, *, since: datetime, now: datetime) -> Look:
    bounds = [step_deadline(graph, state, name), state.steps[name].not_before]
    own = since + timedelta(seconds=max((one.within for one in step.postconditions), default=0.0))
    return Look(name, after=True, since=since, until=min([own, *filter(None, bounds)], default=now))
