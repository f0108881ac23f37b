"""What is asked for at the same time is done together, and everybody gets their own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from workflow_service.intake.gathering import Gathering

pytestmark = [pytest.mark.requirement("BR-WF-001")]


class Doubling:
    """Work that doubles numbers, holds until told to go on, and refuses odd ones."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.began, self.go_on = asyncio.Event(), asyncio.Event()

    async def work(self, things: Sequence[int]) -> Sequence[int | BaseException]:
        """Twice each."""
        self.groups.append(list(things))
        self.began.set()
        await self.go_on.wait()
        return [ValueError(thing) if thing % 2 else thing * 2 for thing in things]


async def test_what_comes_meanwhile_makes_up_the_next_group() -> None:
    """One alone is served alone; all that comes while it is served is one group, but for the bound."""
    doubling = Doubling()
    gathering: Gathering[int, int] = Gathering(doubling.work, most=3)
    first = asyncio.create_task(gathering.ask(2))
    await doubling.began.wait()
    others = [asyncio.create_task(gathering.ask(number)) for number in (4, 6, 8, 10)]
    await asyncio.sleep(0)
    doubling.go_on.set()
    assert await asyncio.gather(first, *others) == [4, 8, 12, 16, 20]
    assert doubling.groups == [[2], [4, 6, 8], [10]]
    assert await gathering.ask(12) == 24


async def test_everybody_gets_their_own_answer() -> None:
    """A refusal goes to whom it belongs; who has gone away takes nobody along."""
    doubling = Doubling()
    gathering: Gathering[int, int] = Gathering(doubling.work, most=10)
    asked = [asyncio.create_task(gathering.ask(number)) for number in (2, 3, 4)]
    await doubling.began.wait()
    asked[0].cancel()
    doubling.go_on.set()
    gone, refused, answered = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(gone, asyncio.CancelledError)
    assert isinstance(refused, ValueError)
    assert answered == 8


async def test_work_that_breaks_is_told_to_all_that_wait_for_it() -> None:
    """Who comes afterwards is served again."""
    broken = True

    async def work(things: Sequence[int]) -> Sequence[int | BaseException]:
        if broken:
            raise OSError("gone")
        return things

    gathering: Gathering[int, int] = Gathering(work, most=10)
    answers = await asyncio.gather(gathering.ask(1), gathering.ask(2), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OSError, OSError]
    broken = False
    assert await gathering.ask(3) == 3
