"""The rows of silences and maintenance windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.errors import NotFound, Stale, Unfit, Violation
from workflow_service.domain.permissions import Sight
from workflow_service.domain.silence import MOST, Silence, Weekly
from workflow_service.store.database import Database
from workflow_service.store.keyset import behind
from workflow_service.store.queries import plain
from workflow_service.store.tables import Moment, silences

_NOW = sa.bindparam("now", type_=Moment)
CURRENT = sa.and_(silences.c.ends_at > _NOW, silences.c.starts_at <= _NOW)  # whether or not it is a weekly time
_CURRENT = sa.select(silences).where(CURRENT)


async def current(connection: AsyncConnection, now: datetime) -> Sequence[Silence]:
    """Those between whose start and end this moment is, whether or not it is one of their weekly times."""
    return [silence(plain(row)) for row in (await connection.execute(_CURRENT, {"now": now})).mappings()]


async def keep(database: Database, new: Silence, *, by: str, now: datetime) -> Mapping[str, Any]:
    """Store a new one; how it is kept.

    Raises:
        Unfit: there are too many already.
        StoreUnavailable: the database is away.
    """
    names = ("id", "kind", "match", "namespaces", "starts_at", "ends_at", "weekly", "comment")
    row = {**{name: getattr(new, name) for name in names}, "created_by": by, "created_at": now}
    not_over = sa.select(sa.func.count()).select_from(silences).where(silences.c.ends_at > now)
    async with database.write() as connection:
        if (number := await connection.scalar(not_over) or 0) >= MOST:
            rule = f"must be fewer than {MOST}: end some, or name more in one `match`"
            raise Unfit("the silence cannot be kept", [Violation("silences that are not over", number, rule)])
        await connection.execute(sa.insert(silences).values(row))
        kept = (await connection.execute(sa.select(silences).where(silences.c.id == new.id))).mappings().one()
    return plain(kept)


def version(row: Mapping[str, Any]) -> str:
    """The name of a silence as it stands: nothing of it changes but its end."""
    return f"{row['id']}.{int(row['ends_at'].timestamp() * 1_000_000)}"


async def one(database: Database, silence_id: str) -> Mapping[str, Any]:
    """One silence.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        return await _one(connection, silence_id)


async def end(
    database: Database, silence_id: str, *, by: str, now: datetime, expected: frozenset[str] | None = None
) -> Mapping[str, Any]:
    """End it before its time; one that is over stays as it is.

    Raises:
        NotFound: there is none.
        Stale: it is in none of the expected versions; nothing was done.
        StoreUnavailable: the database is away.
    """
    update = sa.update(silences).where(silences.c.id == silence_id, silences.c.ends_at > now)
    async with database.write() as connection:
        before = await _one(connection, silence_id, locked=True)
        if expected is not None and version(before) not in expected:
            raise Stale(f"silence {silence_id} has changed")
        await connection.execute(update.values(ends_at=now, ended_by=by))
        return await _one(connection, silence_id)


async def _one(connection: AsyncConnection, silence_id: str, *, locked: bool = False) -> Mapping[str, Any]:
    query = sa.select(silences).where(silences.c.id == silence_id)
    found = await connection.execute(query.with_for_update() if locked else query)
    row = found.mappings().one_or_none()
    if row is None:
        raise NotFound(f"no silence {silence_id}")
    return plain(row)


async def in_sight(database: Database, silence_id: str, sight: Sight) -> bool:
    """Whether that silence holds in their namespaces only.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(silences.c.namespaces).where(silences.c.id == silence_id)
    async with database.read() as connection:
        return _within(await connection.scalar(query), sight)


def _within(namespaces: Sequence[str] | None, sight: Sight) -> bool:
    return bool(namespaces) and sight.namespaces.issuperset(namespaces or ())


async def listed(
    database: Database,
    *,
    ending_after: datetime | None,
    before: tuple[datetime, str] | None,
    limit: int,
    sight: Sight | None = None,
) -> Sequence[Mapping[str, Any]]:
    """Those that end last first, from behind `before` (ends_at, id); `ending_after` None: those that are over too.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(silences).order_by(silences.c.ends_at.desc(), silences.c.id.desc())
    if ending_after is not None:
        query = query.where(silences.c.ends_at > ending_after)
    if before is not None:
        query = query.where(behind(before, silences.c.ends_at, silences.c.id))
    if sight is None:
        query = query.limit(limit)
    async with database.read() as connection:
        found = [plain(row) for row in (await connection.execute(query)).mappings()]
    return [one for one in found if sight is None or _within(one["namespaces"], sight)][:limit]


def silence(row: Mapping[str, Any]) -> Silence:
    """What a row says."""
    given = row["weekly"]
    weekly = Weekly(**{**given, "weekdays": tuple(given["weekdays"])}) if given else None
    names = ("id", "kind", "match", "starts_at", "ends_at", "comment")
    namespaces = tuple(row["namespaces"]) if row["namespaces"] is not None else None
    return Silence(**{name: row[name] for name in names}, weekly=weekly, namespaces=namespaces)
