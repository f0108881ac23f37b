"""The shapes of requests and answers for OpenAPI; `results` builds them as plain values, tests hold the two equal."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, Field

from workflow_service.api.paging import Cursor
from workflow_service.domain.states import ExecutionStatus
from workflow_service.store.waiting import Stuck


class ActionOut(BaseModel):
    """One action as it went."""

    id: str
    action_id: str | None
    type: str | None
    action: str | None
    parameters: dict[str, Any] | None
    status: str
    success: bool
    message: str
    error_class: str | None
    failure_class: str | None = Field(description="of its last failure: critical, high, medium or low")
    attempts: int
    keys: list[str]
    result: dict[str, Any]
    changes: list[dict[str, Any]]
    undo: str
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    duration: int = Field(description="nanoseconds")


class EvidenceOut(BaseModel):
    """Something that speaks about the outcome, beside the steps themselves."""

    kind: str = Field(description="caused_alert: an alert that began after what it is about was changed")
    event: str = Field(description="the id of the alert")
    observed: dict[str, Any]
    at: AwareDatetime


class WorkflowResult(BaseModel):
    """How it ended, and what changed in the cluster."""

    status: str
    reason: str
    cause: str
    rollback: str
    evidence: list[EvidenceOut]
    changes: list[dict[str, Any]]


class RecoveryOut(BaseModel):
    """Another way that was looked for after a step of the plan had failed for good."""

    step: str
    attempt: int = Field(ge=1, description="1 is the workflow's first")
    signature: str = Field(description="equal for failures that are the same")
    failure_class: str | None
    outcome: str = Field(description="asked, planned or refused")
    reason: str = Field(description="why it was refused, for machines")
    why: str
    option: str = Field(description="what is tried instead")
    group: str = Field(description="the step that was added to the plan")


class ExecutionDetails(BaseModel):
    """What intake said, the plan, every step."""

    intake: dict[str, Any] | None
    plan: dict[str, Any] | None
    steps: list[ActionOut]
    recoveries: list[RecoveryOut]
    escalated: str | None = Field(description="why a person is needed, for machines; null: none is")
    forgotten: bool = Field(description="the steps were deleted STATE_RETENTION_PERIOD after the end")


class ResultOut(BaseModel):
    """The result of processing one alert."""

    success: bool
    workflow_id: str
    execution_id: str
    status: str
    actions_total: int
    actions_executed: int
    completed_actions: list[ActionOut]
    failed_actions: list[str]
    execution_time: int = Field(description="nanoseconds")
    execution_duration: int = Field(description="nanoseconds")
    start_time: AwareDatetime
    end_time: AwareDatetime | None
    ai_analysis_applied: bool
    rollback_required: bool
    rollback_initiated: bool
    abort_reason: str | None = None
    workflow_result: WorkflowResult
    execution_details: ExecutionDetails


class ExecuteOut(BaseModel):
    """`success` says that the alert was processed; `result.success` says whether the remediation worked."""

    status: str
    result: ResultOut
    service: str


class Ahead(BaseModel):
    """What lies ahead of a workflow."""

    queue: str = Field(description="where it waits or works: planning, executions, manual (by hand) or control")
    priority: int = Field(description="1 goes first, 9 last; from the severity, until somebody sets another")
    queue_position: int | None = Field(ge=1, description="in its queue, 1 is next; null when it does not wait")
    estimated_completion: AwareDatetime | None = Field(
        description="median of its like that took longer than it has taken so far; null under 3 of them"
    )
    must_end_by: AwareDatetime | None
    stuck_because: Stuck | None = Field(
        description="null when all is well; past_its_bound: must_end_by is over; waits_too_long: not parked, and for "
        "an hour without a plan, or without a replica and a journal entry; replica_gone: its replica has been silent "
        "for a minute and nobody has taken it over"
    )


class WorkflowOut(Ahead):
    """One workflow in a list."""

    workflow_id: str
    execution_id: str
    seq: int = Field(ge=0, description="the newest entry of its execution's journal")
    alert_id: str
    alert_name: str
    severity: str
    namespace: str | None
    target: str | None
    status: str
    reason: str
    cause: str
    rollback: str
    actions_total: int
    actions_ended: int
    current_action: str | None
    progress: float = Field(ge=0, le=1)
    created_at: AwareDatetime
    updated_at: AwareDatetime
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None


class WorkflowQuery(BaseModel):
    """Which workflows a list shows."""

    status: ExecutionStatus | None = None
    severity: str | None = Field(None, max_length=64)
    namespace: str | None = Field(None, max_length=253)
    alert_name: str | None = Field(None, max_length=256)
    stuck: bool | None = Field(None, description="true: only those with a stuck_because; false: only the others")
    cursor: Cursor
    limit: int = Field(50, ge=1, le=200)


class WorkflowPage(BaseModel):
    """A page of workflows, newest first."""

    workflows: list[WorkflowOut]
    next_cursor: str | None


class WorkflowDetail(WorkflowOut):
    """One workflow whole."""

    trace_id: str | None = Field(description="the trace in which its alert came (W3C Trace Context)")
    evidence: list[EvidenceOut]
    alert: dict[str, Any]
    result: ResultOut
    events: list[dict[str, Any]]


class StatusOut(Ahead):
    """Where a workflow stands."""

    workflow_id: str
    execution_id: str
    status: str
    progress: float = Field(ge=0, le=1)
    current_action: str | None
    metrics: dict[str, Any]


class HealthOut(BaseModel):
    """The service's own state: healthy, or degraded when a part is away."""

    status: str
    service: str
    ai_integration: bool
    components: dict[str, bool]
    executors: dict[str, bool] = Field(description="by cluster, whether its executor answers")
    circuit_breakers: dict[str, str] = Field(description="per service spoken to: closed, half_open or open")
    version: str
    uptime: float = Field(description="seconds")
