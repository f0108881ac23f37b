"""What guardrails have held back, as metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class GuardrailMetrics:
    """Counts findings that were not `allowed`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._findings = Counter(
            "wfs_guardrail_findings_total",
            "Findings of guardrails that let something not go on by itself, by rule and by what was judged",
            ["rule", "word", "judged"],
            registry=registry,
        )

    def found(self, *, rule: str, word: str, judged: str) -> None:
        """One finding; `judged` is plan or step. A step that stays held is counted once."""
        self._findings.labels(rule, word, judged).inc()
