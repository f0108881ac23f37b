"""The answer of a simulation as plain values: plan, findings, decisions, steps, and what is not known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from workflow_service.domain import decisions as do
from workflow_service.domain.admission import Choice
from workflow_service.domain.guarded import shown
from workflow_service.domain.guardrails_about import Judgement
from workflow_service.domain.plan import Plan, Step, plan_to_json
from workflow_service.domain.run_state import StepState
from workflow_service.rehearsal.playing import Play
from workflow_service.simulation.findings import Findings

_OUTPUT = re.compile(r"\bsteps\.([a-z_][a-z0-9_]*)\.(?:output|message)\b")
_FOR_WANT = frozenset({"condition_error", "parameter_error", "items_error"})  # reasons of a step that failed so


@dataclass(frozen=True, slots=True)
class Simulated:
    """All that was found. `play` None: nothing of the plan would be executed."""

    plan: Plan
    judgement: Judgement
    environment: str
    admission: Choice | None
    findings: Findings
    usual: float | None  # seconds that alerts of that name usually take
    play: Play | None = None
    stopped: str = ""  # why the walk is not complete
    end: tuple[str, str, str] = ("", "", "")  # status, reason, cause

    def refused(self, reason: str, cause: str) -> Simulated:
        """It would end at once."""
        return replace(self, end=("rejected", reason, cause))

    def played(self, play: Play, stopped: str) -> Simulated:
        """It was walked, as far as there was time."""
        state = play.state
        return replace(self, play=play, stopped=stopped, end=(str(state.status), state.reason, state.cause))


def told(found: Simulated) -> dict[str, Any]:
    """The answer."""
    if found.play is not None:
        _doubt_outputs(found.play, found.findings)
    status, reason, cause = found.end
    return {
        "complete": not found.stopped,
        "stopped": found.stopped or None,
        "certain": not (found.findings.doubts or found.stopped),
        "status": None if found.stopped else status,
        "reason": reason,
        "cause": cause,
        "admission": _admission(found.admission),
        "plan_hash": found.plan.hash,
        "plan": plan_to_json(found.plan),
        "guardrails": {
            "word": str(found.judgement.word),
            "policy": found.judgement.policy,
            "environment": found.environment,
            "findings": [shown(one) for one in found.judgement.findings],
        },
        "steps": list(_steps(found)),
        "approvals": list(_approvals(found.play)) if found.play else [],
        "decisions": list(_decisions(found.play)) if found.play else [],
        "duration": _duration(found),
        "unknown": [asdict(one) for one in found.findings.doubts],
    }


def _admission(choice: Choice | None) -> dict[str, Any] | None:
    if choice is None:
        return None
    return {
        "outcome": choice.outcome,
        "reason": choice.reason,
        "workflow_id": choice.workflow_id,
        "rules": [dict(one) for one in choice.trace],
    }


def _steps(found: Simulated) -> Iterator[dict[str, Any]]:
    if found.play is None:
        for step in found.plan.steps:
            yield _step(found, step.id, step, StepState())
        return
    for name in found.play.graph.order:
        if name in found.play.state.steps:
            yield _step(found, name, found.play.graph.steps[name], found.play.state.steps[name])


def _step(found: Simulated, name: str, step: Step, state: StepState) -> dict[str, Any]:
    tried, begun = found.findings.tried.get(name), state.started_at
    outcome = tried.outcome if tried else None
    return {
        "id": name,
        "kind": str(step.kind),
        "type": step.action.type if step.action else None,
        "target": asdict(step.action.target) if step.action and step.action.target else None,
        "parameters": dict(tried.parameters if tried else step.given_parameters),
        "changes": step.changes and step.action is not None,
        "status": str(state.status),
        "message": state.message,
        "begins_after": _after(found, begun) if begun else None,
        "guardrails": [shown(one) for one in found.findings.said.get(name, ())],
        "dry_run": None
        if outcome is None
        else {
            "status": outcome.status,
            "message": outcome.message,
            "error_class": outcome.error_class,
            "changes": [dict(one) for one in outcome.changes],
        },
        "conditions": found.findings.conditions.get(name, []),
        "undo": _undo(step),
        "seconds": tried.seconds if tried else None,
        "seconds_known_by": tried.known_by if tried else None,
    }


def _undo(step: Step) -> dict[str, Any] | None:
    """What would take it back, or why nothing does; None: there is nothing to take back."""
    if step.action is None or not step.changes:
        return None
    if step.rollback is not None:
        return {"available": True, "by": step.rollback.type, "why_not": None}
    if step.reversible:
        return {"available": True, "by": "undo", "why_not": None}
    if step.reversible is None:
        return {"available": None, "by": None, "why_not": "no catalogue has said so yet"}
    return {"available": False, "by": None, "why_not": step.irreversible_reason or "the action cannot be undone"}


def _approvals(play: Play) -> Iterator[dict[str, Any]]:
    for _, action in play.decided:
        if isinstance(action, do.BeginStep) and action.approval:
            step = play.graph.steps[action.step]
            yield {"step": action.step, "why": step.description, "within": step.deadline}


def _decisions(play: Play) -> Iterator[dict[str, Any]]:
    for at, action in play.decided:
        said = {one.name: _plain(getattr(action, one.name)) for one in fields(action)}
        yield {
            "after": (at - play.clock.beginning).total_seconds(),
            "decision": type(action).__name__,
            "step": said.pop("step", None),
            "detail": said,
        }


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _after(found: Simulated, moment: datetime) -> float:
    return (moment - found.play.clock.beginning).total_seconds() if found.play else 0.0


def _duration(found: Simulated) -> dict[str, Any]:
    """Without what people take: approvals are given at once."""
    guessed = [name for name, one in found.findings.tried.items() if one.seconds is None]
    walked = found.play.clock.seconds if found.play else 0.0
    return {"seconds": round(walked, 3), "without": guessed, "usual_for_the_alert": found.usual}


def _doubt_outputs(play: Play, findings: Findings) -> None:
    """What a dry run answers is not always what the action would answer."""
    changed = {name.rpartition("/")[2]: name for name in findings.changed}
    failed = {one.step for _, one in play.decided if isinstance(one, do.FailStep) and one.reason in _FOR_WANT}
    for name, step in play.graph.steps.items():
        if name not in play.state.steps:
            continue
        used = [changed[word] for word in dict.fromkeys(_OUTPUT.findall(_source(step))) if word in changed]
        for one in used:
            what = "outcome" if name in failed else "what it is given"
            findings.doubt(name, what, f"the output of {one} is a dry run's")


def _source(step: Step) -> str:
    conditions = (one.expression for one in (*step.preconditions, *step.postconditions))
    return " ".join([str(step.when), str(step.for_each), str(step.given_parameters), *conditions])
