"""What must hold whenever an engine is told to do something: nothing before its time, nothing twice, not too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.control_rules import told
from tests.unit.journal_rules import may_cancel, open_undo
from tests.unit.plan_shape import BEGUN, dependants, goes_on_at, has_room, may_begin
from workflow_service.domain import decisions as do
from workflow_service.domain.bounds import queue_deadline
from workflow_service.domain.states import StepStatus, UndoStatus

if TYPE_CHECKING:
    from tests.unit.obeying import Obeying


def check_noted(engine: Obeying, action: do.Action) -> None:
    """Hold against the rules what is only noted."""
    match action:
        case do.CancelStep(step):
            assert step not in engine.under_way, "a live step was cancelled"
            needed = may_cancel(engine.shape, engine.state, step, told(engine.journal), engine.plan, engine.now)
            bound = queue_deadline(engine.state) if engine.state.awaits else None
            late = bound is not None and engine.now >= bound
            assert needed or late, f"{step} was cancelled without need"
        case do.BeginStep(step) | do.OpenStep(step):
            check_begin(engine, step)
        case do.Pause() | do.Park() | do.Conclude() | do.Finish() | do.BeginRollback():
            assert not engine.under_way, f"{action} while something is under way"
        case _:
            pass


def check_begin(engine: Obeying, step: str) -> None:
    """All that it waits for has settled well, and there is room and time for it."""
    assert step not in engine.under_way, "two live attempts of one step"
    assert engine.state.parked_at is None, f"{step} begins while it is parked"
    assert may_begin(engine.shape, engine.state, step), f"{step} was begun before its time"
    assert has_room(engine.shape, engine.state, step, engine.under_way), f"{step} was begun beside too many others"
    not_before = goes_on_at(engine.shape, engine.state, step)
    assert not_before is None or not_before <= engine.now, f"{step} went on too early"


def check_number(engine: Obeying) -> None:
    """No more is under way than the plan allows, and no more items than their step does."""
    groups = {name for name in engine.state.steps if engine.shape.group(name)}
    in_flight = sum(
        (step.status is StepStatus.RUNNING and name not in groups)
        + sum(a.undo is UndoStatus.UNDOING for a in step.attempts)
        for name, step in engine.state.steps.items()
    )
    assert len(engine.under_way) <= engine.plan.max_parallel, "more under way than the plan allows"
    assert in_flight <= engine.plan.max_parallel, "more under way than the plan allows"
    for name in groups:
        children = [engine.state.steps[child].status in BEGUN for child in engine.shape.children(name)]
        each = engine.shape.steps[name].for_each is not None
        assert not each or sum(children) <= engine.shape.steps[name].max_parallel, "too many items at once"


def check_undo(engine: Obeying, action: do.StartUndo) -> None:
    """Dependants and newer attempts come first, and nothing is undone twice or too early."""
    step, key = action.step, action.key
    attempts = {attempt.key: attempt for attempt in engine.state.steps[step].attempts}
    assert not engine.held, "an undo was sent while held"
    assert attempts[key].undo in {UndoStatus.AVAILABLE, UndoStatus.UNDOING}
    assert action.resumed == (attempts[key].undo is UndoStatus.UNDOING)
    not_before = attempts[key].undo_at
    assert not_before is None or not_before <= engine.now, "an undo was retried too early"
    newer = list(attempts)[list(attempts).index(key) + 1 :]
    assert not any(open_undo(attempts[other].undo) for other in newer), "an older attempt was undone first"
    for below in dependants(engine.shape, step):
        left = [a for a in engine.state.steps[below].attempts if open_undo(a.undo)]
        assert not left, f"{step} was undone before its dependant {below}"
