"""A conversion for people to look at: the text of an answer in, the text of a plan and its notes out."""

from __future__ import annotations

import json
from collections.abc import Mapping

from workflow_service.domain.catalogue import catalogue_from_wire
from workflow_service.domain.errors import InvalidAdvice, Violation
from workflow_service.domain.plan import plan_to_json
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.multi_stage import convert
from workflow_service.planning.multi_stage_format import parse


def shown(answer: str, *, offered: str, limits: PlanLimits, cluster: str) -> str:
    """The plan of a multi-stage answer as JSON, with its hash and what of the answer is not done.

    `offered` is the executor's answer to `GET /api/v1/actions`.

    Raises:
        InvalidAdvice: the answer breaks a rule, or the catalogue is none.
    """
    document = parse(offered)
    if not isinstance(document, Mapping) or not isinstance(document.get("actions"), list):
        wrong = Violation("catalogue", offered[:40], "must be what the executor answers to GET /api/v1/actions")
        raise InvalidAdvice("there is no catalogue", [wrong])
    found = convert(parse(answer), catalogue=catalogue_from_wire(document), limits=limits, cluster=cluster)
    notes = [{"field": one.field, "value": one.value, "note": one.rule} for one in found.notes]
    return json.dumps({"hash": found.plan.hash, "notes": notes, "plan": plan_to_json(found.plan)}, indent=2)
