"""What has failed, at the bottom of it, and when two failures are the same."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflow_service.domain.answers import does
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failure_class import MAX_MESSAGE, FailureClass

if TYPE_CHECKING:
    from workflow_service.domain.graph import Graph
    from workflow_service.domain.run_state import RunState

_LONGEST = 200  # characters of a signature's message
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TOKEN = re.compile(r"[0-9a-z]+(?:\.[0-9]+)*")


@dataclass(frozen=True, slots=True)
class Failure:
    """A step of the top level that is broken for good, and why."""

    step: str
    failed: str  # the step at the bottom of it: the same, or one inside it
    action: str  # its action's type, else its kind
    error_class: ErrorClass | None
    failure_class: FailureClass | None
    message: str

    @property
    def signature(self) -> str:
        """Equal for failures that are the same: action type, error class, and the message without what is made up."""
        return f"{self.action}|{self.error_class or 'none'}|{normalised(self.message)}"


def normalised(message: str) -> str:
    """A message without case, numbers, made-up names and the length of gaps."""
    text = _UUID.sub("#", message[:MAX_MESSAGE].lower())
    words = _TOKEN.sub(lambda found: "#" if _made_up(found[0]) else found[0], text).split()
    return " ".join(words)[:_LONGEST]


def _made_up(token: str) -> bool:
    """What differs each time though nothing else does: numbers, and the endings that Kubernetes gives to names.

    Those have at least five characters and no vowel (k8s.io/apimachinery/pkg/util/rand).
    """
    return any(map(str.isdigit, token)) or (len(token) >= 5 and not set(token) & set("aeiouy"))


def failure_of(graph: Graph, state: RunState, name: str, broken: list[str]) -> Failure:
    """Why a step of the top level is broken; `broken` are those inside it that count, at any depth."""
    bottom = name
    while inside := [child for child in graph.children.get(bottom, ()) if child in broken]:
        bottom = min(inside, key=lambda child: _ended(state, child))
    step, at = graph.steps[bottom], state.steps[bottom]
    return Failure(
        step=name,
        failed=bottom,
        action=does(step),
        error_class=at.error_class,
        failure_class=state.steps[name].failure_class,
        message=at.message,
    )


def _ended(state: RunState, name: str) -> float:
    ended = state.steps[name].ended_at
    return ended.timestamp() if ended else math.inf
