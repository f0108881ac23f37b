"""`workflow-service backtest`: what another policy, rules or templates would have made of the alerts that came."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workflow_service.cli.calling import NOT_COMPLETED
from workflow_service.cli.showing import Column, Row, as_json, printable, shortened, table

if TYPE_CHECKING:
    from workflow_service.backtest.replaying import Found
    from workflow_service.backtest.versions import Tried, Version
    from workflow_service.settings import Settings

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
SHOWN = 50  # changed alerts in a table; JSON has all that were kept
_SPAN = re.compile(r"([1-9]\d{0,4})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_CHANGED: Sequence[Column] = (
    ("received", lambda row: row["received_at"][:19]),
    ("alert", lambda row: row["name"]),
    ("namespace", lambda row: row["namespace"]),
    ("differs", lambda row: ", ".join(row["differs"])),
    ("before", lambda row: _choice(row["before"])),
    ("after", lambda row: _choice(row["after"])),
    ("ended", lambda row: row["ended"]),
    ("target", lambda row: "seen then" if row["target_known"] else "not known"),
)
_CHOICES: Sequence[Column] = (
    ("before", lambda row: row["before"]),
    ("after", lambda row: row["after"]),
    ("alerts", lambda row: row["alerts"]),
    ("ended badly", lambda row: row["badly"]),
    ("ended well", lambda row: row["well"]),
    ("otherwise", lambda row: row["other"]),
)


def _moment(_context: click.Context, _parameter: click.Parameter, value: str) -> datetime:
    found = _SPAN.fullmatch(value)
    if found is not None:
        return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} must be a span such as 30d or 12h, or a time (RFC 3339)") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command()
@click.option("--policy", type=FILE, help="The policy file that is tried.")
@click.option("--rules", type=FILE, help="The rule file that is tried.")
@click.option(
    "--template",
    "templates",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A template file, or a directory of such, tried beside those there are; counts as active. May be repeated.",
)
@click.option("--since", default="30d", show_default=True, callback=_moment, help="A span (30d, 12h) or a time.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="Alerts at most.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def backtest(config: Path | None, /, since: datetime, limit: int, output: str, **files: Any) -> None:
    """Plan the alerts that were admitted once more, as the settings have it and with what is tried, and compare.

    Only reads the database of the settings, beside a running service too. Exit 0: nothing would change; 4: something
    would; 1: a file or the database cannot be used.
    """
    from workflow_service.backtest.versions import Tried
    from workflow_service.cli.session import settings_of

    if not any(files.values()):
        raise click.UsageError("nothing is tried: give --policy, --rules or --template")
    settings = settings_of(config)
    found = _replayed(settings, Tried(**files), since, limit)
    told = _told(found, since)
    if output == "json":
        as_json(told)
    else:
        _tell(told)
    sys.exit(NOT_COMPLETED if found.count else 0)


def _replayed(settings: Settings, tried: Tried, since: datetime, limit: int) -> Found:
    from workflow_service.backtest.replaying import Backtest
    from workflow_service.cli.session import reading_database
    from workflow_service.meaning import clusters_of
    from workflow_service.store.database import Database

    present, other = _versions(settings, tried)
    results: list[Found] = []

    async def replay(database: Database) -> None:
        test = Backtest(database, present, other, clusters_of(settings))
        results.append(await test.replay(since=since, most=limit))

    reading_database(settings, replay)
    return results[0]


def _versions(settings: Settings, tried: Tried) -> tuple[Version, Version]:
    from workflow_service.backtest.versions import versions
    from workflow_service.domain.errors import Rejected
    from workflow_service.planning.template_file import InvalidTemplate

    try:
        return versions(settings, tried)
    except InvalidTemplate as invalid:
        for flaw in invalid.flaws:
            click.echo(flaw, err=True)
    except Rejected as invalid:
        for violation in invalid.violations:
            click.echo(violation, err=True)
    sys.exit(1)


def _told(found: Found, since: datetime) -> dict[str, Any]:
    from workflow_service.backtest.replaying import NOT_ASKED

    return {
        "since": since.isoformat(),
        "alerts": found.alerts,
        "bounded": found.bounded,
        "would_change": found.count,
        "differs": dict(found.differs),
        "choices": list(_choices(found)),
        "not_known": {
            "targets": found.unknown_targets,
            "unreadable": found.unreadable,
            "never_asked": list(NOT_ASKED),
        },
        "changed": [{**asdict(one), "received_at": one.received_at.isoformat()} for one in found.changed],
        "changed_left_out": found.count - len(found.changed),
    }


def _choices(found: Found) -> Iterator[Row]:
    """What was chosen instead of what, and how the workflows of the former have ended; the most frequent first."""
    ends: dict[tuple[str | None, str | None], dict[str, int]] = defaultdict(dict)
    for (before, after, how), number in found.ends.items():
        ends[before, after][how] = number
    for (before, after), counts in sorted(ends.items(), key=lambda item: -sum(item[1].values())):
        told = {how: counts.get(how, 0) for how in ("badly", "well", "other")}
        yield {"before": before, "after": after, "alerts": sum(told.values()), **told}


def _tell(told: dict[str, Any]) -> None:
    differs = ", ".join(f"{name} {number}" for name, number in told["differs"].items())
    unknown, since = told["not_known"], told["since"][:19]
    click.echo(f"{told['would_change']} of {told['alerts']} alerts since {since} would be treated otherwise")
    if differs:
        click.echo(printable(f"differences: {differs}"))
    if told["bounded"]:
        click.echo("there are more alerts than --limit; the newest were taken")
    click.echo(f"not known: the target of {unknown['targets']} alerts")
    click.echo(f"never asked: {', '.join(unknown['never_asked'])}")
    if unknown["unreadable"]:
        click.echo(f"{unknown['unreadable']} alerts cannot be read by this version")
    if told["choices"]:
        click.echo("\nhow the workflows of what would be chosen otherwise have ended")
        table(told["choices"], _CHOICES)
        click.echo("")
        table(told["changed"][:SHOWN], _CHANGED)
    if (more := told["would_change"] - min(SHOWN, len(told["changed"]))) > 0:
        click.echo(f"and {more} more")


def _choice(choice: Row) -> str:
    word = "" if choice["word"] == "allowed" else f" ({choice['word']})"
    asked = f", {choice['approvals']} approvals" if choice["approvals"] else ""
    actions = shortened(", ".join(choice["actions"]), 120)
    return f"{choice['rule']}{word}: {actions}{asked}, risk {choice['risk'] or 'none'}"
