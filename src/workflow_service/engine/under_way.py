"""What a drive has sent out, and its wait for whatever comes first: an answer, a time, a command, the stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence

from workflow_service.domain.mending import Mended
from workflow_service.engine.errands import Answer, Errand
from workflow_service.engine.looking import Outlook, Seen
from workflow_service.engine.recovering import Asking
from workflow_service.ports import NoRemedy

Sent = Errand | Outlook | Asking  # what a drive carries
Back = Answer | Seen | Mended | NoRemedy  # what comes of it


class UnderWay:
    """The errands and looks of one drive."""

    def __init__(self, *interrupts: asyncio.Event) -> None:
        """`interrupts` end a wait as soon as they are set."""
        self._interrupts = interrupts
        self._calls: dict[asyncio.Event, asyncio.Task[bool]] = {}
        self._live: dict[asyncio.Task[Back], Sent] = {}
        self._over: list[asyncio.Task[Back]] = []  # and not heard yet
        self._woken = asyncio.Event()

    @property
    def steps(self) -> set[str]:
        """The steps that something is under way for."""
        return {errand.step for errand in self._live.values()}

    def send(self, errand: Sent, carrying: Coroutine[None, None, Back]) -> None:
        """Let `carrying` bring the answer."""
        name = errand.call.request.key if isinstance(errand, Errand) else f"look:{errand.step}"
        task = asyncio.create_task(carrying, name=name)
        task.add_done_callback(self._come_back)
        self._live[task] = errand

    def call_off(self, step: str) -> None:
        """Nobody wants to know any more what is under way for that step."""
        for task in [task for task, errand in self._live.items() if errand.step == step]:
            task.cancel()
            del self._live[task]

    async def back(self, within: float | None) -> Sequence[tuple[Sent, Back]]:
        """Those that are back; waits for one, for `within` seconds, or for an interrupt.

        Cheaper than `asyncio.wait`, which would watch and leave every task anew each time.
        """
        for event in self._interrupts:
            if event not in self._calls or self._calls[event].done():
                self._calls[event] = asyncio.create_task(event.wait())
                self._calls[event].add_done_callback(lambda _: self._woken.set())
        clock = None if within is None else asyncio.get_running_loop().call_later(max(0.0, within), self._woken.set)
        try:
            await self._woken.wait()
        finally:
            if clock is not None:
                clock.cancel()
        self._woken.clear()
        over, self._over = self._over, []
        return [(self._live.pop(task), task.result()) for task in over if task in self._live]

    def _come_back(self, task: asyncio.Task[Back]) -> None:
        self._over.append(task)
        self._woken.set()

    async def abandon(self) -> None:
        """Stop carrying; whoever drives next asks by key."""
        for task in (*self._live, *self._calls.values()):
            task.cancel()
        await asyncio.gather(*self._live, return_exceptions=True)
        self._live.clear()
