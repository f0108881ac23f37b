"""What an advisor is asked and what it may answer, as values: it picks among what rules allow, never a target. Pure.

What it says in words is untrusted too: it is cut, cleaned, shown escaped, and never acted upon.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from workflow_service.domain.projection import Projection
from workflow_service.domain.redaction import cleaned

MOST_CANDIDATES = 20
MOST_SUGGESTIONS = 5
MOST_ACTIONS = 5  # of a plan that an advisor makes; upstream's objective has the same bound
# When an action of such a plan runs that is not its first; upstream's conditions of secondary actions.
STAGES = ("if_primary_fails", "after_primary", "parallel_with_primary")

# Parameters that say what is acted upon. They come from the alert, so nobody is ever asked for them.
TARGET_PARAMETERS = frozenset(
    {"cluster", "deployment", "kind", "name", "namespace", "node", "node_name", "pod", "resource"}
    | {"resource_name", "resource_type", "selector", "target", "target_cluster", "target_node"}
)
_DESCRIPTION = 200  # characters of a parameter's description that are sent
_MESSAGE = 300  # characters of a failure's message that are sent
_SCALARS = frozenset({"string", "integer", "number", "boolean"})
# What of a value's schema a model is told.
_TOLD = ("type", "enum", "minimum", "maximum", "maxLength", "pattern", "description")


class Task(StrEnum):
    """What is asked for."""

    SELECT = "select"  # which candidate fits the alert, or none; with its parameters
    ENHANCE = "enhance"  # better parameters, priorities and durations for the steps that are planned
    GENERATE = "generate"  # a whole plan of the candidates, in order, for what nobody knows a remedy for
    RECOVER = "recover"  # why a step has failed, and which option heals it, or none


class Outcome(StrEnum):
    """What came of asking; the words of the metric `ai_requests_total`."""

    ACCEPTED = "accepted"  # sound, and sure enough to be used
    LOW_CONFIDENCE = "low_confidence"  # sound, and kept, but not to be used by itself
    REJECTED = "rejected"  # something answered, but never acceptably
    UNAVAILABLE = "unavailable"  # nobody answers, or not in time


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that rules allow: a template or rule, a planned step, an option, or an action that may be suggested.

    `name` and `what` are ours, never the alert's. `parameters` has the schema of each value that may be chosen.
    """

    name: str
    what: str = ""
    actions: tuple[str, ...] = ()  # the action types it consists of, in the catalogue's names
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()  # of the parameters
    changes: bool = True  # False: it only reads or tells


@dataclass(frozen=True, slots=True)
class Setback:
    """What has failed, for `Task.RECOVER`. `message` may be anybody's words: `document` sends 300 clean characters."""

    action: str
    error_class: str
    message: str = ""
    tried: tuple[str, ...] = ()  # options that were tried before

    def document(self) -> dict[str, Any]:
        """The JSON object that is sent."""
        said = cleaned(self.message, _MESSAGE)
        return {"action": self.action, "error_class": self.error_class, "message": said, "tried": list(self.tried)}


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that an advisor is told. Candidates are in the order of the rules, the best guess first.

    Raises:
        ValueError: it could be answered with something that no answer may choose; a fault of ours.
    """

    id: str  # the same on both sides' logs
    alert: Projection
    candidates: tuple[Candidate, ...]
    suggestible: tuple[Candidate, ...] = ()  # actions that may be suggested besides
    environment: str = ""
    setback: Setback | None = None

    def __post_init__(self) -> None:
        offered = (*self.candidates, *self.suggestible)
        for found in (self.candidates, self.suggestible):
            names = [one.name for one in found]
            if len(set(names)) != len(names) or not all(names) or len(names) > MOST_CANDIDATES:
                raise ValueError(f"candidates must have different names, {MOST_CANDIDATES} at most: {names}")
        for one in offered:
            if asked := TARGET_PARAMETERS & set(one.parameters):
                raise ValueError(f"{one.name}: {sorted(asked)} say what is acted upon, and are no advisor's to choose")


@dataclass(frozen=True, slots=True)
class Pick:
    """One candidate that was chosen. None: the advisor leaves that as it is."""

    candidate: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    priority: int | None = None  # 1 .. 10, 1 first
    estimated_seconds: int | None = None
    condition: str | None = None  # one of STAGES, of a plan's actions after its first; None: after the first


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An action besides, from the closed list; what `changes` something is for a person to decide."""

    action: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    changes: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A sound answer, before anybody has asked how far it is to be believed."""

    picks: tuple[Pick, ...]
    suggestions: tuple[Suggestion, ...]
    reported: float  # 0..1; what the advisor says of itself
    root_cause: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """A sound answer and its effective confidence."""

    picks: tuple[Pick, ...]
    suggestions: tuple[Suggestion, ...]
    confidence: float  # 0..1, never above what the evidence allows
    reported: float
    capped_by: str = ""  # machine word for what has lowered it
    root_cause: str = ""
    summary: str = ""

    @property
    def choice(self) -> Pick | None:
        """The first pick; None: none of the candidates fits."""
        return self.picks[0] if self.picks else None

    def pick_for(self, candidate: str) -> Pick | None:
        """What it says about that candidate (the specification's GetRecommendationForAction)."""
        return next((one for one in self.picks if one.candidate == candidate), None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request for an answer, and what came of it. `errors` quote nothing of the answer."""

    number: int
    mode: str  # how the form of the answer was asked for
    outcome: str  # accepted | rejected | unavailable
    errors: tuple[str, ...] = ()
    tokens: int | None = None  # of question and answer; None: not told
    cost: float | None = None  # in the provider's currency (US dollars as a rule); None: not told
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of asking: advice where there is some, and everything that was tried. Asking never raises."""

    task: Task
    outcome: Outcome
    provider: str
    model: str = ""
    advice: Advice | None = None  # with `accepted` and `low_confidence`
    reason: str = ""  # machine word for why there is none that may be used
    detail: str = ""
    attempts: tuple[Attempt, ...] = ()
    seconds: float = 0.0

    @property
    def usable(self) -> Advice | None:
        """The advice that may go into a plan, under the same rules as everything else in it."""
        return self.advice if self.outcome is Outcome.ACCEPTED else None

    def document(self) -> dict[str, Any]:
        """Everything as JSON, for the records."""
        return {**asdict(self), "usable": self.usable is not None}


def choosable(schema: Mapping[str, Any], names: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Of an object's JSON Schema the values that an advisor may choose: `names` that are scalar, and no targets."""
    properties = schema.get("properties") or {}
    return {
        name: properties[name]
        for name in sorted(names)
        if name in properties and name not in TARGET_PARAMETERS and _scalar(properties[name])
    }


def told(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What of a value's schema is sent; answers are checked against the whole of it."""
    found = {key: schema[key] for key in _TOLD if key in schema}
    return {**found, "description": str(found["description"])[:_DESCRIPTION]} if "description" in found else found


def _scalar(schema: object) -> bool:
    """Whether it is a schema of one plain value; `true`, unions and references are none."""
    if not isinstance(schema, Mapping):
        return False
    kind, words = schema.get("type"), schema.get("enum")
    if words is not None:
        return isinstance(words, list) and bool(words) and all(isinstance(one, str | int | float) for one in words)
    return isinstance(kind, str) and kind in _SCALARS
