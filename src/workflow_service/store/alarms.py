"""The rows of alarms: every replica looks, one of them makes each change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.store import outbox
from workflow_service.store.database import Database
from workflow_service.store.outbox import Letter
from workflow_service.store.tables import Moment, alarms, alerts

_SEEN = (
    sa.update(alarms)
    .where(alarms.c.name == sa.bindparam("b_name"), alarms.c.seen_at < sa.bindparam("at", type_=Moment))
    .values(seen_at=sa.bindparam("at", type_=Moment))
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an alarm stands."""

    name: str
    raised: bool
    number: int
    since: datetime
    seen_at: datetime


async def seen(connection: AsyncConnection, when: Mapping[str, datetime]) -> None:
    """What is expected has come then; an alarm that nobody keeps is none."""
    if when:
        await connection.execute(_SEEN, [{"b_name": name, "at": at} for name, at in sorted(when.items())])


async def standing(database: Database, names: Collection[str], now: datetime) -> Sequence[Standing]:
    """Where these alarms stand; those that are new begin now, and are not raised.

    Raises:
        StoreUnavailable: the database is away.
    """
    columns = [alarms.c[name] for name in Standing.__dataclass_fields__]
    query = sa.select(*columns).where(alarms.c.name.in_(names)).order_by(alarms.c.name)
    async with database.read() as connection:
        found = [Standing(*row) for row in await connection.execute(query)]
    if len(found) == len(names):
        return found
    insert = sqlite_insert if database.sqlite else postgresql_insert
    rows = [{"name": name, "raised": False, "number": 0, "since": now, "seen_at": now} for name in sorted(names)]
    async with database.write() as connection:
        await connection.execute(insert(alarms).on_conflict_do_nothing(), rows)
        return [Standing(*row) for row in await connection.execute(query)]


async def change(database: Database, before: Standing, now: datetime, letters: Sequence[Letter]) -> Standing | None:
    """The alarm is raised now, or over: where it stands; None when another replica has noticed first.

    `letters`: what somebody is to be told of it.

    Raises:
        StoreUnavailable: the database is away.
    """
    after = Standing(before.name, not before.raised, before.number + 1, now, before.seen_at)
    update = sa.update(alarms).where(alarms.c.name == before.name, alarms.c.number == before.number)
    async with database.write() as connection:
        done = await connection.execute(update.values(raised=after.raised, number=after.number, since=now))
        if not done.rowcount:
            return None
        await outbox.keep(connection, letters, sqlite=database.sqlite)
    return after


async def undecided_since(database: Database) -> datetime | None:
    """Since when the alert that has waited longest for its decision waits; None: no alert does.

    Raises:
        StoreUnavailable: the database is away.
    """
    waits = sa.func.coalesce(alerts.c.decided_at, alerts.c.received_at, type_=Moment)
    query = sa.select(sa.func.min(waits, type_=Moment)).where(alerts.c.outcome.is_(None))
    async with database.read() as connection:
        found: datetime | None = await connection.scalar(query)
    return found
