"""What all commands take: where the service is, who asks, and how the answer is shown."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from workflow_service.cli.calling import Failed, Service, checked


def _url(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return checked(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _token(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> str | None:
    """The key in the file. What is wrong with it is told without it."""
    if value is None:
        return None
    try:
        token = value.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not _KEY.fullmatch(token):
        raise click.BadParameter(f"{str(value)!r} must hold one line with the key, of printable ASCII without spaces")
    return token


_KEY = re.compile(r"[!-~]+")
_OPTIONS = (
    click.option(
        "--url",
        envvar="WORKFLOW_SERVICE_URL",
        default="http://127.0.0.1:8083",
        show_default=True,
        callback=_url,
        help="Where the service is (WORKFLOW_SERVICE_URL).",
    ),
    click.option(
        "--token-file",
        envvar="WORKFLOW_SERVICE_TOKEN_FILE",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        callback=_token,
        help="File with the key that it asks for (WORKFLOW_SERVICE_TOKEN_FILE).",
    ),
    click.option("--as", "name", envvar="USER", help="Who asks, where the service does not ask for keys (USER)."),
    click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True),
)


def speaks(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options above, `service` and `output` of them; what goes wrong is told on stderr."""

    @wraps(command)
    def told(*args: Any, url: str, token_file: str | None, name: str | None, **values: Any) -> Any:
        from workflow_service.domain.permissions import plain

        try:
            return command(*args, service=Service(url, token_file, plain(name or "")), **values)
        except Failed as failed:
            click.echo(failed, err=True)
            sys.exit(failed.code)

    for option in reversed(_OPTIONS):
        told = option(told)
    return told
