"""The outbox: written with what causes it, sent by whichever replica claims a row, again until it arrives.

A row is due for one try at a time. Whoever claims it moves its time beyond the try's own bound first, so that a replica
that dies while it sends is followed by another, and two that live do not send the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.errors import NotFound
from workflow_service.store.database import Database
from workflow_service.store.keyset import behind
from workflow_service.store.queries import plain
from workflow_service.store.tables import Moment, letters

BATCH = 200  # rows that one look takes


class Status(StrEnum):
    """Where a notification stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"  # tried for as long as it was worth it
    OBSOLETE = "obsolete"  # the question was answered before anybody was told
    UNADDRESSED = "unaddressed"  # no channel is configured for it: it is only shown


@dataclass(frozen=True, slots=True)
class Letter:
    """One thing to tell over one channel."""

    id: str  # the same in every try
    channel: str
    kind: str
    at: datetime
    workflow_id: str | None
    execution_id: str | None
    step: str
    namespace: str | None
    severity: str
    document: Mapping[str, Any]
    due_at: datetime | None
    give_up_at: datetime | None = None  # None: never
    line: str | None = None
    status: Status = Status.PENDING
    tries: int = 0


_COLUMNS = [letters.c[name] for name in Letter.__dataclass_fields__]
_MINE = sa.and_(letters.c.id == sa.bindparam("b_id"), letters.c.tries == sa.bindparam("b_tries"))
_OPEN = letters.c.due_at.is_not(None)
_UPDATE = sa.update(letters).where(_MINE, _OPEN)
_CLAIM = _UPDATE.values(tries=letters.c.tries + 1, due_at=sa.bindparam("b_at", type_=Moment))
_DELIVERED = sa.update(letters).where(_MINE)  # it has arrived, whatever has become of it meanwhile
_AGAIN = _UPDATE.values(due_at=sa.bindparam("b_at", type_=Moment), trouble=sa.bindparam("b_why"))


async def keep(connection: AsyncConnection, new: Sequence[Letter], *, sqlite: bool) -> None:
    """Write them down; one that is there already is the same."""
    if new:
        insert = (sqlite_insert if sqlite else postgresql_insert)(letters).on_conflict_do_nothing()
        await connection.execute(insert, [asdict(one) for one in new])


async def settle(
    connection: AsyncConnection, execution_id: str, steps: Collection[str], kinds: Collection[str], *, now: datetime
) -> None:
    """Questions of these kinds about these steps need not be told any more."""
    await connection.execute(
        sa.update(letters)
        .where(letters.c.execution_id == execution_id, letters.c.step.in_(steps))
        .where(letters.c.kind.in_(kinds), _OPEN)
        .values(status=Status.OBSOLETE, due_at=None, settled_at=now)
    )


async def due(database: Database, now: datetime) -> Sequence[Letter]:
    """What is to be tried now, the oldest first; of each line at most its oldest.

    Raises:
        StoreUnavailable: the database is away.
    """
    moment = sa.literal(now, Moment)
    earlier = letters.alias("earlier")
    first = ~sa.exists().where(
        earlier.c.line == letters.c.line,
        earlier.c.due_at.is_not(None),
        sa.tuple_(earlier.c.at, earlier.c.id) < sa.tuple_(letters.c.at, letters.c.id),
    )
    query = sa.select(*_COLUMNS).where(letters.c.due_at <= moment, first)
    async with database.read() as connection:
        rows = await connection.execute(query.order_by(letters.c.due_at, letters.c.id).limit(BATCH))
        return [_letter(row) for row in rows]


async def claim(database: Database, letter: Letter, *, again_at: datetime) -> bool:
    """Whether this try is ours; if nobody hears of its end, the next one is due then.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.write() as connection:
        return bool((await connection.execute(_CLAIM, {**_key(letter), "b_at": again_at})).rowcount)


async def delivered(database: Database, letter: Letter, *, now: datetime) -> None:
    """Our try, the one after `letter.tries`, has arrived.

    Raises:
        StoreUnavailable: the database is away.
    """
    done = _DELIVERED.values(status=Status.DELIVERED, due_at=None, settled_at=now, trouble=None)
    async with database.write() as connection:
        await connection.execute(done, _key(letter, after=True))


async def failed(database: Database, letter: Letter, *, why: str, again_at: datetime | None, now: datetime) -> None:
    """Our try has failed; `again_at` None: nobody tries again.

    Raises:
        StoreUnavailable: the database is away.
    """
    mine = _key(letter, after=True)
    async with database.write() as connection:
        if again_at is not None:
            await connection.execute(_AGAIN, {**mine, "b_at": again_at, "b_why": why})
        else:
            over = _UPDATE.values(status=Status.GIVEN_UP, due_at=None, settled_at=now, trouble=why)
            await connection.execute(over, mine)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which notifications a list shows; None: all."""

    workflow_id: str | None = None
    status: str | None = None
    kind: str | None = None
    channel: str | None = None
    within: frozenset[str] | None = None  # namespaces beyond which nothing is seen


async def page(
    database: Database, *, chosen: Filter, before: tuple[datetime, str] | None, limit: int
) -> Sequence[Mapping[str, Any]]:
    """Newest first, those older than `before` (at, id).

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(letters)
    if before is not None:
        query = query.where(behind(before, letters.c.at, letters.c.id))
    for column in ("workflow_id", "status", "kind", "channel"):
        if (value := getattr(chosen, column)) is not None:
            query = query.where(letters.c[column] == value)
    if chosen.within is not None:
        query = query.where(letters.c.namespace.in_(sorted(chosen.within)))
    query = query.order_by(letters.c.at.desc(), letters.c.id.desc()).limit(limit)
    async with database.read() as connection:
        return [plain(row) for row in (await connection.execute(query)).mappings()]


async def letter(database: Database, letter_id: str) -> Letter:
    """One of them.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        row = (await connection.execute(sa.select(*_COLUMNS).where(letters.c.id == letter_id))).one_or_none()
    if row is None:
        raise NotFound(f"no notification {letter_id}")
    return _letter(row)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the outbox is."""

    overdue: Mapping[str, int]  # by channel: how many were tried and have not arrived
    given_up: int  # since some moment


async def standing(database: Database, *, since: datetime) -> Standing:
    """How it is; what was given up counts since then.

    Raises:
        StoreUnavailable: the database is away.
    """
    number = sa.func.count()
    late = sa.select(letters.c.channel, number).where(_OPEN, letters.c.trouble.is_not(None))
    lost = sa.select(number).where(letters.c.status == Status.GIVEN_UP, letters.c.at >= since)
    async with database.read() as connection:
        overdue = {row[0]: row[1] for row in await connection.execute(late.group_by(letters.c.channel))}
        return Standing(overdue, await connection.scalar(lost) or 0)


async def forget(database: Database, *, made_before: datetime) -> int:
    """Delete those that were made before and are settled; how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    old = sa.delete(letters).where(letters.c.at < made_before, ~_OPEN)
    async with database.write() as connection:
        return (await connection.execute(old)).rowcount


def _letter(row: sa.Row[Any]) -> Letter:
    return Letter(**{**row._asdict(), "status": Status(row.status)})


def _key(letter: Letter, *, after: bool = False) -> dict[str, Any]:
    return {"b_id": letter.id, "b_tries": letter.tries + after}
