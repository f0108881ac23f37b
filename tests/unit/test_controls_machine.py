"""A whole execution that people interfere with at random moments, against the real `controls`, `decide` and `fold`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.settings_of_hypothesis import PATIENCE, thorough
from tests.unit.obeying import MANY
from tests.unit.plan_shape import stops
from tests.unit.pretend_engine import PretendEngine
from tests.unit.strategies import any_graphs, graphs
from tests.unit.test_run_machine import Execution
from workflow_service.domain import events as ev
from workflow_service.domain.controls import Command, allowed, refusal
from workflow_service.domain.graph import Graph
from workflow_service.domain.states import ExecutionStatus, StepStatus, Verb

_HOLDING = st.sampled_from([Verb.PAUSE, Verb.RESUME, Verb.PAUSE, Verb.RESUME, Verb.RETRY])
_NAMING = {Verb.SKIP_STEP, Verb.START, Verb.APPROVE, Verb.REJECT, Verb.EXTEND}
_ENDING = [(Verb.CANCEL, {"undo": False}), (Verb.CANCEL, {"undo": True}), (Verb.ROLLBACK, {})]


class ControlledExecution(Execution):
    """One execution, and people who change their minds about it; the engine obeys, or dies first and obeys then."""

    @initialize(graph=any_graphs(), early=st.lists(_HOLDING, max_size=3))
    def plan(self, graph: Graph, early: list[Verb]) -> None:
        """The execution is planned; people may speak before it has begun."""
        self.engine = PretendEngine(graph)  # type: ignore[misc]  # one per run, set here
        for verb in early:
            self.engine.command(verb)
        self.engine.obey()

    def paused(self) -> bool:
        """Whether it stands still."""
        return self.engine.state.status is ExecutionStatus.PAUSED

    def told(self, *, dies: bool) -> None:
        """The command is in the journal; only then the engine asks what to do."""
        if dies:
            self.engine.crash()
        self.engine.obey()

    @rule(verbs=st.lists(_HOLDING, min_size=1, max_size=3), dies=st.booleans())
    def is_paused_or_resumed(self, verbs: list[Verb], dies: bool) -> None:
        """One after the other, before the engine looks again."""
        for verb in verbs:
            self.engine.command(verb)
        self.told(dies=dies)

    @rule(choice=st.integers(0, 20), dies=st.booleans())
    def is_to_end_or_to_leave_a_step_out(self, choice: int, dies: bool) -> None:
        """It goes on without a step; now and then it is cancelled, with or without undo, or rolled back."""
        names = sorted(self.engine.state.steps)
        if choice < len(_ENDING):
            verb, arguments = _ENDING[choice]
            self.engine.command(verb, **arguments)
        else:
            self.engine.command(Verb.SKIP_STEP, step=names[choice % len(names)])
        self.told(dies=dies)

    @precondition(paused)
    @rule()
    def is_forgotten(self) -> None:
        """Nobody ends the pause; a failure that another way was to be looked for is what ended it then."""
        shape, state = self.engine.shape, self.engine.state
        broken = any(stops(shape, state, name) for name in shape.steps if name not in shape.parent)
        self.engine.wait(86400)
        self.engine.obey()
        assert self.engine.state.reason == ("critical_step_failed" if broken else "pause_expired")

    @invariant()
    def what_is_allowed_is_not_refused(self) -> None:
        """`allowed` lists exactly the verbs that some command would be obeyed with."""
        state = self.engine.state
        for verb in Verb:
            arguments = [{"step": name} for name in state.steps] if verb in _NAMING else [{}]
            answers = [refusal(state, Command("c", verb, "ana", "", given)) for given in arguments]
            assert (verb in allowed(state)) == (None in answers)
            assert all(why is None or (verb in why and state.status in why) for why in answers)

    def teardown(self) -> None:
        """Half of the pauses are ended by somebody, the other half by their bound."""
        if hasattr(self, "engine") and len(self.engine.journal) % 2:
            self.engine.command(Verb.RESUME)
        super().teardown()


ControlledExecution.TestCase.settings = thorough()
TestControlledExecution = pytest.mark.timeout(PATIENCE)(
    pytest.mark.requirement("BR-WF-004", "BR-WF-015")(ControlledExecution.TestCase)
)


def _goes_on(engine: PretendEngine, turns: int) -> None:
    """So many times something under way succeeds, or until nothing is."""
    engine.obey()
    for _ in range(turns):
        if not engine.live:
            break
        engine.succeed(min(engine.live))
        engine.obey()


@pytest.mark.timeout(PATIENCE)
@given(graphs(), st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 5.0, 40.0, 86399.0])), max_size=8))
def test_pauses_cost_nothing_but_time(graph: Graph, story: list[tuple[int, float]]) -> None:
    """However often it is paused and resumed, and for how long: every step runs once, and the execution completes."""
    engine = PretendEngine(graph)
    engine.obey()
    for turns, seconds in story:
        _goes_on(engine, turns)
        if engine.command(Verb.PAUSE) is None:
            _goes_on(engine, MANY)
            engine.wait(seconds)
            assert engine.command(Verb.RESUME) is None or engine.state.final
            engine.obey()
    engine.drive_to_the_end()
    engine.check()
    engine.check_stored()
    assert engine.state.status is ExecutionStatus.COMPLETED
    for name, step in engine.state.steps.items():
        assert step.status is (StepStatus.SKIPPED if name in graph.primary else StepStatus.SUCCEEDED)
    starts = [event.step for event in engine.journal if isinstance(event, ev.StepStarted)]
    assert sorted(starts) == sorted(set(graph.steps) - set(graph.primary))
