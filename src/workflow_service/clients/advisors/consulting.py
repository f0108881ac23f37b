"""Asking within a budget: one question, some answers at most, each checked, the flaws of one told to the next.

Whatever goes wrong becomes a reply that says so. Nothing that is asked here ends planning, and nothing is waited for
longer than the budget: SDKs bound single requests, and their retries multiply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from workflow_service.clients.advisors.asking import Asked, Provider, Said
from workflow_service.clients.advisors.circuit import Circuit
from workflow_service.clients.advisors.detection import Detection
from workflow_service.clients.advisors.multi_stage_wire import in_our_form, is_multi_stage
from workflow_service.clients.advisors.notes import Notes, Verdict
from workflow_service.domain.advice import Draft, Outcome, Question, Reply, Task
from workflow_service.domain.answer_checks import Flaw, check
from workflow_service.domain.answer_text import Reason, Unreadable, document_in
from workflow_service.domain.confidence import weighed
from workflow_service.domain.errors import AdvisorAway
from workflow_service.domain.prompting import ANSWER_AGAIN, Refusal
from workflow_service.telemetry.advice import AdviceMetrics

PAUSE = 0.3  # seconds before what failed in passing is tried again, times the number of the attempt

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """How long, how often, and how sure. `answers` counts requests for an answer, whatever came back."""

    budget: float = 60.0  # seconds of one question, everything included
    answers: int = 3
    threshold: float = 0.7  # advice at or above it may be used


class Consulting:
    """`ports.Advisor` over whoever is found."""

    def __init__(
        self,
        detection: Detection,
        circuit: Circuit,
        *,
        terms: Terms,
        metrics: AdviceMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._detection, self._circuit, self._terms = detection, circuit, terms
        self._metrics, self._clock = metrics, clock

    @property
    def there(self) -> bool:
        """Whether somebody answered when last looked for."""
        return self._detection.found is not None

    @property
    def state(self) -> str:
        """Where the circuit breaker stands."""
        return self._circuit.state

    async def look(self) -> None:
        """Look whether somebody is there, and who."""
        await self._detection.look()

    async def select(self, question: Question, *, within: float | None = None) -> Reply:
        """Which candidate fits the alert, with its parameters."""
        return await self._consult(Task.SELECT, question, within)

    async def enhance(self, question: Question, *, within: float | None = None) -> Reply:
        """Better parameters, priorities and durations for planned steps, and actions besides."""
        return await self._consult(Task.ENHANCE, question, within)

    async def generate(self, question: Question, *, within: float | None = None) -> Reply:
        """The actions of a whole plan, in order."""
        return await self._consult(Task.GENERATE, question, within)

    async def recover(self, question: Question, *, within: float | None = None) -> Reply:
        """Why a step has failed, and which option heals it."""
        return await self._consult(Task.RECOVER, question, within)

    async def _consult(self, task: Task, question: Question, within: float | None) -> Reply:
        notes = Notes(task, self._clock)
        budget = self._terms.budget if within is None else min(self._terms.budget, within)
        try:
            verdict = await self._within_budget(notes, question, budget)
        except AdvisorAway as away:
            verdict = Verdict(Outcome.UNAVAILABLE, reason=away.reason, detail=str(away))
        except TimeoutError:
            said = f"no answer that may be used came within {max(0.0, budget):.3g} s"
            verdict = Verdict(Outcome.UNAVAILABLE, reason="timeout", detail=said)
        except Exception as error:
            # The boundary to planning: what answers is a stranger's, and none of it may end a plan.
            log.exception("asking for advice failed")
            verdict = Verdict(Outcome.UNAVAILABLE, reason="internal", detail=type(error).__name__)
        reply = notes.reply(verdict)
        self._metrics.replied(reply)
        self._tell(question, reply)
        return reply

    async def _within_budget(self, notes: Notes, question: Question, budget: float) -> Verdict:
        until = self._clock() + budget
        async with asyncio.timeout(max(0.0, budget)):
            provider = await self._detection.provider()
        notes.asks(provider)
        if self._clock() >= until:  # it is not asked any more, which says nothing of it
            raise TimeoutError
        with self._circuit.passed():
            async with asyncio.timeout(max(0.0, until - self._clock())):
                return await self._dialogue(notes, provider, question, until=until)

    async def _dialogue(self, notes: Notes, provider: Provider, question: Question, *, until: float) -> Verdict:
        refusal: Refusal | None = None
        for number in range(1, self._terms.answers + 1):
            asked = Asked(notes.task, question, number, refusal)
            notes.begin(number)
            try:
                said = await provider.ask(asked)
            except AdvisorAway as away:
                notes.away(away)
                await self._rest(away, number, until=until)
                continue
            judged = judge(said, asked)
            if isinstance(judged, Draft):
                notes.accepted(said)
                return self._weighed(judged, said, question, mended=refusal is not None)
            notes.rejected(said, judged)
            self._metrics.refused(provider.name, judged[0].reason)
            refusal = Refusal(said.text[:ANSWER_AGAIN], judged)
            if judged[0].reason is Reason.REFUSED:
                break
        reason = refusal.flaws[0].reason if refusal else Reason.FORMAT
        return Verdict(
            Outcome.REJECTED, reason=reason, detail="; ".join(map(str, refusal.flaws[:5] if refusal else ()))
        )

    async def _rest(self, away: AdvisorAway, number: int, *, until: float) -> None:
        """Wait before the next attempt, if there is to be one.

        Raises:
            AdvisorAway: there is none, or no time for it.
        """
        pause = PAUSE * number if away.retry_after is None else away.retry_after
        if not away.passing or number == self._terms.answers or self._clock() + pause >= until:
            raise away
        await asyncio.sleep(pause)

    def _weighed(self, draft: Draft, said: Said, question: Question, *, mended: bool) -> Verdict:
        advice = weighed(draft, seen=said.seen or bool(question.alert.facts), mended=mended)
        if advice.confidence >= self._terms.threshold:
            return Verdict(Outcome.ACCEPTED, advice)
        capped = f", capped by {advice.capped_by}" if advice.capped_by else ""
        detail = (
            f"{advice.confidence:.2f} is less than {self._terms.threshold:g} ({advice.reported:.2f} was said{capped})"
        )
        return Verdict(Outcome.LOW_CONFIDENCE, advice, reason="low_confidence", detail=detail)

    def _tell(self, question: Question, reply: Reply) -> None:
        """One line per question; none of an advisor's words but those about its absence."""
        log.info(
            "advisor was asked",
            question=question.id,
            task=reply.task,
            provider=reply.provider,
            outcome=reply.outcome,
            reason=reply.reason,
            attempts=len(reply.attempts),
            seconds=round(reply.seconds, 3),
        )


def judge(said: Said, asked: Asked) -> Draft | tuple[Flaw, ...]:
    """What was said as a draft, or all that is wrong with it."""
    if said.flaw is not None:
        return (said.flaw,)
    try:
        document = document_in(said.text) if said.document is None else said.document
    except Unreadable as error:
        return (Flaw("answer", str(error), Reason.FORMAT),)
    if asked.task is Task.GENERATE and is_multi_stage(document):
        document = in_our_form(document, asked.question)
    return check(document, asked.task, asked.question)
