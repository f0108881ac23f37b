"""The rows of alarms: every replica looks, one of them makes each change and sends each message."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.store.database import Database
from workflow_service.store.tables import Moment, alarm_messages, alarms, alerts

_SEEN = (
    sa.update(alarms)
    .where(alarms.c.name == sa.bindparam("b_name"), alarms.c.seen_at < sa.bindparam("at", type_=Moment))
    .values(seen_at=sa.bindparam("at", type_=Moment))
)
_ONE = (
    alarm_messages.c.name == sa.bindparam("b_name"),
    alarm_messages.c.number == sa.bindparam("b_number"),
    alarm_messages.c.tries == sa.bindparam("b_tries"),
)
_UPDATE = sa.update(alarm_messages).where(*_ONE)
_CLAIM = _UPDATE.values(tries=alarm_messages.c.tries + 1, due_at=sa.bindparam("b_at", type_=Moment))
_ARRIVED = _UPDATE.values(due_at=None, trouble=None)
_FAILED = _UPDATE.values(trouble=sa.bindparam("b_why"))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an alarm stands."""

    name: str
    raised: bool
    number: int
    since: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """One change that somebody outside is to be told."""

    id: str  # the same in every try
    name: str
    number: int
    at: datetime
    document: Mapping[str, Any]
    tries: int


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


async def change(
    database: Database, before: Standing, now: datetime, message: Mapping[str, Any] | None
) -> Standing | None:
    """The alarm is raised now, or over: where it stands; None when another replica has noticed first.

    `message`: what somebody is to be told of it; None: nobody is.

    Raises:
        StoreUnavailable: the database is away.
    """
    after = Standing(before.name, not before.raised, before.number + 1, now, before.seen_at)
    update = sa.update(alarms).where(alarms.c.name == before.name, alarms.c.number == before.number)
    async with database.write() as connection:
        done = await connection.execute(update.values(raised=after.raised, number=after.number, since=now))
        if not done.rowcount:
            return None
        if message is not None:
            row = {
                "id": str(uuid.uuid4()),
                "name": after.name,
                "number": after.number,
                "at": now,
                "document": message,
                "tries": 0,
            }
            await connection.execute(sa.insert(alarm_messages).values(**row, due_at=now))
    return after


async def due(database: Database, now: datetime) -> Sequence[Message]:
    """Of every alarm the oldest message that has not arrived, where its next try is due.

    Raises:
        StoreUnavailable: the database is away.
    """
    columns = [alarm_messages.c[name] for name in Message.__dataclass_fields__]
    query = sa.select(*columns, alarm_messages.c.due_at).where(alarm_messages.c.due_at.is_not(None))
    waiting: dict[str, tuple[Message, datetime]] = {}
    async with database.read() as connection:
        for *row, due_at in await connection.execute(query.order_by(alarm_messages.c.number)):
            waiting.setdefault(row[1], (Message(*row), due_at))
    return [message for message, due_at in waiting.values() if due_at <= now]


async def claim(database: Database, message: Message, *, again_at: datetime) -> bool:
    """Whether this try is ours; unless it succeeds, the next one is due then.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.write() as connection:
        return bool((await connection.execute(_CLAIM, {**_key(message), "b_at": again_at})).rowcount)


async def settle(database: Database, message: Message, *, trouble: str | None) -> None:
    """How our try has ended; `trouble` None: it has arrived.

    Raises:
        StoreUnavailable: the database is away.
    """
    mine = {**_key(message), "b_tries": message.tries + 1}
    async with database.write() as connection:
        if trouble is None:
            await connection.execute(_ARRIVED, mine)
        else:
            await connection.execute(_FAILED, {**mine, "b_why": trouble})


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


def _key(message: Message) -> dict[str, Any]:
    return {"b_name": message.name, "b_number": message.number, "b_tries": message.tries}
