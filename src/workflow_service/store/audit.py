"""The rows of the audit log: written at one place after another, read in order, forgotten from the beginning.

The head of the chain is one row that a writer locks until it has committed, so that replicas come one after another;
what comes together is written together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.audit import Entry, Link, Row, chained
from workflow_service.store.database import Database
from workflow_service.store.tables import audit_chain, audit_log

HEAD, FLOOR = "head", "floor"
BATCH = 1000  # rows that are read or forgotten at once

_INSERT = sa.insert(audit_log)
_LOCK = sa.select(audit_chain).where(audit_chain.c.end == HEAD).with_for_update()
_MOVE = (
    sa.update(audit_chain)
    .where(audit_chain.c.end == sa.bindparam("which"))
    .values(seq=sa.bindparam("to_seq"), hash=sa.bindparam("to_hash"))
)


async def append(database: Database, entries: Sequence[Entry], *, again: bool = False) -> None:
    """Write entries at the end of the chain; `again`: it may be that they were written already.

    Raises:
        StoreUnavailable: the database is away, or nobody knows whether it has committed.
    """
    async with database.write() as connection:
        head = (await connection.execute(_LOCK)).one()
        if again:
            query = sa.select(audit_log.c.id).where(audit_log.c.id.in_([entry.id for entry in entries]))
            written = frozenset((await connection.execute(query)).scalars())
            entries = [entry for entry in entries if entry.id not in written]
        rows = chained(entries, Link(head.seq, head.hash))
        if rows:
            await connection.execute(_INSERT, [_values(row) for row in rows])
            await _move(connection, HEAD, rows[-1].link)


async def ends(database: Database) -> tuple[Link, Link]:
    """The floor and the head of the chain.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        found = {row.end: Link(row.seq, row.hash) for row in await connection.execute(sa.select(audit_chain))}
    return found[FLOOR], found[HEAD]


async def rows(database: Database, *, after: int, up_to: int) -> AsyncIterator[Row]:
    """The rows in between, oldest first, a batch at a time.

    Raises:
        StoreUnavailable: the database is away.
    """
    while True:
        query = sa.select(audit_log).where(audit_log.c.seq > after, audit_log.c.seq <= up_to)
        async with database.read() as connection:
            found = (await connection.execute(query.order_by(audit_log.c.seq).limit(BATCH))).mappings().all()
        for row in found:
            yield _row(row)
        if len(found) < BATCH:
            return
        after = found[-1]["seq"]


async def newest(database: Database, *, limit: int) -> Sequence[Row]:
    """The newest rows, newest first.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(audit_log).order_by(audit_log.c.seq.desc()).limit(limit)
    async with database.read() as connection:
        return [_row(row) for row in (await connection.execute(query)).mappings()]


async def forget(database: Database, *, written_before: datetime) -> int:
    """Delete what stands at the beginning and was written before; the floor remembers where the rest begins. How many.

    Raises:
        StoreUnavailable: the database is away.
    """
    total = 0
    while count := await _forget_some(database, written_before):
        total += count
    return total


async def _forget_some(database: Database, before: datetime) -> int:
    first = sa.select(audit_log.c.seq, audit_log.c.hash, audit_log.c.at).order_by(audit_log.c.seq).limit(BATCH)
    async with database.write() as connection:
        old: list[Any] = []
        for row in await connection.execute(first):
            if row.at >= before:
                break
            old.append(row)
        if old:
            await connection.execute(sa.delete(audit_log).where(audit_log.c.seq <= old[-1].seq))
            await _move(connection, FLOOR, Link(old[-1].seq, old[-1].hash))
    return len(old)


async def _move(connection: AsyncConnection, end: str, to: Link) -> None:
    await connection.execute(_MOVE, {"which": end, "to_seq": to.seq, "to_hash": to.hash})


def _values(row: Row) -> dict[str, Any]:
    return {**asdict(row.entry), "seq": row.seq, "previous": row.previous, "hash": row.hash}


def _row(found: Mapping[Any, Any]) -> Row:
    own = {name: found[name] for name in Entry.__dataclass_fields__}
    return Row(found["seq"], Entry(**own), found["previous"], found["hash"])
