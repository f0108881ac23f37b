"""Upstream's multi-stage answer becomes a plan, with a note on everything in it that we do not do.

The answer is a stranger's: its format is closed and bounded, its actions come from the executor's catalogue, its
parameters keep their schemas, and it writes no expressions; those of the plan are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workflow_service.domain import graph
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import InvalidAdvice, InvalidPlan, Violation
from workflow_service.domain.plan import Action, Condition, OnFailure, Phase, Plan, RetryPolicy, Step, StepKind
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.make_plan import run_timeout
from workflow_service.planning.monitoring import evidence, monitor
from workflow_service.planning.multi_stage_format import read
from workflow_service.planning.situation import subject
from workflow_service.planning.stages import AFTER_PRIMARY, IF_PRIMARY_FAILS, PARALLEL, Stage, stages
from workflow_service.planning.step_format import seconds

_DAY = 86400
_KNOWN = 10.0  # seconds in which what is known already is looked at


@dataclass(frozen=True, slots=True)
class Converted:
    """A sound plan; `notes` are the parts of the answer that are not done as they say, and what is done instead."""

    plan: Plan
    notes: tuple[Violation, ...]


def convert(document: object, *, catalogue: Catalogue, limits: PlanLimits, cluster: str) -> Converted:
    """The plan that a parsed answer describes. Pure.

    Raises:
        InvalidAdvice: with every rule that the answer breaks; the field names are the answer's.
    """
    answer, broken = read(document)
    if broken:
        raise _refused(broken)
    found, broken = stages(answer, catalogue, cluster)
    broken += [*_times(answer, found)]
    if not broken:
        broken = [*_prerequisites(found)]
    if broken:
        raise _refused(broken)
    notes: list[Violation] = []
    plan = _plan(answer, found, catalogue=catalogue, limits=limits, notes=notes)
    try:
        graph.validate(plan)
    except InvalidPlan as error:
        raise InvalidAdvice("the answer makes no sound plan", error.violations) from None
    metadata = {**plan.metadata, "notes": [{"field": one.field, "value": one.value, "note": one.rule} for one in notes]}
    return Converted(replace(plan, metadata=metadata), tuple(notes))


def _refused(broken: Sequence[Violation]) -> InvalidAdvice:
    return InvalidAdvice("the answer cannot become a plan", broken)


def _plan(
    answer: Mapping[str, Any],
    found: Sequence[Stage],
    *,
    catalogue: Catalogue,
    limits: PlanLimits,
    notes: list[Violation],
) -> Plan:
    steps = [*_steps(found, limits, notes)]
    most = run_timeout(len(steps) + 2, limits)
    steps[0] = replace(steps[0], postconditions=tuple(evidence(answer, found[0], notes)))
    rolls_back = limits.rollback_enabled
    if rolls_back and any(stage.condition == AFTER_PRIMARY for stage in found):
        steps.append(_outcome(found))
    last = monitor(answer, found[0], most=most / 2, rolls_back=rolls_back, notes=notes)
    steps += [replace(one, needs=tuple(step.id for step in steps if step.phase is Phase.VERIFY)) for one in last]
    undo = answer.get("rollback_plan", {}).get("rollback_timeout")
    said = {key: answer[key] for key in ("workflow_id", "context_requirements", "metadata") if key in answer}
    said |= {key: value for key, value in answer["primary_action"].items() if key == "urgency"}
    return Plan(
        steps=tuple(steps),
        reason=f"an advisor's answer: {found[0].entry.type} first",
        creation_method="ai_generated",
        catalogue_digest=catalogue.digest,
        max_parallel=limits.max_parallel if limits.parallel_enabled else 1,
        timeout=most,
        undo_timeout=most if undo is None else seconds(undo),
        metadata={"creation_method": "ai_generated", "actions_count": len(found), "advice": said},
    )


def _steps(found: Sequence[Stage], limits: PlanLimits, notes: list[Violation]) -> Iterator[Step]:
    """The primary and what stands in for it, then what runs after it and beside it."""
    chain = [found[0], *(stage for stage in found if stage.condition == IF_PRIMARY_FAILS)]
    after = [stage for stage in found if stage.condition == AFTER_PRIMARY]
    answer = OnFailure.ROLLBACK if limits.rollback_enabled else OnFailure.STOP
    end = OnFailure.SKIP if after else answer  # what comes after the primary comes whatever its outcome
    ranks = {order: min(9, 1 + rank) for rank, order in enumerate(sorted({stage.order for stage in found}))}
    for index, stage in enumerate(chain):
        heir = chain[index + 1].id if index + 1 < len(chain) else None
        step = replace(_step(stage, limits, notes), priority=ranks[stage.order], alternative=heir)
        yield replace(step, on_failure=OnFailure.ALTERNATIVE if heir else end)
    for stage in (one for one in found if one.condition in {AFTER_PRIMARY, PARALLEL}):
        names = [_named(name, stage, found).id for name in stage.prerequisites]
        first = ["primary", *_before(stage, after)] if stage.condition == AFTER_PRIMARY else []
        yield replace(
            _step(stage, limits, notes),
            needs=tuple(dict.fromkeys([*first, *names])),
            when=" && ".join(f"steps.{name}.status == 'succeeded'" for name in dict.fromkeys(names)) or None,
            critical=False,
            on_failure=OnFailure.SKIP,
            priority=ranks[stage.order],
        )


def _before(stage: Stage, after: Sequence[Stage]) -> list[str]:
    """Those of the next smaller order: among what comes after the primary, the order is one of time."""
    orders = [one.order for one in after if one.order < stage.order]
    return [one.id for one in after if orders and one.order == max(orders)]


def _step(stage: Stage, limits: PlanLimits, notes: list[Violation]) -> Step:
    entry = stage.entry
    timeout = stage.timeout or entry.default_timeout or limits.action_timeout
    if timeout > limits.coordination_timeout:
        rule = f"is cut to {limits.coordination_timeout:g} s, the longest that one step may take"
        notes.append(Violation(f"{stage.at}.timeout", timeout, rule))
    for name, value in stage.implied.items():
        notes.append(
            Violation(f"{stage.at}.parameters.{name}", value, f"is what {stage.called} means, unless it is given")
        )
    about = subject(stage.target) if stage.target else ""
    return Step(
        id=stage.id,
        action=Action(entry.type, dict(stage.parameters), stage.target),
        description=": ".join(part for part in (entry.type.replace("_", " "), about) if part),
        timeout=min(timeout, limits.coordination_timeout),
        deadline=limits.coordination_timeout,
        retry=RetryPolicy(max_retries=limits.retry_attempts),
        estimated_duration=stage.duration,
        changes=entry.changes,
        reversible=entry.reversible,
        irreversible_reason=entry.irreversible_reason,
    )


def _outcome(found: Sequence[Stage]) -> Step:
    """Where something runs after a failed primary, its failure is answered with a rollback only after that."""
    chain = ["primary", *(stage.id for stage in found if stage.condition == IF_PRIMARY_FAILS)]
    held = Condition(" || ".join(f"steps.{name}.status == 'succeeded'" for name in chain))
    return Step(
        id="outcome",
        kind=StepKind.CHECK,
        phase=Phase.VERIFY,
        postconditions=(held,),
        on_failure=OnFailure.ROLLBACK,
        deadline=_KNOWN,
        changes=False,
        description="whether the primary action, or one in its place, has succeeded",
    )


def _times(answer: Mapping[str, Any], found: Sequence[Stage]) -> Iterator[Violation]:
    """Texts may add up to more than the format's most for a number."""
    given = {f"{stage.at}.timeout": stage.timeout for stage in found}
    given |= {f"{stage.at}.expected_duration": stage.duration for stage in found}
    for part, names in (
        ("monitoring_plan", ("monitoring_duration", "check_interval")),
        ("rollback_plan", ("rollback_timeout",)),
    ):
        raw = answer.get(part, {})
        given |= {f"{part}.{name}": seconds(raw[name]) for name in names if name in raw}
    for field, value in given.items():
        if value is not None and not 0 < value <= _DAY:
            yield Violation(field, value, "must be over 0 and at most 86400 s")


def _prerequisites(found: Sequence[Stage]) -> Iterator[Violation]:
    for stage in found:
        for index, name in enumerate(stage.prerequisites):
            if rule := _flaw(name, stage, found):
                yield Violation(f"{stage.at}.prerequisites.{index}", name, rule)


def _flaw(name: str, stage: Stage, found: Sequence[Stage]) -> str | None:
    meant = [one for one in found if one is not stage and one.means(name)]
    if len(meant) != 1:
        return "names no other action of the answer" if not meant else "names several actions of the answer"
    if stage.condition == IF_PRIMARY_FAILS and meant[0].condition is not None:
        return "cannot be waited for by what takes the primary's place"
    if stage.condition == PARALLEL and meant[0].condition is None:
        return "cannot be waited for by what runs in parallel with it"
    return None


def _named(name: str, stage: Stage, found: Sequence[Stage]) -> Stage:
    return next(one for one in found if one is not stage and one.means(name))
