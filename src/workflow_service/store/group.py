"""Writing many executions' journal entries as a few statements: what a group commit sends, on either database.

The statements are text and their values plain, unlike elsewhere: they are most of what the service writes. PostgreSQL
gets a group as one JSON text per statement, which costs this process a fraction of a parameter per value; SQLite, in
the same process, gets the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.store.entry import Values
from workflow_service.store.locks import Freed
from workflow_service.store.tables import (
    Moment,
    active_identities,
    executions,
    journal,
    plans,
    target_locks,
    target_waits,
)

JOURNAL = ("execution_id", "seq", "generation", "at", "kind", "data")
_IDS: sa.BindParameter[Sequence[str]] = sa.bindparam("ids", expanding=True)
_OVER = sa.delete(active_identities).where(active_identities.c.workflow_id.in_(_IDS))
_FREE = (
    sa.delete(target_locks)
    .where(target_locks.c.execution_id.in_(_IDS))
    .returning(target_locks.c.target, target_locks.c.awaited)
)
_LEAVE = sa.delete(target_waits).where(target_waits.c.execution_id.in_(_IDS)).returning(target_waits.c.target)


class GroupWriter:
    """The statements of a group commit; `columns` are those of an execution that every entry sets."""

    def __init__(self, *, sqlite: bool, columns: Sequence[str]) -> None:
        self._sqlite = sqlite
        of_execution = ("id", "generation", "seq", "queue", *columns)
        self._update = _sqlite_update(of_execution) if sqlite else postgresql_update(of_execution)
        self._take = _SQLITE_TAKE if sqlite else _postgresql_take(self._update)
        self._insert = _sqlite_insert() if sqlite else _postgresql_insert()
        self._plans = (sqlite_insert if sqlite else postgresql_insert)(plans).on_conflict_do_nothing()

    def moment(self, value: datetime | None) -> datetime | str | None:
        """A time in the form in which these statements take it.

        Raises:
            ValueError: it has no zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        if self._sqlite:  # as SQLAlchemy stores and reads it
            return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", timespec="microseconds")
        return value

    async def update(self, connection: AsyncConnection, rows: Sequence[Values]) -> int:
        """Set executions that have their generation still, a `queue` of None stays; how many they were."""
        return (await connection.exec_driver_sql(self._update, self._packed(rows))).rowcount

    async def take(
        self, connection: AsyncConnection, rows: Sequence[Values], wanted: Mapping[str, str]
    ) -> tuple[int, frozenset[str]]:
        """Update, and give `wanted` (target -> execution) to who wants it where nobody else has it.

        How many executions were set, and which targets those that want them have now. On PostgreSQL that is one
        statement with the update.
        """
        pairs = [{"target": target, "execution_id": wanted[target]} for target in sorted(wanted)]
        if self._sqlite:
            await connection.exec_driver_sql(self._take, pairs)
            held = sa.select(target_locks.c.target, target_locks.c.execution_id)
            found = await connection.execute(held.where(target_locks.c.target.in_(wanted)))
            got = {row.target for row in found if row.execution_id == wanted[row.target]}
            return await self.update(connection, rows), frozenset(got)
        texts = (orjson.dumps(pairs).decode(), orjson.dumps(rows).decode())
        row: Any = (await connection.exec_driver_sql(self._take, texts)).one()
        return row.updated, frozenset(row.mine or ())

    async def insert(self, connection: AsyncConnection, rows: Sequence[Values]) -> None:
        """Append to the journal. What is there already is the same: only an answer was lost."""
        await connection.exec_driver_sql(self._insert, self._packed(rows))

    async def keep_plans(self, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep plans; those that are known already are left as they are."""
        await connection.execute(self._plans, rows)

    async def release(
        self, connection: AsyncConnection, workflow_ids: Sequence[str], execution_ids: Sequence[str]
    ) -> Freed:
        """From now on alerts about the same things start workflows of their own, and others may have the targets."""
        if not self._sqlite:
            values = (list(workflow_ids), list(execution_ids), list(execution_ids))
            row: Any = (await connection.exec_driver_sql(_POSTGRESQL_RELEASE, values)).one()
            return Freed(row.awaited or (), row.parted or ())
        if workflow_ids:
            await connection.execute(_OVER, {"ids": workflow_ids})
        freed = await connection.execute(_FREE, {"ids": execution_ids})
        awaited = [row.target for row in freed if row.awaited]
        return Freed(awaited, (await connection.execute(_LEAVE, {"ids": execution_ids})).scalars().all())

    def _packed(self, rows: Sequence[Values]) -> Any:
        return list(rows) if self._sqlite else (orjson.dumps(rows).decode(),)


_SQLITE_TAKE = (
    "INSERT INTO target_locks (target, execution_id, awaited) VALUES (:target, :execution_id, 0) ON CONFLICT DO NOTHING"
)
_POSTGRESQL_RELEASE = """
    WITH over AS (DELETE FROM active_identities WHERE workflow_id = ANY(%s)),
        freed AS (DELETE FROM target_locks WHERE execution_id = ANY(%s) RETURNING target, awaited),
        parted AS (DELETE FROM target_waits WHERE execution_id = ANY(%s) RETURNING target)
    SELECT (SELECT array_agg(target) FROM freed WHERE awaited) AS awaited,
        (SELECT array_agg(target) FROM parted) AS parted
"""


def _postgresql_take(update: str) -> str:
    """The targets first, sorted: whoever waits for one holds nobody's execution meanwhile."""
    wanted = "json_to_recordset(%s::json) AS wanted (target text, execution_id text)"
    return f"""
        WITH wanted AS MATERIALIZED (SELECT * FROM {wanted} ORDER BY target),
            taken AS (
                INSERT INTO target_locks (target, execution_id, awaited) SELECT target, execution_id, false FROM wanted
                ON CONFLICT DO NOTHING RETURNING target
            ),
            mine AS (
                SELECT target FROM taken
                UNION ALL SELECT target FROM target_locks JOIN wanted USING (target, execution_id)
            ),
            updated AS ({update} RETURNING 1)
        SELECT (SELECT array_agg(target) FROM mine) AS mine, (SELECT count(*) FROM updated) AS updated
    """  # noqa: S608 - our own names


def _sqlite_update(names: Sequence[str]) -> str:
    changes = ", ".join(_change(name, f":{name}") for name in names[2:])
    return f"UPDATE executions SET {changes} WHERE id = :id AND generation = :generation"  # noqa: S608 - our own names


def _sqlite_insert() -> str:
    marks = ", ".join(f":{name}" for name in JOURNAL)
    return f"INSERT INTO journal ({', '.join(JOURNAL)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - our own


def postgresql_update(names: Sequence[str]) -> str:
    """The fenced update of executions from a JSON text, without what it returns."""
    changes = ", ".join(_change(name, f"new.{name}") for name in names[2:])
    held = "executions.id = new.id AND executions.generation = new.generation"
    rows = f"json_to_recordset(%s::json) AS new ({typed(executions, names)})"
    return f"UPDATE executions SET {changes} FROM {rows} WHERE {held}"  # noqa: S608 - our own names


def _change(name: str, value: str) -> str:
    return f"{name} = coalesce({value}, executions.{name})" if name == "queue" else f"{name} = {value}"


def _postgresql_insert() -> str:
    names = ", ".join(JOURNAL)
    rows = f"json_to_recordset(%s::json) AS new ({typed(journal, JOURNAL)})"
    return f"INSERT INTO journal ({names}) SELECT {names} FROM {rows} ON CONFLICT DO NOTHING"  # noqa: S608 - our own


def typed(table: sa.Table, names: Sequence[str]) -> str:
    """Columns with their types, as a JSON text's rows are read."""
    kinds = {Moment: "timestamptz", sa.Integer: "integer"}
    return ", ".join(f"{name} {kinds.get(type(table.c[name].type), 'text')}" for name in names)
