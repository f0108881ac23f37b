"""A circuit breaker before the executor: while nobody answers there, orders are delayed at once instead of tried.

It retries nothing. What it refuses is `Unreachable`, so that a step is held, not failed: nothing has been sent.

| call | while open |
|---|---|
| execute, and ledger_id, which comes before it | refused, until one of them is the probe |
| by_key, cancel | pass: an attempt under way must be settled before its execution ends; an answer closes the breaker |
| observe, catalogue | pass: a plan made blind is worse than one that comes late; an answer closes the breaker |
| healthy | passes and tells nothing: it is asked from outside, and of a route that no order takes |

A failure is what brought no answer: `Unreachable`, `Unanswered` (silence, 5xx without a result). Results, also failed
ones, and refusals (4xx) are answers.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import structlog

from workflow_service.domain.breaker import Breaker, BreakerState
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import ExecutorError, Misunderstood, OtherLedger, Unanswered, Unreachable
from workflow_service.domain.target import Target
from workflow_service.ports import ActionOutcome, ActionRequest, Executor, NeverSeen, Observation

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)


class BreakingExecutor:
    """`ports.Executor` behind a breaker. `on_change` is told every state that it moves to, the log `name` too."""

    def __init__(
        self,
        executor: Executor,
        *,
        on_change: Callable[[BreakerState], None],
        name: str = "executor",
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._executor, self._on_change, self._clock, self._name = executor, on_change, clock, name
        self._breaker = breaker or Breaker()
        self._counted: ExecutorError | None = None

    @property
    def state(self) -> BreakerState:
        """Where the breaker stands."""
        return self._breaker.state

    async def ledger_id(self) -> str | None:
        """The executor's present ledger. It may come from memory, so only a probe's answer proves anything."""
        return await self._gated(self._executor.ledger_id, proves=False)

    async def execute(self, request: ActionRequest) -> ActionOutcome:
        """Send the action once."""
        return await self._gated(lambda: self._executor.execute(request))

    async def by_key(self, key: str) -> ActionOutcome | NeverSeen:
        """What became of that key; never refused."""
        return await self._watched(lambda: self._executor.by_key(key))

    async def cancel(self, key: str) -> ActionOutcome:
        """Forbid the key, or stop it, or learn that it is done; never refused."""
        return await self._watched(lambda: self._executor.cancel(key))

    async def catalogue(self) -> tuple[Catalogue, Mapping[str, Any]]:
        """What it offers, and the raw document; never refused."""
        return await self._watched(self._executor.catalogue)

    async def observe(self, target: Target) -> Observation:
        """Look at an object now; never refused."""
        return await self._watched(lambda: self._executor.observe(target))

    async def measure(self, promql: str) -> Observation:
        """Ask Prometheus, through the executor."""
        return await self._watched(lambda: self._executor.measure(promql))

    async def healthy(self) -> bool:
        """Whether it answers its health check, whatever the breaker thinks."""
        return await self._executor.healthy()

    async def _gated(self, ask: Callable[[], Awaitable[Answer]], *, proves: bool = True) -> Answer:
        now = self._clock()
        if not self._breaker.admits(now):
            due = max(0.0, self._breaker.probe_at - now)
            when = f"the next try is due in {due:.1f} s" if due else "one try is under way"
            raise Unreachable(f"the executor has not answered for a while: its circuit breaker is open, {when}")
        probe = self.state is BreakerState.OPEN
        if probe:
            self._move(self._breaker.probing())
        return await self._watched(ask, probe=probe, proves=proves or probe)

    async def _watched(
        self, ask: Callable[[], Awaitable[Answer]], *, probe: bool = False, proves: bool = True
    ) -> Answer:
        try:
            answer = await ask()
        except (Unreachable, Unanswered) as error:
            self._failed(error, probe=probe)
            raise
        except (Misunderstood, OtherLedger):
            self._move(self._breaker.answered())
            raise
        except BaseException:
            if probe:
                self._move(self._breaker.abandoned())
            raise
        if proves:
            self._move(self._breaker.answered())
        return answer

    def _failed(self, error: ExecutorError, *, probe: bool) -> None:
        """Callers who share one question (for the ledger) get one and the same error: one failure."""
        if probe or error is not self._counted:
            self._counted = error
            self._move(self._breaker.failed(self._clock(), probe=probe))

    def _move(self, breaker: Breaker) -> None:
        before, self._breaker = self.state, breaker
        if breaker.state is not before:
            log.warning("circuit breaker moved", downstream=self._name, state=breaker.state, before=before)
            self._on_change(breaker.state)
