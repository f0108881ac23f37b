"""Why a plan or a step may be or may not: the guardrails asked again, with no effect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from workflow_service.domain import asked, guarded
from workflow_service.domain.alert import Alert, alert_to_json
from workflow_service.domain.errors import NotFound, Unfit, Violation
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph, validate
from workflow_service.domain.guardrails import judge_plan, judge_step
from workflow_service.domain.guardrails_about import About, Judgement
from workflow_service.domain.plan import Plan, StepKind
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import StepStatus
from workflow_service.engine.guards import Case, Guards
from workflow_service.store import queries
from workflow_service.store.database import Database
from workflow_service.store.executions import load


@dataclass(frozen=True, slots=True)
class Explained:
    """What was judged, and every finding."""

    judgement: Judgement
    plan: Plan
    environment: str


class Explainer:
    """Answers why."""

    def __init__(
        self, database: Database, guards: Guards, plan_for: Callable[[Alert], Awaitable[tuple[Plan, *tuple[Any, ...]]]]
    ) -> None:
        self._database, self._guards, self._plan_for = database, guards, plan_for

    async def of_workflow(self, workflow_id: str, step: str | None) -> Explained:
        """Of a workflow's plan as it is now, or of one of its steps.

        Raises:
            NotFound: there is no such workflow, or it has no plan yet.
            Unfit: the plan has no such step, or one that sends nothing.
            StoreUnavailable: the database is away.
        """
        found = await queries.summary(self._database, workflow_id)
        record = await load(self._database, str(found["execution_id"]))
        if record.plan is None:
            raise NotFound(f"workflow {workflow_id} has no plan")
        state = fold_all(record.events)
        about = await self._about(Case(workflow_id, record.alert, record.plan), state)
        graph = validate(record.plan).grown(state.items)
        if step is None:
            whole = self._of_plan(record.plan, about)
            findings = (*whole.judgement.findings, *asked.words(graph, state))
            return replace(whole, judgement=replace(whole.judgement, findings=findings))
        return self._explained(record.plan, about, self._of_step(graph, step, state, about))

    async def of_alert(self, alert: Alert) -> Explained:
        """Of the plan that would be made about an alert now; nothing is kept of it.

        Raises:
            StoreUnavailable: the database is away.
        """
        plan, *_ = await self._plan_for(alert)
        return self._of_plan(plan, await self._about(Case("", alert_to_json(alert), plan), RunState()))

    async def of_plan(self, plan: Plan, alert: Mapping[str, Any]) -> Explained:
        """Of a plan that nobody has made, about an alert.

        Raises:
            InvalidPlan: the plan is not sound.
            StoreUnavailable: the database is away.
        """
        validate(plan)
        return self._of_plan(plan, await self._about(Case("", alert, plan), RunState()))

    async def _about(self, case: Case, state: RunState) -> About:
        about = await self._guards.about(case, whole=True)
        word = state.steps.get(guarded.APPROVAL)
        approved = word is not None and word.status is StepStatus.SUCCEEDED
        return replace(about, approved=approved, past=await self._guards.whole_past(case.plan, about))

    def _of_plan(self, plan: Plan, about: About) -> Explained:
        found = judge_plan(plan, about, self._guards.policy(), self._guards.clock())
        return self._explained(plan, about, found)

    def _of_step(self, graph: Graph, name: str, state: RunState, about: About) -> Judgement:
        step = graph.steps.get(name)
        if step is not None and step.kind is StepKind.APPROVAL:
            return Judgement((asked.word(graph, state, name),), self._guards.policy().version)
        if step is None or step.action is None:
            known = (one for one, it in graph.steps.items() if it.action or it.kind is StepKind.APPROVAL)
            wrong = Violation("step", name, f"must be an action or a question of the plan: {', '.join(known)[:500]}")
            raise Unfit("there is nothing to explain", [wrong])
        about = replace(about, approved=guarded.approved(graph, state, name))
        attempts = state.steps[name].attempts if name in state.steps else ()
        sent = attempts[-1].parameters if attempts else None
        return judge_step(step, sent, about, self._guards.policy(), self._guards.clock())

    def _explained(self, plan: Plan, about: About, judgement: Judgement) -> Explained:
        policy = self._guards.policy()
        return Explained(judgement, plan, policy.environment(cluster=about.cluster, namespace=about.namespace))
