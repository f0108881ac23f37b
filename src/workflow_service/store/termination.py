"""Counting how the executions of the last hours have ended."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from workflow_service.domain.states import ExecutionStatus, Verb
from workflow_service.domain.termination import WINDOW, Termination
from workflow_service.store.commands import APPLIED
from workflow_service.store.database import Database
from workflow_service.store.tables import commands, executions

_BADLY = (ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT)
_BY_HAND = (Verb.CANCEL, Verb.ROLLBACK)


async def termination(database: Database, now: datetime) -> Termination:
    """How many runs have ended within the window, and how many of them badly; none that a person has ended.

    Raises:
        StoreUnavailable: the database is away.
    """
    asked_for = sa.exists().where(
        commands.c.workflow_id == executions.c.workflow_id,  # this is what has an index
        commands.c.execution_id == executions.c.id,
        commands.c.outcome == APPLIED,
        commands.c.verb.in_([verb.value for verb in _BY_HAND]),
    )
    badly = sa.func.count().filter(executions.c.status.in_([status.value for status in _BADLY]))
    query = sa.select(sa.func.count().label("ended"), badly.label("badly")).where(
        executions.c.ended_at > now - WINDOW, executions.c.kind == "run", ~asked_for
    )
    async with database.read() as connection:
        row = (await connection.execute(query)).one()
    return Termination(ended=row.ended, badly=row.badly)
