"""Writing a drive's events: the journal entry, the row that follows from it, and who is told afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain import events as ev
from workflow_service.domain import rollback
from workflow_service.domain.bounds import must_end_by, wake_at
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph
from workflow_service.domain.notices import Moved
from workflow_service.domain.queueing import AWAITS_TARGET, QUEUE_BOUND
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import FINAL_STEP, ExecutionStatus, StepStatus
from workflow_service.engine import telling
from workflow_service.engine.means import Means
from workflow_service.engine.notifying import with_notices
from workflow_service.store import rollbacks
from workflow_service.store.entry import Also, Entry, KeptPlan, Row
from workflow_service.store.executions import Record
from workflow_service.store.locks import NO_GRIP, Grip

_UNDER_WAY = frozenset({StepStatus.RUNNING, StepStatus.WAITING})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NewPlan:
    """A plan that was only just made, and the events that tell so."""

    events: Sequence[ev.Event]
    kept: KeptPlan


class Recorder:
    """The state of one execution in this drive; it moves only by what was committed."""

    def __init__(self, means: Means, record: Record, generation: int, state: RunState) -> None:
        self._means, self._record = means, record
        self.generation = generation
        self._seq = record.seq
        self.state = state
        self._called = any(step.attempts for step in state.steps.values())
        self._log = log.bind()  # once, not at every line

    async def write(
        self,
        events: Sequence[ev.Event],
        *,
        graph: Graph | None = None,
        also: Also | None = None,
        after: RunState | None = None,
        kept: KeptPlan | None = None,
        grip: Grip = NO_GRIP,
    ) -> None:
        """Commit `events`, then let the state, the metrics, the log and the waiting know.

        `after` is the state that they lead to, from a caller who has folded them already. At the end the identities
        are free again, and commands that nobody has answered come too late.

        Raises:
            Fenced: another drive owns the execution.
            TargetsTaken: another execution has what `grip` takes; nothing was written.
            StoreUnavailable: the journal was closed.
        """
        state = fold_all(events, self.state) if after is None else after
        if state.final and state.rollback_started_at is not None:
            also = self._with_undos(also, graph, state)
        moved = Moved(self.state, state, graph, self._seq + len(events))
        means = self._means
        also = with_notices(means.notifying, self._record, events, moved, also, sqlite=means.database.sqlite)
        tally = _tally(state, graph)
        entry = Entry(
            execution_id=self._record.execution_id,
            generation=self.generation,
            seq=self._seq,
            events=events,
            row=self._row(state, graph, tally),
            also=also,
            kept=kept,
            workflow_id=self._record.workflow_id if state.final else None,
            grip=grip,
        )
        await self._means.journal.append(entry)
        self._seq += len(events)
        self.state = state
        await self._means.bell.ring()
        for event in events:
            self._tell(event, graph, tally.over)
        if state.final:
            await self._means.bus.publish(f"execution:{self._record.execution_id}")

    def _with_undos(self, also: Also | None, graph: Graph | None, state: RunState) -> Also:
        """The end of a rollback: how it went, step by step, is known longer than the journal."""

        async def keep(connection: AsyncConnection) -> None:
            if also is not None:
                await also(connection)
            found = rollbacks.Undos(back_to=state.back_to, steps=rollback.tally(graph, state))
            await rollbacks.keep(connection, self._record.execution_id, found)

        return keep

    def _row(self, state: RunState, graph: Graph | None, tally: _Tally) -> Row:
        return Row(
            status=state.status,
            actions_total=tally.needed,
            actions_ended=tally.ended,
            current_action=tally.current,
            reason=AWAITS_TARGET if state.awaits else state.reason,
            cause=state.awaits or state.cause,
            rollback=state.rollback,
            plan_hash=state.plan_hash,
            updated_at=self._means.clock(),
            started_at=state.started_at,
            must_end_by=must_end_by(graph, state) or self._unbegun(state),
            wake_at=wake_at(graph, state),
            ended_at=state.ended_at,
        )

    def _unbegun(self, state: RunState) -> datetime | None:
        """The bound of what nobody has begun to plan."""
        return self._record.created_at + QUEUE_BOUND if state.status is ExecutionStatus.CREATED else None

    def _tell(self, event: ev.Event, graph: Graph | None, ended: int) -> None:
        metrics, state = self._means.metrics, self.state
        telling.tell(event, state, graph, metrics.failures)
        match event:
            case ev.StepStarted():
                if not self._called:
                    self._called = True
                    metrics.first_call(seconds=(event.at - self._record.created_at).total_seconds())
                self._log.info(
                    "executing workflow action", action_id=event.step, **self._place(event.step, graph, ended)
                )
            case ev.StepSucceeded() | ev.AttemptFailed() | ev.StepUnknown():
                self._tell_step(event, graph, ended)
            case ev.Ended():
                seconds = (event.at - self._record.created_at).total_seconds()
                metrics.execution_ended(status=event.status, seconds=seconds)
                self._log.info(
                    "workflow execution ended",
                    status=event.status,
                    reason=event.reason,
                    cause=event.cause,
                    rollback=state.rollback,
                    seconds=round(seconds, 3),
                )
            case (
                ev.Held()
                | ev.TargetAwaited()
                | ev.StepDelayed()
                | ev.RollbackStarted()
                | ev.UndoSucceeded()
                | ev.UndoFailed()
            ):
                self._log.warning(
                    "workflow execution changed course", kind=type(event).__name__, detail=str(event)[:300]
                )
            case _:
                pass

    def _tell_step(
        self, event: ev.StepSucceeded | ev.AttemptFailed | ev.StepUnknown, graph: Graph | None, ended: int
    ) -> None:
        step = self.state.steps[event.step]
        planned = graph.steps[event.step].action if graph else None
        action = planned.type if planned else "unknown"
        seconds = sum((event.at - one.started_at).total_seconds() for one in step.attempts if one.key == event.key)
        self._means.metrics.step_ended(action=action, status=step.status, seconds=seconds)
        self._log.info(
            "workflow action ended" if step.final else "workflow action will be tried again",
            action_id=event.step,
            action_type=action,
            action_result=step.status.value,
            message=event.message[:300],
            seconds=round(seconds, 3),
            **self._place(event.step, graph, ended),
        )

    def _place(self, step: str, graph: Graph | None, ended: int) -> dict[str, object]:
        total = len(self.state.steps)
        number = graph.place[step] + 1 if graph else 0
        return {"step": number, "total_steps": total, "progress": f"{ended}/{total}"}


@dataclass(frozen=True, slots=True)
class _Tally:
    """How far the steps are. Groups and what was skipped do not count, but for `over`."""

    needed: int
    ended: int
    over: int  # that nothing can happen to any more, whatever they are
    current: str | None  # the first one that is under way


def _tally(state: RunState, graph: Graph | None) -> _Tally:
    needed, ended, over = 0, 0, 0
    under_way: list[str] = []
    for status, names in state.by_status.items():
        single = len(names.difference(graph.children)) if graph is not None and graph.children else len(names)
        if status is not StepStatus.SKIPPED:
            needed += single
            ended += single if status in FINAL_STEP else 0
        if status in FINAL_STEP:
            over += len(names)
        elif status in _UNDER_WAY:
            under_way += names
    place = graph.place.__getitem__ if graph is not None else None
    return _Tally(needed, ended, over, min(under_way, key=place, default=None))
