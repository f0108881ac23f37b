"""The rows of changes that have begun: counted against budgets as they begin, and asked whether they have helped.

With a budget, who takes from it has to wait in line on PostgreSQL (one advisory lock, after the rows of executions
and targets and before the line of those that wait for targets); on SQLite there is one writer anyway. So what is
counted is what all others have committed, and two that want the last of a budget cannot both have it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.errors import BudgetSpent
from workflow_service.domain.policy import BUDGET_WINDOW, Budgets
from workflow_service.domain.states import ExecutionStatus
from workflow_service.store.database import Database
from workflow_service.store.tables import changes, executions, workflows

_LINE = 0x6275646765747321  # "budgets!": any constant that all replicas share
BADLY = (ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.ROLLED_BACK)
_SAYS_NOTHING = (ExecutionStatus.CANCELLED, ExecutionStatus.REJECTED, ExecutionStatus.RESOLVED)


@dataclass(frozen=True, slots=True)
class Change:
    """A change that begins."""

    execution_id: str
    step: str
    at: datetime
    cluster: str
    namespace: str
    target: str
    action: str


async def begin(connection: AsyncConnection, begun: Sequence[tuple[Change, Budgets]], *, sqlite: bool) -> None:
    """Note changes, each within its budgets; one that is noted already is the same.

    Raises:
        BudgetSpent: one of them would be one too many.
    """
    if not sqlite and any(budgets.bounded for _, budgets in begun):
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LINE)))
    insert = (sqlite_insert if sqlite else postgresql_insert)(changes).on_conflict_do_nothing()
    for change, budgets in begun:
        await connection.execute(insert, asdict(change))
        if budgets.bounded:
            await _expect_room(connection, change, budgets)


async def _expect_room(connection: AsyncConnection, change: Change, budgets: Budgets) -> None:
    used = await _used(connection, change.cluster, [change.target], [change.namespace], change.at)
    for what, key, limit in (
        ("target", change.target, budgets.target),
        ("namespace", change.namespace, budgets.namespace),
        ("cluster", "", budgets.cluster),
    ):
        if limit is not None and (key or what == "cluster") and used.get(key, 0) > limit:
            why = f"there were {limit} changes of its {what} within the hour, and that is the most (budgets.{what})"
            raise BudgetSpent(change.step, why)


async def used(
    database: Database, *, cluster: str, targets: Collection[str], namespaces: Collection[str], now: datetime
) -> Mapping[str, int]:
    """The changes that have begun within the hour: by target, by namespace, and all of the cluster's as "".

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.read() as connection:
        return await _used(connection, cluster, targets, namespaces, now)


async def _used(
    connection: AsyncConnection, cluster: str, targets: Collection[str], namespaces: Collection[str], now: datetime
) -> Mapping[str, int]:
    """One look at an hour of the index; a target's identity and a namespace are never the same word."""
    asked = {f"t:{one}": (changes.c.target == one, one) for one in targets if one}
    asked |= {f"n:{one}": (changes.c.namespace == one, one) for one in namespaces if one}
    counts = [sa.func.count().filter(which).label(f"c{index}") for index, (which, _) in enumerate(asked.values())]
    query = sa.select(sa.func.count().label("everything"), *counts).where(
        changes.c.cluster == cluster, changes.c.at > now - BUDGET_WINDOW
    )
    everything, *found = (await connection.execute(query)).one()
    return {"": everything, **{word: number for (_, word), number in zip(asked.values(), found, strict=True)}}


async def unhelpful(database: Database, *, targets: Collection[str], since: datetime) -> Mapping[tuple[str, str], int]:
    """How often each action on each of these has been a part of a run that has ended badly since.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = (
        sa.select(changes.c.action, changes.c.target, sa.func.count())
        .join(executions, executions.c.id == changes.c.execution_id)
        .where(changes.c.target.in_(sorted(targets)), changes.c.at > since)
        .where(executions.c.status.in_([status.value for status in BADLY]))
        .group_by(changes.c.action, changes.c.target)
    )
    async with database.read() as connection:
        return {(action, target): count for action, target, count in await connection.execute(query)}


async def last_ends(database: Database, *, since: datetime | None, most: int) -> Sequence[tuple[str, str, bool]]:
    """Cluster, namespace and whether it was badly, of the runs that ended last; of those that say something at all.

    Raises:
        StoreUnavailable: the database is away.
    """
    query = (
        sa.select(workflows.c.cluster, workflows.c.namespace, executions.c.status)
        .join(workflows, workflows.c.id == executions.c.workflow_id)
        .where(executions.c.ended_at.is_not(None), executions.c.kind == "run")
        .where(executions.c.status.not_in([status.value for status in _SAYS_NOTHING]))
        .order_by(executions.c.ended_at.desc())
        .limit(most)
    )
    if since is not None:
        query = query.where(executions.c.ended_at > since)
    async with database.read() as connection:
        rows = await connection.execute(query)
        return [(row.cluster or "", row.namespace or "", row.status in BADLY) for row in rows]


async def forget(database: Database, *, begun_before: datetime) -> int:
    """Delete what is older than anybody asks for; how many.

    Raises:
        StoreUnavailable: the database is away.
    """
    async with database.write() as connection:
        return (await connection.execute(sa.delete(changes).where(changes.c.at < begun_before))).rowcount
