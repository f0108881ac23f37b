"""Reading the journals of all executions as one stream: what is new since the last look, what came after an entry.

There is no order of commits to read by, so what is new is told by each execution's own entries, which have no gaps.
Only executions that were not known before are found by time, with an overlap: commits take time, and clocks differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from workflow_service.domain.errors import NotFound
from workflow_service.store.database import Database
from workflow_service.store.tables import Moment, executions, journal, workflows

OVERLAP = timedelta(seconds=60)
TOGETHER = 100  # executions whose entries are read in one query

_ENTRIES = (
    sa.select(journal, executions.c.workflow_id, executions.c.status, workflows.c.namespace)
    .join(executions, executions.c.id == journal.c.execution_id)
    .join(workflows, workflows.c.id == executions.c.workflow_id)
)
_SINCE = sa.bindparam("since", type_=Moment)
# Two queries, each along an index of its own.
_ACTIVE = sa.select(executions.c.id, executions.c.seq).where(executions.c.ended_at.is_(None))
_ENDED = sa.select(executions.c.id, executions.c.seq).where(executions.c.ended_at > _SINCE)
_STANDINGS = _ACTIVE.union_all(_ENDED)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a journal, with where its execution stands when it is read."""

    workflow_id: str
    execution_id: str
    seq: int
    namespace: str | None
    status: str
    kind: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Past:
    """What came before now. `whole` False: something of it is not known any more, or it is too much to tell."""

    entries: Sequence[Entry]
    whole: bool


async def standings(database: Database, *, ended_since: datetime) -> dict[str, int]:
    """The newest entry of every execution that has not ended, or not before.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        rows = await connection.execute(_STANDINGS, {"since": ended_since})
        return {row.id: row.seq for row in rows}


async def entries_after(database: Database, known: Mapping[str, int]) -> list[Entry]:
    """The entries of these executions after those that are known of each; of each in order.

    Raises:
        StoreUnavailable: the database is away.
    """
    found: list[Entry] = []
    async with database.read() as connection:
        for some in _batches(sorted(known)):
            after = (sa.and_(journal.c.execution_id == one, journal.c.seq > known[one]) for one in some)
            found += [_entry(row) for row in await connection.execute(_ENTRIES.where(sa.or_(*after)))]
    return _in_order(found)


async def since(database: Database, execution_id: str, seq: int, *, within: Collection[str] | None, most: int) -> Past:
    """What all executions have journalled since that entry, and for `OVERLAP` before it; `most` entries at most.

    `within`: the namespaces to whose workflows the entry must belong; it is unknown otherwise.

    Raises:
        StoreUnavailable: the database is away.
    """
    of = sa.and_(journal.c.execution_id == execution_id, journal.c.seq == seq)
    if within is not None:
        of = sa.and_(of, workflows.c.namespace.in_(within))
    async with database.snapshot() as connection:
        entry = (await connection.execute(_ENTRIES.where(of))).one_or_none()
        if entry is None:
            return Past((), whole=False)
        ids = _STANDINGS.subquery()
        query = _ENTRIES.where(journal.c.execution_id.in_(sa.select(ids.c.id)), journal.c.at > _SINCE).limit(most + 1)
        rows = (await connection.execute(query, {"since": entry.at - OVERLAP})).all()
    return Past((), whole=False) if len(rows) > most else Past(_in_order([_entry(row) for row in rows]), whole=True)


async def of_workflow(database: Database, workflow_id: str, after: tuple[str, int] | None) -> Past:
    """What the executions of a workflow have journalled, the oldest first, from the beginning or after an entry.

    Raises:
        NotFound: there is no such workflow, or the entry is none of its.
        StoreUnavailable: the database is away.
    """
    query = sa.select(executions.c.id, executions.c.seq).where(executions.c.workflow_id == workflow_id)
    async with database.snapshot() as connection:
        rows = (await connection.execute(query.order_by(executions.c.created_at, executions.c.id))).all()
        if not rows:
            raise NotFound(f"no workflow {workflow_id}")
        ids, lasts = [row.id for row in rows], {row.id: row.seq for row in rows}
        if after is not None and after[1] > lasts.get(after[0], -1):
            raise NotFound(f"workflow {workflow_id} has no entry {after[0]}.{after[1]}")
        left = ids[ids.index(after[0]) :] if after is not None else ids
        found = [_entry(row) for row in await connection.execute(_ENTRIES.where(journal.c.execution_id.in_(left)))]
    known = dict([after]) if after is not None else {}
    new = [one for one in found if one.seq > known.get(one.execution_id, 0)]
    new.sort(key=lambda one: (left.index(one.execution_id), one.seq))
    return Past(new, whole=len(new) == sum(lasts[one] - known.get(one, 0) for one in left))


def _entry(row: Any) -> Entry:
    return Entry(row.workflow_id, row.execution_id, row.seq, row.namespace, row.status, row.kind, row.at, row.data)


def _in_order(found: Sequence[Entry]) -> list[Entry]:
    """By time, but those of one execution always by number: clocks differ between replicas."""
    times: dict[tuple[str, int], datetime] = {}
    latest: dict[str, datetime] = {}
    for one in sorted(found, key=lambda one: one.seq):
        latest[one.execution_id] = max(one.at, latest.get(one.execution_id, one.at))
        times[one.execution_id, one.seq] = latest[one.execution_id]
    return sorted(found, key=lambda one: (times[one.execution_id, one.seq], one.execution_id, one.seq))


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), TOGETHER):
        yield ids[start : start + TOGETHER]
