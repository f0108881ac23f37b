"""Questions to advisors, and answers to them, for tests: name what matters, the rest is ordinary."""

from __future__ import annotations

import json
from typing import Any

from workflow_service.domain.advice import Candidate, Question, Setback
from workflow_service.domain.alert import Alert
from workflow_service.domain.projection import project
from workflow_service.domain.target import Target

ALERT = Alert(
    name="KubePodCrashLooping",
    severity="critical",
    namespace="production",
    resource="pod/web-1",
    labels={"alertname": "KubePodCrashLooping", "pod": "web-1", "reason": "CrashLoopBackOff"},
)
TARGET = Target("default", "Pod", "web-1", "production")
FACTS = {"phase": "Running", "restarts": 12, "owner": {"replicas": 3, "ready_replicas": 1}}

SCALE = Candidate(
    "scale-out",
    "One replica more, for a workload that has more work than CPU",
    actions=("scale_deployment",),
    parameters={"replicas": {"type": "integer", "minimum": 1, "maximum": 10}},
    required=frozenset({"replicas"}),
)
ROLLBACK = Candidate(
    "crashloop-rollback",
    "Go back to the revision before",
    actions=("rollback_deployment",),
    parameters={"min_restarts": {"type": "integer", "minimum": 1, "maximum": 100}},
)
RESTART = Candidate("restart", "Replace the pod", actions=("restart_pod",))
LOOK = Candidate(
    "collect_diagnostics",
    "Gather status, events and logs",
    actions=("collect_diagnostics",),
    parameters={"time_range": {"type": "string", "pattern": "^[1-9]\\d{0,3}(m|h|d)$"}},
    changes=False,
)
DRAIN = Candidate("cordon_node", "Keep new pods away from a node", actions=("cordon_node",))


def question(about: Alert = ALERT, **values: Any) -> Question:
    """What to do about a crashing pod: scale, go back or restart; looking and cordoning may be suggested."""
    defaults: dict[str, Any] = {
        "id": "exec-1",
        "alert": project(about, TARGET, facts=FACTS),
        "candidates": (ROLLBACK, SCALE, RESTART),
        "suggestible": (LOOK, DRAIN),
        "environment": "production",
    }
    return Question(**{**defaults, **values})


def failed(**values: Any) -> Question:
    """What to do after a step has failed."""
    setback = Setback("restart_pod", "timeout", "the pod did not become ready within 120s", ("restart",))
    return question(**{"setback": setback, "candidates": (ROLLBACK, SCALE), **values})


def answer(*picks: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A sound answer: by default the first candidate, at 82 percent."""
    return {
        "root_cause": "the new image does not start",
        "picks": list(picks) if picks else [pick()],
        "suggested": [{"action": "collect_diagnostics", "parameters": {"time_range": "1h"}, "why": "to be sure"}],
        "confidence_percent": 82,
        "summary": "a crash loop right after a rollout",
        **values,
    }


def pick(candidate: str = "crashloop-rollback", **values: Any) -> dict[str, Any]:
    """One entry of an answer's picks."""
    default = {"min_restarts": 3} if candidate == "crashloop-rollback" else {}
    return {"candidate": candidate, "parameters": default, "priority": 1, "estimated_seconds": 90, **values}


def text(*picks: dict[str, Any], **values: Any) -> str:
    """The same as a model writes it."""
    return json.dumps(answer(*picks, **values))
