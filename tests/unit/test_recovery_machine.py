"""A whole execution whose failures may be recovered from: answered, refused, overruled, crashed, paused, too late."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.settings_of_hypothesis import thorough
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
REASONS = st.sampled_from(["no_recovery_option", "termination_rate_limit_reached", "recovery_invalid"])


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
TestRecoverableExecution = pytest.mark.timeout(300)(
    pytest.mark.requirement("BR-WF-001", "BR-WF-004", "BR-WF-015")(RecoverableExecution.TestCase)
)


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
