"""The shapes of requests and answers, for parsing and for OpenAPI. Unknown request fields are tolerated."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Key = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x20-\x7e]+$")]
LedgerId = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x20-\x7e]+$")]


def _absent_map(value: Any) -> Any:
    return {} if value is None else value


def _absent_flag(value: Any) -> Any:
    return False if value is None else value


Map = Annotated[dict[str, Any], BeforeValidator(_absent_map)]
Flag = Annotated[bool, BeforeValidator(_absent_flag)]


class Action(BaseModel):
    """What to do. `priority`, `critical` and `estimated_duration` are the caller's notes."""

    id: str = ""
    type: Annotated[str, Field(min_length=1, max_length=128)]
    parameters: Map = Field(default_factory=dict)
    priority: str | int | None = None
    critical: Flag = False
    estimated_duration: str | float | None = None


class Context(BaseModel):
    """For whom, and for how long (seconds)."""

    workflow_id: str | None = None
    execution_id: str | None = None
    step_id: str | None = None
    attempt: int | None = None
    remaining_seconds: Annotated[float | None, Field(allow_inf_nan=False)] = None
    dry_run: Flag = False
    cluster: str | None = None


class ExecuteRequest(BaseModel):
    """Body of execute."""

    action: Action
    alert: dict[str, Any] | None = None
    context: Annotated[Context, BeforeValidator(_absent_map)] = Field(default_factory=Context)


class ObserveRequest(BaseModel):
    """Body of observe: an object by kind and name, or a query for Prometheus by `promql` alone."""

    kind: Annotated[str | None, Field(min_length=1, max_length=63)] = None
    namespace: Annotated[str | None, Field(max_length=63, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")] = None
    name: Annotated[str | None, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")] = None
    promql: Annotated[str | None, Field(min_length=1, max_length=4096)] = None


class Change(BaseModel):
    """One changed field."""

    cluster: str
    kind: str
    namespace: str | None
    name: str
    field: str
    before: Any
    after: Any


class UndoOffer(BaseModel):
    """Whether the action can be undone, until when, or why not."""

    available: bool
    reason: str | None = None
    until: str | None = None


class Failure(BaseModel):
    """Why an action did not complete; rule, field and value where a rule of the executor's own refused it."""

    class_: Annotated[str, Field(alias="class")]
    message: str
    rule: str | None = None
    field: str | None = None
    value: Any = None


class Result(BaseModel):
    """What is known about an action."""

    success: bool
    action_id: str
    key: str
    status: Literal["running", "completed", "failed", "refused", "cancelled"]
    message: str
    timestamp: str
    result: dict[str, Any]
    changes: list[Change]
    undo: UndoOffer
    error: Failure | None
    ledger_id: str
    progress: str | None = None


class Right(BaseModel):
    """Verbs on a resource that an action needs."""

    group: str
    resource: str
    verbs: list[str]


class CatalogueEntry(BaseModel):
    """One action that can be ordered."""

    type: str
    family: str
    description: str
    parameters: dict[str, Any]
    target_kinds: list[str]
    risk: Literal["low", "medium", "high"]
    changes: bool
    reversible: bool
    irreversible_reason: str | None
    default_timeout_seconds: int
    aliases: list[str]
    parameter_aliases: dict[str, str]
    needs: list[Right]
    requires: list[str]
    done_when: str


class Missing(BaseModel):
    """One action that cannot be ordered here, and why."""

    type: str
    family: str
    description: str
    reason: str


class CatalogueAnswer(BaseModel):
    """The catalogue."""

    digest: str
    cluster: str
    ledger_id: str
    actions: list[CatalogueEntry]
    unavailable: list[Missing]


class Owner(BaseModel):
    """An object above another."""

    kind: str
    namespace: str | None
    name: str


class ObservationAnswer(BaseModel):
    """Facts about an object now."""

    found: bool
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    promql: str | None = None
    facts: dict[str, Any]
    owners: list[Owner]
    resolved_through_owner: bool
    observed_at: str


class AuditQuery(BaseModel):
    """Which lines of the audit; a filter that does not exist is refused, lest it be taken for one that holds."""

    model_config = ConfigDict(extra="forbid")

    namespace: Annotated[str | None, Field(min_length=1, max_length=63)] = None
    kind: Annotated[str | None, Field(min_length=1, max_length=63)] = None
    name: Annotated[str | None, Field(min_length=1, max_length=253)] = None
    key: Annotated[str | None, Field(min_length=1, max_length=256)] = None
    since: Annotated[datetime | None, Field(description="RFC 3339; a time without zone is UTC")] = None
    cursor: Annotated[int | None, Field(ge=1, le=2**63 - 1, description="`next_cursor` of the page before")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class AuditEntry(BaseModel):
    """One write that was tried or refused: who asked, what, and what became of it."""

    seq: int
    at: str
    closed_at: str | None
    caller: str
    workflow_id: str | None
    execution_id: str | None
    step_id: str | None
    key: str
    slot: str
    action: str
    target: str
    place: str | None
    verb: str
    cluster: str
    kind: str
    namespace: str | None
    name: str
    changes: list[Change]
    outcome: Literal["pending", "applied", "refused", "stale", "overtaken"]
    message: str | None
    rule: str | None


class AuditAnswer(BaseModel):
    """One page of the audit, newest first; `next_cursor` is null on the last."""

    entries: list[AuditEntry]
    next_cursor: int | None


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[dict[str, Any]] | None = None
    ledger_id: str | None = None


class Health(BaseModel):
    """Health of the service and of what it needs."""

    status: Literal["healthy", "degraded"]
    service: str
    components: dict[str, bool]
    version: str
    uptime: str
