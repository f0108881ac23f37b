"""Wake-ups between replicas through Redis publish/subscribe, with local ones while Redis is away."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from workflow_service.live.in_process import InProcessBus

_CHANNEL = "workflow-service:wake"
_OUTBOX_SIZE = 10_000  # topics kept while Redis is away; more are dropped, which the port allows
_BATCH = 500
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds before reconnecting; the last one repeats

_log = structlog.get_logger(__name__)


class RedisBus:
    """`ports.EventBus` over one Redis channel. `publish` and `wait` never raise and never wait for Redis.

    A heartbeat through Redis and back proves that wake-ups pass; without one for three `heartbeat` seconds the bus is
    unhealthy and reconnects. After a reconnect everybody is woken, since wake-ups may have been lost meanwhile.
    Call `start` inside the event loop; Redis may be away then. The port's topics hold no line breaks.
    """

    def __init__(self, url: str, *, heartbeat: float = 2.0) -> None:
        self._local = InProcessBus()
        self._heartbeat = heartbeat
        self._origin = uuid.uuid4().hex
        self._outbox: asyncio.Queue[str] = asyncio.Queue(_OUTBOX_SIZE)
        self._heard_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._redis = Redis.from_url(
            url,
            protocol=2,
            socket_timeout=3 * heartbeat,
            socket_connect_timeout=2.0,
            retry=Retry(NoBackoff(), 0),  # reconnecting happens here, in one place
        )

    async def start(self) -> None:
        """Begin to connect, and keep connected until `close`."""
        self._task = asyncio.create_task(self._keep_connected())

    async def close(self) -> None:
        """Leave Redis; local wake-ups go on."""
        while self._task is not None and not self._task.done():
            self._task.cancel()  # again and again, see _cancelled
            await asyncio.wait({self._task}, timeout=0.1)
        await self._redis.aclose()

    async def publish(self, topic: str) -> None:
        """Wake who waits for `topic`: here at once, on other replicas as soon as Redis takes it."""
        self._local.wake(topic)
        with contextlib.suppress(asyncio.QueueFull):
            self._outbox.put_nowait(topic)

    async def wait(self, topic: str, *, timeout: float) -> bool:
        """True as soon as `topic` is published here or elsewhere, False after `timeout` seconds."""
        return await self._local.wait(topic, timeout=timeout)

    async def healthy(self) -> bool:
        """Whether something came through Redis lately."""
        now = asyncio.get_running_loop().time()
        return self._heard_at is not None and now - self._heard_at < 3 * self._heartbeat

    async def _keep_connected(self) -> None:
        failures = 0
        while True:
            try:
                await self._connected()
            except Exception as error:  # noqa: BLE001 - whatever breaks this carrier, it must come back
                failures = 1 if self._heard_at is not None else failures + 1
                if failures == 1:
                    _log.warning("redis is away, wake-ups stay local", error=_causes(error))
                self._heard_at = None
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1])

    async def _connected(self) -> None:
        async with self._redis.pubsub() as subscription:
            await subscription.subscribe(_CHANNEL)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._listen(subscription))
                both.create_task(self._send())

    async def _listen(self, subscription: PubSub) -> None:
        clock = asyncio.get_running_loop().time
        while not _cancelled():
            message = await subscription.get_message(timeout=3 * self._heartbeat)
            if message is None:
                raise ConnectionError("no heartbeat came back")
            if self._heard_at is None:
                _log.info("redis is there, wake-ups pass between replicas")
                self._local.wake_all()
            self._heard_at = clock()
            if message["type"] == "message":
                origin, _, topic = message["data"].decode("utf-8", "replace").partition(" ")
                if topic and origin != self._origin:
                    self._local.wake(topic)

    async def _send(self) -> None:
        while not _cancelled():
            topics = await self._topics()
            async with self._redis.pipeline(transaction=False) as batch:
                for topic in topics or {""}:  # an empty topic is the heartbeat
                    batch.publish(_CHANNEL, f"{self._origin} {topic}")
                await batch.execute()

    async def _topics(self) -> set[str]:
        try:
            async with asyncio.timeout(self._heartbeat):
                topics = {await self._outbox.get()}
        except TimeoutError:
            return set()
        while len(topics) < _BATCH and not self._outbox.empty():
            topics.add(self._outbox.get_nowait())
        return topics


def _cancelled() -> bool:
    # redis-py awaits with asyncio.wait_for, which on Python 3.11 loses a cancellation that comes with the answer.
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _causes(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_causes(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"
