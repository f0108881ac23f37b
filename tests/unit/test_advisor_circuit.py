"""The breaker before an advisor, and the metrics of asking: what opens it, who is the probe, what is counted."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from workflow_service.clients.advisors.circuit import Circuit
from workflow_service.domain.advice import Attempt, Outcome, Reply, Task
from workflow_service.domain.breaker import BreakerState
from workflow_service.domain.errors import AdvisorAway
from workflow_service.telemetry.advice import AdviceMetrics


class Times:
    """A circuit whose clock the test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.moves: list[BreakerState] = []
        self.circuit = Circuit(on_change=self.moves.append, clock=lambda: self.now)

    def fail(self, error: Exception) -> None:
        """One question that ends with this error."""
        with pytest.raises(type(error)), self.circuit.passed():
            raise error

    def opened(self) -> None:
        """Five questions in a row without an answer."""
        for _ in range(5):
            self.fail(TimeoutError())


def silent() -> AdvisorAway:
    """Nobody has answered."""
    return AdvisorAway("cut", "gone", silent=True)


def test_five_in_a_row_open_it() -> None:
    """Silence and time-outs count alike; an answer in between, be it a refusal, begins the count anew."""
    times = Times()
    for error in (TimeoutError(), silent(), TimeoutError(), silent()):
        times.fail(error)
    times.fail(AdvisorAway("unauthorized", "wrong key"))
    for error in (TimeoutError(), silent(), TimeoutError(), silent()):
        times.fail(error)
    assert times.moves == []
    times.fail(silent())
    assert times.moves == [BreakerState.OPEN]


def test_one_probe_after_thirty_seconds() -> None:
    """Before that nobody passes; then one does and nobody beside it; its success lets everybody pass."""
    times = Times()
    times.opened()
    times.now = 29.9
    times.fail(AdvisorAway("circuit_open", ""))
    times.now = 30.0
    with times.circuit.passed():
        times.fail(AdvisorAway("circuit_open", ""))
    with times.circuit.passed(), times.circuit.passed():
        pass
    assert times.moves == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_a_probe_without_an_answer_is_followed_by_another_pause() -> None:
    """Its failure keeps everybody out for 30 s more."""
    times = Times()
    times.opened()
    times.now = 30.0
    times.fail(TimeoutError())
    times.now = 59.9
    with pytest.raises(AdvisorAway, match="open"), times.circuit.passed():
        raise AssertionError


def test_a_probe_that_nobody_waits_for_is_repeated_at_once() -> None:
    """A plan that is given up says nothing about the advisor."""
    times = Times()
    times.opened()
    times.now = 30.0
    with pytest.raises(asyncio.CancelledError), times.circuit.passed():
        raise asyncio.CancelledError
    with times.circuit.passed():
        pass
    assert times.moves[-1] is BreakerState.CLOSED


def test_what_comes_of_questions_is_counted() -> None:
    """Questions, attempts, tokens and cost; what may not be used is a fallback, also where a guardrail says so."""
    registry = CollectorRegistry()
    metrics = AdviceMetrics(registry)
    attempts = (Attempt(1, "prompt", "rejected", tokens=100, cost=0.25), Attempt(2, "prompt", "accepted", tokens=50))
    sound = Reply(Task.SELECT, Outcome.ACCEPTED, "openai", attempts=attempts)
    metrics.replied(sound)
    metrics.denied(sound)
    metrics.replied(Reply(Task.SELECT, Outcome.UNAVAILABLE, "none", reason="not_there"))

    def count(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert count("ai_requests_total", provider="openai", mode="prompt", outcome="accepted") == 1
    assert count("ai_requests_total", provider="openai", mode="prompt", outcome="guardrail_denied") == 1
    assert count("ai_requests_total", provider="none", mode="none", outcome="unavailable") == 1
    assert count("ai_tokens_total", provider="openai") == 150
    assert count("ai_cost_total", provider="openai") == 0.25
    assert count("ai_attempts_total", provider="openai", outcome="rejected") == 1
    assert count("ai_fallback_total", reason="guardrail_denied") == 1
    assert count("ai_fallback_total", reason="not_there") == 1
    assert count("ai_answers_rejected_total", provider="holmesgpt", reason="target") == 0
