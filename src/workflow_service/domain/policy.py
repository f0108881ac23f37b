"""The operator's policy as values: what may be done where, how much of it, when, and by whose word. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache

from workflow_service.domain.catalogue import Risk
from workflow_service.domain.silence import Silence

DEFAULT_ENVIRONMENT = "default"
BUDGET_WINDOW = timedelta(hours=1)


class Word(StrEnum):
    """What a rule says, the mildest first."""

    ALLOWED = "allowed"
    NEEDS_APPROVAL = "needs_approval"
    HELD = "held"  # not now; it is asked again later
    DENIED = "denied"


class Level(StrEnum):
    """How much is done without a person, the least first."""

    OBSERVE = "observe"  # a plan is made and kept, nothing is executed
    SUGGEST = "suggest"  # and people are told of it
    APPROVE = "approve"  # one word of a person for the whole plan
    AUTONOMOUS = "autonomous"


Globs = tuple[str, ...]


@lru_cache(maxsize=4096)
def fits(value: str, globs: Globs) -> bool:
    """Whether one of the globs means the value; none at all mean everything."""
    return not globs or any(fnmatchcase(value, glob) for glob in globs)


@dataclass(frozen=True, slots=True)
class Environment:
    """A name for some namespaces of some clusters."""

    name: str
    namespaces: Globs = ()
    clusters: Globs = ()


@dataclass(frozen=True, slots=True)
class Place:
    """What lists are asked about: one action, where, by whose order, in what kind of plan."""

    environment: str
    namespace: str  # empty: none, as of a node
    identity: str
    method: str
    action: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Some places. What is left empty means any."""

    environments: Globs = ()
    namespaces: Globs = ()
    identities: Globs = ()
    methods: Globs = ()
    actions: Globs = ()

    def covers(self, place: Place) -> bool:
        """Whether the place is one of them."""
        return (
            fits(place.environment, self.environments)
            and fits(place.namespace, self.namespaces)
            and fits(place.identity, self.identities)
            and fits(place.method, self.methods)
            and fits(place.action, self.actions)
        )


@dataclass(frozen=True, slots=True)
class RiskRule:
    """What actions of each risk need in some environments."""

    environments: Globs = ()
    words: Mapping[Risk, Word] = field(default_factory=lambda: dict.fromkeys(Risk, Word.ALLOWED))


@dataclass(frozen=True, slots=True)
class Blast:
    """How much one plan may hit. None: no bound."""

    objects: int | None = 50  # that it changes
    nodes: int | None = 1  # that it changes
    share_of_replicas: float | None = None  # that it takes away at once, 0..1; one may always go
    scale_factor: float | None = 2.0  # of the replicas that are there; one more may always come
    scale_to_zero: bool = False
    scale_of_rules: bool = False  # whether the two before bind rules and templates too, which say what they want


@dataclass(frozen=True, slots=True)
class Budgets:
    """How many changes may begin within an hour. None: no bound."""

    target: int | None = None
    namespace: int | None = None
    cluster: int | None = None

    @property
    def bounded(self) -> bool:
        """Whether any of them says anything."""
        return any(limit is not None for limit in (self.target, self.namespace, self.cluster))


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time in which nothing that changes begins."""

    name: str
    scope: Scope
    window: Silence  # its times; what it matches is said by the scope
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Oscillation:
    """The same action on the same target, again and again without helping."""

    times: int | None = None  # None: not looked at
    window: timedelta = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Breaker:
    """When so many of the last workflows of an environment ended badly, people are asked until somebody resets it."""

    share: float | None = None  # 0..1; None: not looked at
    of: int = 20


@dataclass(frozen=True, slots=True)
class Rung:
    """How much some plans may do by themselves in some environments."""

    level: Level
    plans: Globs = ()  # names of rules and templates
    environments: Globs = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it. The defaults are those that hold without a policy file."""

    version: str = "built-in"
    environments: tuple[Environment, ...] = ()  # the first that fits counts
    protected_namespaces: Globs = ("kube-*", "openshift-*")
    protected_kinds: Globs = ("Namespace", "CustomResourceDefinition", "ClusterRole*", "Secret")
    allow: tuple[Scope, ...] = ()  # none: everything; else what changes must be in one of them
    deny: tuple[Scope, ...] = ()  # counts before `allow`
    risk: tuple[RiskRule, ...] = ()  # the first that fits counts; none: allowed
    blast: Blast = Blast()
    budgets: Budgets = Budgets()
    freezes: tuple[Freeze, ...] = ()
    oscillation: Oscillation = Oscillation()
    breaker: Breaker = Breaker()
    plan_size: int | None = 10  # steps beyond which a person is asked
    confidence: float = 0.7  # of an advisor, below which a person is asked
    autonomy: tuple[Rung, ...] = ()  # the first that fits counts; none: autonomous
    own_namespace: str | None = None  # where this service runs: protected too

    @property
    def counts(self) -> bool:
        """Whether changes have to be remembered."""
        return self.budgets.bounded or self.oscillation.times is not None

    def environment(self, *, cluster: str, namespace: str) -> str:
        """The name under which a namespace goes."""
        for one in self.environments:
            if fits(cluster, one.clusters) and fits(namespace, one.namespaces):
                return one.name
        return DEFAULT_ENVIRONMENT

    def level(self, plan: str, environment: str) -> Level:
        """How much a plan may do by itself."""
        found = (rung for rung in self.autonomy if fits(plan, rung.plans) and fits(environment, rung.environments))
        return next((rung.level for rung in found), Level.AUTONOMOUS)

    def word_for(self, risk: Risk, environment: str) -> Word:
        """What an action of that risk needs."""
        found = (rule for rule in self.risk if fits(environment, rule.environments))
        return next((rule.words.get(risk, Word.ALLOWED) for rule in found), Word.ALLOWED)

    def frozen(self, place: Place, now: datetime) -> tuple[Freeze, datetime] | None:
        """The freeze that ends last of those that hold there now, and when it does."""
        held = [
            (until, freeze)
            for freeze in self.freezes
            if freeze.scope.covers(place) and (until := freeze.window.open_until(now)) is not None
        ]
        if not held:
            return None
        until, freeze = max(held, key=lambda pair: pair[0])
        return freeze, until
