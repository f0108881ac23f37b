"""Every state and sub-state of an execution x every verb: refused in words, or obeyed; and what obeying means."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.unit.factories import a_graph, a_step, at, begun, done, failed, key_of, said, started
from tests.unit.pretend_engine import PretendEngine
from workflow_service.domain import events as ev
from workflow_service.domain.controls import ALLOWED, Command, allowed, refusal
from workflow_service.domain.decide import decide
from workflow_service.domain.decisions import CancelStep
from workflow_service.domain.errors import ErrorClass, IllegalTransition
from workflow_service.domain.fold import fold, fold_all
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import (
    FINAL_EXECUTION,
    ExecutionStatus,
    StepStatus,
    UndoStatus,
    Verb,
)

_E = ExecutionStatus
LINE = a_graph(a_step("a"), a_step("b", "a"), a_step("c", "b"))
Journal = tuple[ev.Event, ...]


def ended(status: ExecutionStatus) -> ev.Ended:
    """The last word."""
    return ev.Ended(at(9), status, "some_reason")


RUN = begun(LINE)
HALF = (*RUN, *done("a"))
IN_FLIGHT = (*RUN, started("a"))
BACK_OFF = (*IN_FLIGHT, failed("a", error_class=ErrorClass.TRANSIENT, retry_at=at(60)))
STANDING = (*HALF, said(Verb.PAUSE), ev.Paused(at(6)))
UNDOING = (*HALF, said(Verb.ROLLBACK), ev.RollbackStarted(at(6), "rollback_requested"))
SENT = ev.UndoStarted(at(7), "a", key_of("a"), "undo-1")
NO_CHANGE = (*RUN, started("a"), failed("a"))

# name of the situation: its journal, and the verbs that act in it; every other verb is refused
CELLS: Mapping[str, tuple[Journal, str]] = {
    "created": ((), "cancel set-priority"),
    "planning": (RUN[:1], "cancel set-priority"),
    "queued": (RUN[:2], "pause cancel skip-step set-priority"),
    "queued, pause asked": ((*RUN[:2], said(Verb.PAUSE)), "resume cancel skip-step"),
    "queued, cancel asked": ((*RUN[:2], said(Verb.CANCEL)), ""),
    "running, between steps": (HALF, "pause cancel rollback skip-step"),
    "running, in flight": (IN_FLIGHT, "pause cancel rollback skip-step"),
    "running, back-off": (BACK_OFF, "pause cancel rollback skip-step"),
    "running, last step in flight": ((*HALF, *done("b"), started("c")), "pause cancel rollback"),
    "running, pause asked": ((*IN_FLIGHT, said(Verb.PAUSE)), "resume cancel rollback skip-step"),
    "running, cancel asked": ((*IN_FLIGHT, said(Verb.CANCEL)), "rollback"),
    "running, cancel with undo asked": ((*IN_FLIGHT, said(Verb.CANCEL, undo=True)), "rollback"),
    "running, rollback asked": ((*IN_FLIGHT, said(Verb.ROLLBACK)), ""),
    "running, resumed": ((*STANDING, said(Verb.RESUME, after=7)), "pause cancel rollback skip-step"),
    "paused": (STANDING, "resume cancel rollback skip-step set-priority"),
    "paused before it began": (
        (*RUN[:2], said(Verb.PAUSE), ev.Paused(at(6))),
        "resume cancel rollback skip-step set-priority",
    ),
    "paused, cancel asked": ((*STANDING, said(Verb.CANCEL)), "rollback"),
    "paused, rollback asked": ((*STANDING, said(Verb.ROLLBACK)), ""),
    "rolling back": (UNDOING, ""),
    "rolling back by policy, pause asked before": (
        (*HALF, started("b"), said(Verb.PAUSE), failed("b"), ev.RollbackStarted(at(6), "critical_step_failed")),
        "",
    ),
    "completed": ((*HALF, *done("b", "c"), ended(_E.COMPLETED)), "rollback"),
    "completed, nothing to undo": ((*RUN, ended(_E.COMPLETED)), ""),
    "partially_completed": ((*HALF, ended(_E.PARTIALLY_COMPLETED)), "retry rollback"),
    "failed": ((*HALF, ended(_E.FAILED)), "retry rollback"),
    "failed, nothing to undo": ((*NO_CHANGE, ended(_E.FAILED)), "retry"),
    "failed while a pause was asked for": ((*HALF, said(Verb.PAUSE), ended(_E.FAILED)), "retry rollback"),
    "failed, undo failed": (
        (*UNDOING, SENT, ev.UndoFailed(at(8), "a", key_of("a"), ErrorClass.CONFLICT, "drifted"), ended(_E.FAILED)),
        "retry rollback",
    ),
    "failed, undo in doubt": ((*UNDOING, SENT, ended(_E.FAILED)), "retry rollback"),
    "cancelled": ((*HALF, said(Verb.CANCEL), ended(_E.CANCELLED)), "retry rollback"),
    "cancelled before planning": ((said(Verb.CANCEL), ended(_E.CANCELLED)), "retry"),
    "cancelled, pause expired": ((*STANDING, ended(_E.CANCELLED)), "retry rollback"),
    "timed_out": ((*HALF, ended(_E.TIMED_OUT)), "retry rollback"),
    "rejected": ((*RUN[:2], ended(_E.REJECTED)), "retry"),
    "resolved": ((*HALF, ended(_E.RESOLVED)), "rollback"),
    "rolled_back": (
        (*UNDOING, SENT, ev.UndoSucceeded(at(8), "a", key_of("a")), ended(_E.ROLLED_BACK)),
        "retry",
    ),
}
# Statuses that plain plans do not come to: the same run, seen in them. `test_controls_walk` has the real ones.
RELABELLED = {
    _E.AWAITING_APPROVAL: "pause cancel rollback skip-step set-priority",
    _E.RECOVERING: "pause cancel rollback",
    _E.VERIFYING: "pause cancel rollback skip-step",
}
STATES: Mapping[str, tuple[RunState, Journal, set[str]]] = {
    **{name: (fold_all(journal), journal, set(acts.split())) for name, (journal, acts) in CELLS.items()},
    **{
        status.value: (replace(fold_all(HALF), status=status), HALF, set(acts.split()))
        for status, acts in RELABELLED.items()
    },
}
WALK = [(name, verb) for name in STATES for verb in Verb]
LAST = "running, last step in flight"
OBEYED = [(name, verb) for name, verb in WALK if verb in STATES[name][2] and not STATES[name][0].final]


def order(verb: Verb, **arguments: object) -> Command:
    """A command; what a step is to be skipped is the last one."""
    return Command("c-1", verb, "ana", "told to", {"step": "c"} if verb is Verb.SKIP_STEP else arguments)


def engine_in(name: str) -> PretendEngine:
    """An engine that finds an execution in that situation."""
    state, journal, _ = STATES[name]
    engine = PretendEngine(LINE, now=at(20))
    plan = () if state.plan_hash else tuple(engine.journal if state.status is _E.CREATED else engine.journal[1:])
    engine.journal, engine.state = [*journal, *plan], fold_all(plan, state)
    return engine


def test_every_status_is_walked() -> None:
    """No status is missing from the cells, and none from the table."""
    assert {state.status for state, _, _ in STATES.values()} == set(_E) == set(ALLOWED)


@pytest.mark.parametrize(("name", "verb"), WALK)
def test_every_cell_acts_or_is_refused_in_words(name: str, verb: Verb) -> None:
    """A verb acts where the cells say so, and is offered there; anywhere else the refusal names verb and state."""
    state, _, acts = STATES[name]
    why = refusal(state, order(verb))
    assert (why is None) == (verb in acts), why
    assert (verb in allowed(state)) == (verb in acts)
    if why is not None:
        assert verb in why
        assert state.status in why


@pytest.mark.parametrize(("name", "verb"), [cell for cell in OBEYED if cell[0] not in {LAST, "awaiting_approval"}])
def test_what_is_allowed_has_its_effect(name: str, verb: Verb) -> None:
    """Each command that is obeyed brings the execution where its verb says, from wherever it stands."""
    engine = engine_in(name)
    assert engine.command(verb, **({"step": "c"} if verb is Verb.SKIP_STEP else {})) is None
    if verb is Verb.PAUSE:
        _comes_to_a_standstill(engine)
        return
    if verb is Verb.RESUME:
        assert (engine.state.wanted, engine.state.paused_at) == (None, None)
    before = len(engine.journal)
    engine.drive_to_the_end()
    begun_since = {event.step for event in engine.journal[before:] if isinstance(event, ev.StepStarted)}
    undone = any(step.undo is UndoStatus.UNDONE for step in engine.state.steps.values())
    match verb:
        case Verb.RESUME:
            assert engine.state.status is _E.COMPLETED
        case Verb.CANCEL:
            assert (engine.state.status, begun_since, undone) == (_E.CANCELLED, set(), False)
        case Verb.ROLLBACK:
            assert engine.state.status is (_E.ROLLED_BACK if undone else _E.CANCELLED)
            assert (engine.state.reason, begun_since) == ("rollback_requested", set())
        case Verb.SET_PRIORITY:
            assert engine.state.status in {_E.COMPLETED, _E.CANCELLED}  # a pause that nobody ends is cancelled
        case _:
            assert engine.state.steps["c"].status is StepStatus.SKIPPED
            assert "c" not in begun_since


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.CANCEL])
def test_a_word_during_the_last_step_finds_everything_done(verb: Verb) -> None:
    """The last step was in flight and finishes well: nothing is left to hold back, so the execution completes."""
    engine = engine_in(LAST)
    assert engine.command(verb) is None
    engine.drive_to_the_end()
    assert engine.state.status is _E.COMPLETED


def test_what_waits_for_an_approval_can_be_cancelled_or_spared_a_step() -> None:
    """A cancelled one ends before anything else begins; a skipped step leaves the rest waiting."""
    state = STATES["awaiting_approval"][0]
    cancelled = fold(state, said(Verb.CANCEL))
    assert {getattr(action, "step", "") for action in decide(LINE, cancelled, at(7)).actions} == {"b", "c"}
    assert {type(action) for action in decide(LINE, cancelled, at(7)).actions} == {CancelStep}
    spared = fold(state, said(Verb.SKIP_STEP, step="c"))
    assert (spared.status, spared.steps["c"].status) == (_E.AWAITING_APPROVAL, StepStatus.SKIPPED)


def _comes_to_a_standstill(engine: PretendEngine) -> None:
    """What is in flight finishes; nothing else begins."""
    started_before = [event for event in engine.journal if isinstance(event, ev.StepStarted)]
    engine.obey()
    for step in list(engine.live):
        engine.succeed(step)
    engine.obey()
    assert engine.state.status is _E.PAUSED
    assert [event for event in engine.journal if isinstance(event, ev.StepStarted)] == started_before


@pytest.mark.parametrize("name", [name for name in STATES if STATES[name][0].status in FINAL_EXECUTION])
def test_a_final_execution_is_changed_by_no_command(name: str) -> None:
    """Retry and rollback of one that is over make a new execution: its own journal takes no command any more."""
    state, _, acts = STATES[name]
    assert acts <= {Verb.RETRY, Verb.ROLLBACK}
    assert state.wanted is None
    for verb in Verb:
        with pytest.raises(IllegalTransition):
            fold(state, ev.CommandApplied(at(30), "c", verb, "ana"))


def test_a_retry_is_never_part_of_the_execution_it_retries() -> None:
    """An active execution takes no retry, whatever its journal says."""
    with pytest.raises(IllegalTransition, match="new execution"):
        fold(fold_all(HALF), ev.CommandApplied(at(30), "c", Verb.RETRY, "ana"))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("a", "step: 'a' is succeeded"),
        ("b", "step: 'b' is running"),
        ("z", "step: 'z' is no step of this workflow (a, b, c)"),
        (None, "step: None is no step"),
        (["c"], "is no step"),
    ],
)
def test_only_a_step_that_has_not_begun_can_be_skipped(step: object, words: str) -> None:
    """The refusal names the field, what was given and the rule."""
    command = Command("c", Verb.SKIP_STEP, "ana", "", {"step": step})
    why = refusal(fold_all((*HALF, started("b"))), command)
    assert why is not None
    assert words in why
    assert why.startswith("skip-step is not possible while the workflow is running: ")
