"""The journal: fenced, group-committed appends of events together with the row that is derived from them.

Many executions append at once; one flusher takes whatever is waiting and commits it as one transaction: the fenced
update of the execution rows (which locks them and finds out who lost its generation), the insert of the events, and,
where there are any, plans to keep and identities to release. On PostgreSQL that is one statement; on SQLite, and where
an entry has more to do in its transaction, a few. An entry that cannot be stored is refused before it gets there; one
that fails in the group is tried alone, so that it cannot hurt its neighbours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog

from workflow_service.domain.errors import Fenced, StoreUnavailable
from workflow_service.domain.events import Event, event_from_json
from workflow_service.domain.formats import FORMAT
from workflow_service.store import commands
from workflow_service.store.database import Database
from workflow_service.store.entry import COLUMNS, Entry, Values, kept_of, over_of, rows_of, update_of
from workflow_service.store.executions import plan_row
from workflow_service.store.group import AtOnce, GroupWriter
from workflow_service.store.line import Line
from workflow_service.store.tables import executions, journal

RETRY = 0.2  # seconds between tries while the database is away
GROUP = 200  # entries in one transaction at most

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry in the form in which it is written, and its writer."""

    entry: Entry
    update: Values
    rows: Sequence[Values]
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


_CLAIM = (
    sa.update(executions)
    .where(
        executions.c.id == sa.bindparam("b_id"),
        executions.c.generation < sa.bindparam("b_generation"),
        executions.c.format <= FORMAT,
        executions.c.ended_at.is_(None),
    )
    .values(generation=sa.bindparam("b_generation"), owner=sa.bindparam("b_owner"), format=FORMAT)
)


class Journal:
    """The one writer of journals in this replica."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False
        self._writer = GroupWriter(sqlite=database.sqlite, columns=COLUMNS)
        self._at_once = None if database.sqlite else AtOnce(Line(database.pool), columns=COLUMNS)

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
        if self._at_once is not None:
            await self._at_once.close()
        while not self._waiting.empty():
            _refuse(self._waiting.get_nowait(), StoreUnavailable("the journal is closed"))

    async def claim(self, execution_id: str, generation: int, owner: str) -> None:
        """Raise the execution's generation: from here on only this drive can write.

        Raises:
            Fenced: a newer drive has it, the execution is over, or only a newer version can drive it.
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
        waiting = _Waiting(entry, update_of(entry, self._writer.moment), rows_of(entry, self._writer.moment))
        self._waiting.put_nowait(waiting)
        await waiting.done

    async def _flush_forever(self) -> None:
        while True:
            group = await self._next_group()
            alone = [one for one in group if one.entry.also is not None] if self._at_once is not None else []
            try:
                for part in ([one for one in group if one not in alone], alone):
                    if part:
                        await self._flush(part)
            except asyncio.CancelledError:
                for entry in group:
                    _refuse(entry, StoreUnavailable("the journal is closed"))
                raise

    async def _next_group(self) -> list[_Waiting]:
        """Whatever is waiting, and what this very turn of the loop still brings: who wakes together writes together."""
        group = [await self._waiting.get()]
        while len(group) < GROUP:
            known = len(group)
            await asyncio.sleep(0)
            while len(group) < GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            if len(group) == known:
                break
        return group

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
        if self._at_once is None or any(one.entry.also is not None for one in group):
            await self._commit_in_steps(group)
            return
        updates = {(one.update["id"], one.update["generation"]): one.update for one in group}
        held = await self._at_once.commit(
            [updates[key] for key in sorted(updates)],
            [row for one in group for row in one.rows],
            [row for one in group for row in kept_of(one.entry)],
            [row for one in group for row in over_of(one.entry)],
        )
        for one in group:
            if (one.entry.execution_id, one.entry.generation) not in held:
                _refuse(one, Fenced(f"execution {one.entry.execution_id} belongs to another drive"))

    async def _commit_in_steps(self, group: list[_Waiting]) -> None:
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


def _acknowledge(group: list[_Waiting]) -> None:
    for one in group:
        if not one.done.done():
            one.done.set_result(None)


def _refuse(one: _Waiting, error: Exception) -> None:
    if not one.done.done():
        one.done.set_exception(error)
