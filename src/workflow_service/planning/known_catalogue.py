"""The catalogue that plans are made against: fresh from the executor, or the last copy while it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from workflow_service.domain.catalogue import Catalogue, catalogue_from_wire
from workflow_service.domain.errors import ExecutorError, StoreUnavailable
from workflow_service.ports import Executor
from workflow_service.store.database import Database
from workflow_service.store.queries import keep_catalogue, kept_catalogue

FRESH = 30.0  # seconds for which a catalogue is not asked for again
BUDGET = 2.0  # seconds that asking may take

log = structlog.get_logger(__name__)


class KnownCatalogue:
    """The executor's catalogue as far as it is known."""

    def __init__(self, executor: Executor, database: Database, *, cluster: str, clock: Callable[[], datetime]) -> None:
        self._executor, self._database, self._cluster, self._clock = executor, database, cluster, clock
        self._catalogue: Catalogue | None = None
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()  # many plans at once ask once

    async def load(self) -> Catalogue | None:
        """The catalogue, or None when no executor has ever been reached."""
        async with self._asking:
            return await self._load()

    async def _load(self) -> Catalogue | None:
        if self._catalogue is not None and time.monotonic() - self._asked_at < FRESH:
            return self._catalogue
        try:
            async with asyncio.timeout(BUDGET):
                catalogue, document = await self._executor.catalogue()
        except (ExecutorError, TimeoutError) as error:
            log.warning("the executor's catalogue is not to be had; the last copy serves", error=str(error))
            return self._catalogue or await self._last_copy()
        if self._catalogue is None or self._catalogue.digest != catalogue.digest:
            await keep_catalogue(
                self._database,
                cluster=self._cluster,
                digest=catalogue.digest,
                document=document,
                now=self._clock(),
            )
        self._catalogue, self._asked_at = catalogue, time.monotonic()
        return catalogue

    async def _last_copy(self) -> Catalogue | None:
        try:
            document = await kept_catalogue(self._database, self._cluster)
        except StoreUnavailable:
            return None
        return catalogue_from_wire(document) if document is not None else None
