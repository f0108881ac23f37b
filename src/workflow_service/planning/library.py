"""Templates as a set: what comes with the service, what a directory holds, and which version is meant by what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from workflow_service.domain.catalogue import Catalogue, catalogue_from_wire
from workflow_service.domain.errors import NotFound
from workflow_service.domain.template import Lifecycle, Reference, digest_of
from workflow_service.planning.differences import difference
from workflow_service.planning.template_file import MAX_BYTES, InvalidTemplate, LocatedFlaw, Source, source, template
from workflow_service.planning.templates import Template

MAX_FILES = 1000
FIXTURES = ".test.yaml"  # files that hold tests of templates
_ENDINGS = (".yaml", ".yml")
_PLACE = "workflow_service.planning"


@dataclass(frozen=True, slots=True)
class Library:
    """Every version that is known, by what it is called."""

    templates: Mapping[Reference, Template] = field(default_factory=dict)

    def matching(self) -> tuple[Template, ...]:
        """What alerts may lead to: of each name the newest version that is active, by name."""
        newest = (self._newest(name) for name in sorted({one.name for one in self.templates}))
        return tuple(one for one in newest if one is not None and one.match is not None)

    def find(self, name: str, version: str | None) -> Template:
        """A version, or the newest active one of that name.

        Raises:
            NotFound: there is none.
        """
        found = self._newest(name) if version is None else self.templates.get(Reference(name, version))
        if found is None:
            asked = f"{name}@{version}" if version else name
            raise NotFound(f"must be the name of an active template, or of any version: {asked} is none")
        return found

    def _newest(self, name: str) -> Template | None:
        of_name = [
            one for one in self.templates.values() if one.reference.name == name and one.lifecycle is Lifecycle.ACTIVE
        ]
        return max(of_name, key=lambda one: one.reference.release, default=None)


def assemble(sources: Iterable[Source], catalogue: Catalogue | None = None) -> Library:
    """The library of these files.

    Raises:
        InvalidTemplate: with every flaw of every file; a version whose texts differ is one.
    """
    known, broken = _by_reference(sources)
    documents = {reference: one.document for reference, one in known.items()}
    found: dict[Reference, Template] = {}
    for reference, one in known.items():
        try:
            found[reference] = template(one, documents.get, catalogue)
        except InvalidTemplate as invalid:
            broken += invalid.flaws
    if broken:
        raise InvalidTemplate(broken)
    return Library(found)


def strange(sources: Iterable[Source]) -> tuple[LocatedFlaw, ...]:
    """What sound files ask for that is no action of the executor's, as far as this version knows it."""
    try:
        assemble(sources, known_actions())
    except InvalidTemplate as invalid:
        return invalid.flaws
    return ()


def read(files: Iterable[tuple[str, str]]) -> list[Source]:
    """The sources of these files, given by name and text.

    Raises:
        InvalidTemplate: with every flaw of their shape.
    """
    found, broken = sifted(files)
    if broken:
        raise InvalidTemplate(broken)
    return found


def sifted(files: Iterable[tuple[str, str]]) -> tuple[list[Source], list[LocatedFlaw]]:
    """The sources of those files whose shape is right, and what is wrong with the others."""
    found: list[Source] = []
    broken: list[LocatedFlaw] = []
    for name, body in files:
        try:
            found.append(source(name, body))
        except InvalidTemplate as invalid:
            broken += invalid.flaws
    return found, broken


def files_in(directory: Path) -> list[tuple[str, str]]:
    """The template files of a directory and of those in it, in order; what is hidden does not count.

    Raises:
        InvalidTemplate: some of them, or the directory, cannot be read, or are links to what lies outside.
    """
    found, broken = readable(directory)
    if broken:
        raise InvalidTemplate(broken)
    return found


def readable(directory: Path) -> tuple[list[tuple[str, str]], list[LocatedFlaw]]:
    """The same, and what is wrong with those that cannot be read.

    Raises:
        InvalidTemplate: the directory cannot be read.
    """
    found: list[tuple[str, str]] = []
    broken: list[LocatedFlaw] = []
    root = directory.resolve()
    for path in sorted(_paths(directory)):
        name = str(path.relative_to(directory))
        try:
            found.append((name, _text(path, root)))
        except (OSError, ValueError) as error:
            broken.append(LocatedFlaw(name, 1, 1, "file", str(path), f"cannot be read: {error}"))
    return found, broken


def _text(path: Path, root: Path) -> str:
    """What a file says; of one that is too long no more than shows that it is.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    place = path.resolve()
    if not place.is_relative_to(root):  # its text would be quoted to whoever may list templates
        raise ValueError("it is a link that leads out of the directory")
    with place.open(encoding="utf-8") as file:
        return file.read(MAX_BYTES + 1)


def shipped() -> list[tuple[str, str]]:
    """The template files that come with the service."""
    folder = resources.files(_PLACE).joinpath("shipped")
    names = sorted(one.name for one in folder.iterdir() if one.name.endswith(_ENDINGS))
    return [(name, folder.joinpath(name).read_text("utf-8")) for name in names if not name.endswith(FIXTURES)]


def known_actions() -> Catalogue:
    """The executor's catalogue as it was when this version was made: every action, offered or not."""
    document: dict[str, Any] = json.loads(resources.files(_PLACE).joinpath("known_actions.json").read_text("utf-8"))
    return catalogue_from_wire(document)


def _paths(directory: Path) -> Iterator[Path]:
    if not directory.is_dir():
        flaw = LocatedFlaw(str(directory), 1, 1, "directory", str(directory), "cannot be read: it is no directory")
        raise InvalidTemplate([flaw])
    found = [
        path
        for path in directory.rglob("*")
        if path.name.endswith(_ENDINGS)
        and not path.name.endswith(FIXTURES)
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
        and path.is_file()
    ]
    if len(found) > MAX_FILES:
        rule = f"must be at most {MAX_FILES} files"
        raise InvalidTemplate([LocatedFlaw(str(directory), 1, 1, "directory", len(found), rule)])
    yield from found


def _by_reference(sources: Iterable[Source]) -> tuple[dict[Reference, Source], list[LocatedFlaw]]:
    known: dict[Reference, Source] = {}
    broken: list[LocatedFlaw] = []
    for one in sources:
        other = known.setdefault(one.reference, one)
        if digest_of(other.document) != digest_of(one.document):
            broken.append(changed(one, other.body, f"{other.file} has"))
    return known, broken


def changed(one: Source, earlier: str, who: str) -> LocatedFlaw:
    """The flaw that a version has another text than it had."""
    mark = one.reading.spot(("metadata", "version"))
    line, column = (mark.line, mark.column) if mark else (1, 1)
    shown: Sequence[str] = difference(earlier, one.body)
    rule = f"is a version that {who} with another text; raise the version. What differs:\n" + "\n".join(shown)
    return LocatedFlaw(one.file, line, column, "metadata.version", str(one.reference), rule)
