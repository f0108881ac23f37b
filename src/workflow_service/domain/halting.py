"""Coming to a halt, for good or for a pause: what still goes on, and what is cut."""

from __future__ import annotations

from collections.abc import Iterator, Set

from workflow_service.domain import stepping
from workflow_service.domain.bounds import pause_deadline, run_deadline
from workflow_service.domain.decisions import Action, CancelStep, Decision, Look, Pause, StopLook
from workflow_service.domain.graph import Graph
from workflow_service.domain.moving import NOT_STARTED, Here, Moves
from workflow_service.domain.run_state import RunState


def stop(
    graph: Graph, state: RunState, here: Here, why: str, resumes: tuple[Action, ...], *, proofs: bool
) -> Decision | None:
    """Nothing more is begun, what is in flight finishes; None: nothing is left in flight.

    `proofs`: the effects of what was done are still proved, as long as the run has time for it.
    """
    proving = _proving(graph, state) if proofs else set()
    moves = _proofs(graph, state, here, proving, len(resumes))
    for name in graph.order:
        if name in graph.last or name in proving or state.steps[name].status not in NOT_STARTED:
            continue
        moves.actions.append(StopLook(name) if name in here.live else CancelStep(name, why))
    if not (moves.actions or here.live or proving or resumes):
        return None
    wake_at = moves.wake_at(run_deadline(graph, state)) if proving else None
    return Decision((*resumes, *moves.actions), wake_at=wake_at)


def pause(graph: Graph, state: RunState, here: Here, resumes: tuple[Action, ...]) -> Decision:
    """What is in flight is finished, proofs included; then all stands still. Other looks are made again afterwards."""
    if state.paused_at is not None:
        return Decision(resumes, wake_at=pause_deadline(state))
    proving = _proving(graph, state)
    moves = _proofs(graph, state, here, proving, len(resumes))
    looks = (name for name in sorted(here.live - proving) if name in state.steps)
    moves.actions += [StopLook(name) for name in looks if state.steps[name].status in NOT_STARTED]
    if not (moves.actions or here.live or proving or resumes):
        moves.actions.append(Pause())
    return Decision((*resumes, *moves.actions), wake_at=moves.wake_at(run_deadline(graph, state)))


def unwatched(state: RunState, live: Set[str]) -> Iterator[Action]:
    """Looks whose steps have ended meanwhile, since somebody said so: nobody needs to know any more."""
    return (StopLook(name) for name in sorted(live) if name in state.steps and state.steps[name].final)


def proofs(graph: Graph, state: RunState, here: Here, resumed: int) -> Moves:
    """The looks that are due at what was done, and the times of the others."""
    return _proofs(graph, state, here, _proving(graph, state), resumed)


def _proving(graph: Graph, state: RunState) -> set[str]:
    return {name for name in graph.order if name not in graph.last and stepping.proving(state.steps[name])}


def _proofs(graph: Graph, state: RunState, here: Here, proving: Set[str], resumed: int) -> Moves:
    """The looks that are due, as many as there is room for, and the times of the others."""
    found = Moves([], [])
    free = max(0, graph.plan.max_parallel - len(here.live) - resumed)
    for name in (name for name in graph.order if name in proving and name not in here.live):
        move = stepping.next_move(graph, state, name, here.at, here.alert)
        time = stepping.next_time(graph, name, state.steps[name])
        if isinstance(move, Look):
            if not free:
                continue  # whoever is under way comes back, and then it is asked again
            free -= 1
        found.actions += filter(None, [move])
        found.wakes += [time] if time is not None and time > here.at else []
    return found
