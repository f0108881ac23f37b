"""The conductor: from a plan, what has happened and the time, what to do next. Pure; the engine only obeys.

Three sentences hold and are tested as properties. It is total: every state has an answer. It is deterministic: the
same arguments give the same answer, in the same order. It progresses: an execution that is not over gets an action,
waits for a live attempt, or is given the time at which to ask again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from datetime import datetime, timedelta
from typing import Any

from workflow_service.domain import ending, groups, halting, recovery
from workflow_service.domain.bounds import pause_deadline, queue_deadline, run_deadline
from workflow_service.domain.decisions import (
    Action,
    Begin,
    BeginStep,
    BeginVerifying,
    Decision,
    Look,
    OpenStep,
    Park,
    ResumeStep,
    StartStep,
    StopLook,
    Unpark,
)
from workflow_service.domain.graph import Graph
from workflow_service.domain.moving import Here, Moves, next_moves
from workflow_service.domain.plan import Phase, StepKind
from workflow_service.domain.resolving import WHY, Resolution, resolution
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import FINAL_STEP, ExecutionStatus, StepStatus, Verb
from workflow_service.domain.undoing import next_undos
from workflow_service.domain.verdict import BROKEN, DONE, broken_for_good

PARK_AFTER = timedelta(seconds=30)  # shorter waits keep their slot
ASKING = "?"  # among what is live, which are steps else: another way is being asked for
_IDLE = frozenset({StepKind.WAIT, StepKind.APPROVAL})  # while these wait there is nothing to do


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
    `ASKING` is among them while this drive asks for a recovery.
    Until `hold_until` (the executor is away) nothing new is sent. `alert` is what expressions may ask about.
    """
    asking = ASKING in live
    live = live - {ASKING} if asking else live
    if state.final:
        return Decision()
    here = Here(now, live, hold_until, alert or {}, state.by_status, asking)
    if state.conclusion is not None:
        return ending.last_steps(graph, state, here, tuple(_resumes(graph, state, live)))
    ended = resolution(graph, state) is not None
    if state.status is ExecutionStatus.QUEUED and not ended and (state.wanted is None or state.awaits):
        late = (bound := queue_deadline(state)) is not None and now >= bound
        if late or state.wanted is None:
            return ending.left_in_queue(graph, state) if late else Decision((Begin(),))
    if state.status is ExecutionStatus.ROLLING_BACK:
        return next_undos(graph, state, now, live, hold_until) or ending.after_rollback(graph, state)
    return _run(graph, state, here)


def _run(graph: Graph, state: RunState, here: Here) -> Decision:
    resumes = tuple(_resumes(graph, state, here.live)) if StepStatus.RUNNING in here.by else ()
    # First, so that what nobody needs is never called late or cancelled; and alone, so that no step is ended twice.
    tidied = (*halting.unwatched(state, here.live), *groups.unneeded(graph, state))
    if not tidied and graph.children:
        tidied = tuple(groups.tidy(graph, state, here.live))
    if tidied:
        return Decision((*resumes, *tidied))
    present = {status for status, names in here.by.items() if not names <= graph.last}
    broken = [name for name in graph.top if broken_for_good(graph, state, name)] if present & BROKEN else []
    expired = _expired(graph, state, here.at) and (bool(broken) or _unfinished(graph, state))
    hope = recovery.hope(graph, state, broken) if broken else None
    over = resolution(graph, state)
    why = _stopping(state, here.at, broken if hope is None else [], expired=expired) or (WHY if over else "")
    halts = state.paused_at is not None or state.wanted is Verb.PAUSE
    if here.asking and (why or halts or hope is None):
        return Decision((StopLook(ASKING),))
    if why:
        proofs = not expired and state.wanted not in ending.ENDING and over is not Resolution.UNDO
        stopped = halting.stop(graph, state, here, why, resumes, proofs=proofs)
        return stopped or ending.conclude(graph, state, broken, expired=expired)
    if not resumes and present <= FINAL_STEP and hope is None:
        return ending.conclude(graph, state, broken, expired=False)
    if halts:
        return halting.pause(graph, state, here, resumes)
    return _go_on(graph, state, here, resumes, hope)


def _stopping(state: RunState, now: datetime, broken: list[str], *, expired: bool) -> str:
    """Why nothing new is started any more; empty while the run goes on."""
    if state.wanted in ending.ENDING:
        return state.wanted_why
    if (bound := pause_deadline(state)) is not None and now >= bound:
        return "the pause was not ended in time"
    if expired:
        return "the execution's time is over"
    return f"step {broken[0]} failed" if broken else ""


def _expired(graph: Graph, state: RunState, now: datetime) -> bool:
    deadline = run_deadline(graph, state)
    return deadline is not None and now >= deadline


def _unfinished(graph: Graph, state: RunState) -> bool:
    """Whether something is or was left to do: who has done everything is not late, however late one asks."""
    return any(state.steps[name].status not in DONE | BROKEN for name in graph.top)


def _resumes(graph: Graph, state: RunState, live: Set[str]) -> Iterator[Action]:
    running = state.by_status.get(StepStatus.RUNNING, frozenset()) - live
    for name in sorted(running, key=graph.place.__getitem__):
        if not graph.group(name):
            last = state.steps[name].attempts[-1]
            yield ResumeStep(name, last.number, last.key, last.ledger_id)


def _go_on(
    graph: Graph, state: RunState, here: Here, resumes: tuple[Action, ...], hope: recovery.Hope | None
) -> Decision:
    if hope is not None:
        return recovery.look_for_another_way(graph, state, here, resumes, hope)
    moves = next_moves(graph, state, here, len(resumes))
    if state.parked_at is not None:
        return _parked(state, moves, _park(graph, state, here, moves.wakes))
    busy = moves.actions or resumes or here.live or here.held
    park = None if busy else _park(graph, state, here, moves.wakes)
    if park is not None and (park.approval or park.until - here.at > PARK_AFTER):
        return Decision((park,))
    first = (BeginVerifying(),) if _verifies(graph, state, moves.actions) else ()
    return Decision((*resumes, *first, *moves.actions), wake_at=moves.wake_at(run_deadline(graph, state)))


def _park(graph: Graph, state: RunState, here: Here, wakes: list[datetime]) -> Park | None:
    """Standing still, when a person's word or the time is all that is waited for."""
    waiting = here.by.get(StepStatus.WAITING, ())
    if not wakes or not waiting or any(graph.steps[name].kind not in _IDLE for name in waiting):
        return None  # a back-off or a proof is work
    return Park(min(wakes), any(state.steps[name].asking for name in waiting))


def _parked(state: RunState, moves: Moves, park: Park | None) -> Decision:
    """It goes on standing still until there is something to do; what it waits for may have changed meanwhile."""
    if moves.actions or park is None:
        return Decision((Unpark(),))
    asking = state.status is ExecutionStatus.AWAITING_APPROVAL
    changed = (park.until, park.approval) != (state.parked_until, asking)
    return Decision((park,) if changed else (), wake_at=park.until)


def _verifies(graph: Graph, state: RunState, moves: list[Action]) -> bool:
    """Whether the verification begins with these moves."""
    if state.status is not ExecutionStatus.RUNNING:
        return False
    steps = (move.step for move in moves if isinstance(move, BeginStep | OpenStep | StartStep | Look))
    return any(graph.steps[step].phase is Phase.VERIFY for step in steps)
