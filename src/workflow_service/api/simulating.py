"""Asking what would happen: an alert, an order, a workflow or a plan, simulated without effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, TypeAdapter, ValidationError

from workflow_service.api.callers import expect_orders_for, orders_within, visible_to
from workflow_service.api.judging import FindingOut
from workflow_service.api.problems import documented
from workflow_service.domain.alert import Alert, alert_from_json, shown
from workflow_service.domain.errors import Forbidden, NotFound, Rejected, Unfit, Violation
from workflow_service.domain.plan import Plan
from workflow_service.domain.stored_plan import plan_from_json
from workflow_service.planning.ordering import alert_of, kept, read_order
from workflow_service.planning.shelf import Shelf
from workflow_service.ports import Simulate, Supposed
from workflow_service.store import queries
from workflow_service.store.database import Database

_EXAMPLE: dict[str, Any] = {
    "alert": {"name": "HighCPUUsage", "severity": "high", "namespace": "production", "resource": "deployment/web"},
    "advise": False,
}
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)  # what a document that is no plan leads to
_PLANS = TypeAdapter(Plan)
_FORMS = ("alert", "template", "workflow_id", "plan")


class SimulateIn(BaseModel):
    """What is simulated: an alert, a template with parameters, a workflow's plan, or a plan about an alert."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    alert: dict[str, Any] | None = Field(None, description="it is planned as if it came now")
    template: str | None = Field(None, description="name@1.0.0, or the name alone: its newest active version")
    parameters: dict[str, Any] = Field(default_factory=dict, description="of the template")
    workflow_id: str | None = Field(
        None, max_length=100, pattern="^[A-Za-z0-9-]+$", description="its plan as it is now, from its beginning"
    )
    plan: dict[str, Any] | None = Field(None, description="in its stored form; `alert`: what it is about")
    advise: StrictBool = Field(default=True, description="false: no advisor is asked; the plan is that of the rules")


def _schema() -> dict[str, Any]:
    """Of the body; alerts are read leniently, by no model."""
    found = SimulateIn.model_json_schema()
    found["properties"]["alert"]["anyOf"] = [{"$ref": "#/components/schemas/AlertIn"}, {"type": "null"}]
    return found


SCHEMAS: Mapping[str, dict[str, Any]] = {"SimulateIn": _schema()}


class AdmissionRule(BaseModel):
    """One rule of admission."""

    rule: str
    saw: str
    decided: str


class AdmissionOut(BaseModel):
    """What would become of the alert; whatever it is, the plan is the one that it would get if it were admitted."""

    outcome: str
    reason: str
    workflow_id: str | None
    rules: list[AdmissionRule]


class JudgementOut(BaseModel):
    """What the guardrails say of the plan."""

    word: str
    policy: str
    environment: str
    findings: list[FindingOut]


class DryRunOut(BaseModel):
    """What the executor's dry run has told."""

    status: str
    message: str
    error_class: str | None
    changes: list[dict[str, Any]] = Field(description="each field with what it is and what it would be")


class UndoOut(BaseModel):
    """What would take it back, or why nothing does."""

    available: bool | None = Field(description="null: not known")
    by: str | None = Field(description="`undo`: the executor's own; else the action that the step names")
    why_not: str | None


class SimulatedStep(BaseModel):
    """One step as it would go."""

    id: str
    kind: str
    type: str | None
    target: dict[str, Any] | None
    parameters: dict[str, Any]
    changes: bool
    status: str
    message: str
    begins_after: float | None = Field(description="seconds; null: it would not begin")
    guardrails: list[FindingOut] = Field(description="those that do not simply allow it")
    dry_run: DryRunOut | None
    conditions: list[dict[str, Any]] = Field(description="held null: only a real run tells; `now`: as it stands now")
    undo: UndoOut | None = Field(description="null: it changes nothing")
    seconds: float | None = Field(description="that it usually takes")
    seconds_known_by: str | None = Field(description="history, plan or nothing")


class ApprovalOut(BaseModel):
    """A person's word that would be waited for; the simulation goes on as if it were given."""

    step: str
    why: str
    within: float


class DecisionOut(BaseModel):
    """One decision."""

    after: float = Field(description="seconds since the beginning, in the time of the run")
    decision: str
    step: str | None
    detail: dict[str, Any]


class DurationOut(BaseModel):
    """How long it would take, without what people take."""

    seconds: float
    without: list[str] = Field(description="steps of which nobody knows how long they take; they count as nothing")
    usual_for_the_alert: float | None


class UnknownOut(BaseModel):
    """What only a real run tells."""

    step: str
    what: str
    why: str


class SimulationOut(BaseModel):
    """What would happen now; nothing of it is kept."""

    complete: bool = Field(description="false: there was no time for the rest; see `stopped`")
    stopped: str | None
    certain: bool = Field(description="nothing is unknown")
    status: str | None = Field(description="how it would end; null: the simulation did not get that far")
    reason: str
    cause: str
    admission: AdmissionOut | None
    plan_hash: str
    plan: dict[str, Any]
    guardrails: JudgementOut
    steps: list[SimulatedStep]
    approvals: list[ApprovalOut]
    decisions: list[DecisionOut]
    duration: DurationOut
    unknown: list[UnknownOut]


def routes(simulate: Simulate, database: Database, shelf: Shelf) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.post(
        "/simulate",
        summary="What would happen: planned, judged and walked with dry runs instead of effects",
        responses={200: {"model": SimulationOut}, **documented(400, 404, 413, 422, 503)},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SimulateIn"}}},
            }
        },
    )
    async def simulated(request: Request) -> Response:
        supposed = await _supposed(request, _read(await request.body()), database, shelf)
        return Response(orjson.dumps(await simulate(supposed)), media_type="application/json")

    return router


def _read(body: bytes) -> SimulateIn:
    try:
        asked = SimulateIn.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        wrong = Violation("body", body[:40].decode("utf-8", "replace"), str(error))
        raise Rejected("the body is not JSON", [wrong]) from error
    except ValidationError as error:
        broken = [Violation(".".join(map(str, one["loc"])), shown(one["input"]), one["msg"]) for one in error.errors()]
        raise Rejected("the body cannot be read", broken) from error
    given = [name for name in _FORMS if getattr(asked, name) is not None]
    if len(given) != 1 and given != ["alert", "plan"]:
        raise Unfit("nobody knows what is simulated", [Violation("body", given, f"must name one of {_FORMS}")])
    if asked.parameters and asked.template is None:
        raise Unfit("nobody knows what is simulated", [Violation("parameters", "", "belong to a template")])
    return asked


async def _supposed(request: Request, asked: SimulateIn, database: Database, shelf: Shelf) -> Supposed:
    if asked.workflow_id is not None:
        await _expect_sight_of(request, asked.workflow_id, database)
        return Supposed(workflow_id=asked.workflow_id, advise=asked.advise)
    if asked.plan is not None:
        if orders_within(request) is not None:
            raise Forbidden("a plan may name any target, and the caller is limited to namespaces")
        about = alert_from_json(asked.alert) if asked.alert is not None else None
        return Supposed(alert=about, plan=plan_of(asked.plan))
    alert, ordered = _alert(asked, shelf)
    expect_orders_for(request, alert)
    return Supposed(alert=alert, ordered=ordered, advise=asked.advise)


def _alert(asked: SimulateIn, shelf: Shelf) -> tuple[Alert, Mapping[str, Any] | None]:
    """The alert, and what is ordered instead of what would be planned."""
    if asked.template is None:
        return alert_from_json(asked.alert), None
    order = read_order({"template": asked.template, "parameters": asked.parameters}, shelf.library)
    return alert_of(order, ""), kept(order)


async def _expect_sight_of(request: Request, workflow_id: str, database: Database) -> None:
    """In the words for a workflow that does not exist, where the caller may not see it."""
    reach = visible_to(request)
    namespace = await queries.namespace_of(database, workflow_id)
    if reach is not None and namespace not in reach:
        raise NotFound(f"no workflow {workflow_id}")
    if (orders := orders_within(request)) is not None and namespace not in orders:
        raise Forbidden(f"namespace: {namespace!r} must be one of those that the caller is limited to")


def plan_of(document: Mapping[str, Any]) -> Plan:
    """The plan that a stored form is.

    Raises:
        Unfit: it is none.
    """
    try:
        plan = plan_from_json(document)
        _PLANS.validate_python(document)
    except ValidationError as error:
        broken = [
            Violation(".".join(("plan", *map(str, one["loc"]))), shown(one["input"]), one["msg"])
            for one in error.errors()[:20]
        ]
        raise Unfit("the plan cannot be read", broken) from error
    except _UNREADABLE as error:
        wrong = Violation("plan", "", f"cannot be read: {type(error).__name__}: {error}"[:300])
        raise Unfit("the plan cannot be read", [wrong]) from error
    return plan
