"""One contract for all advisors: whatever their servers do, a question ends within its budget, with what may be used.

Every behaviour is played by a real HTTP server. Nothing here depends on how fast the machine is: what must end ends by
its budget, and a test that waited longer would fail by its deadline.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.asking import DEADLINE, asking
from tests.support.stub_ai import HOLMES, HOLMES_PLAIN, KUBERNAUT, OPENAI, StubAi

from workflow_service.clients.advisors import consulting
from workflow_service.clients.advisors.consulting import Terms
from workflow_service.domain.advice import Outcome, Reply, Task
from workflow_service.domain.breaker import BreakerState

ALL = (OPENAI, HOLMES, HOLMES_PLAIN, KUBERNAUT)
WRITING = (OPENAI, HOLMES, HOLMES_PLAIN)  # those whose answers a model writes in our form


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consulting, "PAUSE", 0.01)


async def told(language: str, *script: str, task: Task = Task.SELECT, **chosen: Any) -> Reply:
    """What comes of one question to a server that behaves like that."""
    async with StubAi(language, *script).serving() as stub, asking(stub, **chosen) as one:
        await one.advisor.look()
        return await one.ask(task)


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("language", ALL)
async def test_a_sound_answer_is_accepted(language: str, task: Task) -> None:
    """Choice and parameters as they were said, confidence capped by evidence, the attempt recorded."""
    reply = await told(language, "ok", task=task)
    assert (reply.outcome, reply.reason) == (Outcome.ACCEPTED, "")
    advice = reply.usable
    assert advice is not None
    assert advice.choice is not None
    assert (advice.choice.candidate, advice.choice.parameters) == ("crashloop-rollback", {"min_restarts": 3})
    assert advice.pick_for("crashloop-rollback") == advice.choice
    assert (advice.confidence, advice.reported, advice.capped_by) == (0.82, 0.82, "")
    assert advice.root_cause == "the new image does not start"
    [attempt] = reply.attempts
    assert (attempt.number, attempt.outcome) == (1, "accepted")
    if language in WRITING:
        assert (attempt.tokens, attempt.cost, attempt.mode) == (150, 0.002, "json_schema")


@pytest.mark.parametrize("behaviour", ["fenced", "prose and fence", "double encoded"])
@pytest.mark.parametrize("language", WRITING)
async def test_known_wrappings_cost_nothing(language: str, behaviour: str) -> None:
    """Fences and JSON in JSON are read at the first attempt, and are no repair."""
    reply = await told(language, behaviour)
    assert (reply.outcome, len(reply.attempts)) == (Outcome.ACCEPTED, 1)


BROKEN = [
    ("prose", "format", WRITING),
    ("no text", "format", WRITING),
    ("truncated", "truncated", WRITING),
    ("empty", "format", ALL),
    ("html", "format", ALL),
    ("no json", "format", ALL),
    ("wrong schema", "schema", WRITING),
    ("wrong schema", "format", (KUBERNAUT,)),
    ("wrong candidate", "candidate", ALL),
    ("wrong value", "parameter", ALL),
    ("own target", "target", ALL),
    ("out of range", "schema", WRITING),
]
_BROKEN = [(language, behaviour, reason) for behaviour, reason, where in BROKEN for language in where]


@pytest.mark.parametrize(("language", "behaviour", "reason"), _BROKEN)
async def test_a_broken_answer_is_refused_three_times(language: str, behaviour: str, reason: str) -> None:
    """It is asked again with the flaws, and in the end there is no advice, with the reason counted."""
    async with StubAi(language, behaviour).serving() as stub, asking(stub) as one:
        reply = await one.ask()
        assert (reply.outcome, reply.reason) == (Outcome.REJECTED, reason)
        assert reply.advice is None
        assert [(two.number, two.outcome) for two in reply.attempts] == [(n, "rejected") for n in (1, 2, 3)]
        assert all(two.errors for two in reply.attempts)
        assert len(stub.asked) == 3
        assert one.count("ai_answers_rejected_total", provider=reply.provider, reason=reason) == 3
        assert one.count("ai_fallback_total", reason=reason) == 1


@pytest.mark.parametrize(("language", "behaviour", "reason"), _BROKEN)
async def test_a_mended_answer_is_not_sure_enough(language: str, behaviour: str, reason: str) -> None:
    """What is right at the second attempt is kept, at 0.5: too little to be used by itself."""
    reply = await told(language, behaviour, "ok")
    assert (reply.outcome, reply.reason) == (Outcome.LOW_CONFIDENCE, "low_confidence")
    assert reply.usable is None
    assert reply.advice is not None
    assert (reply.advice.confidence, reply.advice.capped_by) == (0.5, "mended")
    assert [one.outcome for one in reply.attempts] == ["rejected", "accepted"]


@pytest.mark.parametrize("behaviour", ["500", "503", "429", "cut"])
@pytest.mark.parametrize("language", ALL)
async def test_what_passes_is_tried_again(language: str, behaviour: str) -> None:
    """After an error that may pass the next attempt counts in full: nothing had to be mended."""
    reply = await told(language, behaviour, "ok")
    assert (reply.outcome, [one.outcome for one in reply.attempts]) == (Outcome.ACCEPTED, ["unavailable", "accepted"])


AWAY = [
    ("500", "server_error", 3),
    ("503", "server_error", 3),
    ("429", "rate_limited", 3),
    ("429 for an hour", "rate_limited", 1),
    ("401", "unauthorized", 1),
    ("redirect", "redirected", 1),
    ("huge", "too_large", 1),
    ("compressed", "compressed", 1),
    ("cut", "cut", 3),
]


@pytest.mark.parametrize(("behaviour", "reason", "attempts"), AWAY)
@pytest.mark.parametrize("language", ALL)
async def test_who_gives_no_answer_is_away(language: str, behaviour: str, reason: str, attempts: int) -> None:
    """Errors end as a reply without advice: at once where asking again cannot help, never as an exception."""
    async with StubAi(language, behaviour).serving() as stub, asking(stub) as one:
        reply = await one.ask()
        assert (reply.outcome, reply.reason, len(reply.attempts)) == (Outcome.UNAVAILABLE, reason, attempts)
        assert stub.elsewhere == 0
    assert "hunter2" not in f"{reply}"


@pytest.mark.parametrize("behaviour", ["slow", "drip"])
@pytest.mark.parametrize("language", ALL)
async def test_the_budget_is_the_whole(language: str, behaviour: str) -> None:
    """Silence and an answer that never ends are cut by the budget, and the attempt that was cut is recorded."""
    reply = await told(language, behaviour, budget=0.4)
    assert (reply.outcome, reply.reason) == (Outcome.UNAVAILABLE, "timeout")
    assert [(one.outcome, one.errors) for one in reply.attempts] == [("unavailable", ("timeout",))]


@pytest.mark.parametrize("language", ALL)
async def test_the_budget_holds_for_all_attempts_together(language: str) -> None:
    """A broken answer and then silence: one budget, not one each."""
    reply = await told(language, "html", "slow", budget=1.5)
    assert (reply.outcome, reply.reason) == (Outcome.UNAVAILABLE, "timeout")
    assert [one.outcome for one in reply.attempts] == ["rejected", "unavailable"]


@pytest.mark.parametrize("answers", [1, 2])
@pytest.mark.parametrize("language", ALL)
async def test_no_more_answers_than_allowed(language: str, answers: int) -> None:
    """AI_MAX_RETRIES is the most answers that are asked for, whatever they are."""
    reply = await told(language, "wrong candidate", terms=Terms(budget=DEADLINE, answers=answers))
    assert len(reply.attempts) == answers


@pytest.mark.parametrize(
    ("behaviour", "outcome"), [("unsure", Outcome.LOW_CONFIDENCE), ("just sure", Outcome.ACCEPTED)]
)
@pytest.mark.parametrize("language", ALL)
async def test_seventy_percent_is_enough(language: str, behaviour: str, outcome: Outcome) -> None:
    """0.70 may be used at a threshold of 0.7, 0.69 may not, and is kept for people to see."""
    reply = await told(language, behaviour)
    assert reply.outcome is outcome
    assert reply.advice is not None


@pytest.mark.parametrize("language", WRITING)
async def test_none_of_them_is_advice(language: str) -> None:
    """That no candidate fits is an answer, not a failure."""
    reply = await told(language, "none fits")
    assert reply.usable is not None
    assert reply.usable.choice is None


@pytest.mark.parametrize(("language", "behaviour"), [(OPENAI, "refusal"), (OPENAI, "filtered"), (HOLMES, "approval")])
async def test_a_refusal_is_not_argued_with(language: str, behaviour: str) -> None:
    """Whoever declines, or wants a tool approved, is asked once."""
    reply = await told(language, behaviour)
    assert (reply.outcome, reply.reason, len(reply.attempts)) == (Outcome.REJECTED, "refused", 1)


@pytest.mark.parametrize("language", ALL)
async def test_the_circuit_opens_after_five_questions(language: str) -> None:
    """Five questions without an answer, and the sixth is answered at once, without a request; metrics know."""
    async with StubAi(language, "503").serving() as stub, asking(stub, terms=Terms(answers=1)) as one:
        for _ in range(5):
            assert (await one.ask()).reason == "server_error"
        reply = await one.ask()
        assert (reply.reason, reply.attempts, len(stub.asked)) == ("circuit_open", (), 5)
        assert one.moves == [BreakerState.OPEN]
        assert one.count("ai_fallback_total", reason="circuit_open") == 1


@pytest.mark.parametrize("behaviour", ["401", "wrong candidate", "html"])
@pytest.mark.parametrize("language", ALL)
async def test_a_server_that_answers_keeps_the_circuit_closed(language: str, behaviour: str) -> None:
    """Nonsense and refusals are answers: they open nothing."""
    async with StubAi(language, behaviour).serving() as stub, asking(stub, terms=Terms(answers=1)) as one:
        for _ in range(7):
            await one.ask()
        assert (len(stub.asked), one.moves) == (7, [])


@pytest.mark.parametrize("language", ALL)
async def test_what_is_sent_is_the_projection(language: str) -> None:
    """The key is a credential and in no body; annotations and unknown labels stay; no header tells anything else."""
    async with StubAi(language, "ok").serving() as stub, asking(stub) as one:
        for task in Task:
            await one.ask(task)
        for sent in stub.asked:
            assert sent["headers"]["Authorization"] == "Bearer s3cret"
            assert "s3cret" not in f"{sent['body']}"
            assert "KubePodCrashLooping" in f"{sent['body']}"
            known = {
                "Host",
                "Authorization",
                "Content-Type",
                "Content-Length",
                "Accept",
                "Accept-Encoding",
                "User-Agent",
            }
            assert set(sent["headers"]) <= known


@pytest.mark.parametrize("language", ALL)
async def test_a_reply_is_a_record(language: str) -> None:
    """Advice and attempts make a JSON document that can be kept with a plan."""
    reply = await told(language, "wrong candidate", "ok")
    kept = json.loads(json.dumps(reply.document()))
    assert (kept["outcome"], kept["usable"], kept["advice"]["confidence"]) == ("low_confidence", False, 0.5)
    assert [one["outcome"] for one in kept["attempts"]] == ["rejected", "accepted"]
    assert "must be one of: crashloop-rollback" in kept["attempts"][0]["errors"][0]
