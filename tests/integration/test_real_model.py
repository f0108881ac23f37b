"""A real model server with a model that knows nothing: what it says is sound or refused, and nothing gets through.

Needs the dependency group `model` (`make test-model`): llama.cpp's server in a wheel. The model is written here.
MODEL_QUESTIONS=100 asks that many per task, MODEL_ALERTS=300 makes plans for as many alerts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from tests.support import asking as support
from tests.support.asking import asking
from tests.support.processes import Stack
from tests.support.questions import ALERT, DRAIN, FACTS, TARGET, failed, question
from tests.support.stub_ai import OPENAI, StubAi
from tests.support.tiny_model import write
from workflow_service.clients.advisors import openai_compatible
from workflow_service.clients.advisors.consulting import Terms
from workflow_service.clients.executor import HttpExecutor
from workflow_service.clients.session import SharedSession
from workflow_service.domain import graph
from workflow_service.domain.advice import Candidate, Outcome, Question, Reply, Task
from workflow_service.domain.alert import Alert, alert_to_json
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.guardrails import judge_plan
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.levels import every
from workflow_service.domain.plan import Plan
from workflow_service.domain.policy import Policy, Word
from workflow_service.domain.projection import project
from workflow_service.engine.guards import Case, around
from workflow_service.planning.counsel import Counsel
from workflow_service.planning.enhancing import applied
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.planner import Planned, Planner
from workflow_service.planning.rule_file import read_rules
from workflow_service.ports import ActionRequest

pytest.importorskip("xllamacpp", reason="needs the dependency group `model`: make test-model")

QUESTIONS = int(os.environ.get("MODEL_QUESTIONS", "8"))  # per task
ALERTS = int(os.environ.get("MODEL_ALERTS", "40"))
pytestmark = pytest.mark.timeout(300 + 10 * QUESTIONS + 10 * ALERTS)
TERMS = Terms(budget=60.0)
ANSWERED = {Outcome.ACCEPTED, Outcome.LOW_CONFIDENCE}


@pytest.fixture(autouse=True)
def _imaginative(monkeypatch: pytest.MonkeyPatch) -> None:
    """At temperature 0 a random model says one thing over and over. A busy machine needs its time."""
    monkeypatch.setattr(openai_compatible, "TEMPERATURE", 1.0)
    monkeypatch.setattr(support, "DEADLINE", 90.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a model server that lives as long as this module's tests."""
    model = write(tmp_path_factory.mktemp("model") / "random.gguf")
    command = [sys.executable, "-m", "tests.support.model_server", str(model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the model server has not started"
        yield address
        process.stdin.close()


def about(number: int, task: Task) -> Question:
    """One of many questions; every alert is another, so that every answer is."""
    alert = Alert(f"Alert{number * 7919}", "critical", "production", labels={**ALERT.labels, "job": f"job-{number}"})
    projection = project(alert, TARGET, facts={**FACTS, "restarts": number})
    if task is Task.RECOVER:
        return failed(alert=projection)
    if task is Task.ENHANCE:  # of many parameters a random model gets some wrong, and a pattern always
        return question(alert=projection, suggestible=(DRAIN,))
    return question(alert=projection)


def sound(reply: Reply, asked: Question) -> None:
    """Everything in the advice was offered, and every value keeps its schema."""
    assert reply.advice is not None
    assert 0 <= reply.advice.confidence <= 0.9
    offered = {one.name: one for one in asked.candidates}
    besides = {one.name: one for one in asked.suggestible}
    for pick in reply.advice.picks:
        fits(offered[pick.candidate], dict(pick.parameters))
    for suggestion in reply.advice.suggestions:
        fits(besides[suggestion.action], dict(suggestion.parameters))
        assert suggestion.changes is besides[suggestion.action].changes


def fits(candidate: Candidate, parameters: dict[str, object]) -> None:
    """What is set is declared, is not what is acted upon, and keeps its schema."""
    assert candidate.required <= set(parameters) <= set(candidate.parameters)
    assert not {"namespace", "node_name", "resource_name"} & set(parameters)
    for name, value in parameters.items():
        jsonschema.validate(value, candidate.parameters[name])


@pytest.mark.parametrize("task", Task)
async def test_what_a_model_says_is_sound_or_refused(server: str, task: Task) -> None:
    """Constrained by the schema that we send, a random model gives answers that can be used, and none that cannot."""
    outcomes: Counter[str] = Counter()
    answered = 0
    async with asking(StubAi(OPENAI), provider="openai", url=server, terms=TERMS) as one:
        for number in range(QUESTIONS):
            asked = about(number, task)
            reply = await one.ask(task, asked)
            outcomes[f"{reply.outcome} {reply.reason}"] += 1
            answered += reply.outcome in ANSWERED
            assert reply.outcome is not Outcome.UNAVAILABLE, reply
            if reply.outcome in ANSWERED:
                sound(reply, asked)
            assert {attempt.mode for attempt in reply.attempts} == {"json_schema"}
            assert all(attempt.tokens for attempt in reply.attempts)
    assert answered, outcomes


async def test_without_constraints_it_says_nothing_that_is_used(server: str) -> None:
    """The same model left to itself writes garbage, and all of it is refused."""
    async with asking(
        StubAi(OPENAI), provider="openai", url=server, structured="prompt", terms=Terms(budget=60.0, answers=2)
    ) as one:
        for number in range(3):
            reply = await one.ask(Task.SELECT, about(number, Task.SELECT))
            assert reply.outcome is Outcome.REJECTED, reply
            assert reply.advice is None


async def test_its_only_model_is_the_one_that_is_asked(server: str) -> None:
    """The specified model is a source of weights, not a name that it lists: the one that it has is asked."""
    named = "hf://ggml-org/gpt-oss-20b-GGUF"
    async with asking(StubAi(OPENAI), provider="holmesgpt", url=server, model=named, terms=TERMS) as one:
        await one.advisor.look()
        reply = await one.ask(Task.SELECT, about(0, Task.SELECT))
    assert reply.provider == "openai"
    assert reply.model.endswith("random.gguf")


async def test_a_budget_too_short_for_a_real_answer_is_kept(server: str) -> None:
    """An answer under way is let go of, and the server is fine afterwards."""
    async with asking(StubAi(OPENAI), provider="openai", url=server, terms=Terms(budget=0.02)) as one:
        await one.advisor.look()
        reply = await one.ask(Task.SELECT, about(1, Task.SELECT))
        assert (reply.outcome, reply.reason) == (Outcome.UNAVAILABLE, "timeout")
    async with asking(StubAi(OPENAI), provider="openai", url=server, terms=TERMS) as one:
        assert (await one.ask(Task.SELECT, about(2, Task.SELECT))).outcome is not Outcome.UNAVAILABLE


@pytest.fixture
def hands(tmp_path: Path) -> Iterator[Stack]:
    """A sandbox cluster and the executor in front of it."""
    stack = Stack(tmp_path)
    stack.sandbox.start("/version")
    stack.executor.start("/readyz")
    yield stack
    stack.http.close()
    stack.executor.kill()
    stack.sandbox.kill()


NAMES = ("HighCPUUsage", "QueueTooLong", "MemoryLeak", "KubePodCrashLooping")
RESOURCES = ("deployment/web-server", "deployment/api-server")


def incident(number: int) -> Alert:
    """One of many alerts; every fourth is one that no rule knows a remedy for."""
    resource = RESOURCES[number % 2]
    namespace = "production" if number % 2 == 0 else "staging"
    labels = {"job": f"job-{number}", "reason": f"reason-{number * 7919}"}
    return Alert(NAMES[number % 4], "warning", namespace, resource=resource, labels=labels)


def permitted(found: Planned, alert: Alert, catalogue: Catalogue) -> Plan:
    """The first plan that no guardrail denies, as the engine takes it; there always is one."""
    now = datetime.now(UTC)
    for plan in (found.plan, *found.instead):
        about = replace(around(Case("workflow", alert_to_json(alert), plan), "default"), catalogue=catalogue)
        if not judge_plan(plan, about, Policy(), now).of(Word.DENIED):
            return plan
    pytest.fail(f"every plan is denied: {found.plan}")


async def rehearsed(plan: Plan, alert: Alert, executor: HttpExecutor, number: int) -> int:
    """How many of its actions the executor takes in a dry run; it refuses none for what is asked."""
    acts = [step for step, _ in every(plan.steps) if step.action is not None]
    for step in acts:
        assert step.action is not None
        if has_expressions(step.action.parameters):
            continue
        order = ActionRequest(
            key=f"plan-{number}:{step.id}",
            step_id=step.id,
            type=step.action.type,
            parameters=step.action.parameters,
            alert=alert_to_json(alert),
            workflow_id=f"plan-{number}",
            execution_id=f"plan-{number}",
            attempt=0,
            remaining_seconds=60.0,
            cluster="default",
            dry_run=True,
        )
        outcome = await executor.execute(order)
        assert outcome.status != "refused", (step.action, outcome)
    return len(acts)


async def test_every_plan_is_sound_inside_guardrails_and_executable(server: str, hands: Stack) -> None:
    """Alert after alert with a random model's advice: valid, permitted, taken by the executor; nothing is changed."""
    methods: Counter[str] = Counter()
    session = SharedSession()
    executor = HttpExecutor(hands.executor.url, session, token=lambda: None)
    catalogue, _ = await executor.catalogue()

    async def load() -> Catalogue | None:
        return catalogue

    planner = Planner(executor, read_rules(), limits=PlanLimits(), load_catalogue=load, cluster="default")
    terms = Terms(budget=60.0, answers=1, threshold=0.1)
    async with asking(StubAi(OPENAI), provider="openai", url=server, terms=terms) as one:
        await one.advisor.look()
        planner.counsel = Counsel(one.advisor, project)
        for number in range(ALERTS):
            alert = incident(number)
            found = await planner.plan(alert)
            for way in (found.plan, *found.instead):
                graph.validate(way)
            plan = permitted(found, alert, catalogue)
            assert applied(plan) == plan.creation_method.startswith("ai_")
            methods[plan.creation_method] += 1
            assert await rehearsed(plan, alert, executor, number)
    await session.close()
    print(dict(methods))  # noqa: T201 - for `pytest -rP`
    assert any(method.startswith("ai_") for method in methods), methods
    assert hands.effects() == []
