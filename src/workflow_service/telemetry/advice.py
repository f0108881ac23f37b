"""The metrics of asking for advice: what came of it, how long it took, what it cost, why answers were refused."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from workflow_service.domain.advice import Outcome, Reply
from workflow_service.domain.answer_text import Reason

_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0)
PROVIDERS = ("holmesgpt", "kubernaut", "openai")
DENIED = "guardrail_denied"  # sound advice that our own rules did not allow; counted by whoever asks them


class AdviceMetrics:
    """Counters in a registry that others share. No label holds a word of an advisor's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "ai_requests_total", "Questions to an advisor", ["provider", "mode", "outcome"], registry=registry
        )
        self._duration = Histogram(
            "ai_request_duration_seconds",
            "From a question to what came of it, all attempts included",
            ["provider"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._attempts = Counter(
            "ai_attempts_total",
            "Requests for an answer, several per question",
            ["provider", "outcome"],
            registry=registry,
        )
        self._tokens = Counter("ai_tokens_total", "Tokens of questions and answers", ["provider"], registry=registry)
        self._cost = Counter("ai_cost_total", "What providers say that answers cost", ["provider"], registry=registry)
        self._rejected = Counter(
            "ai_answers_rejected_total", "Answers that were refused, by why", ["provider", "reason"], registry=registry
        )
        for provider in PROVIDERS:
            for reason in Reason:
                self._rejected.labels(provider, reason)
        self._downgrades = Counter(
            "ai_downgrades_total",
            "Looser forms of structured output agreed on",
            ["provider", "mode"],
            registry=registry,
        )
        self._fallbacks = Counter(
            "ai_fallback_total", "Questions without advice that may be used, by why", ["reason"], registry=registry
        )

        self._ends = Counter(
            "ai_advice_outcomes_total",
            "Runs that are over and about whose plan an advisor had answered",
            ["provider", "used", "status"],
            registry=registry,
        )

    def ended(self, provider: str, *, used: bool, status: str) -> None:
        """A run is over whose plan advice was given about."""
        self._ends.labels(provider if provider in PROVIDERS else "other", str(used).lower(), status).inc()

    def replied(self, reply: Reply) -> None:
        """One question is over."""
        mode = reply.attempts[-1].mode if reply.attempts else "none"
        self._requests.labels(reply.provider, mode, reply.outcome).inc()
        self._duration.labels(reply.provider).observe(reply.seconds)
        for attempt in reply.attempts:
            self._attempts.labels(reply.provider, attempt.outcome).inc()
            self._tokens.labels(reply.provider).inc(attempt.tokens or 0)
            self._cost.labels(reply.provider).inc(attempt.cost or 0)
        if reply.outcome is not Outcome.ACCEPTED:
            self._fallbacks.labels(reply.reason).inc()

    def denied(self, reply: Reply) -> None:
        """Advice was accepted, and a guardrail did not let it into the plan."""
        mode = reply.attempts[-1].mode if reply.attempts else "none"
        self._requests.labels(reply.provider, mode, DENIED).inc()
        self._fallbacks.labels(DENIED).inc()

    def refused(self, provider: str, reason: str) -> None:
        """An answer was refused; `target`: it wanted to say what is acted upon."""
        self._rejected.labels(provider, reason).inc()

    def downgraded(self, provider: str, mode: str) -> None:
        """A server takes this form of structured output and none that is stricter."""
        self._downgrades.labels(provider, mode).inc()
