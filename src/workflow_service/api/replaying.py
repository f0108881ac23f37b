"""A delivery simulated: for each of its alerts, in short, what would happen if it came now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from workflow_service.domain.alert import Alert, fingerprint
from workflow_service.domain.errors import Rejected
from workflow_service.domain.received import Invalid
from workflow_service.intake.intake import Delivery
from workflow_service.intake.receiving import Form, read
from workflow_service.ports import Simulate, Supposed

MOST = 20  # alerts of one delivery
PATIENCE = 45.0  # seconds after which no further alert is begun


class SimulatedAlertOut(BaseModel):
    """What would happen about one alert; POST /api/v1/simulate tells it whole."""

    fingerprint: str | None
    name: str | None
    outcome: str = Field(description="of admission, each alert asked by itself; invalid: it would be quarantined")
    reason: str
    plan_hash: str | None
    rule: str | None = Field(description="the rule or template of the plan")
    guardrails: str | None = Field(description="allowed, needs_approval, held or denied")
    status: str | None = Field(description="how its workflow would end; null: not known")
    changes: list[str] = Field(description="the types of the actions that would change something, in order")
    approvals: int = Field(description="words of people that would be waited for")
    unknown: int = Field(description="things that only a real run tells")


class SimulatedDeliveryOut(BaseModel):
    """What would become of a delivery; nothing is stored."""

    delivery_id: str
    form: Form
    alerts: list[SimulatedAlertOut] = Field(description="in the sender's order")
    left_out: int = Field(description=f"alerts that were not simulated: beyond {MOST}, or there was no time")


async def simulated(delivery: Delivery, form: Form, simulate: Simulate) -> dict[str, Any]:
    """What would become of a stored delivery. No advisor is asked.

    Raises:
        Crowded: there are as many simulations already as may be at once.
        StoreUnavailable: the database is away.
    """
    found = read(form, delivery.headers, delivery.body).found
    clock = asyncio.get_running_loop().time
    until, told = clock() + PATIENCE, list[dict[str, Any]]()
    for one in found[:MOST]:
        if clock() >= until:
            break
        told.append(_invalid(one) if isinstance(one, Invalid) else await _of_alert(one, simulate))
    return {"delivery_id": delivery.origin, "form": form, "alerts": told, "left_out": len(found) - len(told)}


async def _of_alert(alert: Alert, simulate: Simulate) -> dict[str, Any]:
    try:
        return _short(alert, await simulate(Supposed(alert=alert, advise=False)))
    except Rejected as error:  # no plan can be made of it: its workflow would end so
        return {**_NOTHING, "fingerprint": fingerprint(alert), "name": alert.name, "reason": str(error)}


_NOTHING: Mapping[str, Any] = {
    "outcome": "admitted",
    "plan_hash": None,
    "rule": None,
    "guardrails": None,
    "status": "failed",
    "changes": [],
    "approvals": 0,
    "unknown": 0,
}


def _invalid(one: Invalid) -> dict[str, Any]:
    about = {"fingerprint": one.fingerprint, "name": None, "reason": one.reason}
    return {**_NOTHING, **about, "outcome": "invalid", "status": None}


def _short(alert: Alert, found: Mapping[str, Any]) -> dict[str, Any]:
    begun = (one for one in found["steps"] if one["changes"] and one["begins_after"] is not None)
    return {
        "fingerprint": fingerprint(alert),
        "name": alert.name,
        "outcome": found["admission"]["outcome"],
        "reason": found["admission"]["reason"],
        "plan_hash": found["plan_hash"],
        "rule": found["plan"]["rule"],
        "guardrails": found["guardrails"]["word"],
        "status": found["status"],
        "changes": [one["type"] for one in sorted(begun, key=lambda step: step["begins_after"])],
        "approvals": len(found["approvals"]),
        "unknown": len(found["unknown"]),
    }
