"""Store first, then decide once: attached, cooled down, resolved or admitted.

The decision and all that follows from it (workflow, identities, execution, its start) is one transaction, so an alert
is either undecided, and the sweeper decides it, or decided whole. When this replica has a slot, the execution is stored
as its own and begins as soon as that is committed; should it die first, its executions are adopted as all others are.
Without a slot the start is an entry of the durable queue. Two replicas that decide about the same thing
at the same instant meet on the primary key of `active_identities`: one admits, the other looks again and attaches.

What comes at the same time is stored, and decided, in one transaction: a storm costs a fraction of its alerts' commits.
What fails together is tried one by one, so that nothing suffers from its neighbours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError

from workflow_service.domain.admission_facts import Limits
from workflow_service.domain.alert import Alert
from workflow_service.domain.errors import StoreUnavailable
from workflow_service.intake import statements as sql
from workflow_service.intake.deciding import Decider, Outcome
from workflow_service.intake.gathering import Gathering
from workflow_service.intake.keeping import Delivery, Flaw, Keeper, Kept, kept_of
from workflow_service.intake.starter import Starter, Starts
from workflow_service.ports import Engine
from workflow_service.store.database import Database
from workflow_service.store.locks import Wake
from workflow_service.store.tables import alerts

__all__ = ("Delivery", "Flaw", "Heard", "Intake", "Outcome")

UNDECIDED = timedelta(seconds=5)  # after which the sweeper takes an alert that a crash left undecided
SWEPT = 500  # alerts that one sweep decides
RACES = 5  # lost races in a row, each of which means that somebody else made progress
TOGETHER = 100  # deliveries, or alerts, in one transaction at most

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """How workflows hear that their alerts have resolved."""

    wake: Wake  # a drive for an execution that nobody drives
    tell: Callable[[], Awaitable[None]]  # there is something to hear, for whoever drives


class Outrun(StoreUnavailable):
    """Others have decided about the same things first, again and again."""


class Intake:
    """Takes alerts in for one replica."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        *,
        limits: Limits,
        clock: Callable[[], datetime],
        starter: Starter | None = None,
        heard: Heard | None = None,
    ) -> None:
        """`starter` None: every start is queued; `heard` None: the ends of alerts are heard of at the next look."""
        self._database, self._starter, self._clock = database, starter, clock
        self._keeper = Keeper(database)
        self._heard = heard
        self._decider = Decider(engine, limits, heard.wake if heard is not None else None)
        self._storing: Gathering[Kept, None] = Gathering(self._store_all, most=TOGETHER)
        self._deciding: Gathering[str, Outcome] = Gathering(self._decide_all, most=TOGETHER)

    async def store(self, delivery: Delivery, found: Sequence[Alert]) -> list[str]:
        """Keep the delivery and its alerts, undecided; once this returns, nothing of it can be lost. The alerts' ids.

        Raises:
            StoreUnavailable: the database did not take it; nothing was kept.
        """
        kept = kept_of(delivery, found, self._clock())
        await self._storing.ask(kept)
        return [str(row["id"]) for row in kept.alerts]

    async def decide(self, alert_id: str) -> Outcome:
        """What becomes of a stored alert; the same answer however often it is asked.

        Raises:
            StoreUnavailable: the database is away; the sweeper will decide.
        """
        return await self._deciding.ask(alert_id)

    async def decide_all(self, alert_ids: Sequence[str]) -> list[Outcome | BaseException]:
        """What becomes of each stored alert, in their order; an error for each that the sweeper will have to decide."""
        return await self._deciding.ask_all(alert_ids)

    async def undecided(self, most: int) -> int:
        """How many stored alerts wait for their decision, counted up to `most`.

        Raises:
            StoreUnavailable: the database is away.
        """
        waiting = sa.select(sa.literal(1)).where(alerts.c.outcome.is_(None)).limit(most).subquery()
        async with self._database.read() as connection:
            return await connection.scalar(sa.select(sa.func.count()).select_from(waiting)) or 0

    async def sweep(self) -> int:
        """Decide what a crash left undecided, and again what stood back for a while; returns how many.

        Raises:
            StoreUnavailable: the database is away.
        """
        before = self._clock() - UNDECIDED
        async with self._database.read() as connection:
            query = (
                sa.select(alerts.c.id)
                .where(alerts.c.outcome.is_(None), alerts.c.received_at < before)
                .order_by(alerts.c.received_at)
                .limit(SWEPT)
            )
            left = list((await connection.execute(query)).scalars())
        return await self._decide_late(left, "left undecided") + await self._decide_late(
            await self._reconsidered(), "held back until now"
        )

    async def _decide_late(self, alert_ids: Sequence[str], why: str) -> int:
        answers = await self.decide_all(alert_ids)
        return sum(_decided(alert_id, answer, why) for alert_id, answer in zip(alert_ids, answers, strict=True))

    async def _reconsidered(self) -> list[str]:
        """Alerts that stood back until now, undecided again."""
        async with self._database.read() as connection:
            found = await connection.execute(sql.RECONSIDERED, {"now": self._clock(), "most": SWEPT})
            ids = list(found.scalars())
        if ids:
            async with self._database.write() as connection:
                await connection.execute(sql.UNDECIDE, {"ids": ids, "now": self._clock()})
        return ids

    async def _store_all(self, group: Sequence[Kept]) -> Sequence[BaseException | None]:
        return await _apart(self._keeper.keep, group)

    async def _decide_all(self, alert_ids: Sequence[str]) -> Sequence[Outcome | BaseException]:
        return await _apart(self._decide_together, alert_ids)

    async def _decide_together(self, alert_ids: Sequence[str]) -> Sequence[Outcome]:
        for _ in range(RACES):
            try:
                return await self._decide_once(alert_ids)
            except IntegrityError:
                log.info("another replica decided about the same thing first", alerts=len(alert_ids))
        raise Outrun(f"{len(alert_ids)} alerts lost {RACES} races in a row")

    async def _decide_once(self, alert_ids: Sequence[str]) -> Sequence[Outcome]:
        with Starts(self._starter) as starts:
            async with self._database.write() as connection:
                found = await self._decider.decide(connection, alert_ids, starts, now=self._clock())
            starts.stored()
        if found.news and self._heard is not None:
            await self._heard.tell()
        return [found.outcomes[alert_id] for alert_id in alert_ids]


def _decided(alert_id: str, answer: Outcome | BaseException, why: str) -> bool:
    """Whether an alert is decided now. One that cannot be decided hurts no other."""
    if isinstance(answer, StoreUnavailable):
        raise answer
    if isinstance(answer, BaseException):
        log.error("an alert cannot be decided", alert_id=alert_id, exc_info=answer)
        return False
    log.info("decided late about an alert", why=why, alert_id=alert_id, outcome=answer.outcome)
    return True


async def _apart(
    together: Callable[[Sequence[T]], Awaitable[Sequence[R]]], group: Sequence[T]
) -> Sequence[R | BaseException]:
    """All at once; where that is refused, each by itself, with its own error."""
    try:
        return await together(group)
    except Exception as error:
        if len(group) == 1:
            return [error]
        if isinstance(error, StoreUnavailable) and not isinstance(error, Outrun):
            raise  # it is nobody's in particular
    return [answer for one in group for answer in await _apart(together, [one])]
