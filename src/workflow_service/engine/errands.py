"""Errands: what a drive asks of the executor for a step or its undo, and what the answers mean as events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from workflow_service.domain import decisions as do
from workflow_service.domain import events as ev
from workflow_service.domain import groups, recovery, scope
from workflow_service.domain.answers import retrying
from workflow_service.domain.bounds import SETTLE_GRACE, run_deadline, step_deadline
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.expressions import EvaluationFailed
from workflow_service.domain.failure_class import Patterns
from workflow_service.domain.graph import Graph
from workflow_service.domain.plan import Condition, RetryPolicy, Step, StepKind
from workflow_service.domain.resolving import WHY, resolution
from workflow_service.domain.retry import retry_at
from workflow_service.domain.run_state import INHERITED, Attempt, RunState
from workflow_service.domain.states import Verb
from workflow_service.domain.verdict import broken_for_good
from workflow_service.engine.attempt import Call, Lost, Unsent, Withdrawn
from workflow_service.engine.classing import class_of
from workflow_service.engine.looking import Outlook, Seen
from workflow_service.ports import ActionOutcome, ActionRequest
from workflow_service.store.executions import Record

Answer = ActionOutcome | Unsent | Lost | Withdrawn


@dataclass(frozen=True, slots=True)
class Errand:
    """A key that a drive carries: a step's attempt, or the undo of one."""

    step: str
    key: str  # the attempt's key, also for its undo
    call: Call
    undo_tries: int | None = None  # None: not an undo
    settle: Call | None = None  # a key of unknown outcome that must be cancelled before it is undone


class Errands:
    """Makes the errands of one execution."""

    def __init__(
        self, record: Record, graph: Graph, *, cluster: str, jitter: Callable[[], float], patterns: Patterns
    ) -> None:
        self._record, self._graph, self._cluster, self._jitter = record, graph, cluster, jitter
        self._patterns = patterns

    def grow(self, graph: Graph) -> None:
        """From now on the plan has these steps."""
        self._graph = graph

    def key(self, step: str, attempt: int) -> str:
        """The idempotency key of an attempt: the same for every resend, another one after every known failure."""
        return f"{self._record.execution_id}:{step}" + (f":r{attempt}" if attempt else "")

    def for_attempt(self, step: str, attempt: Attempt, state: RunState, *, fresh: bool) -> Errand:
        """Carry an attempt that is journalled in `state` (or just about to be)."""
        run_end = run_deadline(self._graph, state) or attempt.started_at
        step_end = step_deadline(self._graph, state, step) or run_end
        timeout = 0.0 if attempt.number == INHERITED else self._graph.steps[step].timeout  # only to be settled
        deadline = min(attempt.started_at + timedelta(seconds=timeout), step_end)
        action = self._graph.steps[step].action
        if action is None:
            raise AssertionError(f"{step} has no action to attempt")
        given = action.parameters if attempt.parameters is None else attempt.parameters
        request = self._request(step, attempt.key, attempt.number, {action.type: given})
        abandon = run_end + timedelta(seconds=SETTLE_GRACE)
        return Errand(step, attempt.key, Call(request, attempt.ledger_id, deadline, abandon, fresh=fresh))

    def for_undo(self, action: do.StartUndo, state: RunState, ledger: str | None, now: datetime) -> Errand:
        """Carry the undo of an attempt."""
        key = f"{action.key}:undo" + (f":r{action.tries}" if action.tries else "")
        end = (state.rollback_started_at or now) + timedelta(seconds=self._graph.plan.undo_timeout)
        request = self._request(action.step, key, action.tries, self._undo(action, state))
        abandon = end + timedelta(seconds=SETTLE_GRACE)
        call = Call(request, ledger, end, abandon, fresh=not action.resumed)
        settle = replace(call, request=request._replace(key=action.key)) if action.settle else None
        return Errand(action.step, action.key, call, undo_tries=action.tries, settle=settle)

    def _undo(self, action: do.StartUndo, state: RunState) -> Mapping[str, Mapping[str, Any]]:
        """What takes the attempt back: the step's own way where it is known what was changed, else the executor's."""
        own = self._graph.steps[action.step].rollback
        attempt = next((one for one in state.steps[action.step].attempts if one.key == action.key), None)
        if own is not None and attempt is not None and attempt.changes:
            with suppress(EvaluationFailed):  # what it needs was not answered
                return {own.type: scope.undo(self._graph, state, action.step, self._record.alert)}
        return {"undo": {"key": action.key, "force": False}}

    def _undoable(self, step: str, answer: ActionOutcome) -> bool:
        """Whether what the answer tells of can be taken back."""
        return answer.undo_available or (bool(answer.changes) and self._graph.steps[step].rollback is not None)

    def outlook(self, look: do.Look, state: RunState) -> Outlook:
        """What the conditions of a step are judged by."""
        step, graph = self._graph.steps[look.step], self._graph
        return Outlook(
            step=look.step,
            conditions=_conditions(step, after=look.after),
            names=scope.visible(graph, look.step),
            known=scope.values(graph, state, look.step, self._record.alert),
            target=step.action.target if step.action else None,
            result=state.steps[look.step].result if look.after else None,
            since=look.since,
            until=look.until,
        )

    def seen(self, outlook: Outlook, seen: Seen | Unsent, now: datetime) -> ev.Event | None:
        """What a look means for the journal; None: nothing could be seen, so it is for later."""
        if isinstance(seen, Unsent):
            return None
        name = outlook.step
        if outlook.result is None:
            if seen.held:
                return ev.Cleared(now, name, seen.evidence)
            return ev.StepBlocked(now, name, seen.message, seen.evidence)
        if seen.held:
            return ev.StepProved(now, name, evidence=seen.evidence)
        return ev.StepFailed(now, name, "postcondition_failed", seen.message, seen.evidence)

    def unwanted(self, errand: Errand, state: RunState) -> str:
        """Why a key that was never seen is not sent again: nothing new starts any more. Empty: it is sent."""
        if errand.undo_tries is not None or state.conclusion is not None:
            return ""
        if state.wanted in {Verb.CANCEL, Verb.ROLLBACK}:
            return state.wanted_why
        if resolution(self._graph, state) is not None:
            return WHY
        if recovery.expected(self._graph, state):
            return ""  # it may go on, and would miss this
        broken = (name for name in self._graph.top if broken_for_good(self._graph, state, name))
        halted = (name for name in self._graph.around(errand.step) if groups.halted(self._graph, state, name))
        return next((f"step {name} failed" for name in (*broken, *halted)), "")

    def outcome(self, errand: Errand, answer: Answer, state: RunState, now: datetime) -> ev.Event:
        """What the answer means for the journal."""
        if errand.undo_tries is not None:
            return self._undone(errand, answer, errand.undo_tries, now)
        match answer:
            case Unsent():
                return ev.AttemptUnsent(now, errand.step, errand.key)
            case Lost():
                return ev.StepUnknown(now, errand.step, errand.key, answer.message)
            case Withdrawn():
                return ev.StepCancelled(now, errand.step, answer.message)
            case ActionOutcome(success=True):
                return ev.StepSucceeded(
                    at=now,
                    prove_from=self._prove_from(errand.step, now),
                    step=errand.step,
                    key=errand.key,
                    action_id=answer.action_id,
                    message=answer.message,
                    result=answer.result,
                    changes=answer.changes,
                    undo_available=self._undoable(errand.step, answer),
                    undo_reason=answer.undo_reason,
                )
            case _:
                return self._failed(errand, answer, state, now)

    def _prove_from(self, step: str, now: datetime) -> datetime | None:
        planned = self._graph.steps[step]
        return now + timedelta(seconds=planned.settle) if planned.postconditions else None

    def _failed(self, errand: Errand, answer: ActionOutcome, state: RunState, now: datetime) -> ev.AttemptFailed:
        before = step_deadline(self._graph, state, errand.step) or now
        error = answer.error_class or ErrorClass.UNKNOWN
        message = answer.message or f"the executor answered {answer.status}"
        found = class_of(errand.step, error, message, graph=self._graph, patterns=self._patterns)
        policy = retrying(self._graph.steps[errand.step], found)
        return ev.AttemptFailed(
            at=now,
            step=errand.step,
            key=errand.key,
            error_class=error,
            message=message,
            action_id=answer.action_id,
            retry_at=self._again(policy, error, errand.call.request.attempt, now, before),
            changes=answer.changes,
            undo_available=self._undoable(errand.step, answer),
            undo_reason=answer.undo_reason,
            failure_class=found,
        )

    def _undone(self, errand: Errand, answer: Answer, tries: int, now: datetime) -> ev.Event:
        match answer:
            case Unsent():
                return ev.UndoUnsent(now, errand.step, errand.key)
            case Lost() | Withdrawn():
                return ev.UndoFailed(now, errand.step, errand.key, ErrorClass.UNKNOWN, answer.message)
            case ActionOutcome(success=True):
                return ev.UndoSucceeded(now, errand.step, errand.key, answer.message)
            case _:
                error = answer.error_class or ErrorClass.UNKNOWN
                policy = self._graph.steps[errand.step].retry
                again = self._again(policy, error, tries, now, errand.call.deadline)
                return ev.UndoFailed(now, errand.step, errand.key, error, answer.message, again)

    def _again(
        self, policy: RetryPolicy, error: ErrorClass, attempt: int, now: datetime, before: datetime
    ) -> datetime | None:
        if attempt == INHERITED:  # who commanded the retry wants the step done, now that its old key is settled
            return now
        return retry_at(policy, error=error, attempt=attempt, now=now, jitter=self._jitter(), before=before)

    def _request(self, step: str, key: str, attempt: int, action: Mapping[str, Mapping[str, Any]]) -> ActionRequest:
        ((kind, parameters),) = action.items()
        planned = self._graph.steps[step]
        return ActionRequest(
            key=key,
            step_id=step,
            type=kind,
            parameters=parameters,
            alert=self._record.alert,
            workflow_id=self._record.workflow_id,
            execution_id=self._record.execution_id,
            attempt=attempt,
            remaining_seconds=planned.timeout,
            cluster=planned.action.target.cluster if planned.action and planned.action.target else self._cluster,
            critical=planned.critical,
            priority=planned.priority,
            estimated_duration=planned.estimated_duration,
        )


def remembers(state: RunState, undo: do.StartUndo, ledger: str | None) -> bool:
    """Whether the present ledger is the one that the attempt was sent to: another would call it never done."""
    return any(one.key == undo.key and one.ledger_id == ledger for one in state.steps[undo.step].attempts)


def _conditions(step: Step, *, after: bool) -> tuple[Condition, ...]:
    """What is looked at; a check goes on looking until its deadline where its conditions name no time."""
    if not after:
        return step.preconditions
    if step.kind is not StepKind.CHECK:
        return step.postconditions
    patient = (replace(one, within=step.deadline) for one in step.postconditions)
    return tuple(
        long if one.critical and not one.within else one for one, long in zip(step.postconditions, patient, strict=True)
    )
