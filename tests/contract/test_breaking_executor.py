"""The breaker before an executor: what it counts, what it refuses, what passes, and that the port's promises hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing

from workflow_service.clients.breaker import BreakingExecutor
from workflow_service.domain.breaker import BreakerState
from workflow_service.domain.errors import ErrorClass, ExecutorError, Misunderstood, Unanswered, Unreachable
from workflow_service.domain.target import Target
from workflow_service.ports import ActionRequest, Executor

Call = Callable[[Executor], Awaitable[object]]

POD = Target("default", "Pod", "web-server-123", "production")


def order(number: int = 0) -> ActionRequest:
    """An order with a key of its own."""
    return ActionRequest(
        key=f"e1:cure{number}",
        step_id="cure",
        type="touch",
        parameters={},
        alert={},
        workflow_id="w1",
        execution_id="e1",
        attempt=0,
        remaining_seconds=60.0,
        cluster="default",
    )


ORDERS: dict[str, Call] = {
    "execute": lambda executor: executor.execute(order()),
    "ledger_id": lambda executor: executor.ledger_id(),
}
QUESTIONS: dict[str, Call] = {
    "by_key": lambda executor: executor.by_key("e1:cure"),
    "cancel": lambda executor: executor.cancel("e1:cure"),
    "catalogue": lambda executor: executor.catalogue(),
    "observe": lambda executor: executor.observe(POD),
}


class Watched:
    """An executor behind a breaker whose clock the test moves."""

    def __init__(self, executor: ScriptedExecutor | None = None) -> None:
        self.executor = executor or ScriptedExecutor()
        self.now = 0.0
        self.moves: list[BreakerState] = []
        self.breaking = BreakingExecutor(self.executor, on_change=self.moves.append, clock=lambda: self.now)

    async def fails(self, call: Call, *, times: int = 1) -> None:
        """That many calls end without an answer."""
        for _ in range(times):
            with pytest.raises((Unreachable, Unanswered)):
                await call(self.breaking)

    async def opened(self) -> None:
        """Open it, and let the executor come back."""
        self.executor.away = True
        await self.fails(ORDERS["execute"], times=5)
        self.executor.away = False
        assert self.breaking.state is BreakerState.OPEN


@pytest.mark.parametrize("call", [*ORDERS.values(), *QUESTIONS.values()], ids=[*ORDERS, *QUESTIONS])
async def test_it_is_transparent(call: Call) -> None:
    """Closed, it hands on every call and every answer."""
    watched = Watched()
    assert type(await call(watched.breaking)) is type(await call(ScriptedExecutor()))
    assert await watched.breaking.healthy()
    assert watched.moves == []


@pytest.mark.parametrize("call", [*ORDERS.values(), *QUESTIONS.values()], ids=[*ORDERS, *QUESTIONS])
async def test_unreachable_counts(call: Call) -> None:
    """Five calls of any sort that arrive nowhere open it."""
    watched = Watched(ScriptedExecutor(away=True))
    await watched.fails(call, times=4)
    assert watched.moves == []
    await watched.fails(call)
    assert watched.moves == [BreakerState.OPEN]


async def test_silence_counts() -> None:
    """Five orders that arrive and are not answered open it, a ledger id from memory between them or not."""
    watched = Watched()
    watched.executor.script("cure", *[Answer(silent=True)] * 5)
    for number in range(5):
        assert await watched.breaking.ledger_id()
        with pytest.raises(Unanswered):
            await watched.breaking.execute(order(number))
    assert watched.moves == [BreakerState.OPEN]


async def test_answers_do_not_count() -> None:
    """Failed actions, refused actions and refused requests are answers: they begin the count anew."""
    watched = Watched()
    watched.executor.script("cure", failing(ErrorClass.TRANSIENT), Answer("refused"))
    await watched.breaking.execute(order(0))
    await watched.breaking.execute(order(1))
    other = order(0)._replace(type="burn")
    for _ in range(3):
        watched.executor.away = True
        await watched.fails(ORDERS["execute"], times=4)
        watched.executor.away = False
        with pytest.raises(Misunderstood):
            await watched.breaking.execute(other)
    assert watched.moves == []


async def test_one_question_is_one_failure() -> None:
    """Callers who share a question share its failure: ten drives that ask for the ledger at once count once."""

    class Shared(ScriptedExecutor):
        asking: asyncio.Task[str | None] | None = None

        async def ledger_id(self) -> str | None:
            self.asking = self.asking or asyncio.create_task(super().ledger_id())
            return await asyncio.shield(self.asking)

    watched = Watched(Shared(away=True))
    answers = await asyncio.gather(*(watched.breaking.ledger_id() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(answer, Unreachable) for answer in answers)
    assert watched.moves == []


@pytest.mark.parametrize("call", ORDERS.values(), ids=ORDERS)
async def test_open_it_refuses_at_once(call: Call) -> None:
    """Nothing is sent; the error says that nothing can have arrived, and when the next try is due."""
    watched = Watched()
    await watched.opened()
    missed = watched.executor.missed
    watched.now = 12.0
    with pytest.raises(Unreachable, match=r"circuit breaker is open, the next try is due in 18\.0 s"):
        await call(watched.breaking)
    assert (watched.executor.sent, watched.executor.missed) == ([], missed)


@pytest.mark.parametrize("call", QUESTIONS.values(), ids=QUESTIONS)
async def test_questions_and_cancels_pass(call: Call) -> None:
    """They are never refused; one that is answered closes the breaker, one that is not does not lengthen its pause."""
    watched = Watched()
    await watched.opened()
    watched.executor.away = True
    watched.now = 29.0
    await watched.fails(call)
    watched.executor.away = False
    watched.now = 30.0
    await watched.breaking.ledger_id()
    assert watched.moves == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]
    await watched.opened()
    await call(watched.breaking)
    assert watched.moves[3:] == [BreakerState.OPEN, BreakerState.CLOSED]


async def test_health_tells_nothing() -> None:
    """It is asked from outside: it neither opens the breaker nor closes it."""
    watched = Watched(ScriptedExecutor(away=True))
    for _ in range(10):
        assert not await watched.breaking.healthy()
    assert watched.moves == []
    await watched.opened()
    assert await watched.breaking.healthy()
    assert watched.moves == [BreakerState.OPEN]


@pytest.mark.parametrize("call", ORDERS.values(), ids=ORDERS)
async def test_one_probe_closes_it(call: Call) -> None:
    """After 30 s one call goes, whatever it is; answered, it closes the breaker."""
    watched = Watched()
    await watched.opened()
    watched.now = 30.0
    await call(watched.breaking)
    assert watched.moves == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


async def test_nobody_goes_beside_the_probe() -> None:
    """While the probe is under way others are refused; when it fails the pause begins anew."""
    watched = Watched()
    await watched.opened()
    watched.now = 31.0
    watched.executor.away = True
    answers = await asyncio.gather(*(watched.breaking.ledger_id() for _ in range(5)), return_exceptions=True)
    assert [isinstance(answer, ExecutorError) for answer in answers] == [True] * 5
    assert sum("one try is under way" in str(answer) for answer in answers) == 4
    assert watched.moves == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.OPEN]
    with pytest.raises(Unreachable, match=r"due in 30\.0 s"):
        await watched.breaking.ledger_id()


async def test_a_probe_that_is_given_up() -> None:
    """A drive that stops in the middle of the probe does not leave the breaker half open for ever."""
    watched = Watched()
    await watched.opened()
    watched.now = 30.0
    probe = asyncio.create_task(watched.breaking.execute(order()))
    await asyncio.sleep(0)
    assert watched.moves == [BreakerState.OPEN, BreakerState.HALF_OPEN]
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert (await watched.breaking.execute(order())).success
    assert watched.moves[2:] == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]
