"""Asking for another way: is it the time to try one, who knows one, and does the answer hold as a plan does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from workflow_service.domain import events as ev
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.decide import ASKING
from workflow_service.domain.decisions import AskRecovery
from workflow_service.domain.errors import Rejected, StoreUnavailable
from workflow_service.domain.mending import Mended, Remedy
from workflow_service.domain.plan import Plan
from workflow_service.domain.recovery import ESCALATING, TOO_MANY_FAIL
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus
from workflow_service.domain.termination import Termination
from workflow_service.engine.facts import refusal
from workflow_service.engine.gating import DENIED, Gate
from workflow_service.ports import Appeal, NoRemedy, Recover
from workflow_service.store.database import Database
from workflow_service.store.termination import termination

BUDGET = 90.0  # seconds that asking may take; an advisor has a smaller one of its own
LOOK_AGAIN = 0.5  # seconds between looks at a database that is away

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recoveries:
    """What looking for another way needs, from the composition root."""

    database: Database
    recover: Recover
    catalogue: Callable[[], Awaitable[Catalogue | None]]
    clock: Callable[[], datetime]

    async def ask(self, asking: Asking, gate: Gate) -> Mended | NoRemedy:
        """Another way, as a revision of the plan that holds; or why there is none.

        What guardrails deny is no way; the next one is asked for.
        """
        found = await self._rate()
        if found.too_many:
            return NoRemedy(TOO_MANY_FAIL, str(found))
        appeal, denied = asking.appeal, list[str]()
        while True:
            remedy = await self._remedy(appeal)
            if isinstance(remedy, NoRemedy):
                return NoRemedy(DENIED, "; ".join(denied)) if denied else remedy
            answer = await self._through(gate, appeal, remedy)
            if not isinstance(answer, NoRemedy) or answer.reason != DENIED or remedy.option in appeal.denied:
                return answer
            denied.append(answer.why)
            appeal = replace(appeal, denied=(*appeal.denied, remedy.option))

    async def _through(self, gate: Gate, appeal: Appeal, remedy: Remedy) -> Mended | NoRemedy:
        while True:
            try:
                return await gate.passed(appeal, remedy, await self.catalogue())
            except StoreUnavailable:
                await asyncio.sleep(LOOK_AGAIN)
            except Rejected as error:
                log.warning("a recovery does not hold as a plan and is not used", option=remedy.option, why=str(error))
                return NoRemedy("recovery_invalid", str(error))

    async def _rate(self) -> Termination:
        while True:
            try:
                return await termination(self.database, self.clock())
            except StoreUnavailable:  # nothing could be journalled now anyway
                await asyncio.sleep(LOOK_AGAIN)

    async def _remedy(self, appeal: Appeal) -> Remedy | NoRemedy:
        try:
            async with asyncio.timeout(BUDGET):
                return await self.recover(appeal)
        except TimeoutError:
            return NoRemedy("recovery_unanswered", f"nobody knew another way within {BUDGET:g} s")
        except Exception as error:
            log.warning("asking for a recovery went wrong", exc_info=True)
            return NoRemedy("recovery_unanswered", f"{type(error).__name__}: {error}"[:500])


@dataclass(frozen=True, slots=True)
class Asking:
    """A recovery that a drive asks for."""

    appeal: Appeal
    step: str = ASKING  # what stands for it among what is live


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of asking, as facts; `revision` is the plan that follows from them."""

    events: tuple[ev.Event, ...]
    revision: Mended | None = None


def asking(ask: AskRecovery, plan: Plan, state: RunState, alert: Mapping[str, Any]) -> Asking:
    """What is to be asked."""
    return Asking(Appeal(alert, plan, ask.failure, ask.attempt, state.recoveries[:-1]))


def answered(asked: Asking, answer: object, state: RunState, now: datetime) -> Answered:
    """What the answer means for the journal; nothing, when nobody waits for it any more."""
    failure, attempt = asked.appeal.failure, asked.appeal.attempt
    if state.status is not ExecutionStatus.RECOVERING or state.wanted is not None:
        return Answered(())
    if not isinstance(answer, Mended | NoRemedy):
        raise TypeError(f"{answer!r} answers another question")
    if isinstance(answer, NoRemedy):
        no = refusal(failure, attempt, answer.reason, answer.why, now=now)
        loud = (ev.Escalated(now, failure.step, answer.reason, answer.why),) if answer.reason in ESCALATING else ()
        return Answered((no, *loud))
    plan = answer.graph.plan
    note = plan.metadata["recoveries"][-1]
    planned = ev.RecoveryPlanned(
        at=now,
        step=failure.step,
        attempt=attempt,
        option=note["option"],
        source=note["source"],
        reason=plan.step(answer.group).description,
        plan_hash=plan.hash,
        revision=plan.revision,
        group=answer.group,
        steps=answer.added,
    )
    return Answered((planned,), answer)
