"""Who has the right of way goes first; who gives it waits its turn, and never for ever."""

from __future__ import annotations

import asyncio

import pytest

from workflow_service.right_of_way import RightOfWay

pytestmark = [pytest.mark.requirement("BR-WF-001")]

FOR_EVER = 3600.0


def _giving(way: RightOfWay, number: int, went: list[int]) -> list[asyncio.Task[None]]:
    async def give(name: int) -> None:
        await way.give()
        went.append(name)

    return [asyncio.create_task(give(name)) for name in range(number)]


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_nobody_to_give_way_to() -> None:
    """Then it is no more than a question: not even the loop has a turn."""
    way, turns = RightOfWay(), list[int]()
    asyncio.get_running_loop().call_soon(turns.append, 1)
    await way.give()
    assert not turns


async def test_all_that_pass_go_first() -> None:
    """Only when the last of them is through, however it got through, others go on, in the order of coming."""
    way, went = RightOfWay(longest=FOR_EVER), list[int]()
    with way.taken():
        tasks = _giving(way, 3, went)
        await _turns(5)
        with pytest.raises(KeyError), way.taken():
            raise KeyError
        await _turns(5)
        assert went == []
    await asyncio.gather(*tasks)
    assert went == [0, 1, 2]


async def test_who_comes_meanwhile_goes_before_the_rest() -> None:
    """Between two that go on, the loop hears of others; one of them that has the right of way holds the rest up."""
    way, went = RightOfWay(longest=FOR_EVER), list[int]()
    with way.taken():
        tasks = _giving(way, 9, went)
        await _turns(2)
    await tasks[0]
    with way.taken():
        await _turns(2)  # for one whose turn it was already
        gone = len(went)
        await _turns(20)
        assert len(went) == gone < 9
    await asyncio.gather(*tasks)
    assert went == [*range(9)]


async def test_one_right_behind_another() -> None:
    """When the next one passes before the loop has had a turn, nobody goes on between them."""
    way, went = RightOfWay(longest=FOR_EVER), list[int]()
    with way.taken():
        tasks = _giving(way, 2, went)
        await _turns(2)
    with way.taken():
        await _turns(5)
        assert went == []
    await asyncio.gather(*tasks)


async def test_nobody_overtakes() -> None:
    """Who gives way when it is free already, but others have not gone on yet, goes after them."""
    way, went = RightOfWay(longest=FOR_EVER), list[int]()
    with way.taken():
        tasks = _giving(way, 2, went)
        await _turns(2)
    await way.give()
    assert went == [0, 1]
    await asyncio.gather(*tasks)


async def test_not_for_ever() -> None:
    """After the longest time one goes on though the way is taken still, and leaves nothing behind."""
    way, went = RightOfWay(longest=0.01), list[int]()
    with way.taken():
        await asyncio.gather(*_giving(way, 3, went))
        assert went == [0, 1, 2]
        assert not way._waiting


async def test_who_is_cancelled_takes_no_turn_along() -> None:
    """The next one goes on, whether it was cancelled while waiting or in the moment of its turn."""
    way, went = RightOfWay(longest=FOR_EVER), list[int]()
    with way.taken():
        first, second, third = _giving(way, 3, went)
        await _turns(2)
        first.cancel()
    second.cancel()
    await third
    assert went == [2]
    await asyncio.gather(first, second, return_exceptions=True)
