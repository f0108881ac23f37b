"""One simulation from the question to the answer: what is planned, judged, and walked without effect."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflow_service.domain import graph as graphs
from workflow_service.domain import guarded
from workflow_service.domain.admission import Choice
from workflow_service.domain.admission_facts import Limits
from workflow_service.domain.alert import Alert, alert_from_json, alert_to_json
from workflow_service.domain.errors import Crowded, NotFound, Rejected, Unfit, Violation
from workflow_service.domain.failure_class import Patterns
from workflow_service.domain.guardrails import refusal
from workflow_service.domain.guardrails_about import About, Judgement
from workflow_service.domain.locking import OWNERS, planned
from workflow_service.domain.plan import Plan
from workflow_service.domain.policy import Word
from workflow_service.domain.silence import Matchers
from workflow_service.engine.guards import Case, Guards
from workflow_service.engine.looking import Lookout
from workflow_service.engine.means import Site
from workflow_service.intake.foretelling import foretell
from workflow_service.ports import Supposed
from workflow_service.rehearsal.playing import Play, Stage
from workflow_service.rehearsal.virtual_time import Clock, StandsStill, run
from workflow_service.simulation.findings import Findings
from workflow_service.simulation.foreseen import Foreseen
from workflow_service.simulation.glance import Glance
from workflow_service.simulation.outside import OutOfTime, Outside
from workflow_service.simulation.telling import Simulated, told
from workflow_service.simulation.trial import Pace, Trial
from workflow_service.store import estimates, locks, queries
from workflow_service.store.database import Database
from workflow_service.store.executions import load

PATIENCE = 20.0  # seconds that the walk may really take; planning has bounds of its own
AT_ONCE = 4  # simulations per replica
PLACE = 5.0  # seconds to wait for being one of them
_BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # what a plan that is none leads to


@dataclass(frozen=True, slots=True)
class Around:
    """What simulations of a replica work with."""

    database: Database
    guards: Guards
    site_of: Callable[[Mapping[str, Any]], Site]  # an alert's
    limits: Limits  # of admission
    patterns: Patterns
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is simulated: a plan, and the alert that it answers."""

    alert: Mapping[str, Any]
    plan: Plan
    workflow_id: str = ""
    admission: Choice | None = None


class Simulator:
    """Answers what would happen."""

    def __init__(self, around: Around, *, patience: float = PATIENCE) -> None:
        self._around, self._patience, self._matchers = around, patience, Matchers()
        self._places = asyncio.Semaphore(AT_ONCE)

    async def simulate(self, supposed: Supposed) -> Mapping[str, Any]:
        """What would happen, as plain values; nothing is stored and nothing changed.

        Raises:
            Crowded: there are as many simulations already as may be at once.
            Unfit: what was ordered cannot be done here, or the plan is none.
            NotFound: there is no such workflow.
            StoreUnavailable: the database is away.
        """
        async with self._place():
            try:
                return told(await self._simulated(await self._subject(supposed)))
            except Unfit:
                raise
            except Rejected as error:
                raise Unfit(str(error).partition(": ")[0], error.violations) from error
            except _BROKEN as error:
                if supposed.plan is None:
                    raise
                wrong = Violation("plan", "", f"cannot be played: {type(error).__name__}: {error}"[:300])
                raise Unfit("the plan is none that could be executed", [wrong]) from error

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PLACE):
                await self._places.acquire()
        except TimeoutError:
            raise Crowded(f"{AT_ONCE} simulations are under way") from None
        try:
            yield
        finally:
            self._places.release()

    async def _subject(self, supposed: Supposed) -> _Subject:
        alert = alert_to_json(supposed.alert) if supposed.alert is not None else {}
        if supposed.plan is not None:
            return _Subject(alert, supposed.plan)
        if supposed.workflow_id is not None:
            return await self._of_workflow(supposed.workflow_id, advise=supposed.advise)
        if supposed.alert is None:
            raise NotFound("nobody has said what is simulated")
        plan = await self._planned(supposed.alert, supposed.ordered, advise=supposed.advise)
        if supposed.ordered is not None:
            return _Subject(alert, plan)
        around = self._around
        choice = await foretell(
            around.database, supposed.alert, limits=around.limits, matchers=self._matchers, now=around.clock()
        )
        return _Subject(alert, plan, admission=choice)

    async def _of_workflow(self, workflow_id: str, *, advise: bool) -> _Subject:
        """Its plan as it is now, from its beginning; where it has none, the one that would be made."""
        found = await queries.summary(self._around.database, workflow_id)
        record = await load(self._around.database, str(found["execution_id"]))
        plan = record.plan
        if plan is None:
            plan = await self._planned(alert_from_json(record.alert), record.ordered, advise=advise)
        return _Subject(record.alert, plan, workflow_id)

    async def _planned(self, alert: Alert, ordered: Mapping[str, Any] | None, *, advise: bool) -> Plan:
        site = self._around.site_of(alert_to_json(alert))
        plan, *_ = await (site.plan_for if advise else site.plan_plainly)(alert, ordered)
        return plan

    async def _simulated(self, subject: _Subject) -> Simulated:
        guards = self._around.guards
        graphs.validate(subject.plan)
        judgement, about = await guards.foresee(Case(subject.workflow_id, subject.alert, subject.plan))
        plan = _behind_approval(subject.plan, judgement)
        policy = guards.policy()
        found = Simulated(
            plan=plan,
            judgement=judgement,
            environment=policy.environment(cluster=about.cluster, namespace=about.namespace),
            admission=subject.admission,
            findings=Findings(dict(plan.metadata.get(OWNERS) or {})),
            usual=await estimates.usual_length(self._around.database, str(subject.alert.get("name") or "")),
        )
        if judgement.of(Word.DENIED):
            reason, cause = refusal(judgement)
            return found.refused(reason, cause)
        return await self._walked(found, subject, about)

    async def _doubt_taken(self, found: Simulated, site: Site) -> None:
        for step, why in (await _taken(self._around.database, found.plan, site.cluster)).items():
            found.findings.doubt(step, "when it begins", why)

    async def _walked(self, found: Simulated, subject: _Subject, about: About) -> Simulated:
        around, site = self._around, self._around.site_of(subject.alert)
        await self._doubt_taken(found, site)
        clock = Clock(around.clock())
        pace = Pace(await estimates.action_times(around.database))
        trial = Trial(
            site.executor,
            Outside(clock, patience=self._patience),
            found.findings,
            pace=pace,
            step_of=lambda name: play.graph.steps[name],
            cluster=site.cluster,
        )
        stage = Stage(
            execution=f"simulation-{uuid.uuid4()}",
            cluster=site.cluster,
            lookout=Glance(Lookout(trial, clock=clock.now), found.findings),
            instead=Foreseen(about, around.guards.policy(), found.findings).instead,
        )
        play = Play(graphs.validate(found.plan), subject.alert, trial, clock, {}, around.patterns, stage)
        stopped = ""
        try:
            await asyncio.to_thread(run, play.play(), clock)
        except OutOfTime:
            stopped = "deadline"
        except StandsStill as error:
            stopped = str(error)
        return found.played(play, stopped)


async def _taken(database: Database, plan: Plan, cluster: str) -> Mapping[str, str]:
    """By step of the plan, who holds what it would change, as far as the plan itself names it."""
    graph = graphs.validate(plan)
    wanted = {name: identity or "" for name, identity in planned(graph, cluster=cluster).items()}
    held = await locks.holders(database, set(wanted.values()) - {""})
    return {name: f"workflow {held[one]} changes {one} now" for name, one in wanted.items() if held.get(one)}


def _behind_approval(plan: Plan, judgement: Judgement) -> Plan:
    """The plan as it would be kept; one that was kept has its approval already."""
    asked, kept = judgement.of(Word.NEEDS_APPROVAL), guarded.judged(plan, judgement)
    return guarded.behind_approval(kept, asked) if asked and not plan.has(guarded.APPROVAL) else kept
