"""The journal: fenced, group-committed appends of events together with the row that is derived from them.

Many executions append at once; one flusher takes whatever is waiting and commits it as one transaction of a few
statements: the fenced update of the execution rows (which locks them and finds out who lost its generation), the insert
of the events, and, where there are any, plans to keep and identities to release. An entry that cannot be stored is
refused before it gets there; one that fails in the group is tried alone, so that it cannot hurt its neighbours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.errors import Fenced, StoreUnavailable
from workflow_service.domain.events import Event, event_from_json, event_to_json
from workflow_service.domain.plan import Plan, hash_of, plan_to_json
from workflow_service.store import commands
from workflow_service.store.database import Database
from workflow_service.store.executions import plan_row
from workflow_service.store.group import GroupWriter, Values
from workflow_service.store.tables import executions, journal, visible

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
class KeptPlan:
    """A plan that is kept with an entry. With `queue` its execution goes on as one of that queue, without waiting."""

    workflow_id: str
    document: Mapping[str, Any]  # the plan's stored form
    hash: str
    at: datetime
    queue: str | None


def kept_plan(workflow_id: str, plan: Plan, at: datetime, *, queue: str | None) -> KeptPlan:
    """A plan in the form in which it is kept."""
    document = plan_to_json(plan)
    return KeptPlan(workflow_id, document, hash_of(document), at, queue)


@dataclass(frozen=True, slots=True)
class Entry:
    """Events of one execution, the first of which follows entry `seq` of its journal."""

    execution_id: str
    generation: int
    seq: int
    events: Sequence[Event]
    row: Row
    also: Also | None = None  # what must become true in the same transaction
    kept: KeptPlan | None = None
    workflow_id: str | None = None  # given with the last entry: whose identities are free again


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry in the form in which it is written, and its writer."""

    entry: Entry
    update: Values
    rows: Sequence[Values]
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


_COLUMNS = tuple(Row.__dataclass_fields__)
_MOMENTS = ("updated_at", "started_at", "must_end_by", "ended_at")
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
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False
        self._writer = GroupWriter(sqlite=database.sqlite, columns=_COLUMNS)

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
            ValueError, TypeError: the entry cannot be stored.
            Fenced: another drive owns the execution now; nothing was written.
            StoreUnavailable: the journal was closed meanwhile.
        """
        if self._closed:
            raise StoreUnavailable("the journal is closed")
        waiting = _Waiting(entry, self._update_of(entry), self._rows_of(entry))
        self._waiting.put_nowait(waiting)
        await waiting.done

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

    async def _flush(self, group: list[_Waiting]) -> None:
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

    async def _part(self, group: list[_Waiting], error: Exception) -> None:
        if len(group) == 1:
            _refuse(group[0], error)
            return
        for entry in group:
            await self._flush([entry])

    async def _commit(self, group: list[_Waiting]) -> None:
        # A commit whose answer was lost is written again; the fence held, so what is there already is the same.
        updates = {(one.update["id"], one.update["generation"]): one.update for one in group}  # the last one counts
        rows = [row for one in group for row in one.rows]
        kept = [one.entry.kept for one in group if one.entry.kept is not None]
        over = [one.entry for one in group if one.entry.workflow_id is not None]
        async with self._database.write() as connection:
            if await self._writer.update(connection, [updates[key] for key in sorted(updates)]) != len(updates):
                raise Fenced("an execution of this group belongs to another drive")
            if rows:
                await self._writer.insert(connection, rows)
            if kept:
                plans = [plan_row(one.workflow_id, one.document, one.hash, one.at) for one in kept]
                await self._writer.keep_plans(connection, plans)
            for one in group:
                if one.entry.also is not None:
                    await one.entry.also(connection)
            if over:
                await self._writer.release(connection, [str(entry.workflow_id) for entry in over])
                await commands.close(connection, [entry.execution_id for entry in over], now=over[-1].row.updated_at)

    def _update_of(self, entry: Entry) -> Values:
        row, moment = entry.row, self._writer.moment
        values = {name: getattr(row, name) for name in _COLUMNS}
        values["cause"] = visible(row.cause)
        for name in _MOMENTS:
            values[name] = moment(values[name])
        values["queue"] = entry.kept.queue if entry.kept is not None else None
        seq = entry.seq + len(entry.events)
        return {"id": entry.execution_id, "generation": entry.generation, "seq": seq, **values}

    def _rows_of(self, entry: Entry) -> list[Values]:
        return [
            {
                "execution_id": entry.execution_id,
                "seq": seq,
                "generation": entry.generation,
                "at": self._writer.moment(event.at),
                "kind": type(event).__name__,
                "data": orjson.dumps(event_to_json(event)).decode(),
            }
            for seq, event in enumerate(entry.events, start=entry.seq + 1)
        ]


def _acknowledge(group: list[_Waiting]) -> None:
    for one in group:
        if not one.done.done():
            one.done.set_result(None)


def _refuse(one: _Waiting, error: Exception) -> None:
    if not one.done.done():
        one.done.set_exception(error)
