"""What commands share: the settings or their complaints, and a piece of work on the database."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from workflow_service.domain.audit import Entry
    from workflow_service.settings import Settings
    from workflow_service.store.database import Database


def settings_of(config: Path | None) -> Settings:
    """The effective settings; every complaint is printed, and the process ends with 2."""
    from workflow_service.settings import SettingsError, from_process

    try:
        return from_process(config)
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(2)


def noted(what: str, target: str, now: datetime) -> Entry:
    """What the audit log says of a command that was given here: by whom on which machine."""
    import os
    import pwd
    import socket
    import uuid

    from workflow_service.domain.audit import Entry
    from workflow_service.domain.permissions import plain

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    who, where = plain(f"cli:{user}"), plain(socket.gethostname())
    return Entry(str(uuid.uuid4()), now, who, what, plain(target), where, "", "done")


def reading_database(settings: Settings, work: Callable[[Database], Awaitable[None]]) -> None:
    """Do `work`, which only reads, on the service's own database, beside running replicas too.

    A database that is not there, or that another version has made, ends the process with 1, as do its troubles.
    """
    import asyncio

    from workflow_service.domain.errors import StoreUnavailable
    from workflow_service.store import migrations
    from workflow_service.store.database import Database

    async def run() -> None:
        database = Database(settings.storage.url)
        try:
            if await migrations.outdated(database):
                sys.exit("the database cannot be used: its schema is not this version's; start the service once")
            await work(database)
        finally:
            await database.close()

    if settings.storage.url.startswith("sqlite") and not Path(settings.storage.url.partition("///")[2]).exists():
        sys.exit(f"the database cannot be used: there is none at {settings.storage.url}")
    try:
        asyncio.run(run())
    except StoreUnavailable as error:
        sys.exit(f"the database cannot be used: {error}")


def in_database(settings: Settings, work: Callable[[Database, datetime], Awaitable[None]]) -> None:
    """Do `work`, given the moment, on the service's own database, beside running replicas too.

    A database without our schema gets it. What goes wrong with the database ends the process with 1.

    Raises:
        NotFound: the work says so.
    """
    import asyncio
    from datetime import UTC, datetime

    from workflow_service.domain.errors import StoreUnavailable
    from workflow_service.store import migrations
    from workflow_service.store.data_lock import DataDirectoryTaken, DataLock
    from workflow_service.store.database import Database

    async def run() -> None:
        database = Database(settings.storage.url)
        try:
            if await migrations.outdated(database):
                await migrate(database)
            await work(database, datetime.now(UTC))
        finally:
            await database.close()

    async def migrate(database: Database) -> None:
        lock = DataLock(settings.storage.data_dir)
        if database.sqlite:
            lock.acquire()
        try:
            await migrations.upgrade(database)
        finally:
            lock.release()

    try:
        asyncio.run(run())
    except (StoreUnavailable, DataDirectoryTaken) as error:
        sys.exit(f"the database cannot be used: {error}")
