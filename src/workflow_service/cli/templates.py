"""`workflow-service template`: templates as files, checked and tried without any service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workflow_service.cli.showing import as_json

if TYPE_CHECKING:
    from workflow_service.domain.catalogue import Catalogue
    from workflow_service.planning.template_file import LocatedFlaw

_PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
_OUTPUT = click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)


@click.group()
def template() -> None:
    """Templates: versioned runbooks."""


@template.command()
@_PATHS
@click.option(
    "--catalogue",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What the executor offers, as `GET /api/v1/actions` answers; default: all that it could offer.",
)
@_OUTPUT
def lint(paths: tuple[Path, ...], catalogue: Path | None, output: str) -> None:
    """Check template files and directories: exit 1 with file, line, column and field of every flaw."""
    from workflow_service.planning.linting import lint as check

    offered = _offered(catalogue)
    checked = [check(path, offered) for path in paths]
    flaws = [flaw for one in checked for flaw in one.flaws]
    sound = [str(template.reference) for one in checked for template in one.templates]
    if output == "json":
        as_json({"templates": sound, "flaws": [_flaw(one) for one in flaws]})
    else:
        for flaw in flaws:
            click.echo(flaw, err=True)
        click.echo(f"{len(sound)} sound, {len(flaws)} flaws")
    sys.exit(1 if flaws else 0)


def _offered(file: Path | None) -> Catalogue:
    import json

    from workflow_service.domain.catalogue import catalogue_from_wire
    from workflow_service.planning.library import known_actions

    if file is None:
        return known_actions()
    why = "it has no list of `actions`"
    try:
        document = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        document, why = None, str(error)
    if not isinstance(document, dict) or not isinstance(document.get("actions"), list):
        sys.exit(f"catalogue: {str(file)!r} must be what the executor answers to GET /api/v1/actions: {why}")
    return catalogue_from_wire(document)


def _flaw(flaw: LocatedFlaw) -> dict[str, Any]:
    return {name: getattr(flaw, name) for name in ("file", "line", "column", "field", "value", "rule")}
