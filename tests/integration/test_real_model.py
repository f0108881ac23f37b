"""A real model server with a model that knows nothing: what it says is sound or refused, and nothing gets through.

Needs the dependency group `model` (`make test-model`): llama.cpp's server in a wheel. The model is written here.
MODEL_QUESTIONS=100 asks that many per task.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import jsonschema
import pytest

from tests.support import asking as support
from tests.support.asking import asking
from tests.support.questions import ALERT, DRAIN, FACTS, TARGET, failed, question
from tests.support.stub_ai import OPENAI, StubAi
from tests.support.tiny_model import write
from workflow_service.clients.advisors import openai_compatible
from workflow_service.clients.advisors.consulting import Terms
from workflow_service.domain.advice import Candidate, Outcome, Question, Reply, Task
from workflow_service.domain.alert import Alert
from workflow_service.domain.projection import project

pytest.importorskip("xllamacpp", reason="needs the dependency group `model`: make test-model")

QUESTIONS = int(os.environ.get("MODEL_QUESTIONS", "8"))  # per task
pytestmark = pytest.mark.timeout(300 + 10 * QUESTIONS)
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
