"""What a replica does again and again, and how often (composition)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from workflow_service.engine import reaping
from workflow_service.engine.housekeeping import Chore
from workflow_service.engine.measuring import measure
from workflow_service.engine.on_dbos import DbosEngine
from workflow_service.intake.intake import Intake
from workflow_service.intake.reception import Reception
from workflow_service.intake.watching import Watch
from workflow_service.meaning import expected, keep
from workflow_service.planning import shelf
from workflow_service.settings import Settings
from workflow_service.store import retention
from workflow_service.store.database import Database
from workflow_service.telemetry.metrics import Metrics

SWEEP = 2.0  # seconds between looks for undecided alerts


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The parts that want looking after."""

    settings: Settings
    database: Database
    engine: DbosEngine
    intake: Intake
    reception: Reception
    watch: Watch
    shelf: shelf.Shelf
    metrics: Metrics
    clock: Callable[[], datetime]

    def chores(self) -> list[Chore]:
        """All of it, but for what belongs to callers and to advisors."""
        period = self.settings.orchestration.monitoring_interval
        reaper = reaping.Reaper(self.database, self.engine, clock=self.clock)
        return [
            Chore("sweep", SWEEP, self.intake.sweep),
            Chore("weigh", SWEEP, self.reception.weigh),
            Chore("watch", expected(self.settings).period, self.watch.look),
            Chore("reap", min(period, reaping.PERIOD), reaper.reap),
            Chore("measure", period, partial(measure, self.database, self.metrics, clock=self.clock)),
            Chore("forget", period, self._forget),
            Chore("templates", shelf.PERIOD, self.shelf.refresh),
        ]

    async def _forget(self) -> None:
        kept = keep(self.settings)
        await retention.forget(self.database, kept, now=self.clock())
        await self.engine.forget(older_than=kept.detail)
