"""Who answers at the advisor's address, found out by asking and remembered: nobody else is asked for advice.

A look costs a few small requests; whoever asks for advice waits for one only before the first has been taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from workflow_service.clients.advisors.asking import Provider
from workflow_service.domain.errors import AdvisorAway

LOOK_SECONDS = 3.0  # for each question of a look

log = structlog.get_logger(__name__)


class Detection:
    """Keeps the provider that was recognised last."""

    def __init__(self, providers: Sequence[Provider], *, certain: bool) -> None:
        """`providers` in order of preference. `certain`: the first is meant, whatever it says about itself."""
        self._providers, self._certain = tuple(providers), certain
        self._found: Provider | None = None
        self._why_not = "nobody has looked yet"
        self._looking: asyncio.Task[None] | None = None
        self._looked = False

    @property
    def found(self) -> Provider | None:
        """Who was there at the last look."""
        return self._found

    async def provider(self) -> Provider:
        """Whom to ask.

        Raises:
            AdvisorAway: nobody is there, as far as is known.
        """
        if not self._looked:
            await self.look()
        if self._found is None:
            raise AdvisorAway("not_there", self._why_not)
        return self._found

    async def look(self) -> None:
        """Look again; who comes while a look is under way waits for that one."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(self._ended)
        await asyncio.shield(self._looking)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled():
            task.exception()  # whoever waited may have gone; an unread exception would be logged as an error

    async def _look(self) -> None:
        before, self._why_not = self._found, "what answers there speaks no language that is known"
        self._found = await self._first(
            [*filter(None, [before]), *(one for one in self._providers if one is not before)]
        )
        if self._found is not before or not self._looked:
            self._tell()
        self._looked = True

    async def _first(self, providers: Sequence[Provider]) -> Provider | None:
        """The first that is recognised; where nobody can be reached the others are not asked for."""
        for provider in providers:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    if await provider.recognised() or self._certain:
                        return provider
            except TimeoutError:
                self._why_not = "nothing answers in time"
                if self._certain or provider is self._found:  # busy is not away: it may be at work on an answer
                    return provider
            except AdvisorAway as error:
                self._why_not = str(error)
                if error.reason == "unreachable":
                    return None
                if self._certain:
                    return provider
        return None

    def _tell(self) -> None:
        if self._found is None:
            log.warning("no advisor is there; plans are made by the rules", why=self._why_not)
        else:
            log.info("advisor found", provider=self._found.name, model=self._found.model)
