"""The rows of API keys: made, listed, revoked, and read whole by those who check them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from workflow_service.domain.errors import NotFound
from workflow_service.domain.permissions import Grant, Right
from workflow_service.store.database import Database
from workflow_service.store.tables import api_keys


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, without its secret."""

    id: str
    name: str
    digest: str
    rights: tuple[Right, ...]
    namespaces: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What it allows."""
        return tuple(Grant(right, self.namespaces) for right in self.rights)

    def state(self, now: datetime) -> str:
        """Valid | revoked | expired."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


async def keep(database: Database, key: ApiKey) -> None:
    """Keep a new key.

    Raises:
        StoreUnavailable: the database is away.
    """
    row = {
        "id": key.id,
        "name": key.name,
        "digest": key.digest,
        "rights": list(key.rights),
        "namespaces": None if key.namespaces is None else sorted(key.namespaces),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }
    async with database.write() as connection:
        await connection.execute(sa.insert(api_keys).values(row))


async def every(database: Database) -> Sequence[ApiKey]:
    """All keys, newest first.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        rows = await connection.execute(sa.select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id))
        return [
            ApiKey(
                id=row.id,
                name=row.name,
                digest=row.digest,
                rights=tuple(map(Right, row.rights)),
                namespaces=None if row.namespaces is None else frozenset(row.namespaces),
                created_at=row.created_at,
                expires_at=row.expires_at,
                revoked_at=row.revoked_at,
                used_at=row.used_at,
            )
            for row in rows
        ]


async def revoke(database: Database, key_id: str, *, now: datetime) -> None:
    """From now on the key opens nothing. Revoking it again changes nothing.

    Raises:
        NotFound: there is no such key.
        StoreUnavailable: the database is away.
    """
    moment = sa.func.coalesce(api_keys.c.revoked_at, sa.bindparam("now", now, type_=api_keys.c.revoked_at.type))
    async with database.write() as connection:
        done = await connection.execute(sa.update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=moment))
    if done.rowcount == 0:
        raise NotFound(f"no key {key_id}")


async def used(database: Database, ids: Collection[str], *, now: datetime) -> None:
    """Note that these keys were used.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.write() as connection:
        await connection.execute(sa.update(api_keys).where(api_keys.c.id.in_(ids)).values(used_at=now))
