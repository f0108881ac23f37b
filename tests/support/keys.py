"""API keys for tests: made as the command line makes them, and the headers that carry them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from workflow_service.access.issuing import Wish, issue
from workflow_service.domain.permissions import Right
from workflow_service.store import api_keys
from workflow_service.store.database import Database


async def make_key(
    database: Database, name: str, *rights: Right, namespaces: tuple[str, ...] = (), lifetime: timedelta | None = None
) -> tuple[str, str]:
    """A new key's id, and the key."""
    row, key = issue(Wish(name, rights, namespaces, lifetime), now=datetime.now(UTC))
    await api_keys.keep(database, row)
    return row.id, key


def bearer(key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {key}"}


def basic(user: str, password: str) -> dict[str, str]:
    """The header of basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
