"""Waking what waits past its bound: it gets a drive where none has to be waited for, and that drive ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog

from workflow_service.domain.errors import StoreUnavailable
from workflow_service.domain.formats import FORMAT
from workflow_service.domain.queueing import NOT_BEGUN, PARKED
from workflow_service.engine.handover import CONTROL, MANUAL, enqueue_next
from workflow_service.ports import Engine
from workflow_service.store.database import Database
from workflow_service.store.tables import executions

PERIOD = 5.0  # seconds between two looks
LOOK = 200  # executions woken by one look

log = structlog.get_logger(__name__)


class Reaper:
    """Any replica may run it: a drive is enqueued once, and only a drive that owns an execution ends it.

    What somebody drives is left alone, since that drive knows the bound itself. What has begun gets its drive in the
    lane of what is done by hand, which no alerts fill: its keys have to be asked for, its changes perhaps undone. All
    else can end on the control queue; who hands itself on from there, to wait for a slot again, is moved on as well.
    """

    def __init__(self, database: Database, engine: Engine, *, clock: Callable[[], datetime]) -> None:
        self._database, self._engine, self._clock = database, engine, clock

    async def reap(self) -> int:
        """Wake whoever is past `must_end_by` and unowned, and has not been woken for it; how many.

        Raises:
            StoreUnavailable: the database is away.
        """
        late = sa.literal(self._clock(), executions.c.must_end_by.type)
        woken = (executions.c.enqueued_at >= executions.c.must_end_by).label("woken")
        query = (
            sa.select(executions.c.id, executions.c.status, executions.c.enqueued, woken)
            .where(executions.c.ended_at.is_(None), executions.c.owner.is_(None), executions.c.must_end_by < late)
            .where(executions.c.format <= FORMAT)
            .where(~(woken & executions.c.queue.in_((CONTROL, MANUAL))))
            .order_by(executions.c.must_end_by)
            .limit(LOOK)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return sum([await self._wake(row) for row in rows])

    async def _wake(self, row: sa.Row[Any]) -> bool:
        queue = CONTROL if row.status in PARKED | NOT_BEGUN and not row.woken else MANUAL
        try:
            async with self._database.write() as connection:
                woken = await enqueue_next(
                    connection, self._engine, execution_id=row.id, after=row.enqueued, queue=queue, now=self._clock()
                )
        except StoreUnavailable:
            raise
        except Exception:
            # One execution that cannot be enqueued must not keep the others from their end.
            log.exception("execution past its bound cannot be woken", execution_id=row.id)
            return False
        if woken:
            log.warning("execution is past its bound and gets a drive", execution_id=row.id, status=row.status)
        return woken
