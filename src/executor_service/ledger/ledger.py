"""Reading and writing the ledger. Every method is one transaction; writes go one after the other."""

import asyncio
import time
import uuid
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from executor_service.contract import Json, Status, Write
from executor_service.ledger.audit import AuditEntry, Outcome, closed, forgotten, opened, refused
from executor_service.ledger.rows import TOMBSTONE, ActionRow, Ending, Intent, IntentState, action_row, intent_row
from executor_service.ledger.tables import actions, facts, intents

_INTENT_COLUMNS = [column for column in intents.c if column.name != "snapshot"]


class Ledger:
    """The one ledger of the one active instance."""

    def __init__(self, engine: AsyncEngine, ledger_id: str) -> None:
        self._engine = engine
        self._writing = asyncio.Lock()
        self.ledger_id = ledger_id

    @classmethod
    async def open(cls, engine: AsyncEngine) -> "Ledger":
        """The ledger of this database; its id is made with the first opening and lives as long as its rows."""
        query = sa.select(facts.c.value).where(facts.c.name == "ledger_id")
        async with engine.begin() as connection:
            ledger_id = await connection.scalar(query)
            if ledger_id is None:
                ledger_id = str(uuid.uuid4())
                await connection.execute(facts.insert().values(name="ledger_id", value=ledger_id))
        return cls(engine, ledger_id)

    async def insert(self, row: ActionRow) -> bool:
        """Store a new key; False when the key is known already (then nothing is stored)."""
        values = {name: getattr(row, name) for name in row.__slots__}
        try:
            await self._write(actions.insert().values(values))
        except IntegrityError:
            if await self.get(row.key) is None:
                raise
            return False
        return True

    async def get(self, key: str) -> ActionRow | None:
        """The row of a key."""
        return await self._one(sa.select(actions).where(actions.c.key == key))

    async def get_by_action_id(self, action_id: str) -> ActionRow | None:
        """The row of the executor's own action id."""
        return await self._one(sa.select(actions).where(actions.c.action_id == action_id))

    async def running(self) -> list[ActionRow]:
        """Every action that has not ended, oldest first."""
        query = sa.select(actions).where(actions.c.status == Status.RUNNING.value).order_by(actions.c.created_at)
        async with self._engine.connect() as connection:
            return [action_row(row) for row in (await connection.execute(query)).mappings()]

    async def intents(self, key: str) -> list[Intent]:
        """The effects of an action in the order in which they were planned."""
        query = sa.select(*_INTENT_COLUMNS).where(intents.c.key == key).order_by(intents.c.seq)
        async with self._engine.connect() as connection:
            return [intent_row(row) for row in (await connection.execute(query)).mappings()]

    async def in_doubt(self) -> list[Intent]:
        """Every effect of which nobody knows whether it was applied."""
        query = sa.select(*_INTENT_COLUMNS).where(intents.c.state == IntentState.PENDING.value)
        async with self._engine.connect() as connection:
            return [intent_row(row) for row in (await connection.execute(query)).mappings()]

    async def plan(
        self, key: str, slot: str, write: Write, *, seq: int, snapshot: Json = None, entry: AuditEntry | None = None
    ) -> Intent:
        """Store an effect before it is sent, replacing an earlier plan of the same slot that was never applied.

        `entry` opens its line in the audit; a delivery has none.
        """
        planned_at = time.time()
        values = {"key": key, "slot": slot, "seq": seq, "effect": write.to_json(), "snapshot": snapshot}
        values |= {"state": IntentState.PENDING.value, "planned_at": planned_at}
        audited = opened(entry) if entry is not None else []
        await self._write(sa.delete(intents).where(*_is(key, slot)), intents.insert().values(values), *audited)
        return Intent(key, slot, seq, write, IntentState.PENDING, planned_at, None)

    async def applied(
        self,
        intent: Intent,
        write: Write,
        *,
        changes: list[dict[str, Json]] | None = None,
        outcome: Outcome = Outcome.APPLIED,
    ) -> Intent:
        """An effect is known to be there; what it took back (if anything) counts as undone from now on."""
        mark = sa.update(intents).where(*_is(intent.key, intent.slot))
        statements: list[sa.Executable] = [mark.values(state=IntentState.APPLIED.value, effect=write.to_json())]
        statements += closed(intent.key, intent.slot, outcome, changes=changes)
        if write.undoes is not None:
            statements.append(sa.update(intents).where(*_is(*write.undoes)).values(undone_by=intent.key))
        await self._write(*statements)
        return replace(intent, state=IntentState.APPLIED, write=write)

    async def discard(self, intent: Intent, outcome: Outcome, message: str) -> None:
        """An effect is known to be absent for ever: forget the plan; the audit keeps why."""
        told = closed(intent.key, intent.slot, outcome, message=message)
        await self._write(sa.delete(intents).where(*_is(intent.key, intent.slot)), *told)

    async def refuse(self, entry: AuditEntry, message: str, rule: str | None) -> None:
        """Remember a write that was refused before it was planned."""
        await self._write(refused(entry, message, rule))

    async def finish(self, key: str, ending: Ending) -> None:
        """Store how a running action ended."""
        values = {name: getattr(ending, name) for name in ending.__slots__} | {"finished_at": time.time()}
        running = sa.and_(actions.c.key == key, actions.c.status == Status.RUNNING.value)
        await self._write(actions.update().where(running).values(values | {"progress": None}))

    async def progress(self, key: str, text: str) -> None:
        """Store what a running action is doing."""
        await self._write(actions.update().where(actions.c.key == key).values(progress=text))

    async def request_cancel(self, key: str) -> None:
        """Remember, across restarts, that a running action shall stop."""
        await self._write(actions.update().where(actions.c.key == key).values(cancel_requested=True))

    async def prune(self, *, ended_before: float, snapshots_before: float, audit_before: float) -> int:
        """Forget long ended actions (never tombstones), older raw objects, old audit; how many actions went."""
        old = sa.and_(actions.c.finished_at < ended_before, actions.c.type != TOMBSTONE)
        stale = sa.and_(intents.c.planned_at < snapshots_before, intents.c.snapshot.is_not(None))
        bare = intents.update().where(stale).values(snapshot=None)
        counts = await self._write(bare, forgotten(audit_before), actions.delete().where(old))
        return counts[-1]

    async def alive(self) -> bool:
        """Whether the database answers."""
        try:
            async with self._engine.connect() as connection:
                await connection.execute(sa.select(1))
        except (sa.exc.SQLAlchemyError, OSError):
            return False
        return True

    async def _one(self, query: sa.Select[tuple[Json, ...]]) -> ActionRow | None:
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).mappings().first()
        return action_row(found) if found is not None else None

    async def _write(self, *statements: sa.Executable) -> list[int]:
        async with self._writing, self._engine.begin() as connection:
            return [(await connection.execute(statement)).rowcount for statement in statements]


def _is(key: str, slot: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return intents.c.key == key, intents.c.slot == slot
