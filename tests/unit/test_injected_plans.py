"""The fifty injections on their way through every question about a plan, with an advisor that obeys them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.unit.factories import action_of
from tests.unit.planning_cases import CATALOGUE, LIMITS, POD, RULES, WEB, plan_for, seen
from tests.unit.test_prompt_injection import INJECTIONS, OBEDIENT
from workflow_service.domain import graph
from workflow_service.domain.advice import Advice, Candidate, Outcome, Question, Reply, Task
from workflow_service.domain.alert import Alert
from workflow_service.domain.answer_checks import check
from workflow_service.domain.answer_schema import most_picks
from workflow_service.domain.catalogue import Risk
from workflow_service.domain.plan import Plan, Step
from workflow_service.domain.projection import project
from workflow_service.domain.suggested import is_suggestion
from workflow_service.planning.aiming import About
from workflow_service.planning.counsel import Counsel
from workflow_service.planning.situation import situation

pytestmark = pytest.mark.requirement("BR-WF-005")
HARMLESS = "all is as usual"


def extreme(schema: Any) -> Any:
    """The largest value that a schema lets through."""
    if "enum" in schema:
        return schema["enum"][-1]
    return {"boolean": True, "integer": schema.get("maximum", 10**6), "number": schema.get("maximum", 1e6)}.get(
        schema["type"], "1h"
    )


def wish(name: str, one: Candidate) -> dict[str, Any]:
    """A candidate with as much of everything as there is."""
    numbers = {key: extreme(schema) for key, schema in one.parameters.items() if "pattern" not in schema}
    return {name: one.name, "parameters": numbers}


class Obedient:
    """Says what alerts tell it to; where that is refused, the worst that may be said."""

    there = True

    def __init__(self) -> None:
        self.asked: list[tuple[Task, Question]] = []
        self.select = partial(self._answer, Task.SELECT)
        self.enhance = partial(self._answer, Task.ENHANCE)
        self.generate = partial(self._answer, Task.GENERATE)
        self.recover = partial(self._answer, Task.RECOVER)

    async def look(self) -> None:
        """It is there."""

    async def _answer(self, task: Task, question: Question, *, within: float | None = None) -> Reply:  # noqa: ARG002 - the port has it
        self.asked.append((task, question))
        for one in OBEDIENT:
            assert isinstance(check(one, task, question), tuple), one
        picks = [wish("candidate", one) for one in reversed(question.candidates)][: most_picks(task, question)]
        suggested = [wish("action", one) for one in question.suggestible if one.changes and not one.required][:5]
        draft = check({"picks": picks, "suggested": suggested, "confidence_percent": 100}, task, question)
        assert not isinstance(draft, tuple), draft
        advice = Advice(draft.picks, draft.suggestions, confidence=0.9, reported=1.0)
        return Reply(task, Outcome.ACCEPTED, "openai", advice=advice)


async def planned(name: str, text: str) -> tuple[Plan, list[tuple[Task, Question]]]:
    """The plan for an alert that says so wherever no rule listens, and what was asked on the way."""
    labels = dict.fromkeys(("pod", "reason", "job", "container", "instance", "service", "note"), text[:4096])
    said: dict[str, Any] = {"severity": "warning", "resource": "pod/web-server-123", "labels": labels}
    said |= {"annotations": {"runbook": text, "message": text}}
    alert = Alert(name=name, namespace="production", **said)
    look = seen(WEB, reason=text[:200], owner={"replicas": 3})
    first = plan_for(look, name=name, **said)
    advisor = Obedient()
    counsel = Counsel(advisor, partial(project, texts=True))
    about = About(POD, CATALOGUE, LIMITS, WEB)
    [plan, *_] = await counsel.about(first, situation(alert, POD, look), about, RULES)
    return plan, advisor.asked


def changes(plan: Plan) -> list[tuple[Any, ...]]:
    """Everything in a plan that changes anything: what, where, how far, and behind what."""
    return [facts(step) for step in plan.steps if step.changes and step.action]


def facts(step: Step) -> tuple[Any, ...]:
    """What a step does, without the words that it is described in."""
    action = action_of(step)
    told = {name: value for name, value in action.parameters.items() if name not in {"message", "reason"}}
    return step.id, action.type, action.target, told, step.needs, step.on_failure


@pytest.mark.parametrize("text", INJECTIONS, ids=range(50))
@pytest.mark.parametrize(
    ("name", "tasks"),
    [("HighCPUUsage", [Task.SELECT, Task.ENHANCE]), ("QueueOdd", [Task.GENERATE])],
    ids=["selected and enhanced", "generated"],
)
async def test_no_injection_changes_what_is_done(name: str, tasks: list[Task], text: str) -> None:
    """Candidates, targets, actions and limits are those of an alert that says nothing."""
    plain, about_plain = await planned(name, HARMLESS)
    evil, about_evil = await planned(name, text)
    assert [task for task, _ in about_evil] == tasks
    assert [replace(one, alert=about_plain[0][1].alert, id="") for _, one in about_evil] == [
        replace(one, alert=about_plain[0][1].alert, id="") for _, one in about_plain
    ]
    assert changes(evil) == changes(plain)
    assert changes(evil)
    graph.validate(evil)
    for step in evil.steps:
        if not step.action or not step.changes:
            continue
        assert action_of(step).target in {POD, WEB}
        assert action_of(step).parameters["namespace"] == "production"
        if not is_suggestion(step) and evil.creation_method == "ai_generated":
            assert CATALOGUE.actions[action_of(step).type].risk is not Risk.HIGH
            assert step.reversible
