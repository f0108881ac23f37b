"""What a rule is: plain values, as an operator wrote them into the rule file, and whether one speaks of an alert."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from workflow_service.domain.alert import Alert
from workflow_service.domain.plan import OnFailure, OnResolved, Phase, RetryPolicy, StepKind
from workflow_service.planning.recovery_rules import Failures, Option

if TYPE_CHECKING:
    from workflow_service.planning.templates import Template

_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+[a-z]*|[^\W_]+")


@dataclass(frozen=True, slots=True)
class When:
    """All that must hold; what is empty does not matter."""

    keywords: tuple[str, ...] = ()  # in the alert's name, or else in its summary or description
    name_keywords: tuple[str, ...] = ()  # in the alert's name only
    kinds: tuple[str, ...] = ()  # of the target; `none`: the alert has no target
    owners: tuple[
        str, ...
    ] = ()  # kind of who decides about the target; `unknown`: nobody could look; `none`: nobody does
    severities: tuple[str, ...] = ()
    observed: tuple[str, ...] = ()  # facts that must be known and not be zero


@dataclass(frozen=True, slots=True)
class RuleCondition:
    """Something that must be true. Times in seconds; `on` None: of what the step is about."""

    expression: str
    message: str = ""
    critical: bool = True
    within: float = 0.0
    poll: float = 5.0
    on: str | None = None
    promql: str | None = None  # with placeholders


@dataclass(frozen=True, slots=True)
class RuleApproval:
    """A person's word that a step needs before it begins."""

    when: str | None = None  # an expression; None: always
    timeout: float = 3600.0  # seconds for which it waits


@dataclass(frozen=True, slots=True)
class RuleUndo:
    """What takes the changes of a step back, where the executor's own undo is not wanted or not to be had."""

    type: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleAction:
    """One step, with parameters that are filled in when the plan is made. Times in seconds."""

    id: str
    type: str = ""  # exactly when kind is action
    parameters: Mapping[str, Any] = field(default_factory=dict)
    on: str | None = None  # target | owner; None: it touches no object
    description: str = ""
    critical: bool = True
    on_failure: OnFailure | None = None
    alternative: str | None = None
    needs: tuple[str, ...] = ()
    timeout: float | None = None  # of one attempt; for a check or an approval, of all of it
    retries: int | None = None
    kind: StepKind = StepKind.ACTION
    when: str | None = None
    preconditions: tuple[RuleCondition, ...] = ()
    postconditions: tuple[RuleCondition, ...] = ()
    settle: float = 0.0
    wait: float | None = None
    for_each: str | None = None
    max_parallel: int = 1
    steps: tuple[RuleAction, ...] = ()
    approval: RuleApproval | None = None
    retry: RetryPolicy | None = None  # how patiently; how often, too, unless `retries` is None
    rollback: RuleUndo | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Which alerts, what to do, and why."""

    name: str
    reason: str
    actions: tuple[RuleAction, ...]
    when: When = When()
    recovery: tuple[Option, ...] | None = None  # other ways when an action has failed; None: nothing was said of it
    verify: tuple[RuleAction, ...] = ()  # after all actions: whether they have helped
    last: tuple[RuleAction, ...] = ()  # `finally`: at the very end, whatever it is, once something was changed
    on_resolved: OnResolved = OnResolved.FINISH

    @property
    def phases(self) -> tuple[tuple[str, Phase, tuple[RuleAction, ...]], ...]:
        """Its steps by the key of the file that they stand under, and the phase that this means."""
        return (
            ("actions", Phase.MAIN, self.actions),
            ("verify", Phase.VERIFY, self.verify),
            ("finally", Phase.FINALLY, self.last),
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """What plans are made by: templates where one speaks of the alert, else the rule file in its order.

    `version` tells which rule file made a plan.
    """

    rules: tuple[Rule, ...]
    version: str
    failures: Failures = field(default_factory=Failures)
    templates: tuple[Template, ...] = ()


class Hearing(Enum):
    """How strongly a rule's keywords speak of an alert, strongest first."""

    BY_NAME = auto()
    BY_TEXT = auto()
    BY_DEFAULT = auto()  # the rule has no keywords


def heard(rules: Rules, alert: Alert) -> list[Rule]:
    """The rules that speak of the alert, in the order in which they are to be tried."""
    name, text = words(alert.name), words(f"{alert.summary} {alert.description}")
    found = [(_hearing(rule.when, name, text), rule) for rule in rules.rules]
    return [rule for hearing in Hearing for how, rule in found if how is hearing]


def spoken(rules: Rules, alert: Alert) -> list[Rule]:
    """The rules whose keywords are in the alert's name; where there are none, those whose keywords are in its texts."""
    name, text = words(alert.name), words(f"{alert.summary} {alert.description}")
    found = [(_hearing(rule.when, name, text), rule) for rule in rules.rules]
    by_name = [rule for how, rule in found if how is Hearing.BY_NAME]
    return by_name or [rule for how, rule in found if how is Hearing.BY_TEXT]


def _hearing(when: When, name: str, text: str) -> Hearing | None:
    if not when.keywords and not when.name_keywords:
        return Hearing.BY_DEFAULT
    if contains(name, (*when.keywords, *when.name_keywords)):
        return Hearing.BY_NAME
    return Hearing.BY_TEXT if contains(text, when.keywords) else None


def words(text: str) -> str:
    """The words of a name or a sentence, lower case, one space between them: `HighCPUUsage` is `high cpu usage`."""
    return " ".join(_CAMEL.findall(text)).lower()


def contains(text: str, keywords: tuple[str, ...]) -> bool:
    """Whether one of the keywords occurs in `words`: whole words in a row; a last `*` stands for any ending."""
    return bool(keywords) and _pattern(keywords).search(f" {text} ") is not None


@lru_cache(maxsize=1024)  # two entries per rule of the file
def _pattern(keywords: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(" (?:" + "|".join(map(_spelling, keywords)) + ") ")


def _spelling(keyword: str) -> str:
    parts = ((words(part.rstrip("*")), part.endswith("*")) for part in keyword.split())
    return " ".join(re.escape(part) + (r"\S*" if open_end else "") for part, open_end in parts)
