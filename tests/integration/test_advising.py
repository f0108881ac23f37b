"""The advisor as a replica has it: settings, health, metrics. Each setting changes what is asked or used."""

from __future__ import annotations

import dataclasses
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import write_certificate
from tests.support.questions import ALERT, question
from tests.support.replica import HIGH_CPU, Running, eventually, replica
from tests.support.scripted_executor import ScriptedExecutor
from tests.support.stub_ai import HOLMES, KUBERNAUT, OPENAI, StubAi
from workflow_service.clients.advisors import consulting
from workflow_service.domain.advice import Outcome, Reply
from workflow_service.settings import describe, load


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consulting, "PAUSE", 0.01)


async def told(directory: Path, stub: StubAi, *, times: int = 1, **environment: str) -> list[Reply]:
    """What a replica with these settings is told by the stub."""
    given: dict[str, Any] = {"AI_PROVIDER": "holmesgpt", "AI_SERVICE_URL": stub.url, **environment}
    async with replica(directory, ScriptedExecutor(), **given) as running:
        return [await running.parts.advising.advisor.select(question()) for _ in range(times)]


async def health(running: Running) -> dict[str, Any]:
    """What /health says."""
    return dict((await running.http.get("/health")).json())


@pytest.mark.parametrize("language", [OPENAI, HOLMES, KUBERNAUT])
async def test_the_default_finds_whoever_is_there(tmp_path: Path, language: str) -> None:
    """With the specified provider the advisor at the address is found at the start, and health and metrics say so."""
    async with (
        StubAi(language).serving() as stub,
        replica(tmp_path, ScriptedExecutor(), AI_PROVIDER="holmesgpt", AI_SERVICE_URL=stub.url) as running,
    ):
        await eventually(running.parts.advising.there, "it is found")
        seen = await health(running)
        assert (seen["status"], seen["ai_integration"]) == ("healthy", True)
        assert seen["circuit_breakers"]["advisor"] == "closed"
        reply = await running.parts.advising.advisor.select(question())
        metrics = (await running.http.get("/metrics")).text
    name = reply.provider
    assert reply.outcome is Outcome.ACCEPTED
    assert f'ai_requests_total{{mode="{reply.attempts[0].mode}",outcome="accepted",provider="{name}"}} 1.0' in metrics
    assert f'ai_request_duration_seconds_count{{provider="{name}"}} 1.0' in metrics
    assert f'ai_attempts_total{{outcome="accepted",provider="{name}"}} 1.0' in metrics
    assert 'workflow_service_circuit_breaker_state{downstream="advisor"} 0.0' in metrics


@pytest.mark.requirement("BR-WF-001")
async def test_without_an_advisor_everything_works(tmp_path: Path) -> None:
    """Nobody at the address: healthy, planned and done by the rules, and the question is answered at once."""
    async with StubAi(OPENAI).serving() as stub:
        nobody = stub.url
    async with replica(tmp_path, ScriptedExecutor(), AI_PROVIDER="holmesgpt", AI_SERVICE_URL=nobody) as running:
        assert (await running.result(HIGH_CPU))["success"] is True
        seen = await health(running)
        assert ("advisor" in seen["components"], seen["ai_integration"]) == (False, False)
        reply = await running.parts.advising.advisor.enhance(question())
        assert (reply.outcome, reply.reason) == (Outcome.UNAVAILABLE, "not_there")
        assert 'ai_fallback_total{reason="not_there"} 2.0' in (await running.http.get("/metrics")).text


async def test_somebody_who_comes_later_is_found(tmp_path: Path) -> None:
    """The looks go on at the pace of the monitoring."""
    async with (
        StubAi("not yet").serving() as stub,
        replica(
            tmp_path,
            ScriptedExecutor(),
            AI_PROVIDER="holmesgpt",
            AI_SERVICE_URL=stub.url,
            MONITORING_INTERVAL="100ms",
        ) as running,
    ):
        await eventually(lambda: stub.looked, "it is looked for")
        stub.language = KUBERNAUT
        await eventually(running.parts.advising.there, "it is found")


async def test_ai_provider(tmp_path: Path) -> None:
    """None asks nobody, has no breaker, and looks for nobody; a named one is not looked for under other names."""
    async with StubAi(OPENAI).serving() as stub:
        [reply] = await told(tmp_path, stub, AI_PROVIDER="none")
        assert (reply.reason, stub.looked, stub.asked) == ("no_provider", [], [])
        [reply] = await told(tmp_path, stub, AI_PROVIDER="openai")
        assert (reply.provider, set(stub.looked)) == ("openai", {"/v1/models"})


async def test_ai_timeout(tmp_path: Path) -> None:
    """It is the whole budget of a question."""
    async with StubAi(OPENAI, "slow").serving() as stub:
        [reply] = await told(tmp_path, stub, AI_TIMEOUT="300ms")
    assert reply.reason == "timeout"


@pytest.mark.parametrize(("given", "answers"), [("0", 1), ("1", 1), ("2", 2), ("5", 5)])
async def test_ai_max_retries(tmp_path: Path, given: str, answers: int) -> None:
    """It is the most answers that are asked for; none at all would be no question."""
    async with StubAi(OPENAI, "wrong candidate").serving() as stub:
        [reply] = await told(tmp_path, stub, AI_MAX_RETRIES=given)
    assert len(reply.attempts) == answers


@pytest.mark.parametrize(("threshold", "outcome"), [("0.69", Outcome.ACCEPTED), ("0.71", Outcome.LOW_CONFIDENCE)])
async def test_ai_confidence_threshold(tmp_path: Path, threshold: str, outcome: Outcome) -> None:
    """At 70 percent it depends on the threshold whether advice may be used."""
    async with StubAi(OPENAI, "just sure").serving() as stub:
        [reply] = await told(tmp_path, stub, AI_CONFIDENCE_THRESHOLD=threshold)
    assert reply.outcome is outcome


async def test_ai_model_and_ai_structured(tmp_path: Path) -> None:
    """The named model is asked, in the form that was said."""
    async with StubAi(OPENAI).serving() as stub:
        await told(tmp_path, stub, AI_MODEL="accurate", AI_STRUCTURED="json_object")
    assert [(one["body"]["model"], one["form"]) for one in stub.asked] == [("accurate", "json_object_schema")]


async def test_ai_api_key_follows_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a bearer token, masked wherever settings are shown, and a new one in its file is used at once."""
    monkeypatch.setattr("workflow_service.watched_file.EVERY", 0.0)
    file = tmp_path / "key"
    file.write_text("old")
    async with StubAi(OPENAI).serving() as stub:
        given: dict[str, Any] = {"AI_PROVIDER": "openai", "AI_SERVICE_URL": stub.url, "AI_API_KEY_FILE": str(file)}
        async with replica(tmp_path, ScriptedExecutor(), **given) as running:
            await running.parts.advising.advisor.select(question())
            file.write_text("renewed")
            await running.parts.advising.advisor.select(question())
    assert [one["headers"]["Authorization"] for one in stub.asked] == ["Bearer old", "Bearer renewed"]
    assert ("AI_API_KEY", "********", "env") in describe(load({"AI_API_KEY": "s3cret"}))


async def test_ai_ca_bundle(tmp_path: Path) -> None:
    """A server with a certificate of one's own is believed with its authority, and with no other."""
    (tmp_path / "ours").mkdir()
    chain, key = write_certificate(tmp_path / "ours")
    other, _ = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    async with StubAi(OPENAI).serving(context) as stub:
        [believed] = await told(tmp_path, stub, AI_CA_BUNDLE=str(chain), CA_BUNDLE=str(other))
        [refused] = await told(tmp_path, stub, AI_CA_BUNDLE=str(other), CA_BUNDLE=str(chain))
    assert believed.outcome is Outcome.ACCEPTED
    assert (refused.outcome, refused.reason) == (Outcome.UNAVAILABLE, "not_there")


@pytest.mark.parametrize(("given", "texts"), [("false", {}), ("true", {"summary": "it is full"})])
async def test_ai_send_annotations(tmp_path: Path, given: str, texts: dict[str, str]) -> None:
    """What is told about an alert has its texts only if that was allowed."""
    alert = dataclasses.replace(ALERT, summary="it is full")
    async with replica(tmp_path, ScriptedExecutor(), AI_SEND_ANNOTATIONS=given) as running:
        assert running.parts.advising.project(alert, None).texts == texts
