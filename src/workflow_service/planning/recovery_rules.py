"""What an operator says about failures: which class each is of, what a class leads to, and other ways to try."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workflow_service.domain.failure_class import FailureClass, Pattern, Patterns
from workflow_service.domain.plan import OnFailure

if TYPE_CHECKING:
    from workflow_service.planning.rules import RuleAction


@dataclass(frozen=True, slots=True)
class Option:
    """Another way to reach what an action has failed to reach; tried at most once for each."""

    name: str
    reason: str
    actions: tuple[RuleAction, ...]
    after: tuple[
        str, ...
    ] = ()  # the actions whose failure it answers; none named: all critical ones that change things
    classes: tuple[FailureClass, ...] = ()  # none named: those in which recovery is tried


@dataclass(frozen=True, slots=True)
class ClassRules:
    """What failures of one class lead to, where an action says nothing itself."""

    on_failure: OnFailure | None = None
    retries: int | None = None
    recover: bool = True
    recovery: tuple[Option, ...] = ()  # after those of the rule


# Something larger is broken, or nothing was to be cured: another action would not help.
_SHIPPED: Mapping[FailureClass, ClassRules] = {
    FailureClass.CRITICAL: ClassRules(recover=False),
    FailureClass.HIGH: ClassRules(),
    FailureClass.MEDIUM: ClassRules(),
    FailureClass.LOW: ClassRules(recover=False),
}


@dataclass(frozen=True, slots=True)
class Failures:
    """The section `failures` of the rule file."""

    patterns: Patterns = field(default_factory=Patterns)
    classes: Mapping[FailureClass, ClassRules] = field(default_factory=lambda: _SHIPPED)


def failures_of(raw: Mapping[str, Any], action: Callable[[Mapping[str, Any]], RuleAction]) -> Failures:
    """Read the section; `action` reads one action."""
    patterns = (_pattern(one) for one in raw.get("patterns", ()))
    said = raw.get("classes", {})
    classes = {name: _class_rules(name, said.get(name.value, {}), action) for name in FailureClass}
    return Failures(Patterns(tuple(patterns)), classes)


def options_of(
    raw: list[Mapping[str, Any]] | None, action: Callable[[Mapping[str, Any]], RuleAction]
) -> tuple[Option, ...] | None:
    """Read a list of options; None: there is none, which is not the same as an empty one."""
    return None if raw is None else tuple(_option(one, action) for one in raw)


def _pattern(raw: Mapping[str, Any]) -> Pattern:
    globs = {name: tuple(raw.get(name, ())) for name in ("errors", "messages", "actions")}
    return Pattern(FailureClass(raw["class"]), **globs)


def _class_rules(
    name: FailureClass, raw: Mapping[str, Any], action: Callable[[Mapping[str, Any]], RuleAction]
) -> ClassRules:
    answer = raw.get("on_failure")
    return ClassRules(
        on_failure=OnFailure(answer) if answer else None,
        retries=raw.get("retries"),
        recover=raw.get("recover", _SHIPPED[name].recover),
        recovery=options_of(raw.get("recovery"), action) or (),
    )


def _option(raw: Mapping[str, Any], action: Callable[[Mapping[str, Any]], RuleAction]) -> Option:
    return Option(
        name=raw["name"],
        reason=raw["reason"].strip(),
        actions=tuple(action(one) for one in raw["actions"]),
        after=tuple(raw.get("after", ())),
        classes=tuple(FailureClass(name) for name in raw.get("classes", ())),
    )
