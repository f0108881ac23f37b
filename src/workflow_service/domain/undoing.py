"""The second half of an execution that is taken back: which undo comes next, until there is none left."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime, timedelta

from workflow_service.domain import rollback
from workflow_service.domain.bounds import SETTLE_GRACE
from workflow_service.domain.decisions import Decision, GiveUpUndo, StartUndo
from workflow_service.domain.graph import Graph
from workflow_service.domain.rollback import Undoable
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import StepStatus, UndoStatus

_OPEN = frozenset({UndoStatus.AVAILABLE, UndoStatus.UNDOING})


def next_undos(
    graph: Graph, state: RunState, now: datetime, live: Set[str], hold_until: datetime | None
) -> Decision | None:
    """What a rollback does next; None: nothing is left to undo."""
    deadline = _deadline(graph, state, now)
    if now >= deadline:
        return _wind_up(graph, state, now, live, hold_until)
    ready = [item for item in rollback.ready(graph, state) if item.step not in live]
    if not ready and not live:
        return None
    held = hold_until is not None and now < hold_until
    free = 0 if held else max(0, graph.plan.max_parallel - len(live))
    due = [item for item in ready if item.attempt.undo_at is None or item.attempt.undo_at <= now]
    due.sort(key=lambda item: item.attempt.undo is not UndoStatus.UNDOING)  # what is already sent holds its place
    wakes = [item.attempt.undo_at for item in ready if item.attempt.undo_at is not None and item.attempt.undo_at > now]
    if due and held and hold_until is not None:
        wakes.append(hold_until)
    actions = tuple(_undo(state, item) for item in due[:free])
    return Decision(actions, wake_at=min([*wakes, deadline]))


def _wind_up(
    graph: Graph, state: RunState, now: datetime, live: Set[str], hold_until: datetime | None
) -> Decision | None:
    """The rollback's time is over: what was sent is settled by its key, for a little longer; the rest is given up.

    An undo that was sent and is merely forgotten could arrive after the end, and take back what a retry has done.
    """
    bound = _deadline(graph, state, now) + timedelta(seconds=SETTLE_GRACE)
    open_ = [
        Undoable(name, attempt)
        for name in rollback.within(graph, state)
        if name not in live
        for attempt in state.steps[name].attempts
        if attempt.undo in _OPEN
    ]
    given_up = tuple(item for item in open_ if item.attempt.undo is UndoStatus.AVAILABLE or now >= bound)
    if given_up:
        return Decision(tuple(GiveUpUndo(item.step, item.attempt.key) for item in given_up))
    if hold_until is not None and now < hold_until and open_:
        return Decision((), wake_at=min(hold_until, bound))
    if open_:
        return Decision(tuple(_undo(state, item) for item in open_), wake_at=bound)
    return Decision() if live else None


def _deadline(graph: Graph, state: RunState, now: datetime) -> datetime:
    return (state.rollback_started_at or now) + timedelta(seconds=graph.plan.undo_timeout)


def _undo(state: RunState, item: Undoable) -> StartUndo:
    return StartUndo(
        step=item.step,
        key=item.attempt.key,
        tries=item.attempt.undo_tries,
        settle=state.steps[item.step].status is StepStatus.UNKNOWN,
        resumed=item.attempt.undo is UndoStatus.UNDOING,
    )
