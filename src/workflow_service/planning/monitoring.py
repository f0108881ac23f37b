"""What of an advisor's monitoring and rollback plans can be evaluated or done; the rest is noted, never pretended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workflow_service.domain.errors import Violation
from workflow_service.domain.plan import Condition, OnFailure, Phase, Step, StepKind
from workflow_service.domain.step_rules import MAX_CONDITIONS
from workflow_service.planning import criteria
from workflow_service.planning.stages import Stage
from workflow_service.planning.step_format import seconds

_PROOF = 60.0  # seconds for the primary's own criteria, where it names no timeout
_DURATION, _INTERVAL = 60.0, 5.0  # seconds, where the answer names none
_UNKNOWN = "is not on the list of what can be evaluated: nobody checks it"
# Parts of the answer that nothing is done with, and why.
_NOT_DONE: Mapping[tuple[str, str], str] = {
    ("monitoring_plan", "validation_commands"): "is not run: an advisor gives no commands",
    ("monitoring_plan", "escalation_rules"): "is not followed: who is told is not an advisor's to say",
    ("rollback_plan", "safety_checks"): "is not asked: an undo changes nothing that differs from what was done",
    ("rollback_plan", "rollback_actions"): "is not run: what can be undone the executor undoes, by its own record",
}


def evidence(answer: Mapping[str, Any], primary: Stage, notes: list[Violation]) -> Iterator[Condition]:
    """The primary's own success criteria, as its postconditions."""
    texts = _texts(answer, "primary_action", "success_criteria")
    within = min(primary.timeout or _PROOF, _PROOF)
    for at, text in texts:
        if criteria.word(text) not in criteria.SUCCEEDED:
            yield from _condition(at, text, primary, within=within, notes=notes)


def monitor(
    answer: Mapping[str, Any], primary: Stage, *, most: float, rolls_back: bool, notes: list[Violation]
) -> list[Step]:
    """The step at the end that looks at success criteria and rollback triggers, if any of them can be evaluated.

    `most`: the longest that it may look, in seconds.
    """
    _note_what_is_not_done(answer, notes)
    plan = answer.get("monitoring_plan", {})
    within = seconds(plan.get("monitoring_duration", _DURATION))
    if within > most:
        rule = f"is cut to {most:g} s, half of the time that the whole run has"
        notes.append(Violation("monitoring_plan.monitoring_duration", within, rule))
    within, poll = min(within, most), seconds(plan.get("check_interval", _INTERVAL))
    held = [*_success(answer, primary, within=within, notes=notes)]
    held += _triggers(answer, primary, within=within, rolls_back=rolls_back, notes=notes)
    for condition in held[MAX_CONDITIONS:]:
        rule = f"is one more than the {MAX_CONDITIONS} that are checked together: nobody checks it"
        notes.append(Violation("monitoring_plan", condition.message, rule))
    return [_check(tuple(held[:MAX_CONDITIONS]), within, poll, rolls_back=rolls_back)] if held else []


def _check(held: tuple[Condition, ...], within: float, poll: float, *, rolls_back: bool) -> Step:
    return Step(
        id="monitor",
        kind=StepKind.CHECK,
        phase=Phase.VERIFY,
        postconditions=tuple(_polled(one, min(poll, within)) for one in held),
        deadline=within,
        on_failure=OnFailure.ROLLBACK if rolls_back else OnFailure.STOP,
        changes=False,
        description="whether the advisor's success criteria hold",
    )


def _polled(one: Condition, poll: float) -> Condition:
    return Condition(one.expression, one.message, within=one.within, poll=poll, target=one.target)


def _success(
    answer: Mapping[str, Any], primary: Stage, *, within: float, notes: list[Violation]
) -> Iterator[Condition]:
    for at, text in _texts(answer, "monitoring_plan", "success_criteria"):
        if criteria.word(text) not in criteria.SUCCEEDED:
            yield from _condition(at, text, primary, within=within, notes=notes)


def _triggers(
    answer: Mapping[str, Any], primary: Stage, *, within: float, rolls_back: bool, notes: list[Violation]
) -> Iterator[Condition]:
    """A trigger for the rollback is something that must not be so in the end."""
    for at, text in _texts(answer, "rollback_plan", "rollback_triggers"):
        if not rolls_back:
            notes.append(Violation(at, text, "is not followed: rollbacks are switched off here"))
        elif criteria.word(text) not in criteria.FAILED:
            for one in _condition(at, text, primary, within=within, notes=notes):
                message = f"rollback trigger: {text}"
                yield Condition(f"!({one.expression})", message, within=one.within, target=one.target)


def _condition(at: str, text: str, primary: Stage, *, within: float, notes: list[Violation]) -> Iterator[Condition]:
    found = criteria.expression(text, primary.target)
    if found is None:
        notes.append(Violation(at, text, _UNKNOWN))
    else:
        yield Condition(found, text, within=within, target=primary.target)


def _note_what_is_not_done(answer: Mapping[str, Any], notes: list[Violation]) -> None:
    for (part, name), why in _NOT_DONE.items():
        for index, value in enumerate(answer.get(part, {}).get(name, ())):
            shown = value if isinstance(value, str) else value.get("action")
            notes.append(Violation(f"{part}.{name}.{index}", shown, why))


def _texts(answer: Mapping[str, Any], part: str, name: str) -> list[tuple[str, str]]:
    return [(f"{part}.{name}.{index}", text) for index, text in enumerate(answer.get(part, {}).get(name, ()))]
