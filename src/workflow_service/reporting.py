"""Telling an advisor what came of its advice, after the end of a run and beside it: nobody waits for that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from workflow_service.domain.advice_outcome import outcome_of
from workflow_service.store import advice_reports as rows
from workflow_service.store.database import Database
from workflow_service.telemetry.advice import AdviceMetrics

LOOK_BACK = timedelta(hours=1)  # runs that ended before are not told about after a start
OVERLAP = timedelta(seconds=10)  # an end may be committed a little after one that is later by its time
KEPT = timedelta(days=1)
PAUSES = (timedelta(seconds=30), timedelta(minutes=5), timedelta(minutes=30))  # before further tries

Tell = Callable[[Mapping[str, Any]], Awaitable[str | None]]
"""Tells it once; why nobody has taken it, or None."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Reporting:
    """Notes what came of advice, counts it, and tells; `tell` None: it is only counted."""

    database: Database
    metrics: AdviceMetrics
    tell: Tell | None
    clock: Callable[[], datetime]
    seen: datetime | None = None  # until when ends were noted here

    async def look(self) -> None:
        """Note the runs that have ended since the last look, and tell about them; what cannot be told is tried again.

        Raises:
            StoreUnavailable: the database is away.
        """
        now = self.clock()
        await self._note(now)
        if self.tell is not None:
            for report in await rows.due(self.database, now):
                await self._tell(self.tell, report, now)
        await rows.forget(self.database, before=now - KEPT)

    async def _note(self, now: datetime) -> None:
        since = self.seen or now - LOOK_BACK
        for run, plan in await rows.ended(self.database, since=since - OVERLAP):
            report = outcome_of(run, plan.get("metadata") or {})
            if report is not None and await rows.note(
                self.database, run["id"], report, now, tell=self.tell is not None
            ):
                self.metrics.ended(report["provider"], used=report["used"], status=report["status"])
            self.seen = max(run["ended_at"], self.seen or run["ended_at"])

    async def _tell(self, tell: Tell, report: rows.Report, now: datetime) -> None:
        pause = PAUSES[report.tries] if report.tries < len(PAUSES) else None
        if not await rows.claim(self.database, report, again_at=now + pause if pause else None):
            return  # another replica tells it
        trouble = await tell(report.document)
        await rows.settle(self.database, report, trouble=trouble)
        if trouble is not None and pause is None:
            log.warning(
                "an advisor was not told what came of its advice", execution_id=report.execution_id, why=trouble
            )
