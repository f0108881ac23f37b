"""What is measured every so often, since it can only be counted: the gauges over the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from workflow_service.store import queries, waiting
from workflow_service.store.database import Database
from workflow_service.store.termination import termination
from workflow_service.telemetry.metrics import Metrics


async def measure(database: Database, metrics: Metrics, *, clock: Callable[[], datetime]) -> None:
    """Set every gauge.

    Raises:
        StoreUnavailable: the database is away.
    """
    metrics.active(await queries.active_by_status(database))
    metrics.queued(await waiting.waiting_by_queue(database))
    metrics.silent(seconds=await waiting.oldest_without_progress(database, clock()))
    metrics.failures.terminated(await termination(database, clock()))
