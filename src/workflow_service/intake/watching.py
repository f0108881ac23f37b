"""Noticing that alerts have stopped coming or being decided, and telling somebody outside of it.

Every replica looks. The one that changes an alarm's row first has made the change, and what is told of it is stored
with it in the outbox, which brings it to people in the order of the changes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from workflow_service.domain.notices import Kind
from workflow_service.domain.watchdog import Watchdog, is_missed
from workflow_service.store import alarms
from workflow_service.store.alarms import Standing
from workflow_service.store.database import Database
from workflow_service.store.outbox import Letter
from workflow_service.telemetry.intake import IntakeMetrics

UNDECIDED = "undecided"
LONGEST_PERIOD = 5.0  # seconds between looks
DEAF = 3  # looks that were missed in a row make us wonder what else we did not hear

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to come, and how soon; an interval of 0 asks for nothing."""

    watchdogs: tuple[Watchdog, ...] = ()
    interval: timedelta = timedelta()
    undecided: timedelta = timedelta()  # how long an alert may wait for its decision
    source: str = ""  # who is speaking, such as the cluster's name

    @property
    def names(self) -> tuple[str, ...]:
        """Of all alarms that are kept."""
        dogs = tuple(dog.name for dog in self.watchdogs) if self.interval else ()
        return (*dogs, UNDECIDED) if self.undecided else dogs

    @property
    def period(self) -> float:
        """Seconds between looks."""
        shortest = min((span.total_seconds() for span in (self.interval, self.undecided) if span), default=60.0)
        return min(LONGEST_PERIOD, shortest / 4)


@dataclass(slots=True)
class _Ear:
    """Since when this replica has looked without a gap: what it could not hear, it does not miss."""

    clock: Callable[[], datetime]
    gap: float
    looked_at: float = field(default=float("-inf"))
    since: datetime | None = None

    def listening_since(self) -> datetime:
        """At every look."""
        before, self.looked_at = self.looked_at, time.monotonic()
        if self.since is None or self.looked_at - before > self.gap:
            self.since = self.clock()
        return self.since


class Watch:
    """One replica's."""

    def __init__(
        self,
        database: Database,
        expected: Expected,
        metrics: IntakeMetrics,
        *,
        channels: Sequence[str],
        clock: Callable[[], datetime],
    ) -> None:
        """`channels`: over which somebody outside is told; none: nobody is."""
        self._database, self._expected, self._metrics = database, expected, metrics
        self._channels, self._clock = channels, clock
        self._ear = _Ear(clock, gap=DEAF * expected.period)
        self._raised: frozenset[str] = frozenset()

    async def quiet(self) -> bool:
        """Whether no alarm is raised, as far as this replica knows."""
        return not self._raised

    async def look(self) -> None:
        """Raise what has to be raised, and end what is over.

        Raises:
            StoreUnavailable: the database is away.
        """
        names = self._expected.names
        if names:
            since = self._ear.listening_since()
            found = [await self._judged(one, since) for one in await alarms.standing(self._database, names, since)]
            self._raised = frozenset(one.name for one in found if one.raised)
            for one in found:
                self._metrics.alarm(one.name, raised=one.raised)

    async def _judged(self, before: Standing, listening_since: datetime) -> Standing:
        now = self._clock()
        why = await (self._undecided(now) if before.name == UNDECIDED else self._missed(before, listening_since, now))
        if bool(why) == before.raised:
            return before
        after = await alarms.change(self._database, before, now, self._letters(before, why, now))
        if after is None:
            return before  # the next look sees what another replica has made of it
        log.warning("an alarm about this service", alarm=after.name, raised=after.raised, why=why)
        return after

    async def _missed(self, before: Standing, listening_since: datetime, now: datetime) -> str:
        """Why the watchdog is missed; empty: it is not."""
        expected = self._expected.interval
        # Whether one that was missed has come is told by its coming alone.
        since = before.seen_at if before.raised else listening_since
        if not is_missed(before.seen_at, since, expected, now):
            return ""
        return f"the watchdog {before.name} has not come for {expected.total_seconds():g} s"

    async def _undecided(self, now: datetime) -> str:
        since, bound = await alarms.undecided_since(self._database), self._expected.undecided
        if since is None or now - since <= bound:
            return ""
        return f"an alert has waited for its decision for more than {bound.total_seconds():g} s"

    def _letters(self, before: Standing, why: str, now: datetime) -> Sequence[Letter]:
        """What the change is told as, one for each channel."""
        raised = not before.raised
        data = {
            "alarm": before.name,
            "raised": raised,
            "message": why or f"the alarm {before.name}, raised at {before.since.isoformat()}, is over",
            "last_seen_at": None if before.name == UNDECIDED else before.seen_at.isoformat(),
            "cluster": self._expected.source,
        }
        return [_letter(channel, before.name, data, now) for channel in self._channels]


def _letter(channel: str, alarm: str, data: Mapping[str, Any], now: datetime) -> Letter:
    """Of one alarm the changes are told in their order, and for as long as it takes."""
    return Letter(
        id=str(uuid.uuid4()),
        channel=channel,
        kind=Kind.ALARM_RAISED if data["raised"] else Kind.ALARM_OVER,
        at=now,
        workflow_id=None,
        execution_id=None,
        step="",
        namespace=None,
        severity="critical",
        document=data,
        due_at=now,
        line=f"{channel}:{alarm}",
    )
