"""How many executions end badly is counted over the last day, without what people have ended, on either database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from tests.support.rows import BEGAN, an_execution
from workflow_service.domain.termination import LEAST, Termination
from workflow_service.store.database import Database
from workflow_service.store.tables import commands
from workflow_service.store.termination import termination

HOUR = timedelta(hours=1)


async def _ended(database: Database, status: str, *, ago: timedelta = HOUR, **columns: Any) -> str:
    return await an_execution(database, status=status, ended_at=BEGAN - ago, **columns)


async def _told(database: Database, execution: str, verb: str, outcome: str | None) -> None:
    async with database.write() as connection:
        order = {"id": f"{verb}-{execution}", "workflow_id": execution, "execution_id": execution, "verb": verb}
        more = {"actor": "ana", "reason": "", "arguments": {}, "created_at": BEGAN, "outcome": outcome}
        await connection.execute(sa.insert(commands).values(**order, **more))


async def test_only_what_ended_by_itself_within_the_window_is_counted(database: Database) -> None:
    """Failed and timed out are bad; what runs, is older, is a rollback, or was ended by a person does not count."""
    for status in ("failed", "timed_out", "completed", "rolled_back", "rejected", "cancelled"):
        await _ended(database, status)
    await _ended(database, "failed", ago=timedelta(hours=25))
    await _ended(database, "failed", kind="rollback")
    await an_execution(database, status="running")
    cancelled, refused, paused = [await _ended(database, "failed") for _ in range(3)]
    await _told(database, cancelled, "cancel", "applied")
    await _told(database, refused, "cancel", "refused")
    await _told(database, paused, "pause", "applied")
    assert await termination(database, BEGAN) == Termination(ended=8, badly=4)


def test_what_the_numbers_mean() -> None:
    """Too few say nothing; the warning comes before the limit, and the limit itself is still allowed."""
    assert Termination(LEAST - 1, LEAST - 1).rate is None
    assert not Termination(LEAST - 1, LEAST - 1).too_many
    told = [(one.alarming, one.too_many) for one in (Termination(100, n) for n in (7, 8, 10, 11))]
    assert told == [(False, False), (True, False), (True, False), (True, True)]
    assert str(Termination(100, 11)) == "11 of 100 executions of the last 24 h ended badly; 10% is the most"
