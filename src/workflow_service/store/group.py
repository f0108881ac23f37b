"""Writing many executions' journal entries as a few statements: what a group commit sends, on either database.

The statements are text and their values plain, unlike elsewhere: they are most of what the service writes. PostgreSQL
gets a group as JSON texts, which cost this process a fraction of a parameter per value, and where it can be all of it
as one statement, which is one round trip instead of four; SQLite, in the same process, gets the rows.
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

from workflow_service.store import commands
from workflow_service.store.entry import Values
from workflow_service.store.line import Line
from workflow_service.store.tables import Moment, active_identities, executions, journal, plans

_ENTRY = ("execution_id", "seq", "generation", "at", "kind", "data")
_OVER = sa.delete(active_identities).where(active_identities.c.workflow_id.in_(sa.bindparam("ids", expanding=True)))


class GroupWriter:
    """The statements of a group commit; `columns` are those of an execution that every entry sets."""

    def __init__(self, *, sqlite: bool, columns: Sequence[str]) -> None:
        self._sqlite = sqlite
        of_execution = ("id", "generation", "seq", "queue", *columns)
        self._update = _sqlite_update(of_execution) if sqlite else _postgresql_update(of_execution)
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

    async def insert(self, connection: AsyncConnection, rows: Sequence[Values]) -> None:
        """Append to the journal. What is there already is the same: only an answer was lost."""
        await connection.exec_driver_sql(self._insert, self._packed(rows))

    async def keep_plans(self, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep plans; those that are known already are left as they are."""
        await connection.execute(self._plans, rows)

    async def release(self, connection: AsyncConnection, workflow_ids: Sequence[str]) -> None:
        """From now on alerts about the same things start workflows of their own."""
        await connection.execute(_OVER, {"ids": workflow_ids})

    def _packed(self, rows: Sequence[Values]) -> Any:
        return list(rows) if self._sqlite else (_json(rows),)


Held = tuple[str, int]  # an execution and the generation that still has it


class AtOnce:
    """A whole group commit as one statement, on PostgreSQL."""

    def __init__(self, line: Line, *, columns: Sequence[str]) -> None:
        self._line = line
        self._statement = _at_once(("id", "generation", "seq", "queue", *columns))

    async def commit(
        self, updates: Sequence[Values], rows: Sequence[Values], kept: Sequence[Values], over: Sequence[Values]
    ) -> set[Held]:
        """Write what belongs to executions that have their generation still; which these are.

        `kept` are plans, `over` says of executions that are over: id, generation, workflow_id, and `now`.

        Raises:
            StoreUnavailable: the database is away, or nobody knows whether it has committed.
        """
        texts = (_json(updates), _json(rows), _json(kept), _json(over))
        return {(str(name), int(generation)) for name, generation in await self._line.fetch(self._statement, texts)}

    async def close(self) -> None:
        """Give the connection back."""
        await self._line.close()


def _json(rows: Sequence[Values]) -> str:
    return orjson.dumps(rows).decode()


def _sqlite_update(names: Sequence[str]) -> str:
    changes = ", ".join(_change(name, f":{name}") for name in names[2:])
    return f"UPDATE executions SET {changes} WHERE id = :id AND generation = :generation"  # noqa: S608 - our own names


def _sqlite_insert() -> str:
    marks = ", ".join(f":{name}" for name in _ENTRY)
    return f"INSERT INTO journal ({', '.join(_ENTRY)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - our own


def _postgresql_update(names: Sequence[str]) -> str:
    changes = ", ".join(_change(name, f"new.{name}") for name in names[2:])
    held = "executions.id = new.id AND executions.generation = new.generation"
    rows = f"json_to_recordset(%s::json) AS new ({_typed(executions, names)})"
    return f"UPDATE executions SET {changes} FROM {rows} WHERE {held}"  # noqa: S608 - our own names


def _change(name: str, value: str) -> str:
    return f"{name} = coalesce({value}, executions.{name})" if name == "queue" else f"{name} = {value}"


def _postgresql_insert() -> str:
    names = ", ".join(_ENTRY)
    rows = f"json_to_recordset(%s::json) AS new ({_typed(journal, _ENTRY)})"
    return f"INSERT INTO journal ({names}) SELECT {names} FROM {rows} ON CONFLICT DO NOTHING"  # noqa: S608 - our own


def _at_once(names: Sequence[str]) -> str:
    """Every part looks at `held`, so an execution that has another drive changes in none."""
    kept = ("workflow_id", "hash", "revision", "created_at", "document")
    new = "json_to_recordset(%s::json) AS new"
    still = "held.id = new.{} AND held.generation = new.generation"
    return f"""
WITH held AS ({_postgresql_update(names)} RETURNING executions.id, executions.generation),
written AS (
  INSERT INTO journal ({", ".join(_ENTRY)}) SELECT {", ".join(f"new.{name}" for name in _ENTRY)}
  FROM {new} ({_typed(journal, _ENTRY)}) JOIN held ON {still.format("execution_id")} ON CONFLICT DO NOTHING
),
kept AS (
  INSERT INTO plans ({", ".join(kept)}) SELECT {", ".join(f"new.{name}" for name in kept)}
  FROM {new} (execution_id text, generation integer, {_typed(plans, kept)}) JOIN held ON {still.format("execution_id")}
  ON CONFLICT DO NOTHING
),
over AS (
  SELECT new.* FROM {new} (id text, generation integer, workflow_id text, now timestamptz)
  JOIN held ON {still.format("id")}
),
freed AS (DELETE FROM active_identities USING over WHERE active_identities.workflow_id = over.workflow_id),
closed AS (
  UPDATE commands SET outcome = '{commands.REFUSED}', why = '{commands.TOO_LATE}', answered_at = over.now
  FROM over WHERE commands.execution_id = over.id AND commands.outcome IS NULL
)
SELECT id, generation FROM held"""  # noqa: S608 - our own names


def _typed(table: sa.Table, names: Sequence[str]) -> str:
    kinds = {Moment: "timestamptz", sa.Integer: "integer"}
    return ", ".join(f"{name} {kinds.get(type(table.c[name].type), 'text')}" for name in names)
