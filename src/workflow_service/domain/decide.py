"""The conductor: from a plan, what has happened and the time, what to do next. Pure; the engine only obeys.

Three sentences hold and are tested as properties. It is total: every state has an answer. It is deterministic: the
same arguments give the same answer, in the same order. It progresses: an execution that is not over gets an action,
waits for a live attempt, or is given the time at which to ask again.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflow_service.domain import rollback
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import OnFailure
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import FINAL_STEP, ExecutionStatus, RollbackStatus, StepStatus, UndoStatus, Verb
from workflow_service.domain.verdict import BROKEN, DONE, Finish, Settled, broken_for_good, settled, verdict

PAUSE_BOUND = timedelta(hours=24)  # a pause that nobody ends is ended as cancelled
_NOT_STARTED = frozenset({StepStatus.PENDING, StepStatus.WAITING})
SETTLE_GRACE = 30.0  # seconds after the run's bound in which attempts in flight are still cancelled by key


@dataclass(frozen=True, slots=True)
class Begin:
    """Start the run clock."""


@dataclass(frozen=True, slots=True)
class StartStep:
    """Journal `started`, then call the executor with this key."""

    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ResumeStep:
    """An attempt was started and nobody carries it: ask by its key what became of it."""

    step: str
    attempt: int
    key: str
    ledger_id: str | None


@dataclass(frozen=True, slots=True)
class SkipStep:
    """The step is not needed."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class CancelStep:
    """The step will not be started any more."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is in flight any more: stand still."""


@dataclass(frozen=True, slots=True)
class BeginRollback:
    """From now on only undo."""

    reason: str


@dataclass(frozen=True, slots=True)
class StartUndo:
    """Take back what this key changed. `settle`: its outcome is unknown, so cancel it by key first."""

    step: str
    key: str
    tries: int
    settle: bool
    resumed: bool  # an earlier drive had sent it: the same undo key asks for its outcome


@dataclass(frozen=True, slots=True)
class GiveUpUndo:
    """The rollback's bound has passed; this one stays undone and says so."""

    step: str
    key: str


Action = (
    Begin | StartStep | ResumeStep | SkipStep | CancelStep | Pause | BeginRollback | StartUndo | GiveUpUndo | Finish
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, in order, and when to ask again if nothing happens before."""

    actions: tuple[Action, ...] = ()
    wake_at: datetime | None = None


def decide(
    graph: Graph,
    state: RunState,
    now: datetime,
    *,
    live: Set[str] = frozenset(),
    hold_until: datetime | None = None,
) -> Decision:
    """What to do next.

    `live` holds the steps whose attempt or undo this drive carries right now; none of them is given a second one.
    Until `hold_until` (the executor is away) nothing new is sent.
    """
    if state.final:
        return Decision()
    if state.status is ExecutionStatus.QUEUED and state.wanted is None:
        return Decision((Begin(),))
    if state.status is ExecutionStatus.ROLLING_BACK:
        return _roll_back(graph, state, now, live, hold_until)
    return _run(graph, state, now, live, hold_until)


def run_deadline(graph: Graph, state: RunState) -> datetime | None:
    """When the run clock expires; None while it does not run."""
    if state.started_at is None or state.paused_at is not None:
        return None
    return state.started_at + timedelta(seconds=graph.plan.timeout) + state.stood_still


def step_deadline(graph: Graph, state: RunState, step: str) -> datetime | None:
    """The latest end of all attempts of a started step: its own deadline or the run's, whichever is first."""
    run, started = run_deadline(graph, state), state.steps[step].started_at
    if run is None or started is None:
        return run
    own = graph.steps[step].deadline - state.steps[step].stood_still_before
    return min(run, started + timedelta(seconds=own) + state.stood_still)


def must_end_by(graph: Graph, state: RunState) -> datetime | None:
    """The bound of the execution as it stands, rollback included once it has begun."""
    run = run_deadline(graph, state)
    if state.rollback_started_at is not None:
        return state.rollback_started_at + timedelta(seconds=graph.plan.undo_timeout + SETTLE_GRACE)
    if state.paused_at is not None:
        return state.paused_at + PAUSE_BOUND
    return run + timedelta(seconds=SETTLE_GRACE) if run else None


def _run(graph: Graph, state: RunState, now: datetime, live: Set[str], hold_until: datetime | None) -> Decision:
    resumes = tuple(_resumes(graph, state, live))
    if skips := tuple(_skips(graph, state)):  # first, so that what nobody needs is never called late or cancelled
        return Decision((*resumes, *skips))
    present = {step.status for step in state.steps.values()}
    broken = [name for name in graph.order if broken_for_good(graph, state, name)] if present & BROKEN else []
    expired = _expired(graph, state, now) and (bool(broken) or _unfinished(state))
    if why := _stopping(state, now, broken, expired=expired):
        open_ = (name for name in graph.order if state.steps[name].status in _NOT_STARTED and name not in live)
        actions = (*resumes, *(CancelStep(name, why) for name in open_))
        if actions or live:
            return Decision(actions)
        return Decision((_conclude(graph, state, broken, expired=expired),))
    if not resumes and present <= FINAL_STEP:
        return Decision((_conclude(graph, state, broken, expired=False),))
    if state.paused_at is not None or state.wanted is Verb.PAUSE:
        still = () if live or state.paused_at else (Pause(),)
        return Decision(resumes or still, wake_at=run_deadline(graph, state) or must_end_by(graph, state))
    return _start(graph, state, now, live, hold_until, resumes=resumes)


def _stopping(state: RunState, now: datetime, broken: list[str], *, expired: bool) -> str:
    """Why nothing new is started any more; empty while the run goes on."""
    if state.wanted in {Verb.CANCEL, Verb.ROLLBACK}:
        return state.wanted_why
    if state.paused_at is not None and now >= state.paused_at + PAUSE_BOUND:
        return "the pause was not ended in time"
    if expired:
        return "the execution's time is over"
    return f"step {broken[0]} failed" if broken else ""


def _expired(graph: Graph, state: RunState, now: datetime) -> bool:
    deadline = run_deadline(graph, state)
    return deadline is not None and now >= deadline


def _unfinished(state: RunState) -> bool:
    """Whether something is or was left to do: who has done everything is not late, however late one asks."""
    return any(step.status not in DONE | BROKEN for step in state.steps.values())


def _resumes(graph: Graph, state: RunState, live: Set[str]) -> Iterator[Action]:
    for name in graph.order:
        step = state.steps[name]
        if step.status is StepStatus.RUNNING and name not in live:
            last = step.attempts[-1]
            yield ResumeStep(name, last.number, last.key, last.ledger_id)


def _start(
    graph: Graph,
    state: RunState,
    now: datetime,
    live: Set[str],
    hold_until: datetime | None,
    *,
    resumes: tuple[Action, ...],
) -> Decision:
    steps = state.steps
    well = {name for name in steps if steps[name].status in DONE or settled(graph, state, name) is Settled.WELL}
    open_ = (n for n in graph.order if steps[n].status in _NOT_STARTED and n not in live)
    ready = [name for name in open_ if _may_start(graph, state, name, well)]
    wakes = [at for name in ready if (at := steps[name].not_before) is not None and at > now]
    due = [name for name in ready if (at := steps[name].not_before) is None or at <= now]
    starts: tuple[Action, ...] = ()
    if due and hold_until is not None and now < hold_until:
        wakes.append(hold_until)
    else:
        free = max(0, graph.plan.max_parallel - len(live) - len(resumes))
        due.sort(key=lambda name: graph.steps[name].priority)  # stable: ties keep topological order
        starts = tuple(StartStep(name, steps[name].next_attempt) for name in due[:free])
    wakes += filter(None, [run_deadline(graph, state)])
    return Decision((*resumes, *starts), wake_at=min(wakes, default=None))


def _may_start(graph: Graph, state: RunState, name: str, well: Set[str]) -> bool:
    """Whether all that it waits for has settled well; for an alternative, whether what it stands in for is broken."""
    primary = graph.primary.get(name)
    if primary is None:
        return graph.waits_for[name] <= well
    return state.steps[primary].status in BROKEN and graph.waits_for[name] - {primary} <= well


def _skips(graph: Graph, state: RunState) -> Iterator[Action]:
    """Alternatives that are not needed, because what they stand in for went well or was never to run."""
    for name, primary in graph.primary.items():
        if state.steps[name].status is StepStatus.PENDING and state.steps[primary].status in DONE:
            yield SkipStep(name, f"{primary} did not fail")


def _conclude(graph: Graph, state: RunState, broken: list[str], *, expired: bool) -> Action:
    by_plan = any(graph.steps[name].on_failure is OnFailure.ROLLBACK for name in broken)
    by_hand = state.wanted in {Verb.CANCEL, Verb.ROLLBACK}  # then what the person said about undoing counts
    if (state.wanted_undo if by_hand else by_plan) and rollback.needed(state):
        by_itself = "timed_out" if expired else "critical_step_failed"
        return BeginRollback(f"{state.wanted}_requested" if by_hand else by_itself)
    return verdict(graph, state, broken, expired=expired, undone=RollbackStatus.NONE)


def _roll_back(graph: Graph, state: RunState, now: datetime, live: Set[str], hold_until: datetime | None) -> Decision:
    begun = state.rollback_started_at or now
    deadline = begun + timedelta(seconds=graph.plan.undo_timeout)
    if now >= deadline:
        return _stop_undoing(graph, state, live)
    ready = [item for item in rollback.ready(graph, state) if item.step not in live]
    if not ready and not live:
        return Decision((_after_rollback(graph, state),))
    held = hold_until is not None and now < hold_until
    free = 0 if held else max(0, graph.plan.max_parallel - len(live))
    due = [item for item in ready if item.attempt.undo_at is None or item.attempt.undo_at <= now]
    due.sort(key=lambda item: item.attempt.undo is not UndoStatus.UNDOING)  # what is already sent holds its place
    wakes = [item.attempt.undo_at for item in ready if item.attempt.undo_at is not None and item.attempt.undo_at > now]
    if due and held and hold_until is not None:
        wakes.append(hold_until)
    actions = tuple(
        StartUndo(
            step=item.step,
            key=item.attempt.key,
            tries=item.attempt.undo_tries,
            settle=state.steps[item.step].status is StepStatus.UNKNOWN,
            resumed=item.attempt.undo is UndoStatus.UNDOING,
        )
        for item in due[:free]
    )
    return Decision(actions, wake_at=min([*wakes, deadline]))


def _stop_undoing(graph: Graph, state: RunState, live: Set[str]) -> Decision:
    left = tuple(
        GiveUpUndo(name, attempt.key)
        for name in graph.order
        if name not in live
        for attempt in state.steps[name].attempts
        if attempt.undo in {UndoStatus.AVAILABLE, UndoStatus.UNDOING}
    )
    if left or live:
        return Decision(left)
    return Decision((_after_rollback(graph, state),))


def _after_rollback(graph: Graph, state: RunState) -> Finish:
    broken = [name for name in graph.order if broken_for_good(graph, state, name)]
    return verdict(graph, state, broken, expired=state.reason == "timed_out", undone=rollback.outcome(state))
