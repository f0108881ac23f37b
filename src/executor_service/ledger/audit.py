"""The audit: one row per write that was tried or refused, stored with the intent and closed with its outcome."""

import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from executor_service.contract import Json, ObjectRef, Status
from executor_service.ledger.tables import actions, audit


class Outcome(StrEnum):
    """What became of a write."""

    PENDING = "pending"
    """Stored as intended; whether it arrived is not known (yet)."""
    APPLIED = "applied"
    REFUSED = "refused"
    """By a rule of ours, or by the API server; nothing was changed."""
    STALE = "stale"
    """Planned from an object that had changed meanwhile; nothing was changed, and it was planned again."""
    OVERTAKEN = "overtaken"
    """Neither the old nor our values were found afterwards: somebody else wrote too."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who asked, and what was to be written. `target` is what the action was about, `place` where it counted."""

    caller: str
    workflow_id: str | None
    execution_id: str | None
    step_id: str | None
    key: str
    slot: str
    action: str
    target: str
    place: str | None
    verb: str
    kind: str
    namespace: str | None
    name: str
    changes: list[dict[str, Json]]


@dataclass(frozen=True, slots=True)
class AuditRow(AuditEntry):
    """One line of the audit. Times are seconds since the epoch; `seq` counts up."""

    seq: int
    at: float
    closed_at: float | None
    outcome: str
    message: str | None
    rule: str | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows; None is any. `before` is the cursor: rows below that number only. `since` is seconds since 1970."""

    namespace: str | None = None
    kind: str | None = None
    name: str | None = None
    key: str | None = None
    since: float | None = None
    before: int | None = None


class Besides(Protocol):
    """Whose own changes do not count."""

    @property
    def key(self) -> str:
        """The action."""

    @property
    def workflow_id(self) -> str | None:
        """Its workflow, if it has one."""


class Audit:
    """Reading the audit. It is written by the ledger, in the transactions of the intents."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, wanted: AuditFilter, *, limit: int) -> list[AuditRow]:
        """The newest rows that match, newest first."""
        query = sa.select(audit).order_by(audit.c.seq.desc()).limit(limit)
        for name in ("namespace", "kind", "name", "key"):
            if (value := getattr(wanted, name)) is not None:
                query = query.where(audit.c[name] == value)
        if wanted.since is not None:
            query = query.where(audit.c.at >= wanted.since)
        if wanted.before is not None:
            query = query.where(audit.c.seq < wanted.before)
        return [_row(found) for found in await self._all(query)]

    async def line(self, key: str, slot: str) -> AuditRow | None:
        """The newest row of an effect."""
        query = sa.select(audit).where(audit.c.key == key, audit.c.slot == slot).order_by(audit.c.seq.desc()).limit(1)
        return next((_row(found) for found in await self._all(query)), None)

    async def latest_change(self, action: str, target: ObjectRef, *, since: float, besides: Besides) -> AuditRow | None:
        """The last change of a target by an action type and somebody else; one in doubt counts."""
        done = audit.c.outcome.in_([Outcome.APPLIED.value, Outcome.PENDING.value, Outcome.OVERTAKEN.value])
        others = audit.c.key != besides.key
        if besides.workflow_id is not None:
            others &= sa.or_(audit.c.workflow_id.is_(None), audit.c.workflow_id != besides.workflow_id)
        about = sa.and_(audit.c.action == action, audit.c.target == str(target), audit.c.at > since)
        query = sa.select(audit).where(about, done, others).order_by(audit.c.seq.desc()).limit(1)
        return next((_row(found) for found in await self._all(query)), None)

    async def places_of_running(self) -> list[tuple[str, str]]:
        """Key and place of every action that has begun and not ended."""
        begun = audit.c.outcome.in_([Outcome.APPLIED.value, Outcome.PENDING.value])
        running = sa.and_(actions.c.key == audit.c.key, actions.c.status == Status.RUNNING.value)
        query = sa.select(audit.c.key, audit.c.place).join(actions, running).where(begun, audit.c.place.is_not(None))
        return [(found["key"], found["place"]) for found in await self._all(query.distinct())]

    async def _all(self, query: sa.Select[Any]) -> list[sa.RowMapping]:
        async with self._engine.connect() as connection:
            return [*(await connection.execute(query)).mappings()]


def opened(entry: AuditEntry) -> list[sa.Executable]:
    """The write is intended. An earlier intention of the same effect was never sent, or found stale."""
    values = asdict(entry) | {"at": time.time(), "outcome": Outcome.PENDING.value}
    return [*closed(entry.key, entry.slot, Outcome.STALE), audit.insert().values(values)]


def closed(
    key: str, slot: str, outcome: Outcome, *, message: str | None = None, changes: list[dict[str, Json]] | None = None
) -> list[sa.Executable]:
    """What became of the write, with the values as the server stored them."""
    values: dict[str, Json] = {"outcome": outcome.value, "closed_at": time.time(), "message": message}
    values |= {"changes": changes} if changes is not None else {}
    pending = sa.and_(audit.c.key == key, audit.c.slot == slot, audit.c.outcome == Outcome.PENDING.value)
    return [sa.update(audit).where(pending).values(values)]


def refused(entry: AuditEntry, message: str, rule: str | None) -> sa.Executable:
    """The write was refused before it was intended."""
    now = time.time()
    ending = {"at": now, "closed_at": now, "outcome": Outcome.REFUSED.value, "message": message, "rule": rule}
    return audit.insert().values(asdict(entry) | ending)


def forgotten(before: float) -> sa.Executable:
    """Rows older than that."""
    return sa.delete(audit).where(audit.c.at < before, audit.c.outcome != Outcome.PENDING.value)


def _row(mapping: sa.RowMapping) -> AuditRow:
    return AuditRow(**dict(mapping))
