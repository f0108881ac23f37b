"""The guardrails in one drive: what they make of a new plan, and when a step of it may begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain import events as ev
from workflow_service.domain import guarded
from workflow_service.domain.decisions import StartStep
from workflow_service.domain.errors import BudgetSpent, StoreUnavailable
from workflow_service.domain.graph import Graph
from workflow_service.domain.guardrails import BUDGET, DENIED, act_of, asked_about, identity_of, judge_step, refusal
from workflow_service.domain.guardrails_about import About, Finding, Judgement, Standing
from workflow_service.domain.guardrails_plans import AUTONOMY, SUGGESTED
from workflow_service.domain.plan import Plan
from workflow_service.domain.policy import Budgets, Policy, Word
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus
from workflow_service.domain.suggested import is_suggestion, without_suggestions
from workflow_service.engine.guards import Case, Guards
from workflow_service.store import changes
from workflow_service.store.entry import Also
from workflow_service.store.executions import Record
from workflow_service.telemetry.guardrails import GuardrailMetrics

FIRST_PAUSE, LAST_PAUSE = 1.0, 10.0  # seconds between looks whether a held step may begin

_NOTHING = Standing()
_FIT = Finding("plan", Word.ALLOWED, "was judged with its plan")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A plan as guardrails leave it, and how it ends where they do not let it begin."""

    plan: Plan
    end: ev.Ended | None = None


async def guard(guards: Guards, record: Record, plans: Sequence[Plan], metrics: GuardrailMetrics) -> Guarded:
    """What becomes of a new plan: it goes on, waits for a person's word, or ends without being executed.

    `plans`: what is wanted, then what comes instead where guardrails deny that: advice spoils no plan of the rules.

    Raises:
        InvalidPlan: it cannot be put before a person.
        StoreUnavailable: the database is away.
    """
    *others, last = plans
    denied: list[str] = []
    for plan in others:
        judgement = await _judgement(guards, record, plan, metrics)
        if not _forbidden(judgement):
            return _guarded(plan, judgement, denied, guards.clock())
        denied.append(refusal(judgement)[1])
    return _guarded(last, await _judgement(guards, record, last, metrics), denied, guards.clock())


async def _judgement(guards: Guards, record: Record, plan: Plan, metrics: GuardrailMetrics) -> Judgement:
    """What is found of a plan. A suggested change has a word of its own: it never puts the rest before a person."""
    rest = without_suggestions(plan)
    found = await guards.judge(Case(record.workflow_id, record.alert, rest))
    if rest is not plan and not _forbidden(found):
        whole = await guards.judge(Case(record.workflow_id, record.alert, plan))
        found = whole if _forbidden(whole) else found
    for one in (*found.of(Word.DENIED), *found.of(Word.NEEDS_APPROVAL)):
        metrics.found(rule=one.rule, word=one.word, judged="plan")
    return found


def _forbidden(judgement: Judgement) -> bool:
    """Whether a rule forbids it; how far a plan may go at all is the same with and without advice."""
    return any(one.rule != AUTONOMY for one in judgement.of(Word.DENIED))


def _guarded(plan: Plan, judgement: Judgement, denied: Sequence[str], now: datetime) -> Guarded:
    """`denied`: why other plans, with more of an advisor's part in them, may not be."""
    told = guarded.judged(plan, judgement, denied)
    if judgement.of(Word.DENIED):
        reason, cause = refusal(judgement)
        if reason == SUGGESTED:
            log.warning("a plan is suggested", rule=plan.rule, reason=plan.reason, actions=len(plan.steps))
        return Guarded(told, ev.Ended(now, ExecutionStatus.REJECTED, reason, cause))
    asked = judgement.of(Word.NEEDS_APPROVAL)
    return Guarded(guarded.behind_approval(told, asked) if asked else told)


class Guarding:
    """What one drive knows: what its plan may do at all, and which steps found their budget used up."""

    def __init__(self, guards: Guards, record: Record, metrics: GuardrailMetrics) -> None:
        self._guards, self._record, self._metrics = guards, record, metrics
        self._about: About | None = None
        self._known_for: Policy | None = None  # another may need to know more
        made_here = not any(isinstance(event, ev.Planned | ev.Inherited) for event in record.events)
        self._judged = record.plan if made_here else None  # the revision that `_denied` is about
        self._denied: Finding | None = None  # why it may not be executed (any more); None: it may
        # The plan, if this drive has made it and nothing at all was found of it: its steps need not be judged again.
        self._fit = record.plan if made_here and record.plan and guarded.spotless(record.plan) else None
        self._spent: dict[str, str] = {}  # by step: why its start was refused

    def refused(self, spent: BudgetSpent) -> None:
        """An entry was not written since this step would have been one change too many."""
        self._spent[spent.step] = spent.why

    async def delay(self, action: StartStep, graph: Graph, state: RunState) -> list[ev.Event]:
        """What comes instead of the step's beginning; nothing: it may begin."""
        if not asked_about(graph.steps[action.step], graph.plan):
            return []
        now = self._guards.clock()
        if (spent := self._spent.pop(action.step, None)) is not None:
            return self._held(action.step, Finding(BUDGET, Word.HELD, spent), state, now)
        try:
            found = await self._finding(action, graph, state, now)
        except StoreUnavailable:  # somebody may have halted it, and nobody can tell
            found = Finding("halt", Word.HELD, "the database is away, so nobody can tell")
        if found.word in {Word.DENIED, Word.HELD} and is_suggestion(graph.steps[action.step]):
            self._metrics.found(rule=found.rule, word=found.word, judged="step")
            return [ev.StepSkipped(now, action.step, str(found))]  # nothing waits for a suggestion
        if found.word is Word.DENIED:
            self._metrics.found(rule=found.rule, word=found.word, judged="step")
            return [ev.StepFailed(now, action.step, DENIED, str(found))]
        return self._held(action.step, found, state, now) if found.word is Word.HELD else []

    async def _finding(self, action: StartStep, graph: Graph, state: RunState, now: datetime) -> Finding:
        """The one that decides."""
        policy = self._guards.policy()
        about = await self._known(graph, policy)
        if self._is_fit(action, graph, about, policy):
            return _FIT
        if (denied := await self._forbidden(graph)) is not None:
            return denied
        about = replace(about, approved=guarded.approved(graph, state, action.step))
        return judge_step(graph.steps[action.step], action.parameters, about, policy, now).strictest

    def _is_fit(self, action: StartStep, graph: Graph, about: About, policy: Policy) -> bool:
        """Whether nothing was said of any step when the plan was made, just now, and nothing of that can have changed.

        It saves asking all rules twice about every step of nearly every plan.
        """
        # What counts as a suggestion was not judged with its plan, and by its names a step of a rule can count as one.
        same = graph.plan is self._fit and action.parameters is None and not is_suggestion(graph.steps[action.step])
        quiet = about.standing == _NOTHING and not policy.freezes and not about.by_advisor
        return same and quiet and guarded.judged_by(graph.plan) == policy.version

    def counting(self, events: Sequence[ev.Event], graph: Graph, also: Also | None) -> Also | None:
        """What happens in the transaction of these events: the changes that begin with them are counted."""
        policy, about = self._guards.policy(), self._about
        if about is None or not policy.counts:
            return also
        begun = [event for event in events if isinstance(event, ev.StepStarted) and graph.steps[event.step].changes]
        if not begun:
            return also
        taken = [self._change(event, graph, about, policy) for event in begun]

        async def both(connection: AsyncConnection) -> None:
            if also is not None:
                await also(connection)
            await changes.begin(connection, taken, sqlite=self._guards.sqlite)

        return both

    def _change(
        self, event: ev.StepStarted, graph: Graph, about: About, policy: Policy
    ) -> tuple[changes.Change, Budgets]:
        act = act_of(graph.steps[event.step], event.parameters, about)
        namespace = act.namespace(about) if act else about.namespace
        change = changes.Change(
            execution_id=self._record.execution_id,
            step=event.step,
            at=event.at,
            cluster=about.cluster,
            namespace=namespace,
            target=identity_of(act, about) if act else "",
            action=act.type if act else "",
        )
        opened = any(
            one.covers(BUDGET, namespace=namespace, workflow_id=about.workflow_id, now=event.at)
            for one in about.standing.overrides
        )
        return change, Budgets() if opened else policy.budgets

    async def _known(self, graph: Graph, policy: Policy) -> About:
        """What is known around the plan; what is declared anew each time."""
        if self._about is None or self._known_for is not policy:
            self._about, self._known_for = await self._guards.about(self._case(graph)), policy
        if (standing := await self._guards.standing()) is not self._about.standing:
            self._about = replace(self._about, standing=standing)
        return self._about

    async def _forbidden(self, graph: Graph) -> Finding | None:
        """Why the plan may not be executed: it may be an old one that somebody has retried, or a revision."""
        if self._judged is not graph.plan:
            judgement = await self._guards.judge(self._case(graph))
            self._judged, self._denied = graph.plan, next(iter(judgement.of(Word.DENIED)), None)
        return self._denied

    def _case(self, graph: Graph) -> Case:
        """Without suggested changes: what forbids one of them forbids nothing else."""
        return Case(self._record.workflow_id, self._record.alert, without_suggestions(graph.plan))

    def _held(self, step: str, found: Finding, state: RunState, now: datetime) -> list[ev.Event]:
        """It is tried again later; said once in the journal why nothing goes on."""
        at, why = state.steps[step], str(found)
        waited = (now - at.started_at).total_seconds() if at.delayed and at.started_at else 0.0
        until = now + timedelta(seconds=min(max(waited, FIRST_PAUSE), LAST_PAUSE))
        delayed = ev.StepDelayed(now, step, until, why)
        if state.held == why:
            return [delayed]
        self._metrics.found(rule=found.rule, word=found.word, judged="step")
        return [delayed, ev.Held(now, why)]
