"""Wake-ups within one process: the whole bus of an embedded service, and the local half of the Redis one."""

from __future__ import annotations

import asyncio


class InProcessBus:
    """`ports.EventBus` for one process. Used from one event loop only."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    async def publish(self, topic: str) -> None:
        """Wake everybody who waits for `topic` now."""
        self.wake(topic)

    async def wait(self, topic: str, *, timeout: float) -> bool:
        """True as soon as `topic` is published, False after `timeout` seconds."""
        woken = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(topic, set()).add(woken)
        try:
            async with asyncio.timeout(timeout):
                await woken
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._forget(topic, woken)

    async def healthy(self) -> bool:
        """Always: there is nothing between those who publish and those who wait."""
        return True

    def wake(self, topic: str) -> None:
        """Wake who waits for `topic`."""
        for woken in self._waiting.pop(topic, ()):
            if not woken.done():
                woken.set_result(None)

    def wake_all(self) -> None:
        """Wake who waits for anything, because wake-ups may have been lost."""
        for topic in list(self._waiting):
            self.wake(topic)

    def _forget(self, topic: str, woken: asyncio.Future[None]) -> None:
        others = self._waiting.get(topic)
        if others is not None:
            others.discard(woken)
            if not others:
                del self._waiting[topic]
