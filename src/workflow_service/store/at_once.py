"""A whole group commit as one statement of PostgreSQL: one round trip, and nobody ever sees it half done.

Every part looks at `held`, the executions that still have their generation and whose targets nobody else has: for the
others nothing changes at all, and the answer says which they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy.exc import DataError

from workflow_service.store import commands
from workflow_service.store.entry import COLUMNS, Entry, Values, kept_of, over_of
from workflow_service.store.group import JOURNAL, postgresql_update, typed
from workflow_service.store.line import Line
from workflow_service.store.tables import journal, plans


class Raced(Exception):
    """Another replica took a target in the same moment; nothing was written."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a group."""

    held: frozenset[tuple[str, int]]  # executions, with the generation that wrote
    taken: frozenset[str]  # targets that were wanted and are another's
    awaited: frozenset[str]  # targets that were given back or whose line was left: who is next must be seen to


class AtOnce:
    """The writer of groups that have nothing else to do in their transactions."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def commit(self, updates: Sequence[Values], rows: Sequence[Values], entries: Sequence[Entry]) -> Written:
        """Write what belongs to executions that have their generation still, and get all targets that they want.

        Raises:
            Raced: nothing was written; the targets have to be asked for one after another.
            StoreUnavailable: the database is away, or nobody knows whether it has committed.
        """
        wanted = [{"target": target, "id": entry.execution_id} for entry in entries for target in entry.grip.takes]
        kept = [row for entry in entries for row in kept_of(entry)]
        over = [row for entry in entries for row in over_of(entry)]
        texts = tuple(orjson.dumps(part).decode() for part in (wanted, updates, rows, kept, over))
        try:
            found = await self._line.fetch(_STATEMENT, texts)
        except DataError as error:
            if "division by zero" in str(error.orig):
                raise Raced from None
            raise
        return Written(
            held=frozenset((name, int(value)) for kind, name, value in found if kind == "held"),
            taken=frozenset(value for kind, _, value in found if kind == "taken"),
            awaited=frozenset(value for kind, _, value in found if kind == "awaited"),
        )

    async def close(self) -> None:
        """Give the connection back."""
        await self._line.close()


_KEPT = ("workflow_id", "hash", "revision", "created_at", "document")
_NEW = "json_to_recordset(%s::json) AS new"
_STILL = "held.id = new.{} AND held.generation = new.generation"
# `wanted` is sorted, so that replicas wait for each other in one order. An INSERT that meets another replica's in the
# same moment inserts less than it should: then the division by zero takes everything back.
_STATEMENT = f"""
WITH wanted AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%s::json) AS wanted (target text, id text) ORDER BY target
),
known AS MATERIALIZED (
  SELECT wanted.id, target, target_locks.execution_id IS NOT DISTINCT FROM wanted.id AS mine
  FROM wanted JOIN target_locks USING (target)
),
held AS (
  {postgresql_update(("id", "generation", "seq", "queue", *COLUMNS))}
  AND NOT EXISTS (SELECT FROM known WHERE known.id = new.id AND NOT mine)
  RETURNING executions.id, executions.generation
),
missing AS MATERIALIZED (
  SELECT target, wanted.id FROM wanted JOIN held USING (id)
  WHERE target NOT IN (SELECT target FROM known) ORDER BY target
),
taken AS (
  INSERT INTO target_locks (target, execution_id, awaited) SELECT target, id, false FROM missing
  ON CONFLICT DO NOTHING RETURNING target
),
written AS (
  INSERT INTO journal ({", ".join(JOURNAL)}) SELECT {", ".join(f"new.{name}" for name in JOURNAL)}
  FROM {_NEW} ({typed(journal, JOURNAL)}) JOIN held ON {_STILL.format("execution_id")} ON CONFLICT DO NOTHING
),
kept AS (
  INSERT INTO plans ({", ".join(_KEPT)}) SELECT {", ".join(f"new.{name}" for name in _KEPT)}
  FROM {_NEW} (execution_id text, generation integer, {typed(plans, _KEPT)})
  JOIN held ON {_STILL.format("execution_id")} ON CONFLICT DO NOTHING
),
over AS MATERIALIZED (
  SELECT new.* FROM {_NEW} (id text, generation integer, workflow_id text, now timestamptz)
  JOIN held ON {_STILL.format("id")}
),
identified AS (DELETE FROM active_identities USING over WHERE active_identities.workflow_id = over.workflow_id),
closed AS (
  UPDATE commands SET outcome = '{commands.REFUSED}', why = '{commands.TOO_LATE}', answered_at = over.now
  FROM over WHERE commands.execution_id = over.id AND commands.outcome IS NULL
),
given AS MATERIALIZED (
  SELECT target, awaited FROM target_locks JOIN over ON target_locks.execution_id = over.id FOR UPDATE OF target_locks
),
freed AS (DELETE FROM target_locks USING given WHERE target_locks.target = given.target AND NOT given.awaited),
gates AS (
  UPDATE target_locks SET execution_id = NULL FROM given WHERE target_locks.target = given.target AND given.awaited
  RETURNING target_locks.target
),
parted AS (DELETE FROM target_waits USING over WHERE target_waits.execution_id = over.id RETURNING target)
SELECT 'held' AS kind, id AS name, generation::text AS value FROM held
UNION ALL SELECT 'taken', id, target FROM known WHERE NOT mine
UNION ALL SELECT 'awaited', NULL, target FROM gates
UNION ALL SELECT 'awaited', NULL, target FROM parted
UNION ALL SELECT 'whole', NULL, (1 / ((SELECT count(*) FROM taken) = (SELECT count(*) FROM missing))::integer)::text
"""  # noqa: S608 - our own names
