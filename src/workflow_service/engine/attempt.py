"""One key's way to its outcome: send, ask, send again under the same key, and at the end cancel by key.

The rules of this module are promise two. A key is sent again only while the ledger that would remember it is the one
that has never seen it, and while the step is still wanted. No attempt is given up before cancel-by-key has answered:
what may still be on its way finds its key dead. Every order names that ledger and is for no other: what is on its way
while the ledger is lost would find nobody who remembers its key. When nobody answers until the execution's very last
moment, the outcome is *lost* and the key is never sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from workflow_service.domain.errors import (
    ErrorClass,
    ExecutorError,
    Misunderstood,
    OtherLedger,
    Unanswered,
    Unreachable,
)
from workflow_service.ports import ActionOutcome, ActionRequest, Executor, NeverSeen

FIRST_POLL, POLL_FACTOR, LAST_POLL = 0.1, 1.6, 2.0  # seconds between questions
LAST_CALL = 1.0  # seconds that a cancel gets at least, however late it is

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


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Nothing happened, and nothing will: the step was not wanted any more, and its key is dead."""

    message: str


class Courier:
    """Carries calls to the executor; every effect waits for the replica's lease first."""

    def __init__(
        self, executor: Executor, *, lease_held: Callable[[], Awaitable[None]], clock: Callable[[], datetime]
    ) -> None:
        self._executor, self._lease_held, self._clock = executor, lease_held, clock

    async def carry(self, call: Call, unwanted: Callable[[], str]) -> ActionOutcome | Unsent | Lost | Withdrawn:
        """The final outcome of the call's key, whatever happens on the way.

        `unwanted` says why a key that the executor has never seen is not to be sent again; empty: it is.
        """
        answer = await (self._send(call) if call.fresh else self._ask(call, unwanted))
        for pause in _pauses():
            if isinstance(answer, Unsent | Lost | Withdrawn) or (answer is not None and answer.final):
                return answer
            left = self._left(call)
            if left <= 0:
                return await self.settle(call)
            await asyncio.sleep(min(pause, left))
            answer = await self._ask(call, unwanted)
        raise AssertionError("the pauses never end")

    async def settle(self, call: Call) -> ActionOutcome | Lost:
        """Cancel by key until that is answered: cancelled, or what it had become by then."""
        return _as_timeout(await self._cancel(call))

    async def _send(self, call: Call) -> ActionOutcome | Unsent | None:
        """Send a key for the first time."""
        try:
            return await self._execute(call)
        except (Unreachable, OtherLedger) as error:
            return Unsent(str(error))
        except Misunderstood as error:
            return ActionOutcome(status="failed", message=str(error), error_class=ErrorClass.PERMANENT)

    async def _resend(self, call: Call) -> ActionOutcome | Lost | None:
        """Send a key again that may still be on its way from the first time."""
        try:
            return await self._execute(call)
        except (Unreachable, OtherLedger):
            return None
        except Misunderstood as error:
            outcome = await self._cancel(call)
            if isinstance(outcome, Lost) or outcome.status != "cancelled":
                return outcome
            return replace(outcome, message=str(error), error_class=ErrorClass.PERMANENT)

    async def _execute(self, call: Call) -> ActionOutcome | None:
        await self._lease_held()
        try:
            left = max(0.0, self._left(call))
            request = call.request._replace(remaining_seconds=left, ledger_id=call.ledger_id)
            return await self._executor.execute(request)
        except Unanswered as error:
            log.warning("the executor did not answer; asking by key", key=call.request.key, error=str(error))
            return None

    async def _ask(self, call: Call, unwanted: Callable[[], str]) -> ActionOutcome | Lost | Withdrawn | None:
        try:
            answer = await self._executor.by_key(call.request.key)
        except ExecutorError:
            return None  # a refusal (a token that is being rotated, say) tells nothing about the effect either
        if not isinstance(answer, NeverSeen):
            return _believed(call, answer)
        if call.ledger_id is None or answer.ledger_id != call.ledger_id:
            return await self.settle(call)
        if why := unwanted():
            return await self._withdraw(call, why)
        return await self._resend(call) if self._left(call) > 0 else None

    async def _withdraw(self, call: Call, why: str) -> ActionOutcome | Lost | Withdrawn:
        outcome = await self._cancel(call)
        if isinstance(outcome, Lost) or outcome.status != "cancelled" or outcome.changes:
            return outcome
        return Withdrawn(why)

    async def _cancel(self, call: Call) -> ActionOutcome | Lost:
        for pause in _pauses():
            await self._lease_held()
            trouble = "still running"
            try:
                async with asyncio.timeout(max(LAST_CALL, (call.abandon_at - self._clock()).total_seconds())):
                    outcome = await self._executor.cancel(call.request.key)
            except (ExecutorError, TimeoutError) as error:
                trouble = str(error) or "no answer in time"
            else:
                if outcome.final:
                    return _believed(call, outcome)
            if self._clock() >= call.abandon_at:
                return Lost(f"cancel-by-key was not answered: {trouble}")
            await asyncio.sleep(pause)
        raise AssertionError("the pauses never end")

    def _left(self, call: Call) -> float:
        return (call.deadline - self._clock()).total_seconds()


def _pauses() -> Iterator[float]:
    pause = FIRST_POLL
    while True:
        yield pause
        pause = min(pause * POLL_FACTOR, LAST_POLL)


def _believed(call: Call, outcome: ActionOutcome) -> ActionOutcome | Lost:
    """What was done counts wherever it stands. That nothing was done is not for another ledger to say."""
    if outcome.status == "cancelled" and outcome.ledger_id != call.ledger_id:
        return Lost(f"the executor's ledger changed from {call.ledger_id} to {outcome.ledger_id}")
    return outcome


def _as_timeout(outcome: ActionOutcome | Lost) -> ActionOutcome | Lost:
    """A cancelled key was cancelled because its time was over."""
    if isinstance(outcome, Lost) or outcome.status != "cancelled":
        return outcome
    message = outcome.message or "cancelled"
    return replace(outcome, error_class=ErrorClass.TIMEOUT, message=f"not done in time ({message})")
