"""What a retry takes over: good results stay, inside groups and items too; nothing stays whose reasons are gone."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tests.unit.factories import a_check, a_step, a_template, an_approval
from tests.unit.pretend_engine import PretendEngine, engine_of
from tests.unit.strategies import any_graphs
from tests.unit.test_decide_properties import Story, stories, told
from workflow_service.domain import events as ev
from workflow_service.domain.controls import allowed
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.inheritance import for_retry, recoveries_tried
from workflow_service.domain.plan import OnFailure, Phase, Step
from workflow_service.domain.queueing import QUEUE_BOUND
from workflow_service.domain.run_state import StepState
from workflow_service.domain.states import ExecutionStatus, StepStatus, UndoStatus, Verb

pytestmark = pytest.mark.requirement("BR-WF-014")


def ended(*steps: Step, fails: str = "", skips: str = "", **values: Any) -> PretendEngine:
    """An execution in which all goes well but these steps, by their paths."""
    engine = engine_of(*steps, **values)
    for _ in range(99):
        if engine.state.final:
            break
        for step in sorted(engine.looks):
            engine.see(step, held=step not in fails.split())
        if engine.live:
            step = min(engine.live)
            if step in fails.split():
                engine.fail(step, ErrorClass.PERMANENT)
            else:
                engine.succeed(step)
        if engine.asking():
            engine.command(Verb.APPROVE, step=engine.asking()[0])
        for step in skips.split():
            engine.command(Verb.SKIP_STEP, step=step)
        engine.obey()
    assert engine.state.final
    return engine


def retried(source: PretendEngine) -> PretendEngine:
    """Its retry, as it begins."""
    steps, items = for_retry(source.graph, source.state), source.state.items
    event = ev.Inherited(source.now, "exec-1", Verb.RETRY, "ana", "", source.plan.hash, steps, items)
    event = replace(event, recoveries=recoveries_tried(source.state))
    engine = PretendEngine(source.graph, now=source.now, execution="exec-2", failure_class=source.failure_class)
    engine.journal, engine.state = [event], fold_all([event])
    engine.check_stored()
    return engine


def again(source: PretendEngine) -> set[str]:
    """The steps that the retry has still to do."""
    return {name for name, step in for_retry(source.graph, source.state).items() if not step.final}


def finished(source: PretendEngine) -> list[str]:
    """The actions that the retry does on its way to a good end, in order."""
    engine = retried(source)
    engine.drive_to_the_end()
    assert engine.state.status is ExecutionStatus.COMPLETED
    return [event.step for event in engine.journal if isinstance(event, ev.StepStarted)]


def test_good_results_of_items_stay() -> None:
    """The items that failed or were not begun are done; the step is open, with the items that it had."""
    source = ended(a_step("recycle", for_each="[1, 2, 3]"), a_step("next", "recycle"), fails="recycle[1]")
    assert again(source) == {"recycle", "recycle[1]", "recycle[2]", "next"}
    assert finished(source) == ["recycle[1]", "recycle[2]", "next"]


def test_items_that_failed_in_a_step_that_was_passed_are_done_too() -> None:
    """A step that is not critical has passed without them; a retry is for what failed."""
    each = a_step("recycle", for_each="[1, 2]", critical=False, max_parallel=2)
    source = ended(each, a_step("next", "recycle"), fails="recycle[0]")
    assert source.state.status is ExecutionStatus.PARTIALLY_COMPLETED
    assert finished(source) == ["recycle[0]"]


def test_good_results_inside_a_template_stay() -> None:
    """It goes on where it failed, with the parameters that it had."""
    inner = (a_step("a"), a_step("b", "a"), a_step("c", "b"))
    source = ended(a_template("heal", steps=inner, parameters={"x": "${{ alert.name }}"}), fails="heal/b")
    assert again(source) == {"heal", "heal/b", "heal/c"}
    assert retried(source).state.steps["heal"].given == {"x": "HighCPUUsage"}
    assert finished(source) == ["heal/b", "heal/c"]


def test_what_a_stand_in_has_healed_stays_as_it_is() -> None:
    """A failed template whose alternative succeeded is not done again, with all that is inside."""
    heal = a_template(
        "heal", steps=(a_step("a"), a_step("b", "a")), on_failure=OnFailure.ALTERNATIVE, alternative="other"
    )
    source = ended(heal, a_step("other"), a_step("next", "heal"), fails="heal/b next")
    assert again(source) == {"next"}


def test_a_stand_in_that_failed_too_waits_for_its_turn_again() -> None:
    """It does not go on beside what it stands in for, though it had been opened; what it had done stays done."""
    heal = a_template("heal", steps=(a_step("a"), a_step("b", "a")))
    source = ended(a_step("p", alternative="heal"), heal, a_step("next", "p"), fails="p heal/b")
    engine = retried(source)
    engine.obey()
    assert set(engine.live) == {"p"}
    engine.fail("p", ErrorClass.PERMANENT)
    engine.obey()
    assert set(engine.live) == {"heal/b"}
    engine.drive_to_the_end()
    assert engine.state.status is ExecutionStatus.COMPLETED


def test_a_stand_in_that_was_not_needed_stays_out() -> None:
    """And does not make an approval before it be asked for again."""
    steps = (an_approval("ask"), a_step("a", "ask", alternative="b"), a_step("b"), a_step("c"), a_step("d", "c"))
    source = ended(*steps, fails="d")
    assert again(source) == {"d"}


def test_an_approval_is_asked_again_for_what_is_done_anew() -> None:
    """It holds for what it let through; one whose steps all went well is not asked for."""
    steps = (an_approval("one"), a_step("a", "one"), a_step("b", "a"), an_approval("two"), a_step("c", "two"))
    assert again(ended(*steps, fails="b")) == {"one", "b"}


def test_an_approval_inside_a_template_vouches_for_what_is_inside() -> None:
    """A failure after the template does not open it again."""
    heal = a_template("heal", steps=(an_approval("ask"), a_step("a", "ask")))
    assert again(ended(heal, a_step("next", "heal"), fails="next")) == {"next"}


def test_what_was_looked_at_is_looked_at_again_after_other_changes() -> None:
    """A check that follows what is done anew proves nothing any more; what follows it is kept, if it did something."""
    passed = a_step("a", on_failure=OnFailure.SKIP, critical=False)
    steps = (passed, a_check("ready", "a"), a_step("b", "ready"), a_check("other"))
    assert again(ended(*steps, fails="a")) == {"a", "ready"}


def test_verification_is_for_the_workflow_as_it_is_then() -> None:
    """When anything is done anew, all of it is verified anew; else only what did not hold."""
    one, two = a_check("one", phase=Phase.VERIFY), a_check("two", "one", phase=Phase.VERIFY)
    assert again(ended(a_step("a"), one, two, fails="two")) == {"two"}
    passed = a_step("a", on_failure=OnFailure.SKIP, critical=False)
    assert again(ended(passed, one, two, fails="a")) == {"a", "one", "two"}


def test_last_steps_belong_to_every_end() -> None:
    """They run again at the end of the retry, items and all."""
    tell = a_step("tell", phase=Phase.FINALLY, for_each="[1, 2]", max_parallel=2)
    source = ended(a_step("a"), a_step("b", "a"), tell, fails="b")
    assert again(source) == {"b", "tell", "tell[0]", "tell[1]"}
    assert finished(source) == ["b", "tell[0]", "tell[1]"]


def test_what_was_skipped_is_asked_about_again_only_with_its_reasons() -> None:
    """A condition over kept results has the same answer; one after what is done anew may have another."""
    passed = a_step("a", on_failure=OnFailure.SKIP, critical=False)
    after = a_step("b", "a", when="steps.a.status == 'succeeded'")
    source = ended(passed, after, a_step("c", when="false"), a_step("d"), fails="a")
    assert again(source) == {"a", "b"}
    assert finished(source) == ["a", "b"]


def test_what_somebody_skipped_is_to_be_done() -> None:
    """Whoever said so said it of that execution."""
    source = ended(a_step("a"), a_step("b", "a"), a_step("c", "b"), skips="b", fails="c")
    assert again(source) == {"b", "c"}


def test_a_step_that_never_opened_begins_from_the_start() -> None:
    """What is inside it has never begun; items are worked out then."""
    source = ended(a_step("a"), a_template("heal", "a", steps=(a_step("x", for_each="[1]"),)), fails="a")
    assert again(source) == {"a", "heal", "heal/x"}
    assert finished(source) == ["a", "heal/x[0]"]


@pytest.mark.requirement("BR-WF-015")
def test_what_was_undone_is_done_again() -> None:
    """After a rollback nothing of it is left, inside groups either; what was kept apart stays."""
    heal = a_template("heal", steps=(a_step("a"), a_step("b", "a")))
    source = ended(heal, a_step("next", "heal", on_failure=OnFailure.ROLLBACK), fails="next")
    assert source.undoing
    assert again(source) == {"heal", "heal/a", "heal/b", "next"}
    assert finished(source) == ["heal/a", "heal/b", "next"]


@given(any_graphs(), stories)
def test_whatever_has_ended_badly_a_retry_ends_too_and_does_nothing_good_twice(graph: Graph, story: Story) -> None:
    """From any end that may be retried: the retry ends, and what had succeeded in the main phase is not sent again."""
    source = told(graph, story)
    source.drive_to_the_end()
    if Verb.RETRY not in allowed(source.state):
        return
    engine = retried(source)
    main = (name for name in source.state.steps if source.shape.phase(name) is Phase.MAIN)
    kept = [name for name in main if is_good(source.state.steps[name])]
    engine.drive_to_the_end()
    sent = {event.step for event in engine.journal if isinstance(event, ev.StepStarted)}
    assert not sent.intersection(kept)
    assert not set(engine.state.steps) ^ set(engine.shape.steps)


def is_good(step: StepState) -> bool:
    """Whether it succeeded and nothing of it was undone."""
    return step.status is StepStatus.SUCCEEDED and all(a.undo is not UndoStatus.UNDONE for a in step.attempts)


def test_a_key_that_nobody_could_ask_about_in_time_stays_unknown() -> None:
    """A retry that ends in the queue settles nothing: the next one asks by the same key, and it can be undone."""
    source = engine_of(a_step("a", on_failure=OnFailure.STOP))
    source.obey()
    key = source.state.steps["a"].attempts[-1].key
    source.lose("a")
    source.drive_to_the_end()
    late = retried(source)
    late.taken = True
    late.after(QUEUE_BOUND.total_seconds() + 1).obey()
    assert late.state.reason == "queue_timeout"
    left = late.state.steps["a"]
    assert (left.status, left.undo) == (StepStatus.UNKNOWN, UndoStatus.AVAILABLE)
    assert Verb.ROLLBACK in allowed(late.state)
    third = retried(late)
    third.obey()
    assert third.state.steps["a"].attempts[-1].key == key
    assert third.live == {"a": key}
