"""Sends what is in the outbox: each channel by itself, so that one that hangs holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import structlog

from workflow_service.domain.errors import NotTold
from workflow_service.domain.letters import Link, Message, headline, lines
from workflow_service.ports import Channel
from workflow_service.store import outbox
from workflow_service.store.database import Database
from workflow_service.store.outbox import Letter
from workflow_service.telemetry.notifications import NotificationMetrics

PERIOD = 1.0  # seconds between looks
IN_FLIGHT = timedelta(seconds=30)  # longer than any channel's try: until then a claimed one is nobody else's
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)  # between tries, doubled after each
RECENT = timedelta(days=1)  # for which one that was given up colours the health

log = structlog.get_logger(__name__)


class _Gone:
    """Stands for a channel that was configured when the notification was written."""

    async def tell(self, message: Message) -> None:  # noqa: ARG002 - the port's
        """Nobody is there; it may be configured again before the notification is given up.

        Raises:
            NotTold: always.
        """
        raise NotTold("no such channel is configured")


_GONE = _Gone()


class Postman:
    """One replica's."""

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, Channel],
        metrics: NotificationMetrics,
        *,
        links: Callable[[Letter], Sequence[Link]],
        clock: Callable[[], datetime],
    ) -> None:
        """`links`: what a message leads to."""
        self._database, self._channels, self._metrics = database, channels, metrics
        self._links, self._clock = links, clock
        self._quiet = True

    async def healthy(self) -> bool:
        """Whether everybody could be told lately, as far as this replica knows."""
        return self._quiet

    async def deliver(self) -> None:
        """Send what is due.

        Raises:
            StoreUnavailable: the database is away.
        """
        waiting = sorted(await outbox.due(self._database, self._clock()), key=lambda letter: letter.channel)
        channels = [list(letters) for _, letters in groupby(waiting, key=lambda letter: letter.channel)]
        await asyncio.gather(*map(self._round, channels))

    async def measure(self) -> None:
        """Count what has not arrived.

        Raises:
            StoreUnavailable: the database is away.
        """
        found = await outbox.standing(self._database, since=self._clock() - RECENT)
        self._metrics.overdue({channel: found.overdue.get(channel, 0) for channel in {*self._channels, *found.overdue}})
        self._quiet = not found.overdue and not found.given_up

    async def _round(self, letters: Sequence[Letter]) -> None:
        """One channel's; after a failure it is left alone until the next look."""
        for letter in letters:
            if not await self._send(letter):
                return

    async def _send(self, letter: Letter) -> bool:
        """Whether the channel may be tried with another one."""
        if not await outbox.claim(self._database, letter, again_at=self._clock() + IN_FLIGHT):
            return True  # another replica sends it
        channel = self._channels.get(letter.channel, _GONE)
        try:
            await channel.tell(self._message(letter))
        except NotTold as error:
            await self._failed(letter, error)
            return False
        await outbox.delivered(self._database, letter, now=self._clock())
        self._metrics.told(channel=letter.channel, outcome="delivered")
        return True

    async def _failed(self, letter: Letter, error: NotTold) -> None:
        now = self._clock()
        pause = max(min(FIRST_PAUSE * 2 ** min(letter.tries, 16), LONGEST_PAUSE), timedelta(seconds=error.wait))
        again_at = now + pause
        over = letter.give_up_at is not None and again_at > letter.give_up_at
        about = {"notification": letter.id, "channel": letter.channel, "kind": letter.kind, "why": str(error)}
        if over:
            log.error("A NOTIFICATION IS GIVEN UP", **about, workflow_id=letter.workflow_id)
        else:
            log.warning("a notification has not arrived and is tried again", **about)
        await outbox.failed(self._database, letter, why=str(error), again_at=None if over else again_at, now=now)
        self._metrics.told(channel=letter.channel, outcome="given_up" if over else "failed")

    def _message(self, letter: Letter) -> Message:
        return Message(
            id=letter.id,
            kind=letter.kind,
            at=letter.at.isoformat(),
            headline=headline(letter.kind, letter.document),
            lines=lines(letter.kind, letter.document),
            links=self._links(letter),
            data=letter.document,
        )
