"""One key's way to its outcome: send, ask, send again under the same key, and at the end cancel by key.

The rules of this module are promise two. A key is sent again only while the ledger that would remember it is the one
that has never seen it. No attempt is given up before cancel-by-key has answered; when nobody answers until the
execution's very last moment, the outcome is *lost* and the key is never sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from workflow_service.domain.errors import ErrorClass, ExecutorError, Misunderstood, Unanswered, Unreachable
from workflow_service.ports import ActionOutcome, ActionRequest, Executor, NeverSeen

FIRST_POLL, POLL_FACTOR, LAST_POLL = 0.1, 1.6, 2.0  # seconds between questions

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A key to be carried to its outcome. Past `deadline` it is cancelled, past `abandon_at` it is lost."""

    request: ActionRequest
    ledger_id: str | None
    deadline: datetime
    abandon_at: datetime
    fresh: bool  # False: an earlier drive may have sent it already


@dataclass(frozen=True, slots=True)
class Unsent:
    """Nothing arrived, nothing happened."""

    message: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody can say any more what happened."""

    message: str


class Courier:
    """Carries calls to the executor; every effect waits for the replica's lease first."""

    def __init__(
        self, executor: Executor, *, lease_held: Callable[[], Awaitable[None]], clock: Callable[[], datetime]
    ) -> None:
        self._executor, self._lease_held, self._clock = executor, lease_held, clock

    async def carry(self, call: Call) -> ActionOutcome | Unsent | Lost:
        """The final outcome of the call's key, whatever happens on the way."""
        answer = await (self._send(call, first=True) if call.fresh else self._ask(call))
        for pause in _pauses():
            if isinstance(answer, Unsent | Lost) or (answer is not None and answer.final):
                return answer
            left = (call.deadline - self._clock()).total_seconds()
            if left <= 0:
                return await self.settle(call)
            await asyncio.sleep(min(pause, left))
            answer = await self._ask(call)
        raise AssertionError("the pauses never end")

    async def settle(self, call: Call) -> ActionOutcome | Lost:
        """Cancel by key until that is answered: cancelled, or what it had become by then."""
        for pause in _pauses():
            await self._lease_held()
            try:
                outcome = await self._executor.cancel(call.request.key)
            except ExecutorError as error:
                outcome, trouble = None, str(error)
            else:
                trouble = "still running"
            if outcome is not None and outcome.final:
                return _as_timeout(outcome)
            if self._clock() >= call.abandon_at:
                return Lost(f"cancel-by-key was not answered: {trouble}")
            await asyncio.sleep(pause)
        raise AssertionError("the pauses never end")

    async def _send(self, call: Call, *, first: bool) -> ActionOutcome | Unsent | None:
        await self._lease_held()
        left = max(0.0, (call.deadline - self._clock()).total_seconds())
        try:
            return await self._executor.execute(replace(call.request, remaining_seconds=left))
        except Unreachable as error:
            return Unsent(str(error)) if first else None
        except Unanswered as error:
            log.warning("the executor did not answer; asking by key", key=call.request.key, error=str(error))
            return None
        except Misunderstood as error:
            return ActionOutcome(status="failed", message=str(error), error_class=ErrorClass.PERMANENT)

    async def _ask(self, call: Call) -> ActionOutcome | Unsent | Lost | None:
        try:
            answer = await self._executor.by_key(call.request.key)
        except ExecutorError:
            return None  # a refusal (a token that is being rotated, say) tells nothing about the effect either
        if not isinstance(answer, NeverSeen):
            return answer
        if call.ledger_id is None or answer.ledger_id != call.ledger_id:
            return Lost(f"the executor's ledger changed from {call.ledger_id} to {answer.ledger_id}")
        return await self._send(call, first=False)


def _pauses() -> Iterator[float]:
    pause = FIRST_POLL
    while True:
        yield pause
        pause = min(pause * POLL_FACTOR, LAST_POLL)


def _as_timeout(outcome: ActionOutcome) -> ActionOutcome:
    """A cancelled key was cancelled because its time was over."""
    if outcome.status != "cancelled":
        return outcome
    message = outcome.message or "cancelled"
    return replace(outcome, error_class=ErrorClass.TIMEOUT, message=f"not done in time ({message})")
