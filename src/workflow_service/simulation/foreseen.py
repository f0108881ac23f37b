"""What the guardrails would say before each step, and what comes of it in a simulation."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from workflow_service.domain import events as ev
from workflow_service.domain import guarded
from workflow_service.domain.decisions import StartStep
from workflow_service.domain.graph import Graph
from workflow_service.domain.guardrails import DENIED, act_of, asked_about, judge_step, scopes
from workflow_service.domain.guardrails_about import About
from workflow_service.domain.policy import Policy, Word
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import StepStatus
from workflow_service.simulation.findings import Findings


class Foreseen:
    """Asked before each step; what is denied fails, what is held goes on and is said to wait."""

    def __init__(self, about: About, policy: Policy, findings: Findings) -> None:
        self._about, self._policy, self._findings = about, policy, findings
        self._used = dict(about.past.used)
        self._counted: set[str] = set()

    def instead(self, action: StartStep, graph: Graph, state: RunState, now: datetime) -> ev.Event | None:
        """What comes instead of the step's beginning; None: it begins."""
        step = graph.steps[action.step]
        if not asked_about(step, graph.plan):
            return None
        word = state.steps.get(guarded.APPROVAL)
        approved = word is not None and word.status is StepStatus.SUCCEEDED
        about = replace(self._about, approved=approved, past=replace(self._about.past, used=self._used))
        judgement = judge_step(step, action.parameters, about, self._policy, now)
        told = tuple(one for one in judgement.findings if one.word is not Word.ALLOWED or one.override)
        self._findings.said[action.step] = told
        if denied := judgement.of(Word.DENIED):
            return ev.StepFailed(now, action.step, DENIED, str(denied[0]))
        for held in judgement.of(Word.HELD):
            self._findings.doubt(action.step, "when it begins", f"it would be held: {held}")
        self._count(action, graph, about)
        return None

    def _count(self, action: StartStep, graph: Graph, about: About) -> None:
        """The changes of the plan itself use budgets up, too; a retry of a step is no second one."""
        act = act_of(graph.steps[action.step], action.parameters, about)
        if act is None or action.step in self._counted:
            return
        self._counted.add(action.step)
        for _, key, _ in scopes(act, about, self._policy):
            self._used[key] = self._used.get(key, 0) + 1
