"""Every verb in every sub-state of the whole step language: asked, proved, parked, verified, undone, at the end.

`test_controls` walks the statuses of plain plans. Here each situation has a plan of its own; what is obeyed is then
carried on to the end by the real `decide`, with a world in which everything goes well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.unit.factories import a_graph, a_step, at, begun, done, failed, key_of, said, started, succeeded
from workflow_service.domain import decisions as do
from workflow_service.domain import events as ev
from workflow_service.domain.bounds import must_end_by
from workflow_service.domain.controls import START_STEP, Command, allowed, refusal
from workflow_service.domain.decide import decide
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.fold import fold, fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.inheritance import for_retry, for_rollback
from workflow_service.domain.plan import Condition, OnFailure, Phase, Step, StepKind
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, StepStatus, UndoStatus, Verb
from workflow_service.engine.facts import fact

pytestmark = [pytest.mark.requirement("BR-WF-004", "BR-WF-005", "BR-WF-015")]

HELD = Condition("true", within=30.0)


def a_gate(name: str, *needs: str) -> Step:
    """A step that asks."""
    return Step(id=name, kind=StepKind.APPROVAL, needs=needs, deadline=3600.0)


def a_wait(name: str, *needs: str) -> Step:
    """A step that lets ten minutes pass."""
    return Step(id=name, kind=StepKind.WAIT, needs=needs, wait=600.0)


def a_check(name: str, *needs: str, phase: Phase = Phase.MAIN) -> Step:
    """A step that looks."""
    return Step(id=name, kind=StepKind.CHECK, needs=needs, postconditions=(HELD,), phase=phase)


GATED = a_graph(a_step("a"), a_gate("gate", "a"), a_step("z", "gate"), a_step("side", "a"))
TWICE = a_graph(a_step("a"), a_gate("one", "a"), a_gate("two", "a"), a_step("z", "one", "two"))
START = a_graph(a_gate(START_STEP), a_step("z", START_STEP))
WAITING = a_graph(a_step("a"), a_wait("rest", "a"), a_step("z", "rest"), timeout=900)
PROVED = a_graph(a_step("a", postconditions=(HELD,), settle=30.0), a_step("z", "a"))
LOOKING = a_graph(a_step("a"), a_check("look", "a"), a_step("z", "look"))
GUARDED = a_graph(a_step("a"), a_step("z", "a", preconditions=(HELD,)))
VERIFIED = a_graph(a_step("a"), a_check("v", phase=Phase.VERIFY), a_check("z", "v", phase=Phase.VERIFY))
LAST = a_graph(a_step("a"), a_step("z", phase=Phase.FINALLY))
EACH = a_graph(replace(a_step("each", critical=False), for_each="['x', 'y']"), a_step("z", "each"))
HEAL = a_graph(Step(id="heal", kind=StepKind.TEMPLATE, steps=(a_step("a"), a_gate("gate", "a"))), a_step("z", "heal"))
LINE = a_graph(a_step("a"), a_step("b", "a"), a_step("z", "b"))

ASK, ANSWERS = "approve reject extend", "start reject extend"
WORK = "pause cancel rollback"
UNTIL = at(3610)


def asked(step: str, *, after: float = 10) -> ev.StepBegan:
    """It waits for a word from here on."""
    return ev.StepBegan(at(after), step, at(after + 3600), approval=True)


def parked(*, until: Any = UNTIL, approval: bool = True, after: float = 11) -> ev.Parked:
    """Nothing but that is left to wait for."""
    return ev.Parked(at(after), until, approval)


def opened(step: str, *inside: str, items: tuple[Any, ...] | None = None) -> ev.StepOpened:
    """A group begins."""
    return ev.StepOpened(at(1), step, items, inside)


def paused(*, after: float = 13) -> tuple[ev.Event, ...]:
    """Somebody has brought it to a standstill."""
    return said(Verb.PAUSE, after=after - 1), ev.Paused(at(after))


UNDOING = (*done("a", "b"), said(Verb.ROLLBACK), ev.RollbackStarted(at(6), "rollback_requested"))
SENT = ev.UndoStarted(at(7), "b", key_of("b"), "undo-b")
ASKING = (*done("a"), asked("gate"))
BOTH = (*done("a"), asked("one"), asked("two"), parked())
RESTING = (*done("a"), ev.StepBegan(at(10), "rest", at(610)))
PROVING = (started("a"), succeeded("a", prove_from=at(30)))
ENDED = (*done("a"), ev.Concluded(at(8), ExecutionStatus.COMPLETED, "all_steps_succeeded"))
ITEM_BACK_OFF = (
    opened("each", "each[0]", "each[1]", items=("x", "y")),
    started("each[0]"),
    failed("each[0]", error_class=ErrorClass.TRANSIENT, retry_at=at(60)),
)
INSIDE = (opened("heal"), *done("heal/a"), asked("heal/gate"), parked())


@dataclass(frozen=True)
class Cell:
    """A situation, the verbs that act in it, and the step that a word is about."""

    graph: Graph
    events: tuple[ev.Event, ...]
    acts: str
    step: str = "z"

    @property
    def journal(self) -> tuple[ev.Event, ...]:
        """From the beginning."""
        return (
            self.events
            if self.events and isinstance(self.events[0], ev.Inherited)
            else (*begun(self.graph), *self.events)
        )

    @property
    def state(self) -> RunState:
        """Where it stands."""
        return fold_all(self.journal)


def inherited(verb: Verb) -> ev.Inherited:
    """What a retry or a rollback of a run begins with that did `a`, and does not know what became of `b`."""
    state = fold_all((*begun(LINE), *done("a"), started("b"), ev.StepUnknown(at(8), "b", key_of("b"), "lost")))
    steps = for_rollback(state) if verb is Verb.ROLLBACK else for_retry(LINE, state)
    return ev.Inherited(at(9), "execution-0", verb, "ana", "again", LINE.plan.hash, steps)


CELLS: Mapping[str, Cell] = {
    "asked, another branch runs": Cell(GATED, (*ASKING, started("side")), f"{WORK} {ASK} skip-step", "gate"),
    "asked, pause asked": Cell(
        GATED, (*ASKING, started("side"), said(Verb.PAUSE)), f"resume cancel rollback {ASK} skip-step", "gate"
    ),
    "asked, cancel asked": Cell(GATED, (*ASKING, started("side"), said(Verb.CANCEL)), "rollback", "gate"),
    "asked, rollback asked": Cell(GATED, (*ASKING, started("side"), said(Verb.ROLLBACK)), "", "gate"),
    "parked for a word": Cell(
        GATED, (*ASKING, *done("side"), parked()), f"{WORK} {ASK} skip-step set-priority", "gate"
    ),
    "parked for two words": Cell(TWICE, BOTH, f"{WORK} {ASK} skip-step set-priority", "two"),
    "parked for a word inside a group": Cell(HEAL, INSIDE, f"{WORK} {ASK} skip-step set-priority", "heal/gate"),
    "parked until it is started": Cell(
        START, (asked(START_STEP, after=1), parked(after=1)), f"{WORK} {ANSWERS} skip-step set-priority", START_STEP
    ),
    "paused while asked": Cell(
        GATED,
        (*ASKING, *done("side"), parked(), *paused()),
        f"resume cancel rollback {ASK} skip-step set-priority",
        "gate",
    ),
    "resumed while asked": Cell(
        GATED,
        (*ASKING, *done("side"), parked(), *paused(), said(Verb.RESUME, after=20)),
        f"{WORK} {ASK} skip-step",
        "gate",
    ),
    "waiting": Cell(WAITING, RESTING, f"{WORK} skip-step", "rest"),
    "parked in a long wait": Cell(
        WAITING, (*RESTING, parked(until=at(610), approval=False)), f"{WORK} skip-step", "rest"
    ),
    "paused in a long wait": Cell(
        WAITING,
        (*RESTING, parked(until=at(610), approval=False), *paused()),
        "resume cancel rollback skip-step set-priority",
        "rest",
    ),
    "proving an effect": Cell(PROVED, PROVING, f"{WORK} skip-step"),
    "proving an effect, pause asked": Cell(PROVED, (*PROVING, said(Verb.PAUSE)), "resume cancel rollback skip-step"),
    "looking": Cell(LOOKING, (*done("a"), ev.StepBegan(at(10), "look", at(310))), f"{WORK} skip-step", "look"),
    "fit to begin": Cell(GUARDED, (*done("a"), ev.Cleared(at(10), "z")), f"{WORK} skip-step"),
    "executor away": Cell(LINE, (*done("a"), ev.Held(at(10), "the executor is away")), f"{WORK} skip-step"),
    "verifying": Cell(
        VERIFIED, (*done("a"), ev.Verifying(at(9)), ev.StepBegan(at(10), "v", at(310))), f"{WORK} skip-step"
    ),
    "verifying, cancel asked": Cell(
        VERIFIED, (*done("a"), ev.Verifying(at(9)), ev.StepBegan(at(10), "v", at(310)), said(Verb.CANCEL)), "rollback"
    ),
    "last steps to come": Cell(LAST, ENDED, ""),
    "last step in flight": Cell(LAST, (*ENDED, started("z", after=9)), ""),
    "last step in back-off": Cell(
        LAST,
        (*ENDED, started("z", after=9), failed("z", error_class=ErrorClass.TRANSIENT, retry_at=at(60))),
        "",
    ),
    "last steps after a rollback": Cell(
        LAST,
        (
            *done("a"),
            said(Verb.ROLLBACK),
            ev.RollbackStarted(at(6), "rollback_requested"),
            ev.UndoStarted(at(7), "a", key_of("a"), "undo-a"),
            ev.UndoSucceeded(at(8), "a", key_of("a")),
            ev.Concluded(at(9), ExecutionStatus.ROLLED_BACK, "rollback_requested"),
        ),
        "",
    ),
    "one of several items in back-off": Cell(EACH, ITEM_BACK_OFF, f"{WORK} skip-step", "each[1]"),
    "rolling back, undo to come": Cell(LINE, UNDOING, ""),
    "rolling back, undo sent": Cell(LINE, (*UNDOING, SENT), ""),
    "rolling back, undo not sent": Cell(LINE, (*UNDOING, SENT, ev.UndoUnsent(at(8), "b", key_of("b"))), ""),
    "rolling back, undo in back-off": Cell(
        LINE,
        (*UNDOING, SENT, ev.UndoFailed(at(8), "b", key_of("b"), ErrorClass.TRANSIENT, "no", retry_at=at(60))),
        "",
    ),
    "rolling back, one undone": Cell(LINE, (*UNDOING, SENT, ev.UndoSucceeded(at(8), "b", key_of("b"))), ""),
    "rolling back to a step": Cell(
        LINE,
        (*done("a", "b"), said(Verb.ROLLBACK, step="a"), ev.RollbackStarted(at(6), "rollback_requested")),
        "",
    ),
    "retry in the queue": Cell(LINE, (inherited(Verb.RETRY),), "pause cancel skip-step set-priority"),
    "retry that settles an old key": Cell(LINE, (inherited(Verb.RETRY), ev.Started(at(10))), f"{WORK} skip-step"),
    "rollback in the queue": Cell(LINE, (inherited(Verb.ROLLBACK),), ""),
}
WALK = [(name, verb) for name in CELLS for verb in Verb]
OBEYED = [(name, verb) for name, verb in WALK if verb in CELLS[name].acts.split()]
ABOUT_A_STEP = {Verb.START, Verb.APPROVE, Verb.REJECT, Verb.EXTEND, Verb.SKIP_STEP}


def order(cell: Cell, verb: Verb) -> Command:
    """A sensible command; what cannot be skipped while it asks stands before what can."""
    arguments: dict[str, object] = {"seconds": 1800.0} if verb is Verb.EXTEND else {}
    arguments |= {"priority": 1} if verb is Verb.SET_PRIORITY else {}
    if verb in ABOUT_A_STEP:
        asks = cell.state.steps[cell.step].asking
        arguments["step"] = "z" if verb is Verb.SKIP_STEP and asks else cell.step
    return Command("c-1", verb, "ana", "told to", arguments)


def obeyed(cell: Cell, verb: Verb) -> RunState:
    """The state right after the command."""
    command = order(cell, verb)
    event = ev.CommandApplied(at(40), command.id, verb, command.actor, command.reason, command.arguments)
    return fold(cell.state, event)


@pytest.mark.parametrize(("name", "verb"), WALK)
def test_every_cell_acts_or_is_refused_in_words(name: str, verb: Verb) -> None:
    """A verb acts where the cells say so, and is offered there; anywhere else the refusal names verb and state."""
    cell = CELLS[name]
    why = refusal(cell.state, order(cell, verb))
    assert (why is None) == (verb in cell.acts.split()), why
    assert (verb in allowed(cell.state)) == (verb in cell.acts.split())
    if why is not None:
        assert why.startswith(f"{verb} is not possible while the workflow is {cell.state.status}")


@pytest.mark.parametrize("name", CELLS)
def test_every_situation_has_a_bound(name: str) -> None:
    """Whatever it waits for, there is a time by which it ends; and no command takes that away."""
    cell = CELLS[name]
    assert must_end_by(cell.graph.grown(cell.state.items), cell.state) is not None
    for verb in map(Verb, cell.acts.split()):
        after = obeyed(cell, verb)
        assert must_end_by(cell.graph.grown(after.items), after) is not None


class World:
    """Everything goes well from here on; time passes when nothing else does."""

    def __init__(self, cell: Cell, state: RunState) -> None:
        self.graph, self.state, self.now = cell.graph, state, at(41)
        self.sent: set[str] = set()

    def note(self, *events: ev.Event) -> None:
        """It has happened."""
        for event in events:
            self.state = fold(self.state, event)

    def go_on(self, *, stop_at: ExecutionStatus | None = None) -> RunState:
        """To the end, or until it stands still in that status."""
        for _ in range(200):
            self.graph = self.graph.grown(self.state.items)
            decision = decide(self.graph, self.state, self.now, alert={})
            if self.state.final or self.state.status is stop_at:
                return self.state
            for action in decision.actions:
                self._do(action)
            if not decision.actions:
                assert decision.wake_at is not None, f"nobody will ask again: {self.state}"
                assert decision.wake_at > self.now, f"asked again at once for nothing: {self.state}"
                self.now = decision.wake_at
        raise AssertionError("it never ends")

    def _do(self, action: do.Action) -> None:
        now = self.now
        match action:
            case do.StartStep(step, attempt):
                self.sent.add(step)
                key = key_of(step, attempt)
                self.note(ev.StepStarted(now, step, attempt, key, "ledger-1"), self._success(step, key))
            case do.ResumeStep(step, _, key):
                self.note(self._success(step, key))
            case do.StartUndo(step, key):
                self.note(ev.UndoStarted(now, step, key, f"{key}:undo"), ev.UndoSucceeded(now, step, key))
            case do.Look(step, after):
                self.note(ev.StepProved(now, step) if after else ev.Cleared(now, step))
            case do.StopLook():
                raise AssertionError("nothing is being looked at here")
            case _:
                self.note(fact(action, now))

    def _success(self, step: str, key: str) -> ev.StepSucceeded:
        planned = self.graph.steps[step]
        return ev.StepSucceeded(self.now, step, key, prove_from=self.now if planned.postconditions else None)


@pytest.mark.parametrize(("name", "verb"), OBEYED)
def test_what_is_allowed_has_its_effect(name: str, verb: Verb) -> None:
    """Each command that is obeyed brings the execution where its verb says, from wherever it stands."""
    cell = CELLS[name]
    at_once = obeyed(cell, verb)
    world = World(cell, at_once)
    match verb:
        case Verb.PAUSE:
            assert world.go_on(stop_at=ExecutionStatus.PAUSED).status is ExecutionStatus.PAUSED
            assert not world.sent
        case Verb.CANCEL | Verb.ROLLBACK | Verb.REJECT:
            _ends_by_it(cell, verb, world)
        case _:
            _takes_effect(cell, verb, at_once)
            world.go_on()
            assert world.state.final
            assert verb is not Verb.SKIP_STEP or order(cell, verb).arguments["step"] not in world.sent


def _ends_by_it(cell: Cell, verb: Verb, world: World) -> None:
    refused = world.state.steps[cell.step]
    end = world.go_on()
    undone = any(one.undo is UndoStatus.UNDONE for one in end.steps.values())
    assert not world.sent - {"side"}
    if verb is Verb.CANCEL:
        assert (end.status, end.reason, undone) == (ExecutionStatus.CANCELLED, "cancel_requested", False)
    elif verb is Verb.ROLLBACK:
        wanted = ExecutionStatus.ROLLED_BACK if undone else ExecutionStatus.CANCELLED
        assert (end.status, end.reason) == (wanted, "rollback_requested")
    else:
        assert (refused.status, refused.reason) == (StepStatus.FAILED, "approval_rejected")
        wanted = ExecutionStatus.FAILED if "/" in cell.step else ExecutionStatus.REJECTED  # its group has failed
        assert end.status in {wanted, ExecutionStatus.REJECTED}


def _takes_effect(cell: Cell, verb: Verb, after: RunState) -> None:
    before, step = cell.state, cell.step
    match verb:
        case Verb.START | Verb.APPROVE:
            assert (after.steps[step].status, after.steps[step].asking) == (StepStatus.SUCCEEDED, False)
            assert after.steps[step].message == f"{verb} by ana: told to"
        case Verb.EXTEND:
            longer, known = after.steps[step].not_before, before.steps[step].not_before
            assert longer is not None
            assert known is not None
            assert (longer - known).total_seconds() == 1800
        case Verb.RESUME:
            assert (after.paused_at, after.wanted) == (None, None)
        case Verb.SET_PRIORITY:
            assert after == before
        case _:
            assert after.steps[str(order(cell, verb).arguments["step"])].status is StepStatus.SKIPPED


def test_a_word_must_name_its_step_where_several_ask() -> None:
    """Without a name the refusal lists those that ask; another step's name is refused too."""
    state = CELLS["parked for two words"].state
    for verb in (Verb.APPROVE, Verb.REJECT, Verb.EXTEND):
        why = refusal(state, Command("c", verb, "ana", "", {"seconds": 1.0}))
        assert why is not None
        assert why.endswith("step: must name one of one, two")
        why = refusal(state, Command("c", verb, "ana", "", {"seconds": 1.0, "step": "z"}))
        assert why is not None
        assert why.endswith("step: 'z' does not wait for that")


def test_an_approval_is_for_the_plan_that_was_seen() -> None:
    """Another plan's hash is refused and the right one is told; the right one, or none, is obeyed."""
    cell = CELLS["parked for a word"]
    for given, words in (
        ("0" * 64, f"plan_hash: '{'0' * 64}' is not the plan's; that is {GATED.plan.hash}"),
        (None, ""),
    ):
        why = refusal(cell.state, Command("c", Verb.APPROVE, "ana", "", {"plan_hash": given} if given else {}))
        assert (words in why) if why else not words
    assert refusal(cell.state, Command("c", Verb.APPROVE, "ana", "", {"plan_hash": GATED.plan.hash})) is None


def test_what_is_started_is_not_approved_and_the_other_way_round() -> None:
    """A start is for the step that holds all back, an approval for every other one."""
    started_ = CELLS["parked until it is started"].state
    assert refusal(started_, Command("c", Verb.APPROVE, "ana", "", {"step": START_STEP})) is not None
    assert refusal(CELLS["parked for a word"].state, Command("c", Verb.START, "ana", "", {"step": "gate"})) is not None


def test_what_is_proved_is_not_skipped() -> None:
    """Its effect is there already: leaving the step out now would hide it."""
    why = refusal(CELLS["proving an effect"].state, Command("c", Verb.SKIP_STEP, "ana", "", {"step": "a"}))
    assert why is not None
    assert "step: 'a' is waiting" in why


def test_a_refusal_after_changes_undoes_them_where_the_plan_says_so() -> None:
    """A gate whose answer to failure is rollback takes back what was done before it."""
    gate = replace(a_gate("gate", "a"), on_failure=OnFailure.ROLLBACK)
    cell = Cell(a_graph(a_step("a"), gate, a_step("z", "gate")), (*ASKING, parked()), "reject", "gate")
    end = World(cell, obeyed(cell, Verb.REJECT)).go_on()
    assert (end.status, end.reason) == (ExecutionStatus.ROLLED_BACK, "approval_rejected")
    assert end.steps["a"].undo is UndoStatus.UNDONE
