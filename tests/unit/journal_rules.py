"""The rules of an execution, told from its journal and its plan alone, never with the code under test."""

from datetime import datetime

import orjson

from tests.unit.control_rules import UNDO_STORIES, Told, check_asked, check_obeyed, told
from tests.unit.factories import key_of
from tests.unit.plan_shape import BROKEN, REFUSED, Shape, answer, halted, healed, passed_over, shape_of, stops
from workflow_service.domain import events as ev
from workflow_service.domain import stored_events
from workflow_service.domain.fold import fold_all
from workflow_service.domain.plan import OnFailure, OnResolved, Phase, Plan
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, StepStatus, UndoStatus

FINAL = {"completed", "partially_completed", "failed", "cancelled", "timed_out", "rejected", "resolved", "rolled_back"}


def may_cancel(shape: Shape, state: RunState, name: str, story: Told, plan: Plan, now: datetime) -> bool:
    """Whether a step may be given up: time is over, something broke that it belongs to, or somebody said so."""
    over = story.bound(plan.timeout)
    late = over is not None and now >= over
    around = list(shape.around(name))[1:]
    left = any(state.steps[one].final or halted(shape, state, one) for one in around)
    if story.concluded_at is not None:
        beside = any(state.steps[one].status in BROKEN for one in shape.level(name))
        return late or left or beside
    broken = any(stops(shape, state, one) for one in shape.steps if one not in shape.parent)
    cut = any(state.steps[child].status is StepStatus.CANCELLED for child in shape.children(name))
    resolved = story.resolved_for_good(shape.steps, plan.on_resolved)
    return late or story.pause_is_over(now) or bool(story.wish) or resolved or broken or left or cut


def open_undo(undo: UndoStatus) -> bool:
    """Whether something is still to be taken back."""
    return undo in {UndoStatus.AVAILABLE, UndoStatus.UNDOING}


def stored_and_read(journal: list[ev.Event]) -> list[ev.Event]:
    """The journal after a visit to the database."""
    rows = [(type(event).__name__, event.at, orjson.dumps(stored_events.event_to_json(event))) for event in journal]
    return [stored_events.event_from_json(kind, at, orjson.loads(data)) for kind, at, data in rows]


def check_journal(plan: Plan, journal: list[ev.Event], state: RunState) -> None:
    """What must hold of a journal and its state at any time."""
    assert fold_all(journal) == state
    check_keys(journal)
    shape, story = shape_of(plan, state.items), told(journal)
    check_obeyed(plan, shape.steps, journal)
    check_recoveries(journal, state)
    ends = [event for event in journal if isinstance(event, ev.Ended)]
    assert ends in ([], journal[-1:]), "something happened after the end"
    assert state.final == (state.status.value in FINAL) == bool(ends)
    assert set(state.steps) == (set(shape.steps) if state.plan_hash else set())
    for name, step in state.steps.items():
        keys = [attempt.key for attempt in step.attempts]
        assert keys == [key_of(name, number) for number in range(len(keys))], "a key is missing or used twice"
        if step.status is StepStatus.SKIPPED and name not in story.waived:
            check_skipped(shape, state, name)
        assert len(keys) <= shape.steps[name].retry.max_retries + 1
    if ends:
        check_verdict(shape, state, story, plan)


def check_recoveries(journal: list[ev.Event], state: RunState) -> None:
    """Three at most, none twice for the same failure; each is asked for first, and answered once or overruled."""
    asked: ev.RecoveryStarted | None = None
    tried: list[str] = []
    for event in journal:
        match event:
            case ev.RecoveryStarted(attempt=attempt, signature=signature):
                assert attempt == len(tried) + 1 <= 3, "too many recoveries"
                assert signature not in tried, "a recovery for the same failure again"
                asked = event
            case ev.RecoveryPlanned(step=step):
                assert asked is not None, "nobody asked"
                assert asked.step == step
                tried.append(asked.signature)
                asked = None
            case ev.RecoveryRefused():
                asked = None
            case ev.StepStarted() | ev.StepBegan() | ev.StepOpened():
                assert asked is None or state.wanted or state.final, "something begins while another way is asked for"
            case ev.Paused() | ev.RollbackStarted() | ev.Concluded() | ev.Ended():
                asked = None
            case _:
                pass
    assert (state.status.value == "recovering") <= (asked is not None)


def check_skipped(shape: Shape, state: RunState, name: str) -> None:
    """Nothing is skipped that is needed; the reason tells why it is not."""
    why, step = state.steps[name].message, shape.steps[name]
    needless = {StepStatus.SUCCEEDED, StepStatus.SKIPPED}
    if why.endswith("did not fail"):
        assert any(state.steps[one].status in needless for one in shape.primaries(name)), "skipped though needed"
    elif why.startswith("its condition is false"):
        assert step.when is not None
    elif why == "there are no items":
        assert step.for_each == "[]"
    elif why == "nothing was changed":
        assert shape.phase(name) is Phase.FINALLY
        attempts = (attempt for one in state.steps.values() for attempt in one.attempts)
        assert not any(attempt.changes for attempt in attempts), "something was changed"
    elif not any(passed_over(shape, state, need) for need in step.needs):
        assert any(state.steps[one].status is StepStatus.SKIPPED for one in list(shape.around(name))[1:]), why


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


def check_verdict(shape: Shape, state: RunState, story: Told, plan: Plan) -> None:
    """Whether the last word says what happened (design: `completed` means every critical step held)."""
    steps = state.steps
    if state.reason == "queue_timeout":
        check_never_begun(shape, state)
        return
    assert all(step.final for step in steps.values())
    main = [name for name in shape.steps if shape.phase(name) is not Phase.FINALLY]
    top = [name for name in main if name not in shape.parent]
    spoken_for = {name for name in main if any(steps[one].status in BROKEN for one in list(shape.around(name))[1:])}
    counted = [name for name in main if name not in spoken_for]
    optional = {name for name in main if passed_over(shape, state, name)}
    unhealed = [n for n in counted if steps[n].status in BROKEN and n not in optional and not healed(shape, state, n)]
    left_out = [name for name in top if steps[name].status is StepStatus.CANCELLED]
    waived = {name for name in counted if name in story.waived and not shape.primaries(name)}
    some = any(steps[name].status is StepStatus.SUCCEEDED for name in top)
    critical = {name for name in main if all(shape.steps[one].critical for one in shape.around(name))}
    whole = some and not unhealed and not left_out and not waived & critical
    well = whole and not story.undo_wanted and not undone_with_its_alert(shape, state, story, plan)
    assert (state.status is ExecutionStatus.COMPLETED or state.reason == "finally_failed") == well
    assert bool(state.cause) == (state.status is not ExecutionStatus.COMPLETED or bool(optional))
    if state.status is ExecutionStatus.PARTIALLY_COMPLETED:
        assert some
        assert not left_out
        assert not critical.intersection(unhealed)
    if state.status is ExecutionStatus.REJECTED or state.reason in REFUSED:
        assert any(steps[name].reason == state.reason for name in top)
    check_late(state, story, plan.timeout)
    check_last(shape, state, well=well)
    check_asked(story, state, undos(shape, state))
    check_rollback(shape, state, story, plan)


def undone_with_its_alert(shape: Shape, state: RunState, story: Told, plan: Plan) -> bool:
    """Whether the alert's end took back what was done."""
    wanted = story.resolved and story.wish is None and plan.on_resolved is OnResolved.ROLLBACK
    return wanted and bool(undos(shape, state) & UNDO_STORIES)


def undos(shape: Shape, state: RunState) -> set[UndoStatus]:
    """What became of the changes, but for those of the last steps."""
    main = (name for name in shape.steps if shape.phase(name) is not Phase.FINALLY)
    return {attempt.undo for name in main for attempt in state.steps[name].attempts}


def check_late(state: RunState, story: Told, timeout: float) -> None:
    """Whether an execution that timed out was late."""
    if state.status is not ExecutionStatus.TIMED_OUT:
        return
    known_at = story.concluded_at or state.ended_at
    assert known_at is not None
    assert story.started_at is not None
    assert (known_at - story.started_at - story.stood_still).total_seconds() >= timeout


def check_last(shape: Shape, state: RunState, *, well: bool) -> None:
    """Whether the last steps had their chance once something was changed, and tell of themselves what they must."""
    last = [name for name in shape.steps if shape.phase(name) is Phase.FINALLY]
    changed = any(attempt.changes for step in state.steps.values() for attempt in step.attempts)
    if state.concluded_at is None:
        assert not (last and changed), "the last steps were left out"
        assert all(not state.steps[name].attempts for name in last)
        return
    top = [name for name in last if name not in shape.parent and shape.steps[name].critical]
    wrong = [name for name in top if state.steps[name].status in BROKEN and not healed(shape, state, name)]
    if well and wrong:
        assert state.reason == "finally_failed"
    if state.reason == "finally_failed":
        assert state.status is ExecutionStatus.PARTIALLY_COMPLETED
        assert any(state.steps[name].status in {*BROKEN, StepStatus.CANCELLED} for name in top)


def check_rollback(shape: Shape, state: RunState, story: Told, plan: Plan) -> None:
    """Whether what the execution says of its rollback is what became of every change."""
    found = undos(shape, state)
    asked = [name for name in shape.steps if answer(shape, state, name) is OnFailure.ROLLBACK]
    asked = [name for name in asked if name not in shape.parent and shape.phase(name) is not Phase.FINALLY]
    broke = any(state.steps[name].status in BROKEN for name in asked)
    if story.wish is not None:  # whoever ends it says whether what was done is to be undone
        broke = story.undo_wanted
    elif story.resolved and plan.on_resolved is OnResolved.ROLLBACK:
        broke = True
    if state.rollback_started_at is None:
        assert not (broke and any(open_undo(undo) for undo in found)), "a rollback was asked for and did not begin"
        assert state.rollback is RollbackStatus.NONE
        assert state.status is not ExecutionStatus.ROLLED_BACK
        return
    assert broke, "nobody asked for a rollback"
    assert not any(open_undo(undo) for undo in found), "something was left undone without a word"
    whole = UndoStatus.UNDO_FAILED not in found
    assert state.rollback is (RollbackStatus.DONE if whole else RollbackStatus.INCOMPLETE)
    assert whole or state.status is not ExecutionStatus.ROLLED_BACK


def check_never_begun(shape: Shape, state: RunState) -> None:
    """It had no turn, or stood in line again before its first effect: nothing was changed, and nothing waits."""
    for name, step in state.steps.items():
        assert not (shape.steps[name].changes and any(attempt.number >= 0 for attempt in step.attempts))
        assert step.status is not StepStatus.WAITING
