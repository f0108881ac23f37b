"""The rows of what is declared about guardrails: halts, latches of the breaker, and overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from workflow_service.domain.errors import NotFound
from workflow_service.domain.guardrails_about import Halt, Latch, Override, Standing
from workflow_service.store.database import Database
from workflow_service.store.queries import plain
from workflow_service.store.tables import halts, latches, overrides


async def standing(database: Database, now: datetime) -> Standing:
    """All that is declared at this moment.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        stopped = (await connection.execute(sa.select(halts))).all()
        latched = (await connection.execute(sa.select(latches).where(latches.c.reset_at.is_(None)))).all()
        current = (await connection.execute(sa.select(overrides).where(overrides.c.expires_at > now))).all()
    return Standing(
        halts=tuple(Halt(row.namespace, row.reason, row.created_by, row.created_at) for row in stopped),
        latches=tuple(Latch(row.environment, row.why, row.latched_at) for row in latched),
        overrides=tuple(
            Override(
                id=row.id,
                rules=tuple(row.rules),
                namespace=row.namespace,
                workflow_id=row.workflow_id,
                reason=row.reason,
                by=row.created_by,
                expires_at=row.expires_at,
            )
            for row in current
        ),
    )


async def halt(database: Database, new: Halt) -> None:
    """Stop what changes; who says so again says it with another reason.

    Raises:
        StoreUnavailable: the database is away.
    """
    row = {"namespace": new.namespace, "reason": new.reason, "created_by": new.by, "created_at": new.at}
    insert = (sqlite_insert if database.sqlite else postgresql_insert)(halts).values(row)
    async with database.write() as connection:
        await connection.execute(insert.on_conflict_do_update(index_elements=["namespace"], set_=row))


async def unhalt(database: Database, namespace: str) -> None:
    """Let it go on.

    Raises:
        NotFound: nothing is halted there.
        StoreUnavailable: the database is away.
    """
    async with database.write() as connection:
        gone = await connection.execute(sa.delete(halts).where(halts.c.namespace == namespace))
    if not gone.rowcount:
        raise NotFound(f"nothing is halted in {namespace}" if namespace else "nothing is halted everywhere")


async def latch(database: Database, new: Latch) -> None:
    """The breaker of an environment trips; one that has tripped already stays as it is.

    Raises:
        StoreUnavailable: the database is away.
    """
    row = {"environment": new.environment, "why": new.why, "latched_at": new.at, "reset_at": None, "reset_by": None}
    insert = (sqlite_insert if database.sqlite else postgresql_insert)(latches).values(row)
    async with database.write() as connection:
        await connection.execute(
            insert.on_conflict_do_update(
                index_elements=["environment"], set_=row, where=latches.c.reset_at.is_not(None)
            )
        )


async def reset_at(database: Database, environment: str) -> datetime | None:
    """When the environment's breaker was reset last; None: it never was.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        found: datetime | None = await connection.scalar(
            sa.select(latches.c.reset_at).where(latches.c.environment == environment)
        )
    return found


async def reset(database: Database, environment: str, *, by: str, now: datetime) -> Mapping[str, Any]:
    """Let the environment's plans go on by themselves; what has ended before counts no more.

    Raises:
        NotFound: its breaker has not tripped.
        StoreUnavailable: the database is away.
    """
    update = sa.update(latches).where(latches.c.environment == environment, latches.c.reset_at.is_(None))
    async with database.write() as connection:
        found = (await connection.execute(update.values(reset_at=now, reset_by=by).returning(latches))).mappings()
        row = found.one_or_none()
    if row is None:
        raise NotFound(f"the breaker of {environment} has not tripped")
    return plain(row)


async def override(database: Database, new: Override, *, now: datetime) -> Mapping[str, Any]:
    """Break the glass; the row.

    Raises:
        StoreUnavailable: the database is away.
    """
    given = {name: value for name, value in asdict(new).items() if name != "by"}
    row = {**given, "rules": list(new.rules), "created_by": new.by, "created_at": now}
    async with database.write() as connection:
        kept = await connection.execute(sa.insert(overrides).values(row).returning(overrides))
        return plain(kept.mappings().one())


async def end_override(database: Database, override_id: str, *, by: str, now: datetime) -> Mapping[str, Any]:
    """End it before its time; one that is over stays as it is.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    update = sa.update(overrides).where(overrides.c.id == override_id, overrides.c.expires_at > now)
    async with database.write() as connection:
        await connection.execute(update.values(expires_at=now, ended_by=by))
        found = await connection.execute(sa.select(overrides).where(overrides.c.id == override_id))
        row = found.mappings().one_or_none()
    if row is None:
        raise NotFound(f"no override {override_id}")
    return plain(row)


async def listed_overrides(database: Database, *, limit: int) -> Sequence[Mapping[str, Any]]:
    """Those that expire last first, those that are over too.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = sa.select(overrides).order_by(overrides.c.expires_at.desc(), overrides.c.id).limit(limit)
    async with database.read() as connection:
        return [plain(row) for row in (await connection.execute(query)).mappings()]


async def forget_overrides(database: Database, *, expired_before: datetime) -> int:
    """Delete overrides that expired before; how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    old = sa.delete(overrides).where(overrides.c.expires_at < expired_before)
    async with database.write() as connection:
        return (await connection.execute(old)).rowcount
