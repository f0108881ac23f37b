"""Putting template files into a directory that a service reads: only sound ones, and no version with another text."""

from __future__ import annotations

import os
from pathlib import Path

from workflow_service.domain.template import Reference
from workflow_service.planning import library
from workflow_service.planning.linting import check
from workflow_service.planning.template_file import InvalidTemplate


def bring(paths: tuple[Path, ...], to: Path) -> list[Path]:
    """Copy the templates of these files and directories; the files that were written.

    What is there already, as it is, is left alone. All are written, or none.

    Raises:
        InvalidTemplate: something is wrong with one of them, or a version is there with another text.
        OSError: they cannot be written.
    """
    new = [file for path in paths for file in _files(path)]
    there = library.files_in(to)
    checked = check(new, others=[*there, *library.shipped()], catalogue=library.known_actions())
    if checked.flaws:
        raise InvalidTemplate(checked.flaws)
    library.assemble(library.read([*there, *library.shipped(), *new]))
    known = {one.reference for one in library.assemble(library.read([*there, *library.shipped()])).templates.values()}
    return [write(to, one.reference, one.body) for one in checked.templates if one.reference not in known]


def write(to: Path, reference: Reference, body: str) -> Path:
    """Write a version into the directory, whole or not at all.

    Raises:
        OSError: it cannot be written.
        FileExistsError: a file of that name has another text.
    """
    path = to / f"{reference.name}-{reference.version}.yaml"
    if path.exists():
        if path.read_text("utf-8") != body:
            raise FileExistsError(f"{path} is there already, with another text")
        return path
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(body, "utf-8")
    unfinished.replace(path)
    return path


def _files(path: Path) -> list[tuple[str, str]]:
    return library.files_in(path) if path.is_dir() else [(str(path), path.read_text("utf-8"))]
