"""What is offered here and now: the catalogue against the cluster and the settings, looked at again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from executor_service.actions.catalogue import Catalogue, Offer
from executor_service.kubernetes.errors import ApiError
from executor_service.kubernetes.surroundings import Surroundings

FRESH_SECONDS = 15.0
_log = structlog.get_logger(__name__)


class Offering:
    """The offer, at most 15 s old. While the cluster is away the last look counts; before the first, nothing of it."""

    def __init__(
        self, catalogue: Catalogue, look: Callable[[], Awaitable[Surroundings]], *, settings: frozenset[str]
    ) -> None:
        self.catalogue = catalogue
        self._look = look
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self.here = Surroundings(settings=settings)
        self._offer = catalogue.offer(self.here)

    async def current(self, *, patience: float = 5.0) -> Offer:
        """The offer, after a look around when the last one is too old (and the cluster answers in time)."""
        async with self._asking:
            if time.monotonic() - self._asked_at >= FRESH_SECONDS:
                await self._refresh(patience)
        return self._offer

    async def _refresh(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                self.here = await self._look()
        except (ApiError, TimeoutError) as error:
            _log.warning("the cluster could not be looked at; the last offer stands", error=str(error))
            self._asked_at = time.monotonic() - FRESH_SECONDS * 0.8  # look again soon, but not with every question
            return
        self._asked_at = time.monotonic()
        offer = self.catalogue.offer(self.here)
        if offer.digest != self._offer.digest:
            _log.info("offer changed", actions=len(offer.entries), unavailable=len(offer.unavailable))
        self._offer = offer
