"""The end of an execution: what has to be undone or done before the last word, and that word."""

from __future__ import annotations

from workflow_service.domain import groups, halting, rollback
from workflow_service.domain.answers import answer
from workflow_service.domain.bounds import run_deadline
from workflow_service.domain.decisions import (
    Action,
    BeginRollback,
    CancelStep,
    Conclude,
    Decision,
    Finish,
    LoseStep,
    SkipStep,
    StopLook,
)
from workflow_service.domain.graph import Graph
from workflow_service.domain.moving import NOT_STARTED, Here, next_moves
from workflow_service.domain.plan import OnFailure
from workflow_service.domain.resolving import REASON, Resolution, resolution
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, StepStatus, UndoStatus, Verb
from workflow_service.domain.verdict import broken_for_good, failed_for_good, verdict

ENDING = frozenset({Verb.CANCEL, Verb.ROLLBACK})


def left_in_queue(graph: Graph, state: RunState) -> Decision:
    """Nothing was changed; what had begun to wait or to be looked at before it had to queue again waits no more.

    A key of unknown outcome that it was to settle first stays one: a later retry settles it, a rollback undoes it.
    """
    why = "it had no turn within its time in the queue" + (f": {state.awaits}" if state.awaits else "")
    open_ = _unfinished(graph, state) if state.awaits else ()
    finish = Finish(ExecutionStatus.TIMED_OUT, "queue_timeout", why, RollbackStatus.NONE)
    last = ((name, step.attempts[-1]) for name, step in state.steps.items() if step.attempts and not step.final)
    unsettled = (LoseStep(name, one.key, why) for name, one in last if state.steps[name].status is StepStatus.RUNNING)
    return Decision((*unsettled, *(CancelStep(name, why) for name in open_), finish))


def _unfinished(graph: Graph, state: RunState) -> tuple[str, ...]:
    return tuple(name for name in graph.order if state.steps[name].status in NOT_STARTED)


def conclude(graph: Graph, state: RunState, broken: list[str], *, expired: bool) -> Decision:
    """Nothing is left to do in the run: its rollback begins, or it ends."""
    answers = (answer(graph.steps[name], state.steps[name].failure_class) for name in broken)
    by_plan = OnFailure.ROLLBACK in answers
    by_hand = state.wanted in ENDING  # then what the person said about undoing counts
    if resolution(graph, state) is Resolution.UNDO and rollback.needed(graph, state):
        return Decision((BeginRollback(REASON),))
    if (state.wanted_undo if by_hand else by_plan) and rollback.needed(graph, state):
        by_itself = "timed_out" if expired else "critical_step_failed"
        return Decision((BeginRollback(f"{state.wanted}_requested" if by_hand else by_itself),))
    return _end(graph, state, verdict(graph, state, broken, expired=expired, undone=RollbackStatus.NONE))


def after_rollback(graph: Graph, state: RunState) -> Decision:
    """Nothing is left to undo."""
    broken = [name for name in graph.top if broken_for_good(graph, state, name)]
    undone = rollback.outcome(graph, state)
    return _end(graph, state, verdict(graph, state, broken, expired=state.reason == "timed_out", undone=undone))


def _end(graph: Graph, state: RunState, finish: Finish) -> Decision:
    """The end, or what must come before it: `finally` steps run once something was changed."""
    if not graph.last:
        return Decision((finish,))
    attempts = (attempt for step in state.steps.values() for attempt in step.attempts)
    if any(attempt.changes or attempt.undo is not UndoStatus.NONE for attempt in attempts):
        return Decision((Conclude(finish.status, finish.reason, finish.cause, finish.rollback),))
    open_ = (name for name in graph.order if name in graph.last and not state.steps[name].final)
    return Decision((*(SkipStep(name, "nothing was changed") for name in open_), finish))


def last_steps(graph: Graph, state: RunState, here: Here, resumes: tuple[Action, ...]) -> Decision:
    """The `finally` steps: each has its chance, and none holds up another that does not wait for it."""
    tidied = (*halting.unwatched(state, here.live), *groups.unneeded(graph, state))
    if tidied := (*tidied, *groups.tidy(graph, state, here.live)):
        return Decision((*resumes, *tidied))
    bound = run_deadline(graph, state)
    if bound is not None and here.at >= bound:
        return _cut_off(graph, state, here, resumes)
    moves = next_moves(graph, state, here, len(resumes), last=True)
    if resumes or moves.actions or moves.wakes or here.live:
        return Decision((*resumes, *moves.actions), wake_at=moves.wake_at(bound))
    why = "what it waits for has failed"
    cut = tuple(CancelStep(name, why) for name in _open(graph, state))
    return Decision(cut or (_as_concluded(graph, state),))


def _cut_off(graph: Graph, state: RunState, here: Here, resumes: tuple[Action, ...]) -> Decision:
    """Their time is over: what is in flight is cancelled by its key, which takes a moment."""
    why = "the time for the last steps is over"
    left = _open(graph, state)
    cut = tuple(StopLook(name) if name in here.live else CancelStep(name, why) for name in left)
    if resumes or cut or here.live:
        return Decision((*resumes, *cut))
    return Decision((_as_concluded(graph, state),))


def _open(graph: Graph, state: RunState) -> list[str]:
    return [name for name in graph.order if name in graph.last and state.steps[name].status in NOT_STARTED]


def _as_concluded(graph: Graph, state: RunState) -> Finish:
    """As it was said before the last steps, unless one of them that counts has failed."""
    status = state.conclusion or ExecutionStatus.FAILED
    top = sorted(name for name in graph.last if name not in graph.parent and graph.steps[name].critical)
    wrong = [name for name in top if _went_wrong(graph, state, name)]
    if status is ExecutionStatus.COMPLETED and wrong:
        said = (f"{name} {state.steps[name].status}: {state.steps[name].message}" for name in wrong)
        cause = f"finally: {'; '.join(said)}"
        return Finish(ExecutionStatus.PARTIALLY_COMPLETED, "finally_failed", cause, state.rollback)
    return Finish(status, state.reason, state.cause, state.rollback)


def _went_wrong(graph: Graph, state: RunState, name: str) -> bool:
    if state.steps[name].status is not StepStatus.CANCELLED:
        return failed_for_good(graph, state, name)
    primary = graph.primary.get(name)  # a stand-in is missed by what it was to stand in for
    return primary is None
