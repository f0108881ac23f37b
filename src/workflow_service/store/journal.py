"""The journal: fenced, group-committed appends of events together with the row that is derived from them.

Many executions append at once; one flusher takes whatever is waiting and commits it as one transaction: the fenced
update of the execution rows (which locks them and finds out who lost its generation), the insert of the events, and,
where there are any, targets to take, plans to keep, identities and targets to release. On PostgreSQL that is one
statement; on SQLite, and where an entry has more to do in its transaction, a few. An entry that cannot be stored, or
whose targets are another's, is refused and the others are written; one that fails in the group is tried alone, so that
it cannot hurt its neighbours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.errors import Fenced, StoreUnavailable, TargetsTaken
from workflow_service.domain.events import Event
from workflow_service.domain.formats import FORMAT
from workflow_service.domain.stored_events import event_from_json
from workflow_service.store import commands, locks
from workflow_service.store.at_once import AtOnce, Raced
from workflow_service.store.database import Database
from workflow_service.store.entry import COLUMNS, Entry, Values, rows_of, update_of
from workflow_service.store.executions import plan_row
from workflow_service.store.group import GroupWriter
from workflow_service.store.line import Line
from workflow_service.store.locks import Wake
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

    @property
    def in_steps(self) -> bool:
        """Whether it has more to do in its transaction than others have."""
        return self.entry.also is not None or self.entry.grip.lets_go or bool(self.entry.grip.awaits)


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

    def __init__(self, database: Database, *, wake: Wake | None = None) -> None:
        """`wake` brings the next drive to who has got the targets that it waited for; else the reconciler does both."""
        self._database, self._wake = database, wake
        self._waiting: list[_Waiting] = []
        self._woken = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False
        self._writer = GroupWriter(sqlite=database.sqlite, columns=COLUMNS)
        self._at_once = None if database.sqlite else AtOnce(Line(database.pool))

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
        for entry in self._waiting:
            _refuse(entry, StoreUnavailable("the journal is closed"))
        self._waiting.clear()

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
            TargetsTaken: another execution has a target that the entry takes; nothing was written.
            StoreUnavailable: the journal was closed meanwhile.
        """
        if self._closed:
            raise StoreUnavailable("the journal is closed")
        waiting = _Waiting(entry, update_of(entry, self._writer.moment), rows_of(entry, self._writer.moment))
        self._waiting.append(waiting)
        self._woken.set()
        await waiting.done

    async def _flush_forever(self) -> None:
        while True:
            group = await self._next_group()
            try:
                await self._flush([one for one in group if not one.in_steps])
                await self._flush([one for one in group if one.in_steps])
            except asyncio.CancelledError:
                for entry in group:
                    _refuse(entry, StoreUnavailable("the journal is closed"))
                raise

    async def _next_group(self) -> list[_Waiting]:
        """Whatever is waiting, and what this very turn of the loop still brings: who wakes together writes together."""
        await self._woken.wait()
        known = 0
        while known < len(self._waiting) < GROUP:
            known = len(self._waiting)
            await asyncio.sleep(0)
        group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
        if not self._waiting:
            self._woken.clear()
        return group

    async def _flush(self, group: list[_Waiting]) -> None:
        first = {target: one.entry.execution_id for one in reversed(group) for target in one.entry.grip.takes}
        group = _without(group, first)  # of two that want one target, the second waits
        while group:
            try:
                group = await self._commit(group)
            except TargetsTaken as error:
                group = _without(group, dict.fromkeys(error.targets))
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

    async def _commit(self, group: list[_Waiting]) -> list[_Waiting]:
        """Write it; those that are written, the others have been refused."""
        # A commit whose answer was lost is written again; the fence held, so what is there already is the same.
        unique = {(one.update["id"], one.update["generation"]): one.update for one in group}  # the last one counts
        updates = [unique[key] for key in sorted(unique)]
        if self._at_once is not None and not any(one.in_steps for one in group):
            with suppress(Raced):
                return await self._commit_at_once(self._at_once, group, updates)
        await self._commit_in_steps(group, updates)
        return group

    async def _commit_at_once(self, writer: AtOnce, group: list[_Waiting], updates: list[Values]) -> list[_Waiting]:
        rows = [row for one in group for row in one.rows]
        written = await writer.commit(updates, rows, [one.entry for one in group])
        if written.awaited:
            await self._move_up(written.awaited)
        done = []
        for one in group:
            entry = one.entry
            if (entry.execution_id, entry.generation) in written.held:
                done.append(one)
            elif lost := written.taken.intersection(entry.grip.takes):
                _refuse(one, TargetsTaken(lost))
            else:
                _refuse(one, Fenced(f"execution {entry.execution_id} belongs to another drive"))
        return done

    async def _move_up(self, targets: Collection[str]) -> None:
        if self._wake is None:
            return
        try:
            async with self._database.write() as connection:
                await locks.move_up(connection, targets, sqlite=False, wake=self._wake)
        except Exception:
            # What was written is written; who waits for a target that is free now is found by the reconciler.
            log.exception("those that wait for a target are not woken yet", targets=sorted(targets))

    async def _commit_in_steps(self, group: list[_Waiting], updates: list[Values]) -> None:
        rows = [row for one in group for row in one.rows]
        kept = [one.entry.kept for one in group if one.entry.kept is not None]
        over = [one.entry for one in group if one.entry.workflow_id is not None]
        async with self._database.write() as connection:
            await self._update(connection, group, updates)
            if rows:
                await self._writer.insert(connection, rows)
            if kept:
                plans = [plan_row(one.workflow_id, one.document, one.hash, one.at) for one in kept]
                await self._writer.keep_plans(connection, plans)
            for one in group:
                if one.entry.also is not None:
                    await one.entry.also(connection)
            await self._let_go(connection, group, over)
            if over:
                await commands.close(connection, [entry.execution_id for entry in over], now=over[-1].row.updated_at)

    async def _update(self, connection: AsyncConnection, group: list[_Waiting], updates: list[Values]) -> None:
        wanted = {target: one.entry.execution_id for one in group for target in one.entry.grip.takes}
        got: frozenset[str] = frozenset()
        if wanted:
            updated, got = await self._writer.take(connection, updates, wanted)
        else:
            updated = await self._writer.update(connection, updates)
        if updated != len(updates):
            raise Fenced("an execution of this group belongs to another drive")
        if len(got) != len(wanted):
            raise TargetsTaken(frozenset(wanted.keys() - got))

    async def _let_go(self, connection: AsyncConnection, group: list[_Waiting], over: list[Entry]) -> None:
        """Targets are given back, and those that wait stand in line; then who is next is given what is free."""
        leaving = [one.entry.execution_id for one in group if one.entry.grip.lets_go or one.entry.workflow_id]
        waiting = [one.entry for one in group if one.entry.grip.awaits]
        if not leaving and not waiting:
            return
        freed = await self._writer.release(connection, [str(entry.workflow_id) for entry in over], leaving)
        grips = {entry.execution_id: entry.grip for entry in waiting}
        await locks.change_hands(connection, freed, grips, sqlite=self._database.sqlite, wake=self._wake)


def _without(group: list[_Waiting], taken: Mapping[str, str | None]) -> list[_Waiting]:
    """Refuse those that want what somebody else has."""
    left = []
    for one in group:
        owned = one.entry.execution_id
        if lost := frozenset(target for target in one.entry.grip.takes if taken.get(target, owned) != owned):
            _refuse(one, TargetsTaken(lost))
        else:
            left.append(one)
    return left


def _acknowledge(group: list[_Waiting]) -> None:
    for one in group:
        if not one.done.done():
            one.done.set_result(None)


def _refuse(one: _Waiting, error: Exception) -> None:
    if not one.done.done():
        one.done.set_exception(error)
