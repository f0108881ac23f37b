"""What must hold whenever an engine has nothing to do at once: it progresses, and no free place stays empty."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tests.unit.control_rules import PAUSE_BOUND, told
from tests.unit.journal_rules import open_undo
from tests.unit.plan_shape import goes_on_at, has_room, may_begin
from workflow_service.domain.bounds import must_end_by
from workflow_service.domain.plan import StepKind
from workflow_service.domain.states import StepStatus

if TYPE_CHECKING:
    from tests.unit.obeying import Obeying

_IDLE = {StepStatus.PENDING, StepStatus.WAITING}


def check_rest(engine: Obeying) -> None:
    """Something is under way or somebody will ask again, commands are obeyed, and nothing that could go on rests."""
    state, wake_at, story = engine.state, engine.wake_at, told(engine.journal)
    if state.final:
        assert not engine.under_way
        return
    asked = engine.asked is not None
    assert state.status.value == "recovering" or not asked, "another way is asked for and nobody can see it"
    resting = asked or bool(engine.under_way) or (wake_at is not None and wake_at > engine.now)
    assert resting, f"nothing is under way and nobody will ask again: {state}"
    _check_bound(engine)
    if story.concluded_at is None and not engine.undoing:
        if story.paused_at is not None and story.wish is None:
            assert wake_at == story.paused_at + PAUSE_BOUND, "nobody will end the pause"
            return
        if story.pausing or story.wish is not None:
            assert engine.under_way or (story.wish is None and _proving(engine)), "a command is not obeyed"
            return
    if asked:
        return  # nothing is begun meanwhile
    for waiting in _times(engine):
        assert wake_at is not None
        assert wake_at <= waiting, "a time is slept through"
    if not engine.taking_back:
        _check_places(engine)


def _check_bound(engine: Obeying) -> None:
    """Whatever is waited for, somebody looks again before the execution is past its bound."""
    bound = must_end_by(engine.graph, engine.state)
    assert bound is not None, "it has no bound"
    if not engine.under_way:
        assert engine.now < bound, "it is past its bound"
        assert engine.wake_at is not None
        assert engine.wake_at <= bound, "nobody asks again before the bound"


def _check_places(engine: Obeying) -> None:
    """Whoever may go on does, while there are places; without any other, it parks."""
    state, startable = engine.state, _startable(engine)
    asked = [name for name in startable if state.steps[name].asking]
    if state.parked_at is not None:
        assert not engine.under_way, "it parks while something is under way"
        assert engine.wake_at == state.parked_until, "it does not wake when its waiting is over"
        assert (state.status.value == "awaiting_approval") == bool(asked)
    elif not engine.under_way and not engine.held and state.conclusion is None:
        assert not asked or _work_waits(engine), "it holds its slot while it waits for a person"
    if engine.held or len(engine.under_way) >= engine.plan.max_parallel:
        return
    for name in startable:
        time = goes_on_at(engine.shape, state, name)
        assert time is not None, f"{name} could run and does not"
        assert time > engine.now, f"{name} could run and does not"


def _work_waits(engine: Obeying) -> bool:
    """Whether a back-off or a proof waits for its time."""
    waiting = [name for name, step in engine.state.steps.items() if step.status is StepStatus.WAITING]
    return any(engine.shape.steps[name].kind not in {StepKind.WAIT, StepKind.APPROVAL} for name in waiting)


def _startable(engine: Obeying) -> list[str]:
    """Steps that wait for nothing but a place and their time."""
    shape, state = engine.shape, engine.state
    steps = [name for name, step in state.steps.items() if step.status in _IDLE and name not in engine.under_way]
    return [name for name in steps if may_begin(shape, state, name) and has_room(shape, state, name, engine.under_way)]


def _proving(engine: Obeying) -> list[str]:
    """Steps whose effect is still to be proved."""
    steps = engine.state.steps.items()
    return [name for name, step in steps if step.proving_from and step.status is StepStatus.WAITING]


def _times(engine: Obeying) -> list[datetime]:
    """The times to come at which a step goes on, or an undo may be tried again."""
    times = [goes_on_at(engine.shape, engine.state, name) for name in _startable(engine)]
    if engine.taking_back:
        undos = [a.undo_at for step in engine.state.steps.values() for a in step.attempts if open_undo(a.undo)]
        times = undos if not engine.live and all(undos) else []  # one that builds on the others may hold them back
    return [time for time in times if time is not None and time > engine.now]
