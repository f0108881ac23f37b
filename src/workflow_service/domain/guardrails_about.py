"""What guardrails are asked about and what they answer: facts, findings, judgements. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.plan import Step
from workflow_service.domain.policy import Place, Policy, Word
from workflow_service.domain.target import Target

UNSURE = "ai_unsure"  # in a plan's metadata: the advisor that made it is less sure than its threshold asks for
_RANK = {word: rank for rank, word in enumerate(Word)}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says, and why. `field` and `value` are what it said so about."""

    rule: str
    word: Word
    why: str = ""
    field: str = ""
    value: Any = None
    override: str | None = None  # whose word counts instead

    def __str__(self) -> str:
        about = f" ({self.field}: {_plain(self.value)})" if self.field else ""
        return f"{self.rule}{about}: {self.why}"[:500]


def _plain(value: object) -> str:
    """A value as people write it, quoted where it is a text."""
    return repr(value.value if isinstance(value, Enum) else value)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One finding for every rule that was asked; the strictest word counts."""

    findings: tuple[Finding, ...]
    policy: str  # its version

    @property
    def word(self) -> Word:
        """The strictest."""
        return self.strictest.word if self.findings else Word.ALLOWED

    @property
    def strictest(self) -> Finding:
        """The finding that counts, the first of equals; there must be one."""
        return max(self.findings, key=lambda one: _RANK[one.word])

    def of(self, word: Word) -> tuple[Finding, ...]:
        """The findings that say so."""
        return tuple(one for one in self.findings if one.word is word)


def strictest(first: Finding | None, second: Finding | None) -> Finding | None:
    """The stricter of two; the first of equals."""
    if first is None or second is None:
        return first or second
    return second if _RANK[second.word] > _RANK[first.word] else first


@dataclass(frozen=True, slots=True)
class Halt:
    """Somebody has stopped everything that changes, everywhere or in one namespace."""

    namespace: str  # empty: everywhere
    reason: str
    by: str
    at: datetime

    def covers(self, namespace: str) -> bool:
        """Whether it is about that namespace; what has none is stopped only by one that is about everything."""
        return self.namespace in ("", namespace)


@dataclass(frozen=True, slots=True)
class Latch:
    """Too many workflows of an environment have ended badly, and nobody has reset it since."""

    environment: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Override:
    """Break-glass: for some rules somebody's word counts instead, for a while."""

    id: str
    rules: tuple[str, ...]
    namespace: str  # a glob
    workflow_id: str | None  # None: any
    reason: str
    by: str
    expires_at: datetime

    def covers(self, rule: str, *, namespace: str, workflow_id: str, now: datetime) -> bool:
        """Whether it counts there now."""
        if now >= self.expires_at or rule not in self.rules or rule in FIRM:
            return False
        return self.workflow_id in (None, workflow_id) and fnmatchcase(namespace, self.namespace)


FIRM = frozenset({"catalogue", "parameters", "target"})  # rules that nobody's word is above


@dataclass(frozen=True, slots=True)
class Standing:
    """What people and this service have declared, as of a moment ago."""

    halts: tuple[Halt, ...] = ()
    latches: tuple[Latch, ...] = ()
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """What was done lately, as far as the policy asks."""

    used: Mapping[str, int] = field(default_factory=dict)  # changes within the hour, by `target:...`, namespace, ""
    unhelpful: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by action type and target identity


@dataclass(frozen=True, slots=True)
class About:
    """What is known around a plan or a step."""

    workflow_id: str
    cluster: str
    namespace: str  # of the alert's target, or of the alert
    method: str
    plan: str  # the rule or template
    related: frozenset[str] = frozenset()  # identities of the alert's target and its owners
    owners: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""  # who ordered it
    confidence: float | None = None
    unsure: bool = False  # an advisor's whole plan, below the threshold of advice
    replicas: Mapping[str, int] = field(default_factory=dict)  # that are there, by identity
    catalogue: Catalogue | None = None
    standing: Standing = Standing()
    past: Past = Past()
    approved: bool = False  # a person has said yes to the whole plan

    @property
    def by_advisor(self) -> bool:
        """Whether an advisor had a part in it: then nothing is taken on trust."""
        return self.method.startswith("ai_")


@dataclass(frozen=True, slots=True)
class Act:
    """A step that sends something, what it is sent, and what that touches."""

    step: Step
    type: str
    parameters: Mapping[str, Any]
    target: Target | None
    filled: bool = False  # expressions have given its parameters just now

    def at(self, *names: str) -> str:
        """The name of one of its fields."""
        return ".".join(("steps", self.step.id, *names))

    def namespace(self, about: About) -> str:
        """Where it acts; the alert's namespace where it names nothing."""
        return about.namespace if self.target is None else self.target.namespace or ""

    def place(self, about: About, policy: Policy) -> Place:
        """What lists are asked about."""
        namespace = self.namespace(about)
        environment = policy.environment(cluster=about.cluster, namespace=namespace)
        return Place(environment, namespace, about.identity, about.method, self.type)


def overridden(finding: Finding, namespace: str, about: About, now: datetime) -> Finding:
    """The finding, unless somebody's word counts instead."""
    if finding.word is Word.ALLOWED:
        return finding
    for one in about.standing.overrides:
        if one.covers(finding.rule, namespace=namespace, workflow_id=about.workflow_id, now=now):
            why = f"{finding.why}; overridden by {one.by} until {one.expires_at.isoformat()}: {one.reason}"
            return replace(finding, word=Word.ALLOWED, why=why, override=one.id)
    return finding
