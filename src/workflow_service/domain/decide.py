"""The conductor: from a plan, what has happened and the time, what to do next. Pure; the engine only obeys.

Three sentences hold and are tested as properties. It is total: every state has an answer. It is deterministic: the
same arguments give the same answer, in the same order. It progresses: an execution that is not over gets an action,
waits for a live attempt, or is given the time at which to ask again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from datetime import datetime, timedelta
from typing import Any

from workflow_service.domain import groups, rollback, stepping
from workflow_service.domain.bounds import pause_deadline, queue_deadline, run_deadline
from workflow_service.domain.decisions import (
    Action,
    Begin,
    BeginRollback,
    BeginStep,
    BeginVerifying,
    CancelStep,
    Conclude,
    Decision,
    Finish,
    Look,
    OpenStep,
    Park,
    Pause,
    ResumeStep,
    SkipStep,
    StartStep,
    StopLook,
    Unpark,
)
from workflow_service.domain.graph import Graph
from workflow_service.domain.moving import NOT_STARTED, Here, next_moves
from workflow_service.domain.plan import OnFailure, Phase, StepKind
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import FINAL_STEP, ExecutionStatus, RollbackStatus, StepStatus, UndoStatus, Verb
from workflow_service.domain.undoing import next_undos
from workflow_service.domain.verdict import (
    BROKEN,
    DONE,
    broken_for_good,
    failed_for_good,
    verdict,
)

PARK_AFTER = timedelta(seconds=30)  # shorter waits keep their slot
_ENDING = frozenset({Verb.CANCEL, Verb.ROLLBACK})


def decide(
    graph: Graph,
    state: RunState,
    now: datetime,
    *,
    live: Set[str] = frozenset(),
    hold_until: datetime | None = None,
    alert: Mapping[str, Any] | None = None,
) -> Decision:
    """What to do next.

    `live` holds the steps whose attempt, look or undo this drive carries right now; none of them is given a second one.
    Until `hold_until` (the executor is away) nothing new is sent. `alert` is what expressions may ask about.
    """
    here = Here(now, live, hold_until, alert or {})
    if state.final:
        return Decision()
    if state.conclusion is not None:
        return _last(graph, state, here)
    if state.status is ExecutionStatus.QUEUED and state.wanted is None:
        late = (bound := queue_deadline(state)) is not None and now >= bound
        return Decision((_left_in_queue() if late else Begin(),))
    if state.status is ExecutionStatus.ROLLING_BACK:
        return next_undos(graph, state, now, live, hold_until) or _end(graph, state, _after_rollback(graph, state))
    return _run(graph, state, here)


def _left_in_queue() -> Finish:
    why = "it had no turn within its time in the queue"
    return Finish(ExecutionStatus.TIMED_OUT, "queue_timeout", why, RollbackStatus.NONE)


def _run(graph: Graph, state: RunState, here: Here) -> Decision:
    present = {step.status for step in state.steps.values()}
    resumes = tuple(_resumes(graph, state, here.live)) if StepStatus.RUNNING in present else ()
    # First, so that what nobody needs is never called late or cancelled.
    if skips := (*groups.unneeded(graph, state), *(groups.tidy(graph, state, here.live) if graph.children else ())):
        return Decision((*resumes, *skips))
    if graph.last:
        present = {step.status for name, step in state.steps.items() if name not in graph.last}
    broken = [name for name in graph.top if broken_for_good(graph, state, name)] if present & BROKEN else []
    expired = _expired(graph, state, here.at) and (bool(broken) or _unfinished(graph, state))
    if why := _stopping(state, here.at, broken, expired=expired):
        return _stop(graph, state, here, why, resumes) or _conclude(graph, state, broken, expired=expired)
    if not resumes and present <= FINAL_STEP:
        return _conclude(graph, state, broken, expired=False)
    if state.paused_at is not None or state.wanted is Verb.PAUSE:
        return _pause(graph, state, here, resumes)
    return _start(graph, state, here, resumes)


def _stopping(state: RunState, now: datetime, broken: list[str], *, expired: bool) -> str:
    """Why nothing new is started any more; empty while the run goes on."""
    if state.wanted in _ENDING:
        return state.wanted_why
    if (bound := pause_deadline(state)) is not None and now >= bound:
        return "the pause was not ended in time"
    if expired:
        return "the execution's time is over"
    return f"step {broken[0]} failed" if broken else ""


def _stop(graph: Graph, state: RunState, here: Here, why: str, resumes: tuple[Action, ...]) -> Decision | None:
    """Nothing more is begun, what is in flight finishes; None: nothing is left in flight.

    Of what is being looked at, only the proof of an effect goes on, unless somebody wants the end.
    """
    actions: list[Action] = list(resumes)
    for name in graph.order:
        step = state.steps[name]
        if name in graph.last or step.status not in NOT_STARTED:
            continue
        if name not in here.live:
            actions.append(CancelStep(name, why))
        elif state.wanted in _ENDING or not stepping.proving(graph, name, step):
            actions.append(StopLook(name))
    return Decision(tuple(actions)) if actions or here.live else None


def _pause(graph: Graph, state: RunState, here: Here, resumes: tuple[Action, ...]) -> Decision:
    """What is in flight is finished, proofs included; then all stands still."""
    wake_at = run_deadline(graph, state)
    if state.paused_at is not None:
        return Decision(resumes, wake_at=wake_at or pause_deadline(state))
    proofs = [name for name in graph.order if stepping.proving(graph, name, state.steps[name])]
    moves = (stepping.next_move(graph, state, name, here.at, here.alert) for name in proofs if name not in here.live)
    looks = tuple(move for move in moves if move is not None)
    still = () if here.live or proofs else (Pause(),)
    times = [at for name in proofs if (at := stepping.next_time(graph, name, state.steps[name])) and at > here.at]
    return Decision((*resumes, *looks) or still, wake_at=min([*times, *filter(None, [wake_at])], default=None))


def _expired(graph: Graph, state: RunState, now: datetime) -> bool:
    deadline = run_deadline(graph, state)
    return deadline is not None and now >= deadline


def _unfinished(graph: Graph, state: RunState) -> bool:
    """Whether something is or was left to do: who has done everything is not late, however late one asks."""
    return any(state.steps[name].status not in DONE | BROKEN for name in graph.top)


def _resumes(graph: Graph, state: RunState, live: Set[str]) -> Iterator[Action]:
    running = {name for name, step in state.steps.items() if step.status is StepStatus.RUNNING and name not in live}
    for name in graph.order if running else ():
        if name in running and not graph.group(name):
            last = state.steps[name].attempts[-1]
            yield ResumeStep(name, last.number, last.key, last.ledger_id)


def _start(graph: Graph, state: RunState, here: Here, resumes: tuple[Action, ...]) -> Decision:
    names = [name for name in graph.order if name not in graph.last] if graph.last else graph.order
    moves, wakes = next_moves(graph, state, here, len(resumes), names)
    if state.parked_at is not None:
        return Decision((Unpark(),) if moves else (), wake_at=state.parked_until)
    if state.status is ExecutionStatus.RUNNING and any(_phase(graph, move) is Phase.VERIFY for move in moves):
        moves = (BeginVerifying(), *moves)
    busy = bool(moves or resumes or here.live or here.held or state.wanted)
    parked = None if busy else _park(graph, state, here.at, wakes)
    wakes += filter(None, [run_deadline(graph, state)])
    return Decision((*resumes, *moves, *filter(None, [parked])), wake_at=min(wakes, default=None))


def _park(graph: Graph, state: RunState, now: datetime, wakes: list[datetime]) -> Park | None:
    """Standing still, when a person's word or a long time is all that is waited for."""
    waiting = [name for name, step in state.steps.items() if step.status is StepStatus.WAITING]
    idle = {StepKind.WAIT, StepKind.APPROVAL}
    if not wakes or any(graph.steps[name].kind not in idle for name in waiting):
        return None  # a back-off or a proof is work
    approval = any(state.steps[name].asking for name in waiting)
    return Park(min(wakes), approval) if approval or min(wakes) - now > PARK_AFTER else None


def _phase(graph: Graph, move: Action) -> Phase | None:
    return graph.steps[move.step].phase if isinstance(move, BeginStep | OpenStep | StartStep | Look) else None


def _conclude(graph: Graph, state: RunState, broken: list[str], *, expired: bool) -> Decision:
    by_plan = any(graph.steps[name].on_failure is OnFailure.ROLLBACK for name in broken)
    by_hand = state.wanted in _ENDING  # then what the person said about undoing counts
    if (state.wanted_undo if by_hand else by_plan) and rollback.needed(graph, state):
        by_itself = "timed_out" if expired else "critical_step_failed"
        return Decision((BeginRollback(f"{state.wanted}_requested" if by_hand else by_itself),))
    return _end(graph, state, verdict(graph, state, broken, expired=expired, undone=RollbackStatus.NONE))


def _after_rollback(graph: Graph, state: RunState) -> Finish:
    broken = [name for name in graph.top if broken_for_good(graph, state, name)]
    undone = rollback.outcome(graph, state)
    return verdict(graph, state, broken, expired=state.reason == "timed_out", undone=undone)


def _end(graph: Graph, state: RunState, finish: Finish) -> Decision:
    """The end, or what must come before it: `finally` steps run once something was changed."""
    if not graph.last:
        return Decision((finish,))
    attempts = (attempt for step in state.steps.values() for attempt in step.attempts)
    if any(attempt.changes or attempt.undo is not UndoStatus.NONE for attempt in attempts):
        return Decision((Conclude(finish.status, finish.reason, finish.cause, finish.rollback),))
    skips = (SkipStep(name, "nothing was changed") for name in graph.order if name in graph.last)
    return Decision((*skips, finish))


def _last(graph: Graph, state: RunState, here: Here) -> Decision:
    """The `finally` steps: each has its chance, and none holds up another that does not wait for it."""
    resumes = tuple(_resumes(graph, state, here.live))
    if skips := (*groups.unneeded(graph, state), *groups.tidy(graph, state, here.live)):
        return Decision((*resumes, *skips))
    names = [name for name in graph.order if name in graph.last]
    late = _expired(graph, state, here.at)
    moves, wakes = ((), []) if late else next_moves(graph, state, here, len(resumes), iter(names))
    wakes += filter(None, [run_deadline(graph, state)])
    if resumes or moves or (here.live and not late):
        return Decision((*resumes, *moves), wake_at=min(wakes, default=None))
    open_ = [name for name in names if state.steps[name].status in NOT_STARTED]
    waiting = [name for name in open_ if state.steps[name].status is StepStatus.WAITING]
    if waiting and not late:
        return Decision((), wake_at=min(wakes, default=None))
    if open_:
        why = "the time for the last steps is over" if late else "what it waits for has failed"
        stops = (StopLook(name) if name in here.live else CancelStep(name, why) for name in open_)
        return Decision(tuple(stops))
    return Decision(() if here.live else (_as_concluded(graph, state),))


def _as_concluded(graph: Graph, state: RunState) -> Finish:
    status = state.conclusion or ExecutionStatus.FAILED
    failed = [name for name in graph.last if name not in graph.parent and failed_for_good(graph, state, name)]
    if status is ExecutionStatus.COMPLETED and any(graph.steps[name].critical for name in failed):
        cause = f"finally: {'; '.join(f'{name} failed: {state.steps[name].message}' for name in sorted(failed))}"
        return Finish(ExecutionStatus.PARTIALLY_COMPLETED, "finally_failed", cause, state.rollback)
    return Finish(status, state.reason, state.cause, state.rollback)
