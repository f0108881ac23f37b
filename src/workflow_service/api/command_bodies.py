"""What comes with a command: for each verb the body that it takes, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from workflow_service.domain.states import Verb

MAX_PATH = 400  # characters of a step's path: five levels of ids, with the numbers of items


def _storable(value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What JSON cannot carry as it is (not-a-number, numbers over 64 bits, broken text, deep nesting) is refused.

    Raises:
        ValueError: it changes on its way, or cannot go.
    """
    try:
        same = orjson.loads(orjson.dumps(value)) == value
    except orjson.JSONEncodeError as error:
        raise ValueError(f"must be plain JSON: {error}") from None
    if not same:
        raise ValueError("must be plain JSON: every number must be finite")
    return value


StepPath = Annotated[
    str,
    Field(min_length=1, max_length=MAX_PATH, description="the step's path: `scale`, inside a template `heal/scale`"),
]
Patch = Annotated[
    dict[StepPath, dict[str, Any]],
    Field(min_length=1, max_length=100, description="by step, new values by parameter; null takes a parameter away"),
    AfterValidator(_storable),
]


def _whole(value: object) -> object:
    """To JSON Schema 8.0 is an integer too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, Field(ge=1, le=9), BeforeValidator(_whole)]


class CommandIn(BaseModel):
    """Why; it is journalled with who and when."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(default="", max_length=1000)


class ToAStep(CommandIn):
    """A word to a step that waits for one."""

    step: StepPath | None = Field(default=None, description="which, when several wait for a word")


class ApproveIn(ToAStep):
    """A step may go on."""

    plan_hash: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="of the plan that was looked at; refused when it is another"
    )


class ExtendIn(ToAStep):
    """A step waits longer for its word."""

    seconds: float = Field(gt=0, le=86400, description="in addition to the time that it has")


class CancelIn(CommandIn):
    """The end, after what is in flight."""

    undo: bool | None = Field(default=None, description="also undo what was done")


class RollbackIn(CommandIn):
    """What was done is undone."""

    step: StepPath | None = Field(
        default=None, description="back to this step, which must have succeeded: only what came after it is undone"
    )


class RetryIn(CommandIn):
    """What failed or was undone is done again, by a new execution."""

    parameters: Patch | None = None


class SkipStepIn(CommandIn):
    """A step that has not begun is left out."""

    step: StepPath


class SetPriorityIn(CommandIn):
    """Another place in line."""

    priority: Whole = Field(description="1 goes first, 9 last")


@dataclass(frozen=True, slots=True)
class Shape:
    """The body of one verb, what the verb is for, and an example."""

    body: type[CommandIn]
    summary: str
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needed(self) -> bool:
        """Whether the verb makes no sense without a body."""
        return any(one.is_required() for one in self.body.model_fields.values())


SHAPES: Mapping[Verb, Shape] = {
    Verb.START: Shape(ToAStep, "Start a workflow that was created with start: false", {"reason": "looks right"}),
    Verb.APPROVE: Shape(ApproveIn, "Let a step that waits for approval go on", {"reason": "seen", "step": "gate"}),
    Verb.REJECT: Shape(ToAStep, "Refuse a step that waits for a word", {"reason": "not today", "step": "gate"}),
    Verb.EXTEND: Shape(ExtendIn, "Let a step wait longer for its word", {"seconds": 1800, "reason": "asking Ana"}),
    Verb.PAUSE: Shape(CommandIn, "Stand still at the next step boundary, for 24 h at most", {"reason": "look first"}),
    Verb.RESUME: Shape(CommandIn, "Go on after a pause", {"reason": "looked"}),
    Verb.CANCEL: Shape(CancelIn, "End after what is in flight", {"undo": True, "reason": "false alarm"}),
    Verb.ROLLBACK: Shape(RollbackIn, "Undo what was done, all or back to a step", {"reason": "it got worse"}),
    Verb.RETRY: Shape(
        RetryIn,
        "Do again what failed, with other parameters where they are given",
        {"parameters": {"scale": {"replicas": 4}}, "reason": "five are too many"},
    ),
    Verb.SKIP_STEP: Shape(SkipStepIn, "Leave a step out", {"step": "scale", "reason": "done by hand"}),
    Verb.SET_PRIORITY: Shape(SetPriorityIn, "Take another place in line", {"priority": 1, "reason": "shop is down"}),
}


def describe(schemas: Mapping[str, dict[str, Any]], plain: Mapping[str, Any]) -> None:
    """Let the OpenAPI document say what new values may be: `plain` JSON, which a database can carry."""
    for one in schemas["RetryIn"]["properties"]["parameters"]["anyOf"]:
        if one["type"] == "object":
            one["additionalProperties"]["additionalProperties"] = plain
