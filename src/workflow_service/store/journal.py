"""The journal: fenced, group-committed appends of events together with the row that is derived from them.

Many executions append at once; one flusher takes whatever is waiting and commits it as one transaction of two
statements: the fenced update of the execution rows (which locks them and finds out who lost its generation) and the
insert of the events. An entry that failed for its own reason is tried alone, so that it cannot hurt its neighbours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.errors import Fenced, StoreUnavailable
from workflow_service.domain.events import Event, event_from_json, event_to_json
from workflow_service.store.database import Database
from workflow_service.store.tables import executions, journal

RETRY = 0.2  # seconds between tries while the database is away
GROUP = 200  # entries in one transaction at most

log = structlog.get_logger(__name__)

Also = Callable[[AsyncConnection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Row:
    """The columns of an execution that its events decide. One shape always, so that many go in one statement."""

    status: str
    actions_total: int
    actions_ended: int
    current_action: str | None
    reason: str
    cause: str
    rollback: str
    plan_hash: str | None
    updated_at: datetime
    started_at: datetime | None
    must_end_by: datetime | None
    wake_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Entry:
    """Events of one execution, the first of which follows entry `seq` of its journal."""

    execution_id: str
    generation: int
    seq: int
    events: Sequence[Event]
    row: Row
    also: Also | None = None  # what must become true in the same transaction
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


_COLUMNS = tuple(Row.__dataclass_fields__)
_UPDATE = (
    sa.update(executions)
    .where(executions.c.id == sa.bindparam("b_id"), executions.c.generation == sa.bindparam("b_generation"))
    .values({"seq": sa.bindparam("b_seq"), **{name: sa.bindparam(f"b_{name}") for name in _COLUMNS}})
)
_CLAIM = (
    sa.update(executions)
    .where(
        executions.c.id == sa.bindparam("b_id"),
        executions.c.generation < sa.bindparam("b_generation"),
        executions.c.ended_at.is_(None),
    )
    .values(generation=sa.bindparam("b_generation"), owner=sa.bindparam("b_owner"))
)


class Journal:
    """The one writer of journals in this replica."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: asyncio.Queue[Entry] = asyncio.Queue()
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False
        dialect_insert = sqlite_insert if database.sqlite else postgresql_insert
        # A commit whose answer was lost is written again; the fence held, so what is there already is the same.
        self._insert = dialect_insert(journal).on_conflict_do_nothing()

    async def start(self) -> None:
        """Begin to write."""
        self._flusher = asyncio.create_task(self._flush_forever(), name="journal")

    async def stop(self) -> None:
        """Write no more; what was not committed was never acknowledged either. Safe to call twice."""
        self._closed = True
        if self._flusher is not None:
            self._flusher.cancel()
            with suppress(asyncio.CancelledError):
                await self._flusher
        while not self._waiting.empty():
            _refuse(self._waiting.get_nowait(), StoreUnavailable("the journal is closed"))

    async def claim(self, execution_id: str, generation: int, owner: str) -> None:
        """Raise the execution's generation: from here on only this drive can write.

        Raises:
            Fenced: a newer drive has it, or the execution is over.
            StoreUnavailable: the database is away.
        """
        async with self._database.write() as connection:
            values = {"b_id": execution_id, "b_generation": generation, "b_owner": owner}
            claimed = await connection.execute(_CLAIM, values)
        if claimed.rowcount != 1:
            raise Fenced(f"execution {execution_id} is not for generation {generation}")

    async def read(self, execution_id: str) -> list[Event]:
        """Everything that happened, in order.

        Raises:
            StoreUnavailable: the database is away.
        """
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(journal.c.kind, journal.c.at, journal.c.data)
                .where(journal.c.execution_id == execution_id)
                .order_by(journal.c.seq)
            )
            return [event_from_json(row.kind, row.at, row.data) for row in rows]

    async def append(self, entry: Entry) -> None:
        """Return when the entry is committed; waits through any database outage.

        Raises:
            Fenced: another drive owns the execution now; nothing was written.
            StoreUnavailable: the journal was closed meanwhile.
        """
        if self._closed:
            raise StoreUnavailable("the journal is closed")
        self._waiting.put_nowait(entry)
        await entry.done

    async def _flush_forever(self) -> None:
        while True:
            group = [await self._waiting.get()]
            while len(group) < GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            try:
                await self._flush(group)
            except asyncio.CancelledError:
                for entry in group:
                    _refuse(entry, StoreUnavailable("the journal is closed"))
                raise

    async def _flush(self, group: list[Entry]) -> None:
        while True:
            try:
                await self._commit(group)
            except StoreUnavailable:
                log.warning("journal waits for the database", entries=len(group))
                await asyncio.sleep(RETRY)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with an entry, the only writer must go on
                await self._part(group, error)
                return
            else:
                _acknowledge(group)
                return

    async def _part(self, group: list[Entry], error: Exception) -> None:
        if len(group) == 1:
            _refuse(group[0], error)
            return
        for entry in group:
            await self._flush([entry])

    async def _commit(self, group: list[Entry]) -> None:
        updates = {(entry.execution_id, entry.generation): _update_values(entry) for entry in group}
        ordered = [updates[key] for key in sorted(updates)]  # one order everywhere: no deadlock between replicas
        rows = [row for entry in group for row in _journal_rows(entry)]
        async with self._database.write() as connection:
            updated = await connection.execute(_UPDATE, ordered)
            if updated.rowcount != len(ordered):
                raise Fenced("an execution of this group belongs to another drive")
            if rows:
                await connection.execute(self._insert, rows)
            for entry in group:
                if entry.also is not None:
                    await entry.also(connection)


def _update_values(entry: Entry) -> dict[str, Any]:
    values = {f"b_{name}": getattr(entry.row, name) for name in _COLUMNS}
    seq = entry.seq + len(entry.events)
    return {"b_id": entry.execution_id, "b_generation": entry.generation, "b_seq": seq, **values}


def _journal_rows(entry: Entry) -> list[dict[str, Any]]:
    return [
        {
            "execution_id": entry.execution_id,
            "seq": entry.seq + offset,
            "generation": entry.generation,
            "at": event.at,
            "kind": type(event).__name__,
            "data": event_to_json(event),
        }
        for offset, event in enumerate(entry.events, start=1)
    ]


def _acknowledge(group: list[Entry]) -> None:
    for entry in group:
        if not entry.done.done():
            entry.done.set_result(None)


def _refuse(entry: Entry, error: Exception) -> None:
    if not entry.done.done():
        entry.done.set_exception(error)
