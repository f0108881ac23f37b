"""`workflow-service policy`: what holds, what is wrong with a policy file, and what a new one would change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from workflow_service.domain.errors import InvalidPolicy
    from workflow_service.domain.policy import Policy

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def policy() -> None:
    """Look at the guardrails' policy; nothing is changed by it."""


@policy.command()
@click.argument("file", type=FILE)
@click.pass_obj
def lint(config: Path | None, file: Path) -> None:
    """Tell what is wrong with FILE: field, line, value and rule; exit 1 when anything is."""
    print(f"{file} is a policy: {_read(config, file).version}")


@policy.command()
@click.pass_obj
def show(config: Path | None) -> None:
    """Show the policy that holds with these settings, value by value."""
    from workflow_service.planning.policy_file import values

    found = _current(config)
    print(f"version: {found.version}")
    for name, value in values(found):
        print(f"{name}: {value}")


@policy.command()
@click.argument("file", type=FILE)
@click.pass_obj
def diff(config: Path | None, file: Path) -> None:
    """Show what would change if FILE were the policy."""
    from workflow_service.planning.policy_file import differences

    found = differences(_current(config), _read(config, file))
    print("\n".join(found) or "nothing would change")


def _current(config: Path | None) -> Policy:
    from workflow_service.cli.session import settings_of
    from workflow_service.domain.errors import InvalidPolicy
    from workflow_service.meaning import policy_of

    settings = settings_of(config)
    try:
        return policy_of(settings)()
    except InvalidPolicy as error:
        _fail(error)


def _read(config: Path | None, file: Path) -> Policy:
    from workflow_service.cli.session import settings_of
    from workflow_service.domain.errors import InvalidPolicy
    from workflow_service.meaning import policy_defaults
    from workflow_service.planning.policy_file import read_policy

    try:
        return read_policy(file, policy_defaults(settings_of(config)))
    except InvalidPolicy as error:
        _fail(error)


def _fail(error: InvalidPolicy) -> NoReturn:
    for violation in error.violations:
        print(violation, file=sys.stderr)
    sys.exit(1)
