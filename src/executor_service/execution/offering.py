"""What is offered here and now: the catalogue against the cluster and the settings, looked at again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from executor_service.actions.catalogue import Catalogue, Offer
from executor_service.kubernetes.errors import ApiError
from executor_service.kubernetes.surroundings import Surroundings

FRESH_SECONDS = 15.0
_PATIENCE_SECONDS = 1.0  # callers plan with this answer: rather an old one than a late one
_FIRST_PATIENCE_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class Offering:
    """The offer, at most 15 s old. While the cluster is away the last look counts; before the first, nothing of it."""

    def __init__(
        self, catalogue: Catalogue, look: Callable[[], Awaitable[Surroundings]], *, settings: frozenset[str]
    ) -> None:
        self.catalogue = catalogue
        self.here = Surroundings(settings=settings)
        self._look = look
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        self._offer = catalogue.offer(self.here)

    async def why_not(self, action_type: str) -> str | None:
        """Why an action is not offered; before that is said of a cluster nobody has seen, it is waited for longer."""
        offer = await self.current()
        if offer.why_not(action_type) is not None and not self.here.known:
            offer = await self.current(patience=_FIRST_PATIENCE_SECONDS)
        return offer.why_not(action_type)

    async def current(self, *, patience: float = _PATIENCE_SECONDS) -> Offer:
        """The offer; when the last look is too old, after another one, which is waited for a moment only."""
        if self._looking is None and time.monotonic() - self._looked_at >= FRESH_SECONDS:
            self._looking = asyncio.create_task(self._refresh(), name="look around")
        if self._looking is not None:
            await asyncio.wait({self._looking}, timeout=patience)
        return self._offer

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _refresh(self) -> None:
        try:
            self.here = await self._look()
        except (ApiError, KeyError, TypeError, AttributeError) as error:  # away, or an answer that makes no sense
            _log.warning("the cluster could not be looked at; the last offer stands", error=repr(error))
        else:
            self._say_changed(self.catalogue.offer(self.here))
        finally:
            self._looked_at = time.monotonic()
            self._looking = None

    def _say_changed(self, offer: Offer) -> None:
        if offer.digest != self._offer.digest:
            _log.info("offer changed", actions=len(offer.entries), unavailable=len(offer.unavailable))
        self._offer = offer
