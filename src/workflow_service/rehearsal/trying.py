"""Finding the tests that belong to template files, and running them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workflow_service.planning import library as files
from workflow_service.planning.library import FIXTURES, Library, assemble, read
from workflow_service.planning.rule_file import read_rules
from workflow_service.planning.template_file import InvalidTemplate, LocatedFlaw
from workflow_service.rehearsal.cases import cases
from workflow_service.rehearsal.judging import Verdict, judge


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of the tests of some files."""

    verdicts: tuple[Verdict, ...]
    flaws: tuple[LocatedFlaw, ...]  # why they could not be run


def attempt(path: Path) -> Tried:
    """Run the tests of a template file (`x.yaml` has `x.test.yaml`), of a test file, or of all in a directory.

    Templates are those of the directory and those that come with the service; actions all that executor-service can do.
    """
    try:
        found = [case for file in _tests(path) for case in cases(str(file), _text(file))]
        library = _library(path)
    except InvalidTemplate as invalid:
        return Tried((), invalid.flaws)
    rules, offered = read_rules(), files.known_actions()
    return Tried(tuple(judge(case, library, rules, offered) for case in found), ())


def _library(path: Path) -> Library:
    folder = path if path.is_dir() else path.parent
    own = files.files_in(folder)
    sources = read(own)
    named = {one.reference for one in sources}
    shipped = [one for one in read(files.shipped()) if one.reference not in named]
    return assemble([*sources, *shipped], files.known_actions())


def _tests(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.rglob(f"*{FIXTURES}"))
    return [path if path.name.endswith(FIXTURES) else path.with_name(path.stem + FIXTURES)]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        flaw = LocatedFlaw(str(path), 1, 1, "file", str(path), f"cannot be read: {error}")
        raise InvalidTemplate([flaw]) from error
