"""The templates that are in use: read at the start and again when their files change; a bad set changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import structlog

from workflow_service.domain.template import Reference
from workflow_service.planning import library
from workflow_service.planning.differences import difference
from workflow_service.planning.library import Library, changed
from workflow_service.planning.template_file import InvalidTemplate, LocatedFlaw, Source
from workflow_service.store import templates
from workflow_service.store.database import Database

PERIOD = 1.0  # seconds between looks at the files

log = structlog.get_logger(__name__)


class Shelf:
    """What comes with the service and what a directory holds, as one library."""

    def __init__(
        self, database: Database, *, directory: Path | None, shipped: bool, clock: Callable[[], datetime]
    ) -> None:
        """`directory` None: only what is shipped, if that is wanted."""
        self._database, self._directory, self._clock = database, directory, clock
        self._shipped = library.shipped() if shipped else []
        self._files: list[tuple[str, str]] = []  # of the set that is in use
        self._strange: tuple[LocatedFlaw, ...] = ()  # actions in it that this version does not know
        self.library = Library()
        self.trouble: tuple[LocatedFlaw, ...] = ()  # why the files as they are now are not in use, or may fail

    async def start(self) -> None:
        """Read everything for the first time.

        Raises:
            InvalidTemplate: something is wrong with it; there is nothing to go on with.
            StoreUnavailable: the database is away.
        """
        files = await asyncio.to_thread(self._read)
        await self._take(files, await self._loaded(files))

    async def refresh(self) -> None:
        """Take up what has changed, or say why not and go on with what there was.

        Raises:
            StoreUnavailable: the database is away; the next look tries again.
        """
        if self._directory is None:
            return
        try:
            files = await asyncio.to_thread(self._read)
            if files == self._files:
                self.trouble = self._strange  # what was wrong meanwhile has been put back
                return
            found = await self._loaded(files)
        except InvalidTemplate as invalid:
            self._refuse(invalid)
            return
        for line in _news(self.library, found):
            log.info("templates have changed", what=line)
        await self._take(files, found)

    async def _take(self, files: list[tuple[str, str]], found: Library) -> None:
        """Use them, and say which actions a newer executor would have to offer."""
        self._strange = await asyncio.to_thread(library.strange, library.read(files))
        self.library, self._files, self.trouble = found, files, self._strange
        if self._strange:
            log.warning("templates ask for what is not known here", what=[str(one) for one in self._strange])

    def _refuse(self, invalid: InvalidTemplate) -> None:
        if invalid.flaws != self.trouble:  # said once, not at every look
            log.warning("templates cannot be used; those from before stay", why=[str(one) for one in invalid.flaws])
        self.trouble = invalid.flaws

    def _read(self) -> list[tuple[str, str]]:
        return [*self._shipped, *(library.files_in(self._directory) if self._directory else ())]

    async def _loaded(self, files: list[tuple[str, str]]) -> Library:
        sources = library.read(files)
        found = await asyncio.to_thread(library.assemble, sources)
        await self._expect_unchanged(found, sources)
        rows = [(reference, one.digest, one.body) for reference, one in found.templates.items()]
        await templates.keep(self._database, rows, now=self._clock())
        await self._expect_unchanged(found, sources)  # another replica may have been first with another text
        return found

    async def _expect_unchanged(self, found: Library, sources: list[Source]) -> None:
        """See that no version has another text than it had when it was loaded for the first time."""
        kept = await templates.kept(self._database, found.templates)
        flaws = []
        for source in sources:
            digest, body = kept.get(source.reference, ("", ""))
            if digest and digest != found.templates[source.reference].digest:
                flaws.append(changed(source, body, "was loaded before"))
        if flaws:
            raise InvalidTemplate(flaws)


def _news(before: Library, after: Library) -> Iterator[str]:
    """What is different now, a line for each version; of a new version with what it changes of the one before."""
    for reference in sorted({*before.templates, *after.templates}, key=str):
        old, new = before.templates.get(reference), after.templates.get(reference)
        if new is None:
            yield f"{reference} is gone"
        elif old is None:
            yield "\n".join([f"{reference} is new", *_since(reference, before, new.body)])
        elif old.lifecycle is not new.lifecycle:
            yield f"{reference} was {old.lifecycle} and is {new.lifecycle}"


def _since(reference: Reference, before: Library, body: str) -> list[str]:
    earlier = [one for one in before.templates if one.name == reference.name and one.release < reference.release]
    last = max(earlier, key=lambda one: one.release, default=None)
    return difference(before.templates[last].body, body) if last else []
