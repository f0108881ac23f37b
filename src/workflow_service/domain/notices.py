"""What people are told of an execution, once per change: ends that are not `completed`, escalations, approvals. Pure.

A question is told when it is asked; at the same moment its reminders are written down for later, and what is settled
meanwhile is never sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from workflow_service.domain import events as ev
from workflow_service.domain.controls import START_STEP
from workflow_service.domain.graph import Graph
from workflow_service.domain.notice_facts import changed, to_do, words
from workflow_service.domain.run_state import RunState, StepState
from workflow_service.domain.states import ExecutionStatus, StepStatus


class Kind(StrEnum):
    """What a notice is about."""

    ENDED = "workflow.ended"
    ESCALATED = "workflow.escalated"
    ASKED = "approval.asked"
    EXPIRING = "approval.expiring"
    UNANSWERED = "approval.unanswered"
    DECIDED = "approval.decided"
    ALARM_RAISED = "alarm.raised"  # about this service itself
    ALARM_OVER = "alarm.over"


REMINDERS = frozenset({Kind.EXPIRING, Kind.UNANSWERED})  # worth nothing once somebody has given it more time
QUESTIONS = REMINDERS | {Kind.ASKED}  # worth nothing once somebody has answered


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an approval waits before people are told again."""

    warn_at: float = 0.8  # part of its time after which its end is near
    escalate_after: timedelta = timedelta(minutes=15)  # 0: never


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell."""

    kind: Kind
    seq: int  # of the last entry of the journal that was written with it
    at: datetime
    due_at: datetime  # not told before
    step: str  # that asks, or for which a person is needed; empty: none
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class News:
    """What follows for people from one entry into the journal."""

    notices: tuple[Notice, ...]
    answered: tuple[str, ...]  # steps whose questions need not be told any more
    extended: tuple[str, ...]  # steps of which people need not be reminded as they were to be


NOTHING = News((), (), ())
_LOUD = (ev.StepBegan, ev.CommandApplied, ev.StepFailed, ev.StepCancelled, ev.Escalated, ev.Ended, ev.RollbackStarted)


@dataclass(frozen=True, slots=True)
class Moved:
    """An execution before and after what was written."""

    before: RunState
    after: RunState
    graph: Graph | None
    seq: int  # of the journal, afterwards


def news(events: Sequence[ev.Event], moved: Moved, patience: Patience) -> News:
    """What people have to know of these events."""
    loud = [event for event in events if isinstance(event, _LOUD)]
    if not loud:
        return NOTHING
    before, after = _questions(moved.before), _questions(moved.after)
    answered = tuple(name for name in before if name not in after)
    extended = tuple(name for name in before if name in after and before[name].not_before != after[name].not_before)
    notices = [
        *(one for name in after if name not in before for one in _asked(name, after[name], moved, patience)),
        *(one for name in extended for one in _extended(name, after[name], loud[-1].at, moved, patience)),
        *(one for event in loud for one in _of_event(event, moved)),
    ]
    if not moved.after.final:  # else its end says what was decided
        notices += [one for name in answered for one in _decided(name, loud[-1].at, moved)]
    return News(tuple(notices), answered, extended)


_NONE = StepState()


def _questions(state: RunState) -> Mapping[str, StepState]:
    """The steps that wait for a person's word; one to be started waits for who has made it, who knows."""
    return {name: step for name, step in state.steps.items() if step.asking and name != START_STEP and not state.final}


def _asked(name: str, step: StepState, moved: Moved, patience: Patience) -> Iterator[Notice]:
    since, until = step.started_at, step.not_before
    if since is None or until is None:
        return
    data = {"step": name, "until": until.isoformat(), **_question(name, moved)}
    yield Notice(Kind.ASKED, moved.seq, since, since, name, data)
    near = since + (until - since) * patience.warn_at
    if near < until:
        yield Notice(Kind.EXPIRING, moved.seq, since, near, name, data)
    late = since + patience.escalate_after
    if since < late < until:
        yield Notice(Kind.UNANSWERED, moved.seq, since, late, name, data)


def _extended(name: str, step: StepState, now: datetime, moved: Moved, patience: Patience) -> Iterator[Notice]:
    """It has an end again of which people are warned."""
    until = step.not_before
    if until is None:
        return
    near = now + (until - now) * patience.warn_at
    data = {"step": name, "until": until.isoformat(), **_question(name, moved)}
    if near < until:
        yield Notice(Kind.EXPIRING, moved.seq, now, near, name, data)


def _question(name: str, moved: Moved) -> dict[str, Any]:
    about = {"plan_hash": moved.after.plan_hash or ""}
    if moved.graph is None:
        return about
    asks = moved.graph.steps[name].description if name in moved.graph.steps else ""
    return {**about, "why": words(asks), "plan": to_do(moved.graph, moved.after)}


_OUTCOMES = {"approval_rejected": "rejected", "approval_expired": "expired"}


def _decided(name: str, now: datetime, moved: Moved) -> Iterator[Notice]:
    """What became of a question; one that nobody needs an answer to any more was withdrawn, and its end tells why."""
    step = moved.after.steps.get(name, _NONE)
    outcome = "approved" if step.status is StepStatus.SUCCEEDED else _OUTCOMES.get(step.reason, "")
    if outcome:
        data = {"step": name, "outcome": outcome, "message": words(step.message)}
        yield Notice(Kind.DECIDED, moved.seq, now, now, name, {**data, "plan_hash": moved.after.plan_hash or ""})


def _of_event(event: ev.Event, moved: Moved) -> Iterator[Notice]:
    if isinstance(event, ev.Escalated):
        data = {"step": event.step, "reason": event.reason, "why": words(event.why)}
        yield Notice(Kind.ESCALATED, moved.seq, event.at, event.at, event.step, data)
    if isinstance(event, ev.Ended) and event.status is not ExecutionStatus.COMPLETED:
        yield Notice(Kind.ENDED, moved.seq, event.at, event.at, "", _end(event, moved))


def _end(event: ev.Ended, moved: Moved) -> dict[str, Any]:
    return {
        "status": str(event.status),
        "reason": event.reason,
        "cause": words(event.cause),
        "rollback": str(event.rollback),
        "plan_hash": moved.after.plan_hash or "",
        **changed(moved.after),
    }
