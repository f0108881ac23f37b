"""Asking the guardrails why: for a workflow, one of its steps, an alert, or a plan."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from workflow_service.api.problems import documented
from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.errors import Unfit, Violation
from workflow_service.domain.guarded import shown
from workflow_service.domain.plan import Plan
from workflow_service.domain.stored_plan import plan_from_json
from workflow_service.engine.explaining import Explained, Explainer

_EXAMPLE: dict[str, Any] = {
    "alert": {"name": "HighCPUUsage", "severity": "high", "namespace": "production", "resource": "deployment/web"}
}
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)  # what a document that is no plan leads to


class ExplainIn(BaseModel):
    """What is asked about: one of workflow_id, alert and plan."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    workflow_id: str | None = Field(None, max_length=100)
    step: str | None = Field(None, max_length=500, description="of the workflow: only this one, as it would begin now")
    alert: dict[str, Any] | None = Field(None, description="as POST /api/v1/execute takes it; it is planned, not kept")
    plan: dict[str, Any] | None = Field(None, description="in its stored form; `alert`: what it is about")


class FindingOut(BaseModel):
    """What one rule says."""

    rule: str
    word: str = Field(description="allowed, needs_approval, held or denied")
    why: str
    field: str | None = None
    value: Any = None
    override: str | None = Field(None, description="whose word counts instead")


class ExplanationOut(BaseModel):
    """What all rules say; the strictest word counts."""

    word: str
    policy: str = Field(description="the version of the policy")
    environment: str
    plan_hash: str
    findings: list[FindingOut]


def routes(explainer: Explainer) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.post(
        "/explain",
        summary="Why a plan or a step may be or may not, rule by rule; nothing is changed",
        responses={200: {"model": ExplanationOut}, **documented(400, 404, 413, 422, 503)},
    )
    async def explain(body: ExplainIn) -> Response:
        found = await _explained(explainer, body)
        judgement = found.judgement
        answer = {
            "word": judgement.word,
            "policy": judgement.policy,
            "environment": found.environment,
            "plan_hash": found.plan.hash,
            "findings": [shown(one) for one in judgement.findings],
        }
        return Response(orjson.dumps(answer), media_type="application/json")

    return router


async def _explained(explainer: Explainer, body: ExplainIn) -> Explained:
    if body.workflow_id is not None and body.alert is None and body.plan is None:
        return await explainer.of_workflow(body.workflow_id, body.step)
    if body.workflow_id is not None or body.step is not None or (body.alert is None and body.plan is None):
        wrong = Violation(
            "body", sorted(body.model_fields_set), "must name a workflow_id, with or without step, or an alert"
        )
        raise Unfit("nobody knows what is asked about", [wrong])
    if body.plan is None:
        return await explainer.of_alert(alert_from_json(body.alert))
    return await explainer.of_plan(_plan(body.plan), body.alert or {})


def _plan(document: dict[str, Any]) -> Plan:
    try:
        return plan_from_json(document)
    except _UNREADABLE as error:
        wrong = Violation("plan", "", f"cannot be read: {type(error).__name__}: {error}"[:300])
        raise Unfit("the plan cannot be read", [wrong]) from error
