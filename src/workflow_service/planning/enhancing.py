"""What an advisor is asked about a plan, and what becomes of its answer: code disposes. Pure.

An answer may move a number of a rule's plan within half and twice of what the rule says and the catalogue's own
bounds, set priorities and expected durations, and add looks at the alert's target. What would change anything else is
kept for a person to read. A template's parameters are its author's: they are not moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from workflow_service.domain import graph
from workflow_service.domain.advice import (
    MOST_CANDIDATES,
    TARGET_PARAMETERS,
    Advice,
    Candidate,
    Pick,
    Question,
    Reply,
    Suggestion,
    choosable,
)
from workflow_service.domain.alert import shown
from workflow_service.domain.catalogue import ActionType, Catalogue
from workflow_service.domain.errors import InvalidPlan
from workflow_service.domain.plan import Action, OnFailure, Phase, Plan, RetryPolicy, Step, StepKind
from workflow_service.domain.projection import Projection
from workflow_service.domain.target import Target
from workflow_service.planning.filling import PlanLimits

ADVICE = "advice"  # in a plan's metadata: what was asked, said, used and left
ENHANCED = "ai_enhanced"
_FACTOR = 2  # how far a number may be moved, up or down
_LAST_PRIORITY = 9
_CLOSED = frozenset({"integer", "number", "boolean"})


@dataclass(frozen=True, slots=True)
class About:
    """What a plan was made for, and within which bounds."""

    target: Target | None
    catalogue: Catalogue
    limits: PlanLimits


def question(plan: Plan, alert: Projection, catalogue: Catalogue) -> Question | None:
    """What is asked about the plan; None: it has nothing that advice could be about."""
    candidates = tuple(_candidates(plan, catalogue))[:MOST_CANDIDATES]
    planned = {step.action.type for step in plan.steps if step.action is not None}
    others = (entry for entry in catalogue.actions.values() if entry.type not in planned)
    suggestible = sorted(filter(None, map(_suggestible, others)), key=lambda one: (one.changes, one.name))
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
    became = {"used": merging.used, "left_out": merging.left, "for_a_person": _for_a_person(reply.advice)}
    note = {**reply.document(), **became}
    sure = {} if advice is None else {"ai_confidence": advice.confidence}
    metadata = {**plan.metadata, **sure, "ai_provider": reply.provider, ADVICE: note}
    if not merging.used:
        return replace(plan, metadata=metadata)
    return replace(found, creation_method=ENHANCED, metadata={**metadata, "creation_method": ENHANCED})


def applied(plan: Plan | None) -> bool:
    """Whether advice has changed the plan (the specification's AIAnalysisApplied)."""
    return plan is not None and bool((plan.metadata.get(ADVICE) or {}).get("used"))


def _candidates(plan: Plan, catalogue: Catalogue) -> Iterator[Candidate]:
    """The planned actions; each may be moved by its numbers."""
    for step in plan.steps:
        entry = catalogue.get(step.action.type) if step.action is not None else None
        if step.action is None or entry is None or step.kind is not StepKind.ACTION or step.phase is not Phase.MAIN:
            continue
        movable = _movable(plan, step.action, entry)
        # Not the step's own description: it may repeat words of the alert, and they are not for a model.
        yield Candidate(step.id, entry.description, (entry.type,), parameters=movable, changes=step.changes)


def _movable(plan: Plan, action: Action, entry: ActionType) -> dict[str, dict[str, Any]]:
    """The numbers of an action, with the bounds between which they may be moved; none of a template's."""
    return {} if plan.creation_method == "template" else dict(_numbers(action, entry))


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


def _suggestible(entry: ActionType) -> Candidate | None:
    """An action that may be suggested: all that has to be said for it is of a closed form, or is the alert's target."""
    properties = entry.parameters.get("properties") or {}
    closed = {name: schema for name, schema in choosable(entry.parameters, properties).items() if _is_closed(schema)}
    required = frozenset(entry.parameters.get("required") or ()) - TARGET_PARAMETERS
    if required - closed.keys():
        return None  # somebody would have to write it in words of his own
    return Candidate(
        entry.type, entry.description, (entry.type,), parameters=closed, required=required, changes=entry.changes
    )


def _is_closed(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") in _CLOSED or bool(schema.get("enum")) or "pattern" in schema


@dataclass(frozen=True, slots=True)
class _Merging:
    """One merge under way."""

    about: About
    used: list[str]
    left: list[str]

    def merge(self, plan: Plan, advice: Advice) -> Plan:
        steps = [self._step(plan, step, advice.pick_for(step.id)) for step in plan.steps]
        for suggestion in advice.suggestions:
            if not suggestion.changes and (look := self._look(suggestion, steps)) is not None:
                steps.append(look)
        return replace(plan, steps=tuple(steps))

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

    def _look(self, suggestion: Suggestion, steps: list[Step]) -> Step | None:
        """A suggested look at the alert's target, as a step that holds up nobody."""
        entry = self.about.catalogue.get(suggestion.action)
        if entry is None or entry.changes:
            self.left.append(f"{suggestion.action}: is not offered as something that only looks")
            return None
        parameters = {**suggestion.parameters, **_target_parameters(entry, self.about.target)}
        if broken := entry.violations(parameters, at=suggestion.action):
            self.left.append(str(broken[0]))
            return None
        limits, name = self.about.limits, f"suggested_{sum(step.id.startswith('suggested_') for step in steps) + 1}"
        self.used.append(f"{name}: {entry.type}")
        return Step(
            id=name,
            action=Action(entry.type, parameters, self.about.target),
            description=entry.description,
            critical=False,
            on_failure=OnFailure.SKIP,
            timeout=entry.default_timeout or limits.action_timeout,
            deadline=limits.coordination_timeout,
            retry=RetryPolicy(max_retries=0),
            priority=_LAST_PRIORITY,
            changes=False,
            reversible=entry.reversible,
            irreversible_reason=entry.irreversible_reason,
        )


def _between(bounds: Mapping[str, Any] | None, value: object) -> bool:
    if bounds is None or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    whole = bounds["type"] != "integer" or isinstance(value, int)
    return whole and bounds["minimum"] <= value <= bounds["maximum"]


def _target_parameters(entry: ActionType, target: Target | None) -> dict[str, Any]:
    """What says what is looked at: the alert's target, whoever has suggested it."""
    if target is None:
        return {}
    own = target.kind.lower()
    named = {"namespace": target.namespace, "cluster": target.cluster, "kind": own, "resource_type": own}
    named |= dict.fromkeys(("name", "resource", "resource_name", own, f"{own}_name"), target.name)
    properties = entry.parameters.get("properties") or {}
    return {name: value for name, value in named.items() if name in properties and value is not None}


def _for_a_person(advice: Advice | None) -> list[dict[str, Any]]:
    """What was suggested and would change something."""
    return [asdict(one) for one in advice.suggestions if one.changes] if advice is not None else []
