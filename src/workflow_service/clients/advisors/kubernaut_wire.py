"""The formats of Kubernaut's AI service, to and from the form that answers of advisors have here; pure.

Source: its handlers for analyze-alert, recommendations and investigate. Its answers name one action or a list of them,
and always repeat what is acted upon: that is dropped where it is ours, and left to be refused where it is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workflow_service.clients.advisors.asking import Asked
from workflow_service.domain.advice import Candidate, Question
from workflow_service.domain.catalogue import canonical
from workflow_service.domain.projection import Projection

_PRIORITIES: Mapping[str, int] = {"critical": 1, "urgent": 1, "high": 3, "medium": 5, "normal": 5, "low": 7}
_TARGETS = ("namespace", "resource", "resource_name", "resource_type", "kind", "name")


def alert_body(asked: Asked, **more: Any) -> dict[str, Any]:
    """What every route takes: the alert as far as it may be told, and who asks."""
    about = asked.question.alert
    alert = {
        "name": about.name,
        "severity": about.severity,
        "status": "firing",
        "namespace": about.namespace or "",
        "resource": f"{about.kind.lower()}/{about.object}" if about.kind and about.object else "",
        "labels": dict(about.labels),
        "annotations": dict(about.texts),
    }
    context: dict[str, Any] = {
        "request_id": asked.question.id,
        "environment": asked.question.environment,
        "observed": dict(about.facts),
    }
    if asked.question.setback is not None:
        context["failed"] = asked.question.setback.document()
    if asked.refusal is not None:
        context["refused"] = [str(flaw) for flaw in asked.refusal.flaws[:5]]
    return {"alert": alert, "context": context, **more}


def constraints(offered: Sequence[Candidate]) -> dict[str, Any]:
    """The actions that may be recommended, and no others."""
    return {"allowed_actions": sorted({action for one in offered for action in one.actions})}


def proposals(analysis: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Each action that an analysis names, as {action, parameters, confidence, estimated_duration}."""
    listed = analysis.get("actions")
    if isinstance(listed, list) and listed:
        return [{**one, "action": one.get("action") or one.get("type")} for one in listed if isinstance(one, Mapping)]
    return [analysis] if analysis.get("action") else []


def recommended(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each recommendation with each of its actions, the most promising first, as it sorts them."""
    for one in _mappings(document.get("recommendations")):
        for action in _mappings(one.get("actions")) or [one]:
            yield one, {**action, "action": action.get("action") or action.get("type")}


def pick_from(proposal: Mapping[str, Any], question: Question, taken: Sequence[str] = ()) -> dict[str, Any]:
    """One entry of `picks`. What nobody offered keeps its name, and is refused for it."""
    name = canonical(str(proposal.get("action") or ""))
    found = next((one for one in question.candidates if name in one.actions and one.name not in taken), None)
    return {
        "candidate": found.name if found else name,
        "parameters": parameters(proposal, question.alert, found),
        "priority": _PRIORITIES.get(str(proposal.get("priority") or "").lower()),
        "estimated_seconds": seconds(proposal.get("estimated_duration")),
    }


def suggestion_from(proposal: Mapping[str, Any], question: Question, why: object) -> dict[str, Any]:
    """One entry of `suggested`."""
    name = canonical(str(proposal.get("action") or ""))
    found = next((one for one in question.suggestible if name in one.actions or name == one.name), None)
    return {
        "action": found.name if found else name,
        "parameters": parameters(proposal, question.alert, found),
        "why": why if isinstance(why, str) else "",
    }


def parameters(proposal: Mapping[str, Any], about: Projection, found: Candidate | None) -> dict[str, Any]:
    """What it sets: without nulls and empty values (Go's), and without repetitions of our own target."""
    given = proposal.get("parameters")
    given = given if isinstance(given, Mapping) else {}
    settable = found.parameters if found else {}
    return {
        str(name): value
        for name, value in given.items()
        if value not in (None, "") and (name in settable or not _ours(str(name), value, about))
    }


def percent(value: object) -> int:
    """A confidence from 0 to 1 in whole percent, rounded down; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return math.floor(value * 100 + 1e-9) if 0 <= value <= 1 else 0


def seconds(value: object) -> int | None:
    """A duration: Go's nanoseconds as a number, seconds where that would be nothing, or a text such as 5m."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**53:
        return None
    return max(1, round(value / 1e9)) if value >= 1e6 else max(1, round(value))


def root_cause(investigation: Mapping[str, Any]) -> str:
    """The first root cause that it names."""
    causes = investigation.get("root_causes")
    first = causes[0] if isinstance(causes, list) and causes else causes
    if isinstance(first, Mapping):
        first = first.get("description") or first.get("cause") or first.get("title")
    return first if isinstance(first, str) else ""


def summary(analysis: Mapping[str, Any]) -> tuple[str, str]:
    """Root cause and summary of an analysis's reasoning."""
    reasoning = analysis.get("reasoning")
    if isinstance(reasoning, str):
        return "", reasoning
    reasoning = reasoning if isinstance(reasoning, Mapping) else {}
    found = [reasoning.get("primary_reason"), reasoning.get("summary")]
    return str(found[0] or ""), str(found[1] or "")


def _ours(name: str, value: object, about: Projection) -> bool:
    """Whether it only repeats what the alert is about anyway."""
    if name not in _TARGETS or not isinstance(value, str):
        return False
    kind, own = (about.kind or "").lower(), about.object
    known = {about.namespace} if name == "namespace" else {own, f"{kind}/{own}"}
    return value in known if name not in {"resource_type", "kind"} else value.lower() == kind


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
