"""An advisor in front of a scripted server, with its metrics and its breaker in view."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from tests.support.questions import failed, question
from tests.support.stub_ai import StubAi
from workflow_service.clients.advisors.choosing import Choice, advisor
from workflow_service.clients.advisors.consulting import Terms
from workflow_service.clients.session import SharedSession
from workflow_service.domain.advice import Question, Reply, Task
from workflow_service.domain.breaker import BreakerState
from workflow_service.ports import Advisor
from workflow_service.telemetry.advice import AdviceMetrics

DEADLINE = 20.0  # seconds until a test gives up on a question


class Asking:
    """An advisor, its metrics, and where its breaker went."""

    def __init__(self, made: Advisor, registry: CollectorRegistry, moves: list[BreakerState]) -> None:
        self.advisor, self.registry, self.moves = made, registry, moves
        self.patience = DEADLINE

    async def ask(self, task: Task = Task.SELECT, about: Question | None = None) -> Reply:
        """What came of a question."""
        about = about or (failed() if task is Task.RECOVER else question())
        methods = {
            Task.SELECT: self.advisor.select,
            Task.ENHANCE: self.advisor.enhance,
            Task.GENERATE: self.advisor.generate,
            Task.RECOVER: self.advisor.recover,
        }
        async with asyncio.timeout(self.patience):
            return await methods[task](about)

    def count(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def asking(stub: StubAi, *, budget: float = DEADLINE, **chosen: Any) -> AsyncIterator[Asking]:
    """An advisor of the stub's language; `chosen` are fields of its `Choice`."""
    name = "holmesgpt" if stub.language.startswith("holmes") else stub.language
    session, registry, moves = SharedSession(), CollectorRegistry(), list[BreakerState]()
    terms = chosen.pop("terms", Terms(budget=budget))
    choice = Choice(**{"provider": name, "url": stub.url, "model": "fast", "terms": terms, **chosen})
    made = advisor(choice, session, key=lambda: "s3cret", metrics=AdviceMetrics(registry), on_breaker=moves.append)
    try:
        yield Asking(made, registry, moves)
    finally:
        await session.close()
