"""Rows as intake writes them, for tests that begin behind it, and ways for a database to fail."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from workflow_service.domain.queueing import PARKED
from workflow_service.store.database import Database
from workflow_service.store.entry import Row
from workflow_service.store.tables import active_identities, alerts, deliveries, executions, identities, workflows

DEADLINE = 20.0  # seconds until a test gives up waiting for a condition
Found = TypeVar("Found")
BEGAN = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
ROW = Row(
    status="running",
    actions_total=1,
    actions_ended=0,
    current_action=None,
    reason="",
    cause="",
    rollback="none",
    plan_hash=None,
    updated_at=BEGAN,
    started_at=BEGAN,
    must_end_by=None,
    wake_at=None,
    ended_at=None,
)


async def an_alert(database: Database, *, at: datetime = BEGAN, **columns: Any) -> str:
    """A stored alert with its delivery; its id."""
    alert_id, delivery_id = str(uuid.uuid4()), str(uuid.uuid4())
    document = {"name": "HighCPUUsage", "severity": "critical", "namespace": "production", "labels": {"n": alert_id}}
    row = {
        "id": alert_id,
        "delivery_id": delivery_id,
        "received_at": at,
        "fingerprint": alert_id,
        "document": document,
        "outcome": "admitted",
        **columns,
    }
    async with database.write() as connection:
        await connection.execute(
            sa.insert(deliveries).values(id=delivery_id, received_at=at, route="/api/v1/execute", body=b"{}")
        )
        await connection.execute(sa.insert(alerts).values(row))
    return alert_id


async def an_execution(database: Database, *, at: datetime = BEGAN, **columns: Any) -> str:
    """An execution with its workflow, identities, alert and delivery; its id, which is its workflow's too."""
    alert_id, key = await an_alert(database, at=at), str(uuid.uuid4())
    parked = columns.get("status") in PARKED
    row = {
        "id": key,
        "workflow_id": key,
        "wake_at": columns.get("must_end_by") or at + timedelta(days=2) if parked else None,
        "kind": "run",
        "status": "created",
        "queue": "planning",
        "priority": 1,
        "generation": 0,
        "enqueued": 1,
        "enqueued_at": at,
        "seq": 0,
        "actions_total": 0,
        "actions_ended": 0,
        "reason": "",
        "cause": "",
        "rollback": "none",
        "created_at": at,
        "updated_at": at,
        **columns,
    }
    async with database.write() as connection:
        await connection.execute(
            sa.insert(workflows).values(
                id=key,
                alert_id=alert_id,
                execution_id=key,
                alert_name="HighCPUUsage",
                severity="critical",
                created_at=at,
            )
        )
        identity = {"identity": f"alert:{alert_id}", "workflow_id": key}
        await connection.execute(sa.insert(identities).values(identity))
        if row.get("ended_at") is None:
            await connection.execute(sa.insert(active_identities).values(identity))
        await connection.execute(sa.insert(executions).values(row))
    return key


async def execution(database: Database, key: str) -> sa.Row[Any]:
    """One execution's row."""
    async with database.read() as connection:
        return (await connection.execute(sa.select(executions).where(executions.c.id == key))).one()


async def count(database: Database, table: sa.Table) -> int:
    """How many rows a table has."""
    async with database.read() as connection:
        return int(await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


async def eventually(look: Callable[[], Awaitable[Found]], what: str, *, within: float = DEADLINE) -> Found:
    """The first true answer of `look`; fails when there is none in time."""
    until = time.monotonic() + within
    while not (found := await look()):
        assert time.monotonic() < until, f"did not happen within {within:g} s: {what}"
        await asyncio.sleep(0.01)
    return found


@contextmanager
def commit_answer_lost(database: Database, *, times: int = 1, of: str = "", committed: bool = True) -> Iterator[None]:
    """The next commits of a statement that contains `of` are done, or are not; their answers do not reach us."""
    left, meant = times, False

    def notice(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        nonlocal meant
        meant = meant or of in statement

    def commit(connection: sa.Connection) -> None:
        nonlocal left, meant
        if left > 0 and meant:
            left, meant = left - 1, False
            connection.connection.commit() if committed else connection.connection.rollback()
            raise sa.exc.OperationalError("COMMIT", {}, ConnectionResetError("the answer was lost"))

    engine = database._writer.sync_engine
    sa.event.listen(engine, "commit", commit)
    sa.event.listen(engine, "before_cursor_execute", notice)
    try:
        yield
    finally:
        sa.event.remove(engine, "commit", commit)
        sa.event.remove(engine, "before_cursor_execute", notice)
    assert left == 0, "fewer commits than expected"


@contextmanager
def away(database: Database) -> Iterator[None]:
    """Nothing that is written arrives."""

    # Not at `begin`: its listeners are gone through while they wait, and must not change meanwhile.
    def refuse(*_statement: object) -> None:
        raise sa.exc.OperationalError("BEGIN", {}, ConnectionRefusedError("the database is away"))

    engine = database._writer.sync_engine
    sa.event.listen(engine, "before_cursor_execute", refuse)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", refuse)
