"""Upstream's multi-stage answer in the form that answers of advisors have here; pure.

Its actions, their order, parameters and conditions are taken. Monitoring, rollback and prerequisites are not: what
proves and undoes a plan is ours. What it says of its target is left out where it is ours, and refused where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from workflow_service.clients.advisors.kubernaut_wire import percent, pick_from
from workflow_service.domain.advice import Question


def is_multi_stage(document: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it is one."""
    return isinstance(document, Mapping) and isinstance(document.get("primary_action"), Mapping)


def in_our_form(document: Mapping[str, Any], question: Question) -> dict[str, Any]:
    """The same as picks; whatever is wrong with them is for the check of answers to say."""
    given = document.get("secondary_actions")
    others = [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
    picks: list[dict[str, Any]] = []
    for stage in (document["primary_action"], *sorted(others, key=_order)):
        pick = pick_from(stage, question, [one["candidate"] for one in picks])
        condition = {"condition": stage.get("condition")} if picks else {}
        picks.append({**pick, "priority": None, "estimated_seconds": None, **condition})
    metadata = document.get("metadata")
    sure = metadata.get("confidence") if isinstance(metadata, Mapping) else None
    return {"picks": picks, "confidence_percent": percent(document.get("confidence", sure))}


def _order(stage: Mapping[str, Any]) -> int:
    order = stage.get("execution_order")
    return order if isinstance(order, int) else 0
