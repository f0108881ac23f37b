"""A whole execution under everything that can happen to it, against the real `decide` and `fold`."""

from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.pretend_engine import PretendEngine
from tests.unit.strategies import graphs
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.graph import Graph

_JITTER = st.sampled_from([0.0, 0.5, 0.999])
_SECONDS = st.sampled_from([0.0, 1.0, 1.0, 4.0, 4.0, 25.0, 700.0])
_ERRORS = st.sampled_from([*ErrorClass, *[ErrorClass.TRANSIENT] * 6])


class Execution(RuleBasedStateMachine):
    """One execution from its plan to its end; after every event the engine asks and obeys."""

    engine: ClassVar[PretendEngine]

    def live(self) -> bool:
        """Whether something is under way."""
        return bool(self.engine.live)

    def over(self) -> bool:
        """Whether the execution has ended."""
        return self.engine.state.final

    @initialize(graph=graphs())
    def plan(self, graph: Graph) -> None:
        """The execution is planned and its drive begins."""
        self.engine = PretendEngine(graph)  # type: ignore[misc]  # one per run, set here
        self.engine.obey()

    def one_of_live(self, choice: int) -> str:
        """Whose turn it is."""
        return sorted(self.engine.live)[choice % len(self.engine.live)]

    @precondition(live)
    @rule(choice=st.integers(0, 3), changed=st.booleans(), undoable=st.sampled_from([True, True, False]))
    def finishes_ok(self, choice: int, changed: bool, undoable: bool) -> None:
        """An attempt or an undo succeeds."""
        self.engine.succeed(self.one_of_live(choice), changed=changed, undoable=undoable)
        self.engine.obey()

    @precondition(live)
    @rule()
    def all_finish_ok(self) -> None:
        """Whatever is under way succeeds, one after the other."""
        for step in sorted(self.engine.live):
            self.engine.succeed(step)
        self.engine.obey()

    @precondition(live)
    @rule(choice=st.integers(0, 3), error=_ERRORS, changed=st.booleans(), jitter=_JITTER)
    def fails(self, choice: int, error: ErrorClass, changed: bool, jitter: float) -> None:
        """An attempt or an undo fails in a known way."""
        self.engine.fail(self.one_of_live(choice), error, changed=changed, jitter=jitter)
        self.engine.obey()

    @precondition(live)
    @rule(choice=st.integers(0, 3), hold=_SECONDS, lost=st.sampled_from([False, False, True]))
    def brings_no_answer(self, choice: int, hold: float, lost: bool) -> None:
        """The executor cannot be reached, or cannot say any more what became of it."""
        if lost:
            self.engine.lose(self.one_of_live(choice))
        else:
            self.engine.unsent(self.one_of_live(choice), hold=hold)
        self.engine.obey()

    @rule(seconds=_SECONDS)
    def time_passes(self, seconds: float) -> None:
        """Nothing else happens."""
        self.engine.wait(seconds)
        self.engine.obey()

    @rule(seconds=_SECONDS)
    def crashes_and_resumes(self, seconds: float) -> None:
        """The drive dies; some time later another one reads the journal."""
        self.engine.crash()
        self.engine.wait(seconds)
        self.engine.obey()

    @precondition(over)
    @rule()
    def stays_over(self) -> None:
        """Nothing is left to decide, ever."""
        self.engine.wait(86400)
        assert self.engine.ask().actions == ()
        assert self.engine.ask().wake_at is None

    @invariant()
    def the_journal_is_true(self) -> None:
        """Keys, ends and undos are unique, and the whole journal tells the same state as event after event."""
        self.engine.check()

    def teardown(self) -> None:
        """From wherever it stands the execution reaches its end."""
        if hasattr(self, "engine"):
            self.engine.check_stored()
            self.engine.drive_to_the_end()
            self.engine.check()
            self.engine.check_stored()


TestExecution = pytest.mark.requirement("BR-WF-001", "BR-WF-003", "BR-WF-004", "BR-WF-014", "BR-WF-015")(
    Execution.TestCase
)
