"""Requests that carried a key: which is under way, and what the others were answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from workflow_service.store.database import Database
from workflow_service.store.tables import idempotency_keys as keys
from workflow_service.store.tables import replicas

ABANDONED = timedelta(minutes=15)  # longer than any request may take: whoever began it has lost it


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with a key. `request` is a hash of all that makes it this request; `claim` is of this very sending."""

    caller: str
    key: str
    request: str
    claim: str
    replica: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it was given."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier request with the same key is; `answer` None: it is under way."""

    request: str
    answer: Kept | None


async def claim(database: Database, asked: Asked, now: datetime, *, lease: float | None) -> Earlier | None:
    """Begin the request; or what was begun with that key before.

    `lease`: seconds without a heartbeat after which another replica is gone, and with it what it had begun; None:
    nobody can tell now.

    Raises:
        StoreUnavailable: the database is away; nothing was begun.
    """
    names = ("caller", "key", "request", "claim", "replica")
    row = {name: getattr(asked, name) for name in names} | {"begun_at": now}
    insert = (sqlite_insert if database.sqlite else postgresql_insert)(keys).values(row).on_conflict_do_nothing()
    old = keys.c.status.is_(None) & (keys.c.begun_at < now - ABANDONED)
    stale = sa.delete(keys).where(*_is(asked), old | _orphaned(database, asked, lease))
    async with database.write() as connection:
        await connection.execute(stale)
        await connection.execute(insert)
        found = (await connection.execute(sa.select(keys).where(*_is(asked)))).one()
    return None if found.claim == asked.claim else _earlier(found)


async def seen(database: Database, asked: Asked, *, lease: float | None) -> Earlier | None:
    """What was begun with that key; None: nothing, or it came to nothing. `lease`: as for `claim`.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(keys).where(*_is(asked), ~_orphaned(database, asked, lease))
    async with database.read() as connection:
        found = (await connection.execute(query)).one_or_none()
    return None if found is None else _earlier(found)


async def keep(database: Database, asked: Asked, answer: Kept) -> None:
    """Keep what the request was answered.

    Raises:
        StoreUnavailable: the database is away.
    """
    values = {"status": answer.status, "headers": list(answer.headers), "body": answer.body}
    async with database.write() as connection:
        await connection.execute(sa.update(keys).where(*_is(asked), keys.c.claim == asked.claim).values(values))


async def release(database: Database, asked: Asked) -> None:
    """The request came to nothing: it may be sent again as if for the first time.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.write() as connection:
        await connection.execute(sa.delete(keys).where(*_is(asked), keys.c.claim == asked.claim))


def _earlier(row: Any) -> Earlier:
    if row.status is None:
        return Earlier(row.request, None)
    return Earlier(row.request, Kept(row.status, [(name, value) for name, value in row.headers], row.body))


def _orphaned(database: Database, asked: Asked, lease: float | None) -> sa.ColumnElement[bool]:
    """Under way on a replica that is gone; what says no replica may be anybody's, and is not."""
    if lease is None:
        return sa.false()
    heard = replicas.c.heartbeat >= database.clock() - lease
    living = sa.exists().where(replicas.c.id == keys.c.replica, heard)
    elsewhere = sa.func.coalesce(keys.c.replica, asked.replica) != asked.replica
    return keys.c.status.is_(None) & elsewhere & ~living


def _is(asked: Asked) -> tuple[sa.ColumnElement[bool], ...]:
    return keys.c.caller == asked.caller, keys.c.key == asked.key
