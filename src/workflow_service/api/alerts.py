"""Taking deliveries of alerts in: Alertmanager's webhook, CloudEvents and PagerDuty on one route."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from workflow_service.api.callers import caller_of, hindrance, source_of, within_sight
from workflow_service.api.problems import documented, problem
from workflow_service.api.signed import WEBHOOK
from workflow_service.domain.admission import OUTCOMES
from workflow_service.domain.errors import StoreUnavailable
from workflow_service.domain.signatures import BadSignature, verify
from workflow_service.intake.inbox import Full, Load
from workflow_service.intake.intake import Delivery
from workflow_service.intake.receiving import SIGNATURES, Form, form_of, needed
from workflow_service.intake.reception import Answer, Reception
from workflow_service.store.database import Database
from workflow_service.telemetry import tracing
from workflow_service.telemetry.intake import IntakeMetrics

PATH = "/api/v1/alerts"
MAX_BODY = 16 * 1024 * 1024  # bytes; a group of a thousand alerts has one or two of these

_EXAMPLE = {
    "version": "4",
    "status": "firing",
    "receiver": "workflow-service",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HighCPUUsage", "severity": "high", "namespace": "production", "deployment": "web"},
            "annotations": {"summary": "web is busy"},
            "startsAt": "2026-11-23T03:00:00Z",
            "fingerprint": "c3d9f0a1b2e4f567",
        }
    ],
}
# What breaks these rules is taken all the same, as one invalid alert.
_ONE = {"anyOf": [{"$ref": "#/components/schemas/AlertmanagerAlertIn"}, {}]}
_NOTIFICATION: dict[str, Any] = {
    "type": "object",
    "required": ["alerts"],
    "properties": {
        "version": {"description": '"4"; may be missing'},
        "status": {"description": "of the group, firing or resolved; each alert's own counts"},
        "truncatedAlerts": {"description": "how many alerts were left out; what is no number counts as none"},
        "alerts": {"type": ["array", "null"], "items": _ONE},
    },
    "examples": [_EXAMPLE],
}
_ATTRIBUTES = ("specversion", "id", "source", "type")  # an event without them is one invalid alert
_EVENT: dict[str, Any] = {"type": "object", "properties": {name: {} for name in _ATTRIBUTES}}
_BODIES = {
    "application/json": {"schema": _NOTIFICATION},
    "application/cloudevents+json": {"schema": _EVENT},
    "application/cloudevents-batch+json": {"schema": {"type": "array", "items": {"anyOf": [_EVENT, {}]}}},
}


class AlertmanagerAlertIn(BaseModel):
    """One alert of Alertmanager's. Empty strings, nulls and Go's zero time count as absent; unknown fields are kept."""

    status: str | None = Field(None, description="firing or resolved; missing: the group's, else firing")
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    startsAt: str | None = None  # noqa: N815 - Alertmanager's names
    endsAt: str | None = None  # noqa: N815 - see above
    generatorURL: str | None = None  # noqa: N815 - see above
    fingerprint: str | None = None


class AlertOutcomeOut(BaseModel):
    """What became of one alert."""

    alert_id: str | None = Field(description="null when it is invalid")
    fingerprint: str | None = Field(description="Alertmanager's own where it sent one")
    outcome: str = Field(
        description=f"{', '.join(OUTCOMES)}, invalid (quarantined) or undecided (stored; decided soon)"
    )
    reason: str
    workflow_id: str | None


class DeliveryOutcomeOut(BaseModel):
    """What became of a delivery: all of it is stored."""

    delivery_id: str
    form: Form
    alerts: list[AlertOutcomeOut] = Field(description="one per alert, in the sender's order")
    truncated: int = Field(description="alerts that the sender says it has left out")
    note: str


@dataclass(frozen=True, slots=True)
class Alerts:
    """What the route works with."""

    reception: Reception
    database: Database
    metrics: IntakeMetrics
    webhook_secrets: Callable[[], Sequence[bytes] | None]  # with which PagerDuty signs


def routes(parts: Alerts) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post(
        PATH,
        summary="Take alerts in: Alertmanager's webhook, CloudEvents 1.0, PagerDuty V3",
        responses={
            200: {"model": DeliveryOutcomeOut, "description": "stored; one outcome per alert"},
            **documented(400, 403, 413, 503),
        },
        openapi_extra={"requestBody": {"required": True, "content": _BODIES}},
    )
    async def alerts(request: Request) -> Response:
        # Who hangs up has sent the alerts all the same.
        return await asyncio.shield(_take(parts, request))

    return router


def answer(found: Answer) -> Response:
    """The outcome of every alert."""
    return Response(orjson.dumps(asdict(found)), media_type="application/json")


async def _take(parts: Alerts, request: Request) -> Response:
    headers = {name: ",".join(request.headers.getlist(name)) for name in request.headers}
    form = form_of(headers)
    with parts.reception.inbox.load() as load:
        try:
            body = await _body(request, load)
            proved = caller_of(request) is WEBHOOK
            flaw = _forged(parts, body, headers) if form is Form.PAGERDUTY and not proved else None
            if flaw is not None:
                parts.metrics.refused("signature")
                return problem(request, 403, "Signature refused", flaw)
            found = await parts.reception.take(
                _delivery(request, form, headers, body), form, hindrance=partial(hindrance, request)
            )
            results = [await within_sight(request, parts.database, one) for one in found.alerts]
            return answer(replace(found, alerts=tuple(results)))
        except StoreUnavailable as error:
            parts.metrics.refused("full" if isinstance(error, Full) else "store_unavailable")
            raise


async def _body(request: Request, load: Load) -> bytes:
    """All that is sent, weighed as it comes.

    Raises:
        Full: the replica holds as much as it may.
    """
    chunks = []
    async for chunk in request.stream():
        load.add(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def _delivery(request: Request, form: Form, headers: dict[str, str], body: bytes) -> Delivery:
    return Delivery(
        body=body,
        route=PATH,
        source=source_of(request),
        request_id=headers.get("x-request-id"),
        trace=tracing.current(),
        form=form,
        headers=needed(form, headers),
    )


def _forged(parts: Alerts, body: bytes, headers: dict[str, str]) -> str | None:
    """What is wrong with the signature; None: nothing."""
    secrets = parts.webhook_secrets()
    if not secrets:
        return "WEBHOOK_SECRETS is not set, so nobody can tell whether this comes from PagerDuty"
    try:
        verify({SIGNATURES: headers[SIGNATURES]}, body, secrets=secrets, now=time.time())
    except BadSignature:
        return f"no signature in {SIGNATURES} is ours"
    return None
