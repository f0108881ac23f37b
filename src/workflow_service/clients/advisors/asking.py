"""What is asked of a provider and what it says, in the words that all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from workflow_service.domain.advice import Question, Task
from workflow_service.domain.answer_checks import Flaw
from workflow_service.domain.answer_text import Reason
from workflow_service.domain.prompting import Refusal


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for an answer."""

    task: Task
    question: Question
    number: int = 1
    refusal: Refusal | None = None  # of the answer before this one


@dataclass(frozen=True, slots=True)
class Said:
    """What a provider said, before anybody has looked whether it may be said.

    `document` is set where the provider's own form had to be turned into ours; else `text` is what the model wrote.
    """

    mode: str
    text: str = ""
    document: object = None
    flaw: Flaw | None = None  # it can be seen from outside that this is no answer
    seen: bool = False  # its tools have found evidence
    notes: tuple[str, ...] = ()  # what of it was left out, and why
    tokens: int | None = None
    cost: float | None = None
    model: str = ""


class Provider(Protocol):
    """One language that advisors speak."""

    name: str
    model: str

    @property
    def mode(self) -> str:
        """How the form of an answer would be asked for now."""
        ...

    async def recognised(self) -> bool:
        """Whether the server speaks this language, asked without asking for advice.

        Raises:
            AdvisorAway: it does not answer at all.
        """
        ...

    async def ask(self, asked: Asked) -> Said:
        """Ask once.

        Raises:
            AdvisorAway: there is no answer.
        """
        ...


def no_answer(rule: str, reason: Reason = Reason.FORMAT) -> Flaw:
    """What came back is no answer as a whole."""
    return Flaw("answer", rule, reason)
