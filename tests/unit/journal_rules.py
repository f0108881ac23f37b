"""The rules of an execution, told from its journal and its plan alone, never with the code under test."""

from datetime import datetime

import orjson

from tests.unit.control_rules import Told, check_asked, check_obeyed, not_needed, told
from tests.unit.factories import key_of
from workflow_service.domain import events as ev
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import OnFailure, Plan
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, StepStatus, UndoStatus

FINAL = {"completed", "partially_completed", "failed", "cancelled", "timed_out", "rejected", "resolved", "rolled_back"}
FAILED = {StepStatus.FAILED, StepStatus.UNKNOWN}


def settled_well(plan: Plan, state: RunState, name: str) -> bool:
    """Whether those who need the step may go on, by the words of the plan format."""
    step, status = plan.step(name), state.steps[name].status
    if status in {StepStatus.SUCCEEDED, StepStatus.SKIPPED}:
        return True
    if status is StepStatus.FAILED and step.alternative:
        return not declined(plan, state, name) and settled_well(plan, state, step.alternative)
    return status in {StepStatus.FAILED, StepStatus.UNKNOWN} and step.on_failure is OnFailure.SKIP


def stops(plan: Plan, state: RunState, name: str) -> bool:
    """Whether the step failed in a way after which nothing new may start."""
    step, status = plan.step(name), state.steps[name].status
    if status is StepStatus.FAILED and step.alternative:
        return declined(plan, state, name) or stops(plan, state, step.alternative)
    return status in FAILED and step.on_failure is not OnFailure.SKIP


def declined(plan: Plan, state: RunState, name: str) -> bool:
    """Whether somebody skipped the alternative while nobody knew yet that it would be needed."""
    heir, failed_at = state.steps[plan.step(name).alternative or ""], state.steps[name].ended_at
    skipped_at = heir.ended_at if heir.status is StepStatus.SKIPPED else None
    return skipped_at is not None and failed_at is not None and skipped_at <= failed_at


def may_cancel(plan: Plan, state: RunState, story: Told, now: datetime) -> bool:
    """Whether a step that has not begun may be given up: time is over, something broke, or somebody said so."""
    over = story.bound(plan.timeout)
    late = over is not None and now >= over
    return late or story.pause_is_over(now) or bool(story.wish) or any(stops(plan, state, name) for name in state.steps)


def may_start(plan: Plan, state: RunState, name: str) -> bool:
    """Every need settled well; an alternative only after a known failure of its primary."""
    primaries = [step.id for step in plan.steps if step.alternative == name]
    needs = all(settled_well(plan, state, need) for need in plan.step(name).needs)
    return needs and all(state.steps[primary].status is StepStatus.FAILED for primary in primaries)


def dependants(plan: Plan, name: str) -> set[str]:
    """Every step that builds on this one: by need, or by taking the place of one that does."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        above = waiting.pop()
        stood_for = primaries(plan, above)
        below = {step.id for step in plan.steps if stood_for & set(step.needs)}
        below |= {step.id for step in plan.steps if plan.step(above).alternative == step.id}
        waiting.extend(below - found)
        found |= below
    return found


def primaries(plan: Plan, name: str) -> set[str]:
    """The step and every step whose place it may take."""
    above = [step.id for step in plan.steps if step.alternative == name]
    return {name}.union(*(primaries(plan, step) for step in above))


def open_undo(undo: UndoStatus) -> bool:
    """Whether something is still to be taken back."""
    return undo in {UndoStatus.AVAILABLE, UndoStatus.UNDOING}


def stored_and_read(journal: list[ev.Event]) -> list[ev.Event]:
    """The journal after a visit to the database."""
    rows = [(type(event).__name__, event.at, orjson.dumps(ev.event_to_json(event))) for event in journal]
    return [ev.event_from_json(kind, at, orjson.loads(data)) for kind, at, data in rows]


def check_journal(graph: Graph, journal: list[ev.Event], state: RunState) -> None:
    """What must hold of a journal and its state at any time."""
    assert fold_all(journal) == state
    check_keys(journal)
    check_obeyed(graph.plan, journal)
    story = told(journal)
    ends = [event for event in journal if isinstance(event, ev.Ended)]
    assert ends in ([], journal[-1:]), "something happened after the end"
    assert state.final == (state.status.value in FINAL) == bool(ends)
    for name, step in state.steps.items():
        keys = [attempt.key for attempt in step.attempts]
        assert keys == [key_of(name, number) for number in range(len(keys))], "a key is missing or used twice"
        if step.status is StepStatus.SKIPPED and name not in story.waived:
            stood_for = state.steps[graph.primary[name]].status
            assert stood_for in {StepStatus.SUCCEEDED, StepStatus.SKIPPED}, "skipped though needed"
        assert len(keys) <= graph.steps[name].retry.max_retries + 1
    if ends:
        check_verdict(graph.plan, state, story)


def check_keys(journal: list[ev.Event]) -> None:
    """Nothing is done twice: a key whose outcome is known is not sent again, nor undone twice."""
    undone: set[str] = set()
    settled: set[str] = set()
    for event in journal:
        if isinstance(event, ev.StepStarted):
            assert event.key not in settled, "a key was sent again after its outcome was known"
        if isinstance(event, ev.StepSucceeded | ev.AttemptFailed | ev.StepUnknown):
            settled.add(event.key)
        if isinstance(event, ev.UndoStarted | ev.UndoSucceeded):
            assert event.key not in undone, "undone twice"
        if isinstance(event, ev.UndoSucceeded):
            undone.add(event.key)


def check_verdict(plan: Plan, state: RunState, story: Told) -> None:
    """Whether the last word says what happened (design: `completed` means every critical step held)."""
    steps = state.steps
    unhealed = [step for step in plan.steps if steps[step.id].status in FAILED and not healed(plan, state, step.id)]
    left_out = [name for name, step in steps.items() if step.status is StepStatus.CANCELLED]
    assert all(step.final for step in steps.values())
    waived = [step for step in plan.steps if step.id in story.waived and step.critical and not not_needed(plan, step)]
    some = any(step.status is StepStatus.SUCCEEDED for step in steps.values())
    whole = some and not unhealed and not left_out and not waived
    assert (state.status is ExecutionStatus.COMPLETED) == (whole and not story.undo_wanted)
    assert bool(state.cause) == (state.status is not ExecutionStatus.COMPLETED)
    if state.status is ExecutionStatus.PARTIALLY_COMPLETED:
        assert some
        assert not left_out
        assert all(not step.critical for step in unhealed)
    if state.status is ExecutionStatus.TIMED_OUT:
        bound = story.bound(plan.timeout)
        assert bound is not None
        assert state.ended_at is not None
        assert state.ended_at >= bound
    check_asked(story, state)
    check_rollback(plan, state, story)


def check_rollback(plan: Plan, state: RunState, story: Told) -> None:
    """Whether what the execution says of its rollback is what became of every change."""
    undos = [attempt.undo for step in state.steps.values() for attempt in step.attempts]
    asked = [step.id for step in plan.steps if step.on_failure is OnFailure.ROLLBACK]
    broke = any(state.steps[name].status in FAILED for name in asked)
    if story.wish is not None:  # whoever ends it says whether what was done is to be undone
        broke = story.undo_wanted
    if state.rollback_started_at is None:
        assert not (broke and any(open_undo(undo) for undo in undos)), "a rollback was asked for and did not begin"
        assert state.rollback is RollbackStatus.NONE
        assert state.status is not ExecutionStatus.ROLLED_BACK
        return
    assert broke, "nobody asked for a rollback"
    assert not any(open_undo(undo) for undo in undos), "something was left undone without a word"
    whole = UndoStatus.UNDO_FAILED not in undos
    assert state.rollback is (RollbackStatus.DONE if whole else RollbackStatus.INCOMPLETE)
    assert whole or state.status is not ExecutionStatus.ROLLED_BACK


def healed(plan: Plan, state: RunState, name: str) -> bool:
    """Whether the step, its alternative, or that one's alternative and so on, did succeed."""
    alternative = plan.step(name).alternative
    if state.steps[name].status is StepStatus.SUCCEEDED:
        return True
    return alternative is not None and healed(plan, state, alternative)
