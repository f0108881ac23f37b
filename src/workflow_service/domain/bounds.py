"""Every bound of an execution: until when it runs, a step may take, it may wait, and by when it ends at the latest."""

from __future__ import annotations

from datetime import datetime, timedelta

from workflow_service.domain.graph import Graph
from workflow_service.domain.queueing import NOT_BEGUN, QUEUE_BOUND
from workflow_service.domain.run_state import RunState

PAUSE_BOUND = timedelta(hours=24)  # a pause that nobody ends is ended as cancelled
LAST_BOUND = timedelta(minutes=5)  # for the `finally` steps, whatever has gone before
SETTLE_GRACE = 30.0  # seconds after the run's bound in which attempts in flight are still cancelled by key


def run_deadline(graph: Graph, state: RunState) -> datetime | None:
    """When the run clock expires; None while it does not run."""
    if state.concluded_at is not None:
        return state.concluded_at + LAST_BOUND
    if state.started_at is None or state.stopped_at is not None:
        return None
    return state.started_at + timedelta(seconds=graph.plan.timeout) + state.stood_still


def step_deadline(graph: Graph, state: RunState, step: str) -> datetime | None:
    """The latest end of all attempts of a started step: its own deadline or the run's, whichever is first."""
    run, started = run_deadline(graph, state), clock_start(state, step)
    if run is None or started is None:
        return run
    return min(run, started + timedelta(seconds=graph.steps[step].deadline))


def clock_start(state: RunState, step: str) -> datetime | None:
    """When a step started, as if the run clock had not stood still since then; None: it has not."""
    at = state.steps[step]
    if at.started_at is None:
        return None
    return at.started_at + state.stood_still - timedelta(seconds=at.stood_still_before)


def queue_deadline(state: RunState) -> datetime | None:
    """Until when it may wait for a plan and for a slot; None once it has had both, or while it is paused."""
    waits = state.status in NOT_BEGUN and state.waiting_since is not None
    return state.waiting_since + QUEUE_BOUND if waits and state.waiting_since else None


def pause_deadline(state: RunState) -> datetime | None:
    """Until when a pause may last; None while there is none."""
    return state.paused_at + PAUSE_BOUND if state.paused_at is not None else None


def must_end_by(graph: Graph | None, state: RunState) -> datetime | None:
    """The bound of the execution as it stands: what has begun and cannot be avoided is counted."""
    grace = timedelta(seconds=SETTLE_GRACE)
    if graph is None or state.status in NOT_BEGUN:
        return queue_deadline(state)
    if state.concluded_at is not None:
        return state.concluded_at + LAST_BOUND + grace
    if state.rollback_started_at is not None:
        return state.rollback_started_at + timedelta(seconds=graph.plan.undo_timeout) + grace
    if state.paused_at is not None:
        return pause_deadline(state)
    if state.parked_at is not None and state.parked_until is not None and state.started_at is not None:
        run = state.parked_at - state.started_at - state.stood_still
        return state.parked_until + timedelta(seconds=graph.plan.timeout) - run + grace
    end = run_deadline(graph, state)
    return end + grace if end else None


def wake_at(graph: Graph | None, state: RunState) -> datetime | None:
    """When an execution that stands still must be looked at again, if nobody does before; None: it does not."""
    if state.paused_at is not None or state.awaits:
        return must_end_by(graph, state)
    return state.parked_until
