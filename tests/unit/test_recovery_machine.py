"""A whole execution whose failures may be recovered from: answered, refused, overruled, crashed, paused, too late."""

from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.settings_of_hypothesis import PATIENCE, thorough
from tests.unit.factories import a_step, a_target, a_wait, an_action
from tests.unit.obeying import MANY
from tests.unit.pretend_engine import PretendEngine
from tests.unit.strategies import recoverable_graphs
from tests.unit.test_controls_machine import ControlledExecution
from tests.unit.test_inheritance import retried
from workflow_service.domain import events as ev
from workflow_service.domain.controls import allowed
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.graph import Graph
from workflow_service.domain.states import ExecutionStatus, Verb

CURES = {
    "one": (a_step("cure"),),
    "two": (a_step("first"), a_wait("then", "first", seconds=1), a_step("last", "then", critical=False)),
    "elsewhere": (a_step("cure", action=an_action(target=a_target(name="another"))),),
}
WORDS = ("no", "not allowed", "too late", "no such image", "nobody there", "no")
REASONS = st.sampled_from(["no_recovery_option", "termination_rate_limit_reached", "recovery_invalid"])


def is_told(verb: Verb) -> Callable[[PretendEngine, int], None]:
    """Somebody says so."""

    def tell(engine: PretendEngine, _choice: int) -> None:
        engine.command(verb)

    return tell


def fails(engine: PretendEngine, choice: int) -> None:
    """Something under way fails for good, in one of several ways."""
    if engine.live:
        step = sorted(engine.live)[choice % len(engine.live)]
        engine.fail(step, ErrorClass.PERMANENT, changed=choice > 2, message=WORDS[choice % len(WORDS)])


def succeeds(engine: PretendEngine, choice: int) -> None:
    """Something under way is done."""
    if engine.live:
        engine.succeed(sorted(engine.live)[choice % len(engine.live)])
    elif engine.looks:
        engine.see(min(engine.looks), held=choice < 4)
    elif engine.asking():
        engine.command(Verb.APPROVE if choice < 4 else Verb.REJECT, step=engine.asking()[0])
    elif engine.wake_at is not None and engine.asked is None:
        engine.now = engine.wake_at


def is_mended(engine: PretendEngine, choice: int) -> None:
    """Another way is known; it is taken exactly when it is about what the plan changes."""
    if engine.asked is None:
        return
    cure, before = (
        ["one", "two", "one", "elsewhere", "two", "one"][choice],
        (len(engine.state.steps), engine.state.plan_hash),
    )
    taken = engine.mend(*CURES[cure], option=f"{cure} {len(engine.journal)}")
    assert not (taken and cure == "elsewhere"), "a target was taken that the plan does not change"
    after = (len(engine.state.steps), engine.state.plan_hash)
    assert (after[0] > before[0], after[1] != before[1]) == (taken, taken)


def is_answered_too_late(engine: PretendEngine, choice: int) -> None:
    """A person has spoken before the answer came: it is not heard."""
    verb = (Verb.CANCEL, Verb.ROLLBACK, Verb.PAUSE, Verb.PAUSE)[choice % 4]
    if engine.asked and engine.command(verb) is None:
        assert not engine.mend(option="too late")


HAPPENINGS: list[Callable[[PretendEngine, int], None]] = [
    *[fails] * 6,
    *[succeeds] * 4,
    *[is_mended] * 8,
    is_answered_too_late,
    *[is_told(Verb.PAUSE), is_told(Verb.RESUME), is_told(Verb.RESUME)],
    lambda engine, _choice: engine.know_nothing() if engine.asked else None,
    lambda engine, _choice: engine.crash(),
    lambda engine, choice: engine.wait(0.5 * choice),
]
STORIES = st.lists(st.tuples(st.integers(0, len(HAPPENINGS) - 1), st.integers(0, 5)), min_size=5, max_size=30)


def told(graph: Graph, story: list[tuple[int, int]]) -> PretendEngine:
    """An engine after the story; after every happening it looks, and is held against the rules."""
    engine = PretendEngine(graph, failure_class=FailureClass.HIGH)
    engine.obey()
    for happening, choice in story:
        HAPPENINGS[happening](engine, choice)
        engine.obey()
        engine.check()
        if engine.state.final:
            break
    return engine


@pytest.mark.timeout(PATIENCE)
@settings(max_examples=5 * settings().max_examples)
@given(recoverable_graphs(), STORIES)
def test_every_story_of_recoveries_ends_and_its_verdict_is_true(graph: Graph, story: list[tuple[int, int]]) -> None:
    """Answered, refused, crashed, paused, too late: three recoveries at most, none twice for the same, and an end."""
    engine = told(graph, story)
    engine.check_stored()
    engine.drive_to_the_end()
    engine.check()
    engine.check_stored()


class RecoverableExecution(ControlledExecution):
    """One execution with people around it, and somebody who may know another way."""

    engine: ClassVar[PretendEngine]

    @initialize(graph=recoverable_graphs(), early=st.just([]))
    def plan(self, graph: Graph, early: list[Verb]) -> None:
        """The execution is planned; failures are bad enough to be recovered from, or not."""
        super().plan(graph, early)
        self.engine.failure_class = FailureClass.HIGH

    def asked(self) -> bool:
        """Whether another way is being asked for."""
        return self.engine.asked is not None

    @rule(how=st.sampled_from(FailureClass))
    def fails_otherwise_from_now_on(self, how: FailureClass) -> None:
        """What fails next is of another class."""
        self.engine.failure_class = how

    @precondition(asked)
    @rule(cure=st.sampled_from(sorted(CURES)), dies=st.booleans())
    def another_way_is_known(self, cure: str, dies: bool) -> None:
        """It is taken when it is sound; the drive may die at once, and the next one knows it from the journal."""
        steps, number = len(self.engine.state.steps), self.engine.state.plan_hash
        taken = self.engine.mend(*CURES[cure], option=f"{cure} {len(self.engine.journal)}")
        assert taken <= (cure != "elsewhere"), "a target was taken that the plan does not change"
        assert taken == (len(self.engine.state.steps) > steps) == (self.engine.state.plan_hash != number)
        self.told(dies=dies)

    @precondition(asked)
    @rule(reason=REASONS, dies=st.booleans())
    def no_other_way_is_known(self, reason: str, dies: bool) -> None:
        """The failure is answered as the plan says."""
        self.engine.know_nothing(reason)
        self.told(dies=dies)

    @precondition(asked)
    @rule(verb=st.sampled_from([Verb.CANCEL, Verb.ROLLBACK, Verb.PAUSE]))
    def is_answered_too_late(self, verb: Verb) -> None:
        """A person has spoken before the answer came: it is not heard."""
        engine = self.engine
        if engine.command(verb) is None:
            assert not engine.mend(option="too late")
        engine.obey()
        assert engine.asked is None

    @precondition(asked)
    @rule()
    def is_out_of_time(self) -> None:
        """The run's bound beats whoever is asked."""
        self.engine.wait(self.engine.plan.timeout + 1)
        self.engine.obey()
        assert self.engine.asked is None


RecoverableExecution.TestCase.settings = thorough()
TestRecoverableExecution = pytest.mark.timeout(PATIENCE)(
    pytest.mark.requirement("BR-WF-001", "BR-WF-004", "BR-WF-015")(RecoverableExecution.TestCase)
)


@pytest.mark.timeout(PATIENCE)
@given(recoverable_graphs(), st.lists(st.tuples(st.sampled_from(["fails", "succeeds", "mends"]), st.integers(0, 3))))
def test_whatever_was_recovered_a_retry_by_hand_ends_too(graph: Graph, story: list[tuple[str, int]]) -> None:
    """From any bad end, recoveries included: the retry ends, and what they had tried counts for it."""
    source = PretendEngine(graph, failure_class=FailureClass.HIGH)
    source.obey()
    for what, choice in story:
        if source.asked:
            source.mend(option=str(choice)) if what == "mends" else source.know_nothing()
        elif source.live:
            step = sorted(source.live)[choice % len(source.live)]
            source.fail(step, ErrorClass.PERMANENT) if what == "fails" else source.succeed(step)
        source.obey()
    source.drive_to_the_end()
    source.check()
    if Verb.RETRY not in allowed(source.state):
        return
    engine = retried(source)
    for _ in range(MANY):
        engine.obey()
        if not engine.live or engine.state.final:
            break
        engine.fail(min(engine.live), ErrorClass.PERMANENT)
    engine.drive_to_the_end()
    assert engine.state.status in ExecutionStatus
    assert sum(isinstance(event, ev.RecoveryPlanned) for one in (source, engine) for event in one.journal) <= 3
