"""One step's next move: from its plan, its state and the time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from workflow_service.domain import scope
from workflow_service.domain.bounds import clock_start, run_deadline, step_deadline
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
from workflow_service.domain.plan import StepKind
from workflow_service.domain.run_state import RunState, StepState
from workflow_service.domain.states import StepStatus
from workflow_service.domain.step_rules import LOOK_BEFORE, MAX_ITEMS

MAX_NODES = 1000  # steps of one execution, items included


def next_move(graph: Graph, state: RunState, name: str, now: datetime, alert: Mapping[str, Any]) -> Action | None:
    """What a step does next that may go on; None: nothing before its time, which `next_time` tells."""
    at, step = state.steps[name], graph.steps[name]
    if at.status is StepStatus.WAITING and not at.delayed:
        return _go_on(graph, state, name, now, alert)
    if at.cleared or not (step.when or step.preconditions):
        return _begin(graph, state, name, now, alert)
    try:
        if not scope.truth(graph, state, name, alert):
            return SkipStep(name, f"its condition is false: {step.when}")
    except EvaluationFailed as error:
        return FailStep(name, "condition_error", f"when: {error}")
    if step.preconditions and step.for_each is None:
        return Look(name, after=False, since=now, until=now + timedelta(seconds=LOOK_BEFORE))
    return _begin(graph, state, name, now, alert)


def next_time(graph: Graph, name: str, at: StepState) -> datetime | None:
    """When the step has its next move; None: at once."""
    if graph.steps[name].kind is StepKind.CHECK:
        return None  # it looks from the beginning; its bound ends the look
    return at.proving_from or at.not_before


def proving(at: StepState) -> bool:
    """Whether its action is done, and only its effect is to be proved."""
    return at.status is StepStatus.WAITING and at.proving_from is not None


def looking(graph: Graph, name: str, at: StepState) -> bool:
    """Whether it has begun, and only looks from here on."""
    return proving(at) or (at.status is StepStatus.WAITING and graph.steps[name].kind is StepKind.CHECK)


def _begin(graph: Graph, state: RunState, name: str, now: datetime, alert: Mapping[str, Any]) -> Action:
    step = graph.steps[name]
    if step.for_each is not None:
        return _open_items(graph, state, name, alert)
    match step.kind:
        case StepKind.TEMPLATE:
            return _open(graph, state, name, alert)
        case StepKind.WAIT:
            return BeginStep(name, now + timedelta(seconds=step.wait or 0))
        case StepKind.APPROVAL:
            return BeginStep(name, now + timedelta(seconds=step.deadline), approval=True)
        case StepKind.CHECK:
            return BeginStep(name, now + timedelta(seconds=step.deadline))
        case _:
            return _start(graph, state, name, alert)


def _start(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> Action:
    attempt = state.steps[name].next_attempt
    if name in graph.literal:
        return StartStep(name, attempt)
    if attempt and state.steps[name].attempts[-1].parameters is not None:  # every attempt is at the same thing
        return StartStep(name, attempt, state.steps[name].attempts[-1].parameters)
    try:
        return StartStep(name, attempt, scope.parameters(graph, state, name, alert))
    except EvaluationFailed as error:
        return FailStep(name, "parameter_error", f"parameters: {error}")


def _open(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> Action:
    try:
        return OpenStep(name, parameters=scope.parameters(graph, state, name, alert))
    except EvaluationFailed as error:
        return FailStep(name, "parameter_error", f"parameters: {error}")


def _open_items(graph: Graph, state: RunState, name: str, alert: Mapping[str, Any]) -> Action:
    """Items are worked out once: a step that a retry does anew has those that it had."""
    try:
        items = state.items[name] if name in state.items else tuple(scope.items(graph, state, name, alert))
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
    if at.asking:
        return FailStep(name, "approval_expired", "nobody answered in time")
    if step.kind is StepKind.WAIT:
        return PassStep(name)
    if looking(graph, name, at):
        return _look_after(graph, state, name, now)
    return _start(graph, state, name, alert)


def _look_after(graph: Graph, state: RunState, name: str, now: datetime) -> Look:
    """A proof has the time that its conditions ask for, a check the step's own; neither outlasts the run."""
    at, step = state.steps[name], graph.steps[name]
    if step.kind is StepKind.CHECK:
        since, own = clock_start(state, name) or now, step_deadline(graph, state, name)
    else:
        since = at.proving_from or now
        own = since + timedelta(seconds=max((one.within for one in step.postconditions), default=0.0))
    bounds = filter(None, [own, run_deadline(graph, state)])
    return Look(name, after=True, since=since, until=min(bounds, default=now))
