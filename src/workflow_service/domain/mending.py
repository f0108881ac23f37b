"""A new revision of a plan in which other steps stand in for a broken one; whoever thought of them, checked alike.

They are added as one template step, the broken step's alternative: verdict, dependants, undo and expressions need
nothing else to understand it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from workflow_service.domain.catalogue import ActionType, Catalogue
from workflow_service.domain.errors import InvalidPlan, Violation
from workflow_service.domain.graph import Graph, validate
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.levels import every
from workflow_service.domain.plan import Action, OnFailure, Plan, Step, StepKind
from workflow_service.domain.target import Target

GROUP = "recovery"  # what the added steps are called, with a number


@dataclass(frozen=True, slots=True)
class Remedy:
    """Another way: steps that stand in for the broken one."""

    option: str  # its name, the same at every offer
    steps: tuple[Step, ...]
    reason: str
    source: str  # who knew of it: rules, or an advisor


@dataclass(frozen=True, slots=True)
class Mended:
    """The new revision, and the step that was added."""

    graph: Graph
    group: str
    added: tuple[str, ...]  # that step and all that is inside, as far as it is known


def mended(plan: Plan, broken: str, remedy: Remedy, catalogue: Catalogue | None, *, attempt: int) -> Mended:
    """The next revision: sound, checked against the executor's catalogue, about nothing that the plan does not change.

    Raises:
        InvalidPlan: with every rule that the remedy breaks.
    """
    if wrong := violations(plan, broken, remedy.steps, catalogue):
        raise InvalidPlan(f"the recovery {remedy.option} cannot be used", wrong)
    digest = catalogue.digest if catalogue else None
    group = next(name for number in count(attempt) if not plan.has(name := f"{GROUP}-{number}"))
    note = {"step": broken, "attempt": attempt, "option": remedy.option, "source": remedy.source, "from": plan.hash}
    earlier = plan.metadata.get("recoveries", ())
    steps = _offered(remedy.steps, catalogue)
    stand_in = _stand_in(plan.step(broken), group, remedy, steps)
    new = replace(
        plan,
        steps=(*(_handing_over(step, broken, group) for step in plan.steps), stand_in),
        revision=plan.revision + 1,
        catalogue_digest=digest,
        metadata={**plan.metadata, "recoveries": [*earlier, note]},
    )
    graph = validate(new)
    inside = (name for name in graph.order if group in graph.around(name))
    return Mended(graph, group, (group, *inside))


def violations(plan: Plan, broken: str, steps: Sequence[Step], catalogue: Catalogue | None) -> list[Violation]:
    """Every rule, besides those of plans, that steps break which are to stand in for a broken one."""
    if catalogue is None:
        return [Violation("steps", len(steps), "cannot be checked: no catalogue of the executor is known here")]
    planned = [step for step, _ in every(plan.steps)]
    mine = {step.action.target for step in planned if step.action and step.action.target and step.changes}
    flat = [step for step, _ in every(steps)]
    found = [one for step in flat if step.action for one in _of_action(step.id, step.action, catalogue, mine)]
    cures = any(step.changes for step, _ in every([plan.step(broken)]))
    entries = (catalogue.get(step.action.type) for step in flat if step.action)
    if cures and not any(entry is not None and entry.changes for entry in entries):
        found.append(Violation("steps", len(flat), "must change something: what only looks or tells heals nothing"))
    return found


def _of_action(name: str, action: Action, catalogue: Catalogue, mine: set[Target]) -> Iterator[Violation]:
    at = f"steps.{name}"
    entry = catalogue.get(action.type)
    if entry is None:
        yield Violation(f"{at}.action.type", action.type, "is not offered by the executor")
        return
    if entry.changes and action.target not in mine:
        about = action.target.identity if action.target else None
        yield Violation(f"{at}.action.target", about, "must be one that the plan already changes")
    elif entry.changes and action.target is not None:
        yield from _names(action.parameters, action.target, f"{at}.parameters")
    if not has_expressions(action.parameters):  # an expression is known only when the step begins
        yield from _by_schema(entry, action.parameters, f"{at}.parameters")


def _names(parameters: Mapping[str, Any], target: Target, at: str) -> Iterator[Violation]:
    """What an action says of its target must be its target: locks and guards know the target only."""
    said = {"resource_name": target.name, "node_name": target.name, "namespace": target.namespace}
    for name, right in said.items():
        if name in parameters and parameters[name] != right:
            yield Violation(f"{at}.{name}", parameters[name], f"must be {right}, as the target is")
    kind = parameters.get("resource_type", target.kind)
    if not isinstance(kind, str) or kind.lower() != target.kind.lower():
        yield Violation(f"{at}.resource_type", kind, f"must be {target.kind.lower()}, as the target is")


def _by_schema(entry: ActionType, parameters: Mapping[str, Any], at: str) -> Iterator[Violation]:
    try:
        yield from entry.violations(parameters, at=at)
    except Exception as error:  # noqa: BLE001 - the schema is the executor's: however broken, the answer is a refusal
        yield Violation(at, entry.type, f"has a schema that cannot be used: {error!r:.200}")


def _offered(steps: Sequence[Step], catalogue: Catalogue | None) -> tuple[Step, ...]:
    """The steps, with what the catalogue says of their actions, whatever was claimed."""
    return tuple(_as_offered(step, catalogue) for step in steps)


def _as_offered(step: Step, catalogue: Catalogue | None) -> Step:
    step = replace(step, steps=_offered(step.steps, catalogue))
    entry = catalogue.get(step.action.type) if catalogue and step.action else None
    if entry is None or step.action is None:
        return step
    return replace(
        step,
        action=replace(step.action, type=entry.type),
        changes=entry.changes,
        reversible=entry.reversible,
        irreversible_reason=entry.irreversible_reason,
    )


def _stand_in(broken: Step, group: str, remedy: Remedy, steps: tuple[Step, ...]) -> Step:
    """Its failure is answered as the broken step's would have been."""
    return Step(
        id=group,
        kind=StepKind.TEMPLATE,
        steps=steps,
        description=remedy.reason,
        critical=broken.critical,
        on_failure=broken.on_failure,
        by_class=broken.by_class,
        phase=broken.phase,
        priority=broken.priority,
    )


def _handing_over(step: Step, broken: str, group: str) -> Step:
    return replace(step, on_failure=OnFailure.ALTERNATIVE, alternative=group) if step.id == broken else step
