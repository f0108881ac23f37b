"""Doing together what is asked for at the same time: what comes while one group is under way makes up the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Sequence[T]], Awaitable[Sequence[R | BaseException]]]


class Gathering(Generic[T, R]):
    """One kind of work; nobody waits for company, and who comes alone is served alone."""

    def __init__(self, work: Work[T, R], *, most: int) -> None:
        """`work` answers each of at most `most` things in their order: with a result, or with what to raise for it."""
        self._work, self._most = work, most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, thing: T) -> R:
        """The result for one thing. The work goes on when whoever asked is cancelled.

        Raises:
            Exception: what the work says.
        """
        return await self._begin(thing)

    async def ask_all(self, things: Sequence[T]) -> list[R | BaseException]:
        """For each thing, in their order, the result or what the work says; they are worked on together."""
        return await asyncio.gather(*[self._begin(thing) for thing in things], return_exceptions=True)

    def _begin(self, thing: T) -> asyncio.Future[R]:
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((thing, done))
        if self._working is None:
            self._working = asyncio.create_task(self._work_off())
        return done

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # who wakes in this very turn of the loop comes along
                group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._do(group)
        finally:
            self._working = None

    async def _do(self, group: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        answers: Sequence[R | BaseException]
        try:
            answers = await self._work([thing for thing, _ in group])
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            answers = [error] * len(group)
        except asyncio.CancelledError:
            for _, done in [*group, *self._waiting]:
                done.cancel()
            self._waiting.clear()
            raise
        for (_, done), answer in zip(group, answers, strict=True):
            if done.done():
                continue  # nobody waits any more
            if isinstance(answer, BaseException):
                done.set_exception(answer)
            else:
                done.set_result(answer)
