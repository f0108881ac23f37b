"""`workflow-service audit`: looking into the log of writes, and proving that nobody has touched it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workflow_service.cli.session import in_database, settings_of

if TYPE_CHECKING:
    from datetime import datetime

    from workflow_service.domain.audit import Row
    from workflow_service.store.database import Database


@click.group()
def audit() -> None:
    """The log of every write: who did what, and whether anybody has changed the log since."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def list_(config: Path | None, limit: int, output: str) -> None:
    """Show the newest writes, newest first."""
    import json

    from workflow_service.store import audit as log

    found: list[dict[str, str]] = []

    async def read(database: Database, _now: datetime) -> None:
        found.extend(_shown(row) for row in await log.newest(database, limit=limit))

    in_database(settings_of(config), read)
    if output == "json":
        print(json.dumps(found))
        return
    for row in found:
        print("  ".join([row["seq"], row["at"], row["outcome"], row["who"], row["what"], row["target"], row["source"]]))


@audit.command()
@click.option("--anchor", metavar="SEQ:HASH", help="A row that an earlier verify printed: it must still be that row.")
@click.pass_obj
def verify(config: Path | None, anchor: str | None) -> None:
    """Follow the chain from end to end; name every row that was changed, removed or moved, and exit with 1.

    The last line names the newest row. Keep it elsewhere: given as --anchor it also finds a chain that was made anew.
    """
    from workflow_service.access.verifying import verified

    if anchor is not None and not re.fullmatch(r"\d{1,18}:[0-9a-f]{64}", anchor):
        sys.exit(f"anchor: {anchor!r} must be SEQ:HASH, as verify prints it")
    said: list[str] = []

    async def check(database: Database, _now: datetime) -> None:
        wrong, summary = await verified(database, anchor=anchor)
        said.extend([*wrong, summary])

    in_database(settings_of(config), check)
    *wrong, summary = said
    for one in wrong:
        print(one, file=sys.stderr)
    print(summary)
    sys.exit(1 if wrong else 0)


def _shown(row: Row) -> dict[str, str]:
    entry = row.entry
    return {
        "seq": str(row.seq),
        "at": f"{entry.at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "who": entry.who,
        "what": entry.what,
        "target": entry.target,
        "source": entry.source,
        "request_id": entry.request_id,
        "outcome": entry.outcome,
    }
