"""Looking at template files before anybody uses them: what is wrong with each, beside those that come along."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from workflow_service.domain.catalogue import Catalogue
from workflow_service.planning import library
from workflow_service.planning.template_file import InvalidTemplate, LocatedFlaw, Source, template
from workflow_service.planning.templates import Template


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of some files."""

    templates: tuple[Template, ...]
    flaws: tuple[LocatedFlaw, ...]


def lint(path: Path, catalogue: Catalogue | None) -> Checked:
    """Check a file, or all templates of a directory.

    What they extend or take steps from is looked for beside them, then among those that come with the service.
    """
    try:
        files, unread = library.readable(path) if path.is_dir() else ([(str(path), path.read_text("utf-8"))], [])
    except InvalidTemplate as invalid:
        return Checked((), invalid.flaws)
    except (OSError, ValueError) as error:
        flaw = LocatedFlaw(str(path), 1, 1, "file", str(path), f"cannot be read: {error}")
        return Checked((), (flaw,))
    found = check(files, others=[*_beside(path), *library.shipped()], catalogue=catalogue)
    return replace(found, flaws=InvalidTemplate([*unread, *found.flaws]).flaws) if unread else found


def check(files: list[tuple[str, str]], *, others: list[tuple[str, str]], catalogue: Catalogue | None) -> Checked:
    """Check files, given by name and text; `others` are only there to be referred to."""
    sources, broken = library.sifted(files)
    sound, _ = library.sifted(others)  # what is wrong with the others was not asked about
    documents = {one.reference: one.document for one in [*sound, *sources]}
    found: list[Template] = []
    for one in sources:
        try:
            found.append(template(one, documents.get, catalogue))
        except InvalidTemplate as invalid:
            broken += invalid.flaws
    if not broken:
        broken += _twice(sources)
    return Checked(tuple(found), InvalidTemplate(broken).flaws)


def _twice(sources: list[Source]) -> tuple[LocatedFlaw, ...]:
    try:
        library.assemble(sources)
    except InvalidTemplate as invalid:
        return tuple(flaw for flaw in invalid.flaws if flaw.field == "metadata.version")
    return ()


def _beside(path: Path) -> list[tuple[str, str]]:
    with suppress(InvalidTemplate):
        return [] if path.is_dir() else library.readable(path.parent)[0]
    return []
