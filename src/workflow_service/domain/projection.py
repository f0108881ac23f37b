"""What of an alert may leave the house to ask for advice: a fixed selection, bounded, without free text. Pure.

Names, severity, allow-listed labels, numbers and states that were observed. A label whose value is no single word is
said to be there and withheld: a sentence in it could only be meant for the model. Annotations go only if the operator
says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from workflow_service.domain.alert import Alert
from workflow_service.domain.redaction import WITHHELD, cleaned, is_token, redacted
from workflow_service.domain.target import Target

LONGEST_NAME = 120  # characters of an alert's name
LONGEST_WORD = 128  # characters of a label's value or an observed state
MOST_LABELS = 30
MOST_FACTS = 40
TEXTS = 1024  # characters of summary, description and annotations together

# The labels that stock Prometheus, kube-state-metrics and node-exporter rules carry, and that help to choose.
# fmt: off
LABELS = frozenset(
    {
        "app", "app.kubernetes.io/component", "app.kubernetes.io/name", "app.kubernetes.io/part-of",
        "app_kubernetes_io_name", "component", "condition", "container", "cronjob", "daemonset", "deployment",
        "device", "endpoint", "env", "environment", "fstype", "horizontalpodautoscaler", "instance", "job",
        "job_name", "mountpoint", "namespace", "node", "persistentvolumeclaim", "phase", "pod",
        "poddisruptionbudget", "reason", "region", "replicaset", "resource", "service", "status", "statefulset",
        "team", "tier", "verb", "volumename", "workload", "workload_type", "zone",
    }
)
# fmt: on

Fact = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Projection:
    """All that an advisor learns about an alert. `kind` and `object` are the target's; None: it names none."""

    name: str
    severity: str
    namespace: str | None = None
    kind: str | None = None
    object: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)  # numbers, yes or no, and words, as just observed
    texts: Mapping[str, str] = field(default_factory=dict)  # free text, where the operator allows it

    def document(self) -> dict[str, Any]:
        """The JSON object that is sent; what is not known is left out."""
        parts: dict[str, Any] = {
            "name": self.name,
            "severity": self.severity,
            "namespace": self.namespace,
            "kind": self.kind,
            "object": self.object,
            "labels": dict(self.labels),
            "observed": dict(self.facts),
            "texts": dict(self.texts),
        }
        return {name: part for name, part in parts.items() if part not in (None, {})}


def project(
    alert: Alert, target: Target | None, *, facts: Mapping[str, Any] | None = None, texts: bool = False
) -> Projection:
    """The projection of an alert; `facts` were observed of its target, `texts` lets summary and annotations out."""
    namespace = target.namespace if target else alert.namespace
    return Projection(
        name=cleaned(alert.name, LONGEST_NAME) or WITHHELD,
        severity=_word(alert.severity),
        namespace=_word(namespace) if namespace else None,
        kind=_word(target.kind) if target else None,
        object=_word(target.name, 253) if target else None,
        labels=dict(_labels(alert)),
        facts=dict(islice(_facts(facts or {}), MOST_FACTS)),
        texts=dict(_texts(alert)) if texts else {},
    )


def _word(text: str, limit: int = LONGEST_WORD) -> str:
    return text if is_token(text, limit) and redacted(text) == text else WITHHELD


def _labels(alert: Alert) -> Iterator[tuple[str, str]]:
    for name in sorted(LABELS & set(alert.labels))[:MOST_LABELS]:
        yield name, _word(alert.labels[name])


def _facts(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Fact]]:
    """Scalars only; of what is nested, one level, such as the facts of the owner."""
    for name, fact in facts.items():
        if not is_token(str(name), 63):
            continue
        if isinstance(fact, bool | int | float):
            if abs(fact) < 2**53:  # what every JSON reader can hold
                yield f"{prefix}{name}", fact
        elif isinstance(fact, str) and fact:
            yield f"{prefix}{name}", _word(fact)
        elif isinstance(fact, Mapping) and not prefix:
            yield from _facts(fact, f"{name}.")


def _texts(alert: Alert) -> Iterator[tuple[str, str]]:
    """Summary, description and annotations until they are 1 KB together."""
    left = TEXTS
    said = {"summary": alert.summary, "description": alert.description}
    more = {name: text for name, text in sorted(alert.annotations.items()) if name not in said}
    for name, text in (said | more).items():
        if left <= 0:
            return
        if text and is_token(name, 63):
            part = cleaned(text, left - len(name)) if left > len(name) else ""
            left -= len(name) + len(part)
            if part:
                yield name, part
