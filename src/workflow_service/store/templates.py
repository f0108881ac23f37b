"""The rows of templates: each version is kept as it was first loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from workflow_service.domain.errors import NotFound
from workflow_service.domain.template import Reference
from workflow_service.store.database import Database
from workflow_service.store.queries import plain
from workflow_service.store.tables import templates


async def kept(database: Database, wanted: Iterable[Reference]) -> dict[Reference, tuple[str, str]]:
    """Digest and text of those versions that were loaded before.

    Raises:
        StoreUnavailable: the database is away.
    """
    names = sorted({one.name for one in wanted})
    query = sa.select(templates).where(templates.c.name.in_(names))
    async with database.read() as connection:
        rows = (await connection.execute(query)).all()
    return {Reference(row.name, row.version): (row.digest, row.body) for row in rows}


async def keep(database: Database, new: Iterable[tuple[Reference, str, str]], *, now: datetime) -> None:
    """Store versions (what they are called, digest, text); those that are there already stay as they are.

    Raises:
        StoreUnavailable: the database is away.
    """
    rows = [
        {"name": one.name, "version": one.version, "digest": digest, "body": body, "kept_at": now}
        for one, digest, body in new
    ]
    if rows:
        insert = sqlite_insert if database.sqlite else postgresql_insert
        async with database.write() as connection:
            await connection.execute(insert(templates).on_conflict_do_nothing(), rows)


async def listed(database: Database) -> Sequence[Mapping[str, Any]]:
    """Every version that was ever loaded, without its text, by name.

    Raises:
        StoreUnavailable: the database is away.
    """
    columns = [column for column in templates.c if column.name != "body"]
    async with database.read() as connection:
        found = await connection.execute(sa.select(*columns).order_by(templates.c.name))
        return [plain(row) for row in found.mappings()]


async def one(database: Database, wanted: Reference) -> Mapping[str, Any]:
    """A version with its text.

    Raises:
        NotFound: it was never loaded.
        StoreUnavailable: the database is away.
    """
    query = sa.select(templates).where(templates.c.name == wanted.name, templates.c.version == wanted.version)
    async with database.read() as connection:
        row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no template {wanted}")
    return plain(row)
