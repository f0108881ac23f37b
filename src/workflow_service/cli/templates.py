"""`workflow-service template`: templates as files, checked and tried without any service."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workflow_service.cli.calling import Service
from workflow_service.cli.options import speaks
from workflow_service.cli.showing import Column, Row, as_json, table

if TYPE_CHECKING:
    from workflow_service.domain.catalogue import Catalogue
    from workflow_service.planning.template_file import LocatedFlaw
    from workflow_service.rehearsal.judging import Verdict

_PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
_OUTPUT = click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)


_COLUMNS: Sequence[Column] = (
    ("template", lambda row: row["name"]),
    ("version", lambda row: row["version"]),
    ("lifecycle", lambda row: row["lifecycle"] or "gone"),
    ("alerts", lambda row: ", ".join(row["alertnames"]) if row["matching"] else ""),
    ("what", lambda row: row["what"]),
)


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


@template.command("test")
@_PATHS
@click.option("--verbose", "-v", is_flag=True, help="What happened in each test, too.")
@_OUTPUT
def tried(paths: tuple[Path, ...], output: str, *, verbose: bool) -> None:
    """Run the tests of templates (x.test.yaml beside x.yaml) without any service or clock: exit 1 when one fails."""
    from workflow_service.rehearsal.trying import attempt

    found = [attempt(path) for path in paths]
    flaws = [flaw for one in found for flaw in one.flaws]
    verdicts = [verdict for one in found for verdict in one.verdicts]
    if output == "json":
        as_json({"tests": [_verdict(one) for one in verdicts], "flaws": [_flaw(one) for one in flaws]})
    else:
        for flaw in flaws:
            click.echo(flaw, err=True)
        for one in verdicts:
            _tell(one, verbose=verbose)
        failed = sum(bool(one.wrong) for one in verdicts)
        click.echo(f"{len(verdicts) - failed} passed, {failed} failed")
    sys.exit(1 if flaws or not verdicts or any(one.wrong for one in verdicts) else 0)


def _tell(verdict: Verdict, *, verbose: bool) -> None:
    where = f"{verdict.case.file}:{verdict.case.mark.line}"
    click.echo(f"{'FAILED' if verdict.wrong else 'passed'} {where}: {verdict.case.name}")
    for line in verdict.wrong:
        click.echo(f"  {line}")
    for name, found in verdict.happened.items() if verbose else ():
        click.echo(f"    {name}: {found}")


def _verdict(verdict: Verdict) -> dict[str, Any]:
    case = verdict.case
    told = {"file": case.file, "line": case.mark.line, "name": case.name, "passed": not verdict.wrong}
    return {**told, "wrong": list(verdict.wrong), "happened": verdict.happened}


@template.command("import")
@_PATHS
@click.option(
    "--to", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), help="TEMPLATES_DIR."
)
def bring(paths: tuple[Path, ...], to: Path) -> None:
    """Check template files and copy them into the directory that a service reads. All of them, or none."""
    from workflow_service.planning.importing import bring as into
    from workflow_service.planning.template_file import InvalidTemplate

    try:
        written = into(paths, to)
    except InvalidTemplate as invalid:
        for flaw in invalid.flaws:
            click.echo(flaw, err=True)
        sys.exit(1)
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"cannot import: {error}")
    for path in written:
        click.echo(f"{path}: written")


@template.command("list")
@click.option("--all", "everything", is_flag=True, help="Versions too that are not in use any more.")
@speaks
def listed(service: Service, output: str, *, everything: bool) -> None:
    """The templates that a service has, and what is wrong with its files."""
    found = service.call("GET", "api", "v1", "templates")
    rows = [one for one in found["templates"] if everything or one["lifecycle"]]
    if output == "json":
        as_json({**found, "templates": rows})
        return
    table(rows, _COLUMNS)
    for flaw in found["trouble"]:
        where = f"{flaw['file']}:{flaw['line']}:{flaw['column']}"
        click.echo(f"not in use: {where}: {flaw['field']}: {flaw['value']!r} {flaw['rule']}", err=True)


@template.command()
@click.argument("names", nargs=-1)
@click.option("--to", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@speaks
def export(service: Service, output: str, names: tuple[str, ...], to: Path) -> None:
    """Write the templates of a service (NAME or NAME@VERSION; default: all in use) into a directory, as they are."""
    from workflow_service.domain.template import Reference
    from workflow_service.planning.importing import write

    rows = service.call("GET", "api", "v1", "templates")["templates"]
    wanted = [one for one in rows if _named(one, names)]
    if not wanted:
        sys.exit(f"cannot export: no template {' or '.join(names) or 'is in use'}")
    written = []
    for one in wanted:
        body = service.call("GET", "api", "v1", "templates", one["name"], one["version"])["body"]
        try:
            written.append(str(write(to, Reference(one["name"], one["version"]), body)))
        except OSError as error:
            sys.exit(f"cannot export: {error}")
    if output == "json":
        as_json(written)
    else:
        click.echo("\n".join(written))


def _named(row: Row, names: tuple[str, ...]) -> bool:
    if not names:
        return row["lifecycle"] is not None
    return f"{row['name']}@{row['version']}" in names or (row["name"] in names and row["lifecycle"] is not None)


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
