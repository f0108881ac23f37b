"""Nobody to ask: what stands in when `AI_PROVIDER` is none."""

from __future__ import annotations

from workflow_service.domain.advice import Outcome, Question, Reply, Task

_REASON = "no_provider"
_DETAIL = "AI_PROVIDER is none"


class NoAdvisor:
    """`ports.Advisor` that has no advice, at once."""

    there = False

    async def look(self) -> None:
        """There is nobody to look for."""

    async def select(self, _question: Question, *, within: float | None = None) -> Reply:  # noqa: ARG002 - the port has it
        """No advice."""
        return _nothing(Task.SELECT)

    async def enhance(self, _question: Question, *, within: float | None = None) -> Reply:  # noqa: ARG002 - the port has it
        """No advice."""
        return _nothing(Task.ENHANCE)

    async def generate(self, _question: Question, *, within: float | None = None) -> Reply:  # noqa: ARG002 - the port has it
        """No advice."""
        return _nothing(Task.GENERATE)

    async def recover(self, _question: Question, *, within: float | None = None) -> Reply:  # noqa: ARG002 - the port has it
        """No advice."""
        return _nothing(Task.RECOVER)


def _nothing(task: Task) -> Reply:
    return Reply(task, Outcome.UNAVAILABLE, "none", reason=_REASON, detail=_DETAIL)
