"""What happens in all executions, told to every stream of this replica as soon as it is committed.

One reader serves all streams, and reads only while there are any: woken when something is journalled here or, through
the event bus, on another replica, and by itself once a second, since wake-ups may be lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog

from workflow_service.api.event_stream import event
from workflow_service.domain.errors import StoreUnavailable
from workflow_service.engine.ringing import EVERY, TOPIC
from workflow_service.ports import EventBus
from workflow_service.store import feed
from workflow_service.store.database import Database
from workflow_service.store.feed import Entry

MOST = 500  # streams at once
MOST_OF_ONE = 100  # of them of one caller
BUFFER = 1000  # entries that wait for one slow reader
LOOK = 1.0  # seconds between looks when nothing wakes
PAUSE = 1.5 * EVERY  # seconds before a look: what comes in a storm is read together

STOPPING, TOO_SLOW = "stopping", "too_slow"

log = structlog.get_logger(__name__)


class Full(Exception):
    """As many streams are open as may be."""


class Greedy(Exception):
    """One caller has as many streams as one may."""


@dataclass(frozen=True, slots=True)
class Message:
    """An entry as streams tell it: written once, however many tell it."""

    entry: Entry
    text: bytes


def message(entry: Entry) -> Message:
    """The entry as an event."""
    about = {
        "workflow_id": entry.workflow_id,
        "execution_id": entry.execution_id,
        "seq": entry.seq,
        "namespace": entry.namespace,
        "status": entry.status,
        "event": {"kind": entry.kind, "at": entry.at, **entry.data},
    }
    return Message(entry, event(about, key=f"{entry.execution_id}.{entry.seq}"))


class Subscription:
    """What one stream is told: entries that wait to be taken, and that there will be no more."""

    def __init__(self, wanted: Callable[[Entry], bool], most: int, caller: str | None = None) -> None:
        self.caller = caller
        self._wanted, self._most = wanted, most
        self._waiting: deque[Message] = deque()
        self._news = asyncio.Event()
        self.over: str | None = None  # why nothing more comes

    def offer(self, told: Message) -> None:
        """Let the entry wait, if it is wanted; a reader who is too far behind is cut off."""
        if self.over is not None or not self._wanted(told.entry):
            return
        if len(self._waiting) >= self._most:
            self.cut(TOO_SLOW)
            return
        self._waiting.append(told)
        self._news.set()

    def end(self, why: str) -> None:
        """Nothing more comes after what waits."""
        self.over = self.over or why
        self._news.set()

    def cut(self, why: str) -> None:
        """Nothing more comes, not even what waits."""
        self._waiting.clear()
        self.end(why)

    async def next(self, timeout: float) -> Message | None:
        """What comes next; None after `timeout` seconds, or when it is over."""
        if not self._waiting and self.over is None:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._news.wait()
        return self._waiting.popleft() if self._waiting else None


class Feed:
    """One replica's streams and their reader."""

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        *,
        clock: Callable[[], datetime],
        most: int = MOST,
        buffer: int = BUFFER,
    ) -> None:
        self._database, self._bus, self._clock = database, bus, clock
        self._most, self._buffer = most, buffer
        self._subscriptions: set[Subscription] = set()
        self._known: dict[str, int] = {}  # the newest entry that was told, by execution
        self._looked_at: datetime | None = None  # None: nothing is known
        self._looking = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None
        self._stopping = False

    async def open(self, wanted: Callable[[Entry], bool], *, caller: str | None = None) -> Subscription:
        """Be told whatever is committed from now on. `caller`: who has proved who they are; None: nobody was asked.

        Raises:
            Full: there are as many streams as may be.
            Greedy: the caller has as many as one may.
            StoreUnavailable: the database is away.
        """
        if len(self._subscriptions) >= self._most:
            raise Full(f"{self._most} event streams are open here")
        if caller is not None and sum(one.caller == caller for one in self._subscriptions) >= MOST_OF_ONE:
            raise Greedy(f"{caller} has {MOST_OF_ONE} event streams open here, which is as many as one caller may")
        subscription = Subscription(wanted, self._buffer, caller)
        self._subscriptions.add(subscription)
        if self._stopping:
            subscription.end(STOPPING)
            return subscription
        try:
            if self._looked_at is None:
                await self._look()
        except BaseException:
            self.close(subscription)
            raise
        if self._reader is None and not self._stopping:
            self._reader = asyncio.create_task(self._read_forever(), name="feed")
        return subscription

    def close(self, subscription: Subscription) -> None:
        """Tell it nothing more."""
        self._subscriptions.discard(subscription)
        if not self._subscriptions:
            self._stop_reading()

    def drain(self) -> None:
        """Every stream ends, those too that begin now: the replica is to stop."""
        self._stopping = True
        for subscription in self._subscriptions:
            subscription.end(STOPPING)
        self._stop_reading()

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        self._known, self._looked_at = {}, None

    async def _read_forever(self) -> None:
        while True:
            # Listen before looking, or what comes between the two would be noticed a look late.
            listening = asyncio.create_task(self._bus.wait(TOPIC, timeout=LOOK))
            try:
                await asyncio.sleep(PAUSE)
                await self._look()
                await listening
            except StoreUnavailable as error:
                log.warning("event streams wait for the database", error=str(error))
                await listening
            except Exception:
                # One reader serves all: whatever is wrong with one entry, the others must be told on.
                log.exception("event streams could not be told")
                await listening
            finally:
                listening.cancel()

    async def _look(self) -> None:
        """Tell what is new. The first look finds out what there is, and tells nothing."""
        async with self._looking:
            now, first = self._clock(), self._looked_at is None
            found = await feed.standings(self._database, ended_since=(self._looked_at or now) - feed.OVERLAP)
            if not first:
                # What was known and is not found any more has ended, perhaps with entries that are not told yet.
                moved = {one: known for one, known in self._known.items() if found.get(one) != known}
                moved |= dict.fromkeys(found.keys() - self._known.keys(), 0)
                for entry in await feed.entries_after(self._database, moved):
                    found[entry.execution_id] = max(entry.seq, found.get(entry.execution_id, 0))
                    told = message(entry)
                    for subscription in self._subscriptions:
                        subscription.offer(told)
            self._known, self._looked_at = found, now
