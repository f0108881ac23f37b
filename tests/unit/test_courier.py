"""One key's way to its outcome: what is sent, what is not, and what may be believed, whatever the network does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.replica import eventually
from tests.support.scripted_executor import Answer, ScriptedExecutor
from workflow_service.domain.errors import ErrorClass, Misunderstood, Unanswered
from workflow_service.engine.attempt import Call, Courier, Lost, Unsent, Withdrawn
from workflow_service.ports import ActionOutcome, ActionRequest, NeverSeen

KEY = "e1:cure"
pytestmark = pytest.mark.requirement("BR-WF-004")


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def held() -> None:
    """The lease is."""


def wanted() -> str:
    """Nothing speaks against sending."""
    return ""


def cancelled_by_hand() -> str:
    """Somebody does not want it any more."""
    return "cancel by ana"


def call(*, fresh: bool = True, left: float = 10.0, ledger: str | None = "ledger-1") -> Call:
    """A call of one key with `left` seconds to its deadline."""
    request = ActionRequest(
        key=KEY,
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
    deadline = now() + timedelta(seconds=left)
    return Call(request, ledger, deadline, deadline + timedelta(seconds=10), fresh=fresh)


def courier(executor: ScriptedExecutor) -> Courier:
    """A courier whose replica is alive."""
    return Courier(executor, lease_held=held, clock=now)


async def late(executor: ScriptedExecutor) -> ActionOutcome:
    """What the executor says when a held back copy of the order arrives after all."""
    return await executor.execute(call().request)


async def test_a_key_never_seen_is_not_sent_while_unwanted() -> None:
    """After a crash an order that never arrived is withdrawn: its key is dead before the step ends."""
    executor = ScriptedExecutor()
    answer = await courier(executor).carry(call(fresh=False), cancelled_by_hand)
    assert answer == Withdrawn("cancel by ana")
    assert executor.cancelled == [KEY]
    assert (await late(executor)).status == "cancelled"
    assert executor.effects == []


async def test_an_order_lost_on_its_way_is_not_repeated_once_unwanted() -> None:
    """The same in the drive that sent it: silence, then the wish to stop, then no second order."""
    executor = ScriptedExecutor()
    executor.script("cure", Answer(lost=True))
    answer = await courier(executor).carry(call(), cancelled_by_hand)
    assert answer == Withdrawn("cancel by ana")
    assert (executor.sent, executor.effects) == ([], [])


async def test_what_runs_is_finished_though_unwanted() -> None:
    """Only what was never seen is withdrawn; what the executor is at goes on to its end."""
    executor = ScriptedExecutor()
    executor.script("cure", Answer(slow=True))
    await late(executor)
    carried = asyncio.create_task(courier(executor).carry(call(fresh=False), cancelled_by_hand))
    await eventually(lambda: len(executor.asked) >= 2, "it is asked again")
    executor.finish()
    answer = await carried
    assert isinstance(answer, ActionOutcome)
    assert answer.success
    assert executor.cancelled == []


async def test_nothing_is_sent_after_its_time() -> None:
    """A key never seen whose time is over by the time somebody asks is cancelled, not sent."""
    executor = ScriptedExecutor()
    answer = await courier(executor).carry(call(fresh=False, left=-1), wanted)
    assert isinstance(answer, ActionOutcome)
    assert answer.error_class is ErrorClass.TIMEOUT
    assert (executor.sent, executor.cancelled) == ([], [KEY])


async def test_another_ledger_gets_the_key_too() -> None:
    """Before an outcome is called unknown for want of its ledger, the new ledger is told to refuse the key."""
    executor = ScriptedExecutor(ledger="ledger-2")
    answer = await courier(executor).carry(call(fresh=False), wanted)
    assert answer == Lost("the executor's ledger changed from ledger-1 to ledger-2")
    assert (await late(executor)).status == "cancelled"
    assert executor.effects == []


async def test_an_order_that_finds_another_ledger_is_not_sent() -> None:
    """Sent for the first time to an executor that has lost its ledger since: nothing has happened, and it is told."""
    executor = ScriptedExecutor(ledger="ledger-2")
    answer = await courier(executor).carry(call(), wanted)
    assert isinstance(answer, Unsent)
    assert "keeps ledger ledger-2 now" in answer.message
    assert (executor.sent, executor.effects, executor.cancelled) == ([], [], [])


class Forgetful(ScriptedExecutor):
    """Loses its ledger between the question about a key and what comes next."""

    async def by_key(self, key: str) -> ActionOutcome | NeverSeen:
        """As said, once."""
        found = await super().by_key(key)
        if self.ledger == "ledger-1":
            self.forget()
        return found


async def test_a_ledger_that_is_lost_before_the_second_order() -> None:
    """The second order finds another ledger and is not taken there; nobody knows of the first, so the key is dead."""
    executor = Forgetful()
    answer = await courier(executor).carry(call(fresh=False), wanted)
    assert answer == Lost("the executor's ledger changed from ledger-1 to ledger-2")
    assert (executor.sent, executor.effects, executor.cancelled) == ([], [], [KEY])


async def test_a_cancel_in_another_ledger_proves_nothing() -> None:
    """That a new ledger has cancelled a key does not mean that nothing was done: the outcome is unknown."""
    executor = ScriptedExecutor()
    executor.script("cure", Answer(slow=True))
    one = call(left=0.3)
    carried = asyncio.create_task(courier(executor).carry(one, wanted))
    await eventually(executor.running, "it runs")
    executor.away = True
    await eventually(lambda: now() > one.deadline, "its time is over")
    executor.forget()
    executor.away = False
    assert await carried == Lost("the executor's ledger changed from ledger-1 to ledger-2")


async def test_a_key_found_cancelled_in_another_ledger_proves_nothing() -> None:
    """The same after a crash between the cancel and the journal: the dead key is found, the outcome stays unknown."""
    executor = ScriptedExecutor(ledger="ledger-2")
    await executor.cancel(KEY)
    answer = await courier(executor).carry(call(fresh=False), wanted)
    assert answer == Lost("the executor's ledger changed from ledger-1 to ledger-2")


async def test_what_another_ledger_has_done_counts() -> None:
    """A result is a result, in whatever ledger it stands."""
    executor = ScriptedExecutor(ledger="ledger-2")
    await late(executor)
    answer = await courier(executor).carry(call(fresh=False), wanted)
    assert isinstance(answer, ActionOutcome)
    assert answer.success


class Suspicious(ScriptedExecutor):
    """Loses the first order on its way, and refuses the caller's token afterwards."""

    async def execute(self, request: ActionRequest) -> ActionOutcome:
        """As said."""
        self.asked.append(request.key)
        if len(self.asked) == 1:
            raise Unanswered("the connection was cut")
        raise Misunderstood("executor answered 401: a valid bearer token is required")


async def test_a_refused_second_order_does_not_speak_for_the_first() -> None:
    """A copy of the order is refused, but the first may still arrive: its key is dead before the step fails."""
    executor = Suspicious()
    answer = await courier(executor).carry(call(), wanted)
    assert isinstance(answer, ActionOutcome)
    assert (answer.status, answer.error_class) == ("cancelled", ErrorClass.PERMANENT)
    assert "401" in answer.message
    assert executor.cancelled == [KEY]
    assert (await ScriptedExecutor.execute(executor, call().request)).status == "cancelled"


class Mute(ScriptedExecutor):
    """Takes every cancel and never answers one."""

    async def cancel(self, key: str) -> ActionOutcome:
        """As said."""
        self.refused_cancels += 1
        await asyncio.Event().wait()
        return await super().cancel(key)


async def test_a_cancel_that_hangs_does_not_hold_the_end_back() -> None:
    """Cancel-by-key has until the execution's very last moment, however patient the client is."""
    executor = Mute()
    answer = await courier(executor).settle(call(left=-100))  # its last moment has passed as well
    assert answer == Lost("cancel-by-key was not answered: no answer in time")
    assert executor.refused_cancels == 1
