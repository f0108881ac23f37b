"""Properties of `decide` over random plans and stories: total, deterministic, progressing, never too eager."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.factories import ALERT
from tests.unit.pretend_engine import PretendEngine
from tests.unit.strategies import any_graphs, graphs, whole_graphs
from workflow_service.domain.decide import decide
from workflow_service.domain.decisions import (
    BeginStep,
    CancelStep,
    Decision,
    GiveUpUndo,
    Look,
    ResumeStep,
    StartStep,
    StartUndo,
)
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.events import Ended, StepSkipped
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import Phase
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, StepStatus, Verb

HAPPENINGS: Mapping[str, Callable[[PretendEngine, str], None]] = {
    "succeeds": lambda engine, step: engine.succeed(step),
    "succeeds, nothing to change": lambda engine, step: engine.succeed(step, changed=False),
    "succeeds for good": lambda engine, step: engine.succeed(step, undoable=False),
    "fails for now": lambda engine, step: engine.fail(step, ErrorClass.TRANSIENT, changed=True),
    "fails": lambda engine, step: engine.fail(step, ErrorClass.PERMANENT),
    "is not sent": lambda engine, step: engine.unsent(step, hold=3.0),
    "is lost": lambda engine, step: engine.lose(step),
    "crash": lambda engine, _step: engine.crash(),
    "time passes": lambda engine, _step: engine.wait(10.0),
}
SIGHTS: Mapping[str, Callable[[PretendEngine, str], None]] = {
    "fails": lambda engine, step: engine.see(step, held=False),
    "is lost": lambda engine, step: engine.see(step, held=False),
    "is not sent": lambda engine, step: engine.see_nothing(step, hold=3.0),
    "crash": lambda engine, _step: engine.crash(),
    "time passes": lambda engine, _step: engine.wait(10.0),
}
Story = list[tuple[str, int]]
stories: st.SearchStrategy[Story] = st.lists(
    st.tuples(st.sampled_from(sorted(HAPPENINGS)), st.integers(0, 3)), max_size=12
)


def told(graph: Graph, story: Story) -> PretendEngine:
    """An engine after the story: each happening meets what is under way, or an approval; else time goes on instead."""
    engine = PretendEngine(graph)
    engine.obey()
    for happening, choice in story:
        if engine.state.final:
            break
        if engine.live:
            HAPPENINGS[happening](engine, sorted(engine.live)[choice % len(engine.live)])
        elif engine.looks:
            step = sorted(engine.looks)[choice % len(engine.looks)]
            SIGHTS.get(happening, PretendEngine.see)(engine, step)
        elif engine.asking() and choice:
            engine.command(Verb.REJECT if happening == "fails" else Verb.APPROVE, step=engine.asking()[0])
        elif engine.wake_at is not None:
            engine.now = engine.wake_at
        engine.obey()
    return engine


@pytest.mark.requirement("BR-WF-001", "BR-WF-003")
@given(graphs(max_steps=9))
def test_when_all_goes_well_every_step_runs_once_and_no_alternative_does(graph: Graph) -> None:
    """Without a failure the execution completes, each step succeeded at its first attempt, alternatives are skipped."""
    engine = told(graph, [])
    engine.drive_to_the_end()
    assert engine.state.status is ExecutionStatus.COMPLETED
    for name, step in engine.state.steps.items():
        assert step.status is (StepStatus.SKIPPED if name in graph.primary else StepStatus.SUCCEEDED)
        assert len(step.attempts) == (name not in graph.primary)


@pytest.mark.requirement("BR-WF-001", "BR-WF-003")
@given(whole_graphs(calm=True))
def test_when_all_goes_well_everything_that_is_needed_is_done(graph: Graph) -> None:
    """It completes; stand-ins, and last steps of a run that has changed nothing, are skipped; all else succeeds."""
    engine = told(graph, [])
    engine.drive_to_the_end()
    assert engine.state.status is ExecutionStatus.COMPLETED
    shape = engine.shape
    changed = any(attempt.changes for step in engine.state.steps.values() for attempt in step.attempts)
    for name, step in engine.state.steps.items():
        idle = shape.phase(name) is Phase.FINALLY and not changed
        needless = idle or any(shape.primaries(one) for one in shape.around(name))
        assert step.status is (StepStatus.SKIPPED if needless else StepStatus.SUCCEEDED), name


@pytest.mark.requirement("BR-WF-001", "BR-WF-002", "BR-WF-018", "BR-WF-020")
@given(any_graphs(), stories)
def test_every_story_ends_and_its_verdict_is_true(graph: Graph, story: Story) -> None:
    """Whatever happens on the way, the execution ends, with a verdict that follows from its journal."""
    engine = told(graph, story)
    engine.check()
    engine.drive_to_the_end()
    engine.check()


def at_some_point(graph: Graph, story: Story, point: int) -> tuple[RunState, datetime]:
    """The state and time after a part of the story's journal, as a drive may meet them between two events."""
    journal = told(graph, story).journal
    part = journal[: 2 + point % (len(journal) - 1)]
    return fold_all(part), part[-1].at


def decided(graph: Graph, state: RunState, now: datetime, **more: Any) -> Decision:
    """What is decided about an execution as far as it has come."""
    return decide(graph.grown(state.items), state, now, alert=ALERT, **more)


@given(any_graphs(), stories, st.integers(0, 99), st.sets(st.integers(0, 6), max_size=3))
def test_a_live_step_is_left_alone(graph: Graph, story: Story, point: int, chosen: set[int]) -> None:
    """Whatever the journal says of them, steps that this drive carries are not sent, resumed, undone or cancelled."""
    state, now = at_some_point(graph, story, point)
    live = frozenset(name for index, name in enumerate(graph.grown(state.items).order) if index in chosen)
    for action in decided(graph, state, now, live=live).actions:
        if isinstance(action, StartStep | ResumeStep | StartUndo | GiveUpUndo | CancelStep | Look | BeginStep):
            assert action.step not in live


@given(any_graphs(), stories, st.integers(0, 99))
def test_nothing_new_is_sent_while_held(graph: Graph, story: Story, point: int) -> None:
    """Until `hold_until` neither a step nor an undo is sent, and `decide` asks to be called again by then."""
    state, now = at_some_point(graph, story, point)
    free = decided(graph, state, now)
    held = decided(graph, state, now, hold_until=now + timedelta(seconds=1))
    assert not any(isinstance(action, StartStep | StartUndo) for action in held.actions)
    if any(isinstance(action, StartStep | StartUndo) for action in free.actions):
        assert held.wake_at is not None
        assert held.wake_at <= now + timedelta(seconds=1)


@pytest.mark.requirement("BR-WF-004")
@given(graphs(max_steps=9))
def test_who_has_done_everything_is_not_late(graph: Graph) -> None:
    """A crash after the last needed step has succeeded does not turn a done execution into a timed-out one."""
    done = told(graph, [])
    done.drive_to_the_end()
    late = PretendEngine(graph)
    for event in done.journal[2:]:
        if not isinstance(event, StepSkipped | Ended):
            late.note(event)
    late.wait(graph.plan.timeout + 1)
    late.obey()
    assert late.state.status is ExecutionStatus.COMPLETED
    assert {name for name, step in late.state.steps.items() if step.status is StepStatus.SKIPPED} == set(graph.primary)
