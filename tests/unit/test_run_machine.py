"""A whole execution under everything that can happen to it, against the real `decide` and `fold`."""

from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.settings_of_hypothesis import PATIENCE, thorough
from tests.unit.pretend_engine import PretendEngine
from tests.unit.strategies import any_graphs
from workflow_service.domain import events as ev
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.graph import Graph
from workflow_service.domain.states import Verb

_JITTER = st.sampled_from([0.0, 0.5, 0.999])
_SECONDS = st.sampled_from([0.0, 1.0, 1.0, 4.0, 4.0, 25.0, 700.0])
_WORDS = st.sampled_from([*[(Verb.APPROVE, 0.0)] * 3, (Verb.REJECT, 0.0), (Verb.EXTEND, 600.0)])
_LAST_WORDS = (ev.StepSucceeded, ev.AttemptFailed, ev.StepUnknown, ev.StepProved, ev.StepBlocked, ev.UndoSucceeded)
_ERRORS = st.sampled_from([*ErrorClass, *[ErrorClass.TRANSIENT] * 6])


class Execution(RuleBasedStateMachine):
    """One execution from its plan to its end; after every event the engine asks and obeys."""

    engine: ClassVar[PretendEngine]

    def live(self) -> bool:
        """Whether something is under way."""
        return bool(self.engine.live)

    def looking(self) -> bool:
        """Whether something is being looked at."""
        return bool(self.engine.looks)

    def asking(self) -> bool:
        """Whether a person's word is waited for."""
        return bool(self.engine.asking())

    def over(self) -> bool:
        """Whether the execution has ended."""
        return self.engine.state.final

    @initialize(graph=any_graphs(), taken=st.sampled_from([False, False, True]))
    def plan(self, graph: Graph, taken: bool) -> None:
        """The execution is planned and its drive begins, or finds its target taken."""
        self.engine = PretendEngine(graph, taken=taken)  # type: ignore[misc]  # one per run, set here
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

    @rule()
    def all_finish_ok(self) -> None:
        """Whatever is under way succeeds, one after the other."""
        for step in sorted(self.engine.live):
            self.engine.succeed(step)
        for step in sorted(self.engine.looks):
            self.engine.see(step)
        self.engine.obey()

    @precondition(live)
    @rule(choice=st.integers(0, 3), seconds=_SECONDS)
    def answers_late(self, choice: int, seconds: float) -> None:
        """An attempt or an undo succeeds, but nobody had been asking for a while."""
        self.engine.wait(seconds)
        self.engine.succeed(self.one_of_live(choice))
        self.engine.obey()

    @rule(choice=st.integers(0, 99))
    def is_heard_twice(self, choice: int) -> None:
        """What was said before is said again, maybe long after: nobody listens."""
        told = [event for event in self.engine.journal if isinstance(event, _LAST_WORDS)]
        if told:
            self.engine.hear_again(told[choice % len(told)])

    @precondition(looking)
    @rule(choice=st.integers(0, 3), held=st.sampled_from([True, True, False]), seconds=_SECONDS)
    def is_looked_at(self, choice: int, held: bool, seconds: float) -> None:
        """A condition holds, or does not, now or after a while."""
        self.engine.wait(seconds)
        self.engine.see(sorted(self.engine.looks)[choice % len(self.engine.looks)], held=held)
        self.engine.obey()

    @precondition(looking)
    @rule(choice=st.integers(0, 3), hold=_SECONDS)
    def cannot_be_looked_at(self, choice: int, hold: float) -> None:
        """Nobody answers."""
        self.engine.see_nothing(sorted(self.engine.looks)[choice % len(self.engine.looks)], hold=hold)
        self.engine.obey()

    @precondition(asking)
    @rule(choice=st.integers(0, 3), word=_WORDS, dies=st.booleans())
    def is_answered(self, choice: int, word: tuple[Verb, float], dies: bool) -> None:
        """Somebody approves, rejects, or asks for more time; the drive may die before it has looked."""
        step, (verb, seconds) = self.engine.asking()[choice % len(self.engine.asking())], word
        more = {"seconds": seconds} if seconds else {}
        self.engine.command(verb, step=step, **more)
        if dies:
            self.engine.crash()
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

    @rule(taken=st.booleans(), delays=st.booleans())
    def targets_change_hands(self, taken: bool, delays: bool) -> None:
        """Another execution has what this one changes, or what one of its steps does; or has it no more."""
        self.engine.taken, self.engine.delays = taken, delays
        self.engine.obey()

    @rule(really=st.sampled_from([False, False, True]))
    def the_alert_resolves(self, really: bool) -> None:
        """What it was about is over; rarely, or most stories would be short."""
        if really:
            self.engine.resolve()
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
            self.engine.says_yes = len(self.engine.journal) % 3 > 0  # else nobody answers
            self.engine.check_stored()
            self.engine.drive_to_the_end()
            self.engine.check()
            self.engine.check_stored()


Execution.TestCase.settings = thorough()
TestExecution = pytest.mark.timeout(PATIENCE)(
    pytest.mark.requirement("BR-WF-001", "BR-WF-003", "BR-WF-004", "BR-WF-014", "BR-WF-015")(Execution.TestCase)
)
