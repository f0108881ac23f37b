"""`workflow-service keys`: making, listing and revoking API keys, on the database itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workflow_service.cli.session import in_database, noted, settings_of

if TYPE_CHECKING:
    from datetime import datetime

    from workflow_service.store.api_keys import ApiKey
    from workflow_service.store.database import Database

RIGHTS = ("viewer", "operator", "approver", "admin")


@click.group()
def keys() -> None:
    """API keys: who may see, operate, approve and administer."""


@keys.command()
@click.option("--name", required=True, help="Whose key: the name that `commands` and the audit log will show.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(RIGHTS), help="May be repeated.")
@click.option("--namespace", "namespaces", multiple=True, help="Limits the key to workflows there. May be repeated.")
@click.option("--expires", metavar="DURATION", help="Such as 2160h; default: never.")
@click.pass_obj
def create(
    config: Path | None, name: str, scopes: tuple[str, ...], namespaces: tuple[str, ...], expires: str | None
) -> None:
    """Make a key and print it, this once. A second key of the same name is the same identity, for rotation."""
    from datetime import UTC, datetime, timedelta

    from workflow_service.access.issuing import Wish, issue
    from workflow_service.domain.errors import Rejected
    from workflow_service.domain.permissions import Right
    from workflow_service.settings.rules import duration
    from workflow_service.store import api_keys, audit

    try:
        lifetime = timedelta(seconds=duration("1m", "87600h")(expires)) if expires is not None else None
        wish = Wish(name, [Right(scope) for scope in scopes], namespaces, lifetime)
        row, key = issue(wish, now=datetime.now(UTC))
    except Rejected as error:
        sys.exit(f"cannot create: {error}")
    except ValueError as error:
        sys.exit(f"cannot create: expires: {expires!r} {error}")

    async def keep(database: Database, now: datetime) -> None:
        await api_keys.keep(database, row)
        await audit.append(database, [noted("keys create", f"{row.id} {row.name}", now)])

    in_database(settings_of(config), keep)
    print(key)
    print(f"id {row.id}; this is the only time that the key is shown", file=sys.stderr)


@keys.command("list")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def list_(config: Path | None, output: str) -> None:
    """Show every key without its secret: what it may do, where, until when, and when it was last used."""
    import json

    from workflow_service.store import api_keys

    found: list[dict[str, str]] = []

    async def read(database: Database, now: datetime) -> None:
        found.extend(_shown(key, now) for key in await api_keys.every(database))

    in_database(settings_of(config), read)
    if output == "json":
        print(json.dumps(found))
        return
    head = ("id", "name", "scopes", "namespaces", "state", "created", "expires", "used")
    rows = [dict(zip(head, map(str.upper, head), strict=True)), *found]
    widths = {column: max(len(row[column]) for row in rows) for column in head}
    for row in rows:
        print("  ".join(f"{row[column]:<{widths[column]}}" for column in head).rstrip())


@keys.command()
@click.argument("key_id", metavar="ID")
@click.pass_obj
def revoke(config: Path | None, key_id: str) -> None:
    """Let a key open nothing any more; every replica knows within five seconds."""
    from workflow_service.domain.errors import NotFound
    from workflow_service.store import api_keys, audit

    async def end(database: Database, now: datetime) -> None:
        await api_keys.revoke(database, key_id, now=now)
        await audit.append(database, [noted("keys revoke", key_id, now)])

    try:
        in_database(settings_of(config), end)
    except NotFound as error:
        sys.exit(f"cannot revoke: {error}")
    print(f"{key_id} revoked")


def _shown(key: ApiKey, now: datetime) -> dict[str, str]:
    def moment(at: datetime | None, otherwise: str) -> str:
        return otherwise if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"

    return {
        "id": key.id,
        "name": key.name,
        "scopes": ",".join(key.rights),
        "namespaces": "all" if key.namespaces is None else ",".join(sorted(key.namespaces)),
        "state": key.state(now),
        "created": moment(key.created_at, ""),
        "expires": moment(key.expires_at, "never"),
        "used": moment(key.used_at, "never"),
    }
