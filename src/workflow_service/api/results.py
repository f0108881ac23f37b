"""What the API says about a workflow: the specification's result, the detail, the status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from workflow_service.domain.admission import UNDONE
from workflow_service.domain.answers import answer
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph, validate
from workflow_service.domain.plan import OnFailure, Plan
from workflow_service.domain.run_state import RunState, StepState
from workflow_service.domain.states import (
    FINAL_EXECUTION,
    ExecutionStatus,
    RollbackStatus,
    StepStatus,
    UndoStatus,
)
from workflow_service.domain.stored_events import describe
from workflow_service.planning.enhancing import applied
from workflow_service.store.executions import Record
from workflow_service.store.queries import Summary


@dataclass(frozen=True, slots=True)
class Outlook:
    """What lies ahead of a workflow."""

    queue_position: int | None  # 1 is next; None: it does not wait
    estimated_completion: datetime | None  # None: nobody can tell


_CHANGED = frozenset(UndoStatus) - {UndoStatus.NONE}


def result(found: Summary, record: Record, *, intake: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The specification's CoordinationResult and ExecutionResult in one object. Durations are integer nanoseconds."""
    state, plan = fold_all(record.events), record.plan
    graph = validate(plan).grown(state.items) if plan else None
    steps = [_step(name, step, graph) for name, step in state.steps.items()]
    done = [step for step in steps if step["status"] == StepStatus.SUCCEEDED]
    failed = [step["id"] for step in steps if step["status"] in {StepStatus.FAILED, StepStatus.UNKNOWN}]
    start = found["started_at"] or found["created_at"]
    spent = _nanoseconds(start, found["ended_at"]) if found["ended_at"] else 0
    status = str(found["status"])
    forgotten = (
        found["ended_at"] is not None and not record.events
    )  # the journal lives as long as STATE_RETENTION_PERIOD
    body = {
        "success": status == ExecutionStatus.COMPLETED,
        "workflow_id": found["workflow_id"],
        "execution_id": found["execution_id"],
        "status": status,
        "actions_total": found["actions_total"],
        "actions_executed": found["actions_ended"] if forgotten else len(done),
        "completed_actions": done,
        "failed_actions": failed,
        "execution_time": spent,
        "execution_duration": spent,
        "start_time": start,
        "end_time": found["ended_at"],
        "ai_analysis_applied": applied(plan),
        "rollback_required": _rollback_required(state, plan),
        "rollback_initiated": state.rollback_started_at is not None,
        "workflow_result": {
            "status": status,
            "reason": found["reason"],
            "cause": found["cause"],
            "rollback": found["rollback"],
            "evidence": found["evidence"],
            "changes": [change for step in steps for change in step["changes"]],
        },
        "execution_details": {
            "intake": intake,
            "plan": plan_view(plan) if plan else None,
            "steps": steps,
            "recoveries": [asdict(one) for one in state.recoveries],
            "escalated": state.escalated or None,
            "forgotten": forgotten,
        },
    }
    if found["cause"] and status not in {ExecutionStatus.COMPLETED, ExecutionStatus.QUEUED}:
        body["abort_reason"] = found["cause"]
    return body


def detail(found: Summary, record: Record, ahead: Outlook) -> dict[str, Any]:
    """One workflow whole: where it stands, its plan, its steps and everything that happened."""
    return {
        **workflow(found, ahead),
        "trace_id": record.trace.trace_id if record.trace else None,
        "alert": record.alert,
        "result": result(found, record),
        "events": [{"seq": seq, **describe(event)} for seq, event in enumerate(record.events, start=1)],
    }


def workflow(found: Summary, ahead: Outlook) -> dict[str, Any]:
    """One line of a list."""
    return {**found, "progress": progress(found), **asdict(ahead)}


def status(found: Summary, ahead: Outlook, *, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The specification's WorkflowStatus."""
    return {
        "workflow_id": found["workflow_id"],
        "execution_id": found["execution_id"],
        "status": found["status"],
        "progress": progress(found),
        "current_action": found["current_action"],
        "queue": found["queue"],
        "priority": found["priority"],
        **asdict(ahead),
        "must_end_by": found["must_end_by"],
        "stuck_because": found["stuck_because"],
        "metrics": metrics,
    }


def progress(found: Summary) -> float:
    """Ended steps of all steps that are needed, 0..1."""
    if found["status"] in FINAL_EXECUTION:
        return 1.0
    return round(found["actions_ended"] / found["actions_total"], 4) if found["actions_total"] else 0.0


def plan_view(plan: Plan) -> dict[str, Any]:
    """A plan as people read it: what, in which order, why, and what cannot be undone."""
    graph = validate(plan)
    path, seconds = graph.critical_path()
    return {
        "hash": plan.hash,
        "revision": plan.revision,
        "reason": plan.reason,
        "rule": plan.rule,
        "catalogue_digest": plan.catalogue_digest,
        "metadata": plan.metadata,
        "timeout_seconds": plan.timeout,
        "max_parallel": plan.max_parallel,
        "waves": graph.waves(),
        "critical_path": {"steps": path, "seconds": seconds},
        "actions": [
            {
                "id": step.id,
                "type": step.action.type if step.action else step.kind,
                "description": step.description,
                "parameters": step.action.parameters if step.action else step.parameters,
                "priority": step.priority,
                "critical": step.critical,
                "estimated_duration": step.estimated_duration,
                "needs": step.needs,
                "on_failure": step.on_failure,
                "alternative": step.alternative,
                "reversible": step.reversible,
                "irreversible_reason": step.irreversible_reason,
            }
            for step in plan.steps
        ],
    }


def _step(name: str, step: StepState, graph: Graph | None) -> dict[str, Any]:
    last = step.attempts[-1] if step.attempts else None
    planned = graph.steps.get(name) if graph else None
    action = planned.action if planned else None
    sent = last.parameters if last and last.parameters is not None else None
    return {
        "id": name,
        "action_id": last.action_id if last else None,
        "kind": planned.kind if planned else None,
        "type": action.type if action else None,
        "action": action.type if action else None,
        "parameters": sent or (action.parameters if action else None),
        "status": step.status,
        "success": step.status is StepStatus.SUCCEEDED,
        "reason": step.reason,
        "message": step.message,
        "error_class": step.error_class,
        "failure_class": step.failure_class,
        "attempts": len(step.attempts),
        "keys": [attempt.key for attempt in step.attempts],
        "result": step.result,
        "changes": [change for attempt in step.attempts for change in attempt.changes],
        "undo": step.undo,
        "started_at": step.started_at,
        "ended_at": step.ended_at,
        "duration": _nanoseconds(step.started_at, step.ended_at) if step.started_at and step.ended_at else 0,
    }


def _rollback_required(state: RunState, plan: Plan | None) -> bool:
    """Whether the plan answers what failed with a rollback, and something had changed by then."""
    if plan is None or state.rollback is not RollbackStatus.NONE:
        return state.rollback is not RollbackStatus.NONE
    asked = any(
        state.steps[step.id].status is StepStatus.FAILED
        and answer(step, state.steps[step.id].failure_class) is OnFailure.ROLLBACK
        for step in plan.steps
        if step.id in state.steps
    )
    return state.rollback_started_at is not None or (
        asked and any(step.undo in _CHANGED for step in state.steps.values())
    )


def _nanoseconds(start: datetime, end: datetime) -> int:
    delta = end - start
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000


def nothing_to_do(intake: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The result of an alert for which there is no workflow: none was needed, or none is made."""
    undone = intake["outcome"] in UNDONE
    return {
        "success": not undone,
        **({"abort_reason": intake["reason"]} if undone else {}),
        "workflow_id": "",
        "execution_id": "",
        "status": intake["outcome"],
        "actions_total": 0,
        "actions_executed": 0,
        "completed_actions": [],
        "failed_actions": [],
        "execution_time": 0,
        "execution_duration": 0,
        "start_time": now,
        "end_time": now,
        "ai_analysis_applied": False,
        "rollback_required": False,
        "rollback_initiated": False,
        "workflow_result": {
            "status": intake["outcome"],
            "reason": intake["reason"],
            "cause": "",
            "rollback": RollbackStatus.NONE,
            "evidence": [],
            "changes": [],
        },
        "execution_details": {
            "intake": intake,
            "plan": None,
            "steps": [],
            "recoveries": [],
            "escalated": None,
            "forgotten": False,
        },
    }
