"""From what the operator has chosen to an advisor: which languages may be spoken there, within which bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workflow_service.clients.advisors.asking import Provider
from workflow_service.clients.advisors.circuit import Circuit
from workflow_service.clients.advisors.consulting import Consulting, Terms
from workflow_service.clients.advisors.detection import Detection
from workflow_service.clients.advisors.holmesgpt import HolmesGpt
from workflow_service.clients.advisors.kubernaut import Kubernaut
from workflow_service.clients.advisors.line import Line
from workflow_service.clients.advisors.none import NoAdvisor
from workflow_service.clients.advisors.openai_compatible import OpenAiCompatible
from workflow_service.clients.advisors.structured import ALLOWED, OBJECT_AND_SCHEMA, Forms
from workflow_service.clients.session import SharedSession
from workflow_service.domain.breaker import BreakerState
from workflow_service.telemetry.advice import AdviceMetrics

# Which languages may be spoken there, in order of preference. The specified default, holmesgpt, stands with the address
# of another service, so whoever answers there is taken; the others are meant as they are named.
LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "holmesgpt": ("holmesgpt", "kubernaut", "openai"),
    "kubernaut": ("kubernaut",),
    "openai": ("openai",),
}
NONE = "none"


@dataclass(frozen=True, slots=True)
class Choice:
    """What the operator has chosen."""

    provider: str  # a key of LANGUAGES, or none
    url: str
    model: str
    structured: str = "auto"  # a key of structured.ALLOWED
    terms: Terms = field(default_factory=Terms)


def advisor(
    choice: Choice,
    session: SharedSession,
    *,
    key: Callable[[], str | None],
    metrics: AdviceMetrics,
    on_breaker: Callable[[BreakerState], None],
    clock: Callable[[], float] = time.monotonic,
) -> Consulting | NoAdvisor:
    """The advisor; `key` is asked before every request."""
    if choice.provider == NONE:
        return NoAdvisor()
    line = Line(choice.url, session, key=key)
    names = LANGUAGES[choice.provider]
    providers = [_provider(name, choice, line, metrics) for name in names]
    return Consulting(
        Detection(providers, certain=len(names) == 1),
        Circuit(on_change=on_breaker, clock=clock),
        terms=choice.terms,
        metrics=metrics,
        clock=clock,
    )


def _provider(name: str, choice: Choice, line: Line, metrics: AdviceMetrics) -> Provider:
    if name == Kubernaut.name:
        return Kubernaut(line)
    modes = ALLOWED[choice.structured]
    if name == HolmesGpt.name:  # its response_format has no place for a schema beside json_object
        modes = tuple(mode for mode in modes if mode != OBJECT_AND_SCHEMA)
    forms = Forms(modes, provider=name, on_downgrade=metrics.downgraded)
    if name == HolmesGpt.name:
        return HolmesGpt(line, model=choice.model, forms=forms)
    return OpenAiCompatible(line, model=choice.model, forms=forms)
