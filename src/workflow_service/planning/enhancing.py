"""What an advisor is asked about a plan, and what becomes of its answer: code disposes. Pure.

An answer may move a number of a rule's plan within half and twice of what the rule says and the catalogue's own
bounds, set priorities and expected durations, add looks at the alert's target, and changes of it that wait for a
person's word. A template's parameters are its author's: they are not moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workflow_service.domain import graph
from workflow_service.domain.advice import MOST_CANDIDATES, Advice, Candidate, Pick, Question, Reply, choosable
from workflow_service.domain.alert import shown
from workflow_service.domain.catalogue import ActionType
from workflow_service.domain.errors import InvalidPlan
from workflow_service.domain.levels import every
from workflow_service.domain.plan import Action, Phase, Plan, Step, StepKind
from workflow_service.domain.projection import Projection
from workflow_service.planning.aiming import About, offered
from workflow_service.planning.suggesting import Suggesting

ADVICE = "advice"  # in a plan's metadata: what was asked, said, used and left
SELECTION = "selection"  # the same about which template or rule makes the plan
ENHANCED, TEMPLATE = "ai_enhanced", "template"
_FACTOR = 2  # how far a number may be moved, up or down
_LAST_PRIORITY = 9


def question(plan: Plan, alert: Projection, about: About) -> Question | None:
    """What is asked about the plan; None: it has nothing that advice could be about."""
    candidates = tuple(_candidates(plan, about))[:MOST_CANDIDATES]
    planned = {step.action.type for step in plan.steps if step.action is not None}
    others = (offered(entry, about) for entry in about.catalogue.actions.values() if entry.type not in planned)
    suggestible = sorted(filter(None, others), key=lambda one: (one.changes, one.name))
    if not candidates:
        return None
    return Question(
        id=plan.hash[:32], alert=alert, candidates=candidates, suggestible=tuple(suggestible[:MOST_CANDIDATES])
    )


def enhanced(plan: Plan, reply: Reply, about: About) -> Plan:
    """The plan with what of the advice may be used; its metadata says what was said and what has become of it."""
    merging = _Merging(about, [], [])
    advice = reply.usable
    found = merging.merge(plan, advice) if advice is not None else plan
    if merging.used:
        try:
            graph.validate(found)
        except InvalidPlan as why:
            merging.left.append(f"all of it: {why}")
            merging.used.clear()
    noted = with_advice(plan, reply, used=merging.used, left=merging.left)
    if not merging.used:
        return noted
    method = plan.creation_method if plan.creation_method.startswith("ai_") else ENHANCED
    count = sum(step.kind is StepKind.ACTION for step, _ in every(found.steps))
    metadata = {**noted.metadata, "creation_method": method, "actions_count": count}
    return replace(found, creation_method=method, metadata=metadata)


def ways(plan: Plan, reply: Reply, about: About) -> tuple[Plan, ...]:
    """The plan with all of the advice that may be used; then, in case guardrails deny it, with less, at last none."""
    whole = enhanced(plan, reply, about)
    if not whole.metadata[ADVICE]["used"] or reply.advice is None:
        return (whole,)
    tame = replace(reply.advice, suggestions=tuple(one for one in reply.advice.suggestions if not one.changes))
    found = [whole, enhanced(plan, replace(reply, advice=tame), about), with_advice(plan, reply, used=(), left=())]
    return tuple(one for index, one in enumerate(found) if one.hash not in {other.hash for other in found[:index]})


def with_advice(plan: Plan, reply: Reply, *, used: Sequence[str], left: Sequence[str]) -> Plan:
    """The plan as it is, with what was said about it and what has become of that in its metadata."""
    note = {**reply.document(), "used": [*used], "left_out": [*left]}
    said = {} if reply.usable is None else {"ai_confidence": reply.usable.confidence}
    before = plan.metadata.get("ai_confidence")  # of who has selected it
    sure = {name: value if before is None else min(before, value) for name, value in said.items()}
    return replace(plan, metadata={**plan.metadata, **sure, "ai_provider": reply.provider, ADVICE: note})


def applied(plan: Plan | None) -> bool:
    """Whether advice has changed the plan (the specification's AIAnalysisApplied)."""
    return plan is not None and any((plan.metadata.get(name) or {}).get("used") for name in (ADVICE, SELECTION))


def _candidates(plan: Plan, about: About) -> Iterator[Candidate]:
    """The planned actions; each may be moved by its numbers."""
    for step in plan.steps:
        entry = about.catalogue.get(step.action.type) if step.action is not None else None
        if step.action is None or entry is None or step.kind is not StepKind.ACTION or step.phase is not Phase.MAIN:
            continue
        movable = _movable(plan, step.action, entry)
        # Not the step's own description: it may repeat words of the alert, and they are not for a model.
        yield Candidate(step.id, entry.description, (entry.type,), parameters=movable, changes=step.changes)


def _movable(plan: Plan, action: Action, entry: ActionType) -> dict[str, dict[str, Any]]:
    """The numbers of an action, with the bounds between which they may be moved; none of a template's."""
    return {} if plan.creation_method == TEMPLATE or TEMPLATE in plan.metadata else dict(_numbers(action, entry))


def _numbers(action: Action, entry: ActionType) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in choosable(entry.parameters, action.parameters.keys()).items():
        value = action.parameters[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            continue
        if schema.get("type") not in {"integer", "number"}:
            continue
        least, most = value / _FACTOR, value * _FACTOR
        if schema["type"] == "integer":
            least, most = math.ceil(least), math.floor(most)
        bounds = {
            "minimum": max(least, schema.get("minimum", least)),
            "maximum": min(most, schema.get("maximum", most)),
        }
        yield name, {**schema, **bounds}


@dataclass(frozen=True, slots=True)
class _Merging:
    """One merge under way."""

    about: About
    used: list[str]
    left: list[str]

    def merge(self, plan: Plan, advice: Advice) -> Plan:
        steps = [self._step(plan, step, advice.pick_for(step.id)) for step in plan.steps]
        return Suggesting(self.about, self.used, self.left).add(replace(plan, steps=tuple(steps)), advice.suggestions)

    def _step(self, plan: Plan, step: Step, pick: Pick | None) -> Step:
        entry = self.about.catalogue.get(step.action.type) if step.action is not None else None
        if pick is None or step.action is None or entry is None:
            return step
        action = self._moved(step, _movable(plan, step.action, entry), pick.parameters)
        priority = step.priority if pick.priority is None else min(pick.priority, _LAST_PRIORITY)
        if priority != step.priority:
            self.used.append(f"{step.id}: priority {step.priority} -> {priority}")
        seconds = step.estimated_duration if pick.estimated_seconds is None else float(pick.estimated_seconds)
        if seconds != step.estimated_duration:
            self.used.append(f"{step.id}: expected to take {seconds:g} s")
        return replace(step, action=action, priority=priority, estimated_duration=seconds)

    def _moved(self, step: Step, movable: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Any]) -> Action | None:
        """The action with the numbers that are wanted, as far as they may be moved there."""
        if step.action is None:
            return None
        new = dict(step.action.parameters)
        for name, value in wanted.items():
            if value == new.get(name):
                continue
            if not _between(movable.get(name), value):
                self.left.append(f"{step.id}: {name} may not be {shown(value)!r}")
                continue
            self.used.append(f"{step.id}: {name} {new[name]} -> {value}")
            new[name] = value
        return replace(step.action, parameters=new)


def _between(bounds: Mapping[str, Any] | None, value: object) -> bool:
    if bounds is None or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    whole = bounds["type"] != "integer" or isinstance(value, int)
    return whole and bounds["minimum"] <= value <= bounds["maximum"]
