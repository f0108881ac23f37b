"""Slots: how many drives of one kind ride at once on this replica, whichever way they came."""

from __future__ import annotations

import asyncio
from collections import deque


def at_the_door(slots: int) -> int:
    """How many drives a replica takes per look before it has slots: more would wait here while others are free."""
    return max(1, slots // 5)


class Slots:
    """A number of slots; who has to wait for one gets it in the order of coming, before anybody who does not wait."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._closed = False

    def take_now(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if self._closed or self._free == 0:
            return False
        self._free -= 1
        return True

    async def take(self) -> bool:
        """Take a slot as soon as there is one; False when the slots are closed first."""
        if self._closed or self.take_now():
            return not self._closed
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.give_back()
            raise

    def give_back(self) -> None:
        """Free a slot, for whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(True)
                return
        self._free += 1

    def close(self) -> None:
        """From now on nobody gets a slot; who waits is told so."""
        self._closed = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(False)


class Seat:
    """The slot of one ride: it may be changed for one of another kind, and is given back once."""

    def __init__(self, slots: Slots) -> None:
        self._slots: Slots | None = slots

    def move(self, slots: Slots) -> bool:
        """Change to one of these slots, if one is free and nobody waits for it."""
        if self._slots is None or not slots.take_now():
            return False
        self._slots.give_back()
        self._slots = slots
        return True

    def leave(self) -> None:
        """Give the slot back; nothing to do when that was done."""
        if self._slots is not None:
            self._slots.give_back()
            self._slots = None
