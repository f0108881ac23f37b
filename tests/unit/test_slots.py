"""Slots: never more riding than there are, nobody overtaken, none lost whoever gives up waiting."""

from __future__ import annotations

import asyncio

from workflow_service.engine.slots import Seat, Slots


async def _waiting(slots: Slots, number: int) -> list[asyncio.Task[bool]]:
    tasks = [asyncio.create_task(slots.take()) for _ in range(number)]
    await asyncio.sleep(0)
    return tasks


async def test_no_more_than_there_are() -> None:
    """Two slots are had twice, a third time only when one is given back."""
    slots = Slots(2)
    assert [slots.take_now() for _ in range(3)] == [True, True, False]
    slots.give_back()
    assert await slots.take()
    assert not slots.take_now()


async def test_who_waits_comes_first_in_the_order_of_coming() -> None:
    """A slot that is given back goes to whoever waits longest, never to somebody who asks just now."""
    slots = Slots(1)
    assert slots.take_now()
    first, second = await _waiting(slots, 2)
    slots.give_back()
    assert not slots.take_now()
    assert await first
    assert not second.done()
    slots.give_back()
    assert await second


async def test_who_gives_up_takes_no_slot_along() -> None:
    """Cancelled while waiting, or in the very moment of its turn: the slot goes to the next one."""
    slots = Slots(1)
    assert slots.take_now()
    gone, lucky, patient = await _waiting(slots, 3)
    gone.cancel()
    await asyncio.sleep(0)
    slots.give_back()  # the first is gone: it is the second one's turn
    lucky.cancel()
    await asyncio.wait({lucky})
    assert lucky.cancelled()
    assert await patient
    slots.give_back()
    assert slots.take_now()


async def test_closed_slots_are_had_by_nobody() -> None:
    """Who waits is told so, and who comes later too; what is out may be given back."""
    slots = Slots(1)
    assert slots.take_now()
    (waits,) = await _waiting(slots, 1)
    slots.close()
    assert not await waits
    slots.give_back()
    assert not slots.take_now()
    assert not await slots.take()


async def test_a_seat_is_left_once() -> None:
    """Changed for one of another kind it frees the first; left twice it frees one."""
    planning, running = Slots(1), Slots(1)
    assert planning.take_now()
    seat = Seat(planning)
    assert seat.move(running)
    assert planning.take_now()
    other = Seat(planning)
    assert not other.move(running)
    seat.leave()
    seat.leave()
    assert running.take_now()
    assert not running.take_now()
    assert not planning.take_now()
