"""What is noted while one question is asked: who was asked, every attempt, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workflow_service.clients.advisors.asking import Provider, Said
from workflow_service.domain.advice import Advice, Attempt, Outcome, Reply, Task
from workflow_service.domain.answer_checks import Flaw
from workflow_service.domain.errors import AdvisorAway

NOBODY = "none"
MOST, LONGEST = 10, 300  # errors that are kept of an attempt, and characters of each
_DETAIL = 1000  # characters


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of the question as a whole."""

    outcome: Outcome
    advice: Advice | None = None
    reason: str = ""
    detail: str = ""


class Notes:
    """Of one question."""

    def __init__(self, task: Task, clock: Callable[[], float]) -> None:
        self.task, self._clock, self._begun = task, clock, clock()
        self._provider: Provider | None = None
        self._model = ""
        self._attempts: list[Attempt] = []
        self._under_way: tuple[int, float] | None = None  # number, begun

    def asks(self, provider: Provider) -> None:
        """Who is asked."""
        self._provider, self._model = provider, provider.model

    def begin(self, number: int) -> None:
        """A request for an answer goes out."""
        self._under_way = (number, self._clock())

    def accepted(self, said: Said) -> None:
        """It is a sound answer."""
        self._end(said, "accepted", said.notes)

    def rejected(self, said: Said, flaws: Sequence[Flaw]) -> None:
        """It is none."""
        self._end(said, "rejected", [*map(str, flaws), *said.notes])

    def away(self, away: AdvisorAway) -> None:
        """There is none."""
        self._end(Said(self._mode()), "unavailable", [f"{away.reason}: {away}"])

    def reply(self, verdict: Verdict) -> Reply:
        """Everything; an attempt that is still under way was cut."""
        self._end(Said(self._mode()), "unavailable", [verdict.reason])
        return Reply(
            task=self.task,
            outcome=verdict.outcome,
            provider=self._provider.name if self._provider else NOBODY,
            model=self._model,
            advice=verdict.advice,
            reason=verdict.reason,
            detail=verdict.detail[:_DETAIL],
            attempts=tuple(self._attempts),
            seconds=self._clock() - self._begun,
        )

    def _end(self, said: Said, outcome: str, errors: Sequence[str]) -> None:
        if self._under_way is None:
            return
        (number, begun), self._under_way = self._under_way, None
        self._model = said.model or self._model
        seconds = self._clock() - begun
        kept = tuple(error[:LONGEST] for error in errors[:MOST])
        attempt = Attempt(number, said.mode, outcome, kept, said.tokens, said.cost, seconds)
        self._attempts.append(attempt)

    def _mode(self) -> str:
        return self._provider.mode if self._provider else NOBODY
