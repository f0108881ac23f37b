"""Storing deliveries with their alerts, undecided: once it is done, nothing of them can be lost."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.alert import Alert, alert_to_json, fingerprint
from workflow_service.domain.errors import StoreUnavailable
from workflow_service.domain.trace import Trace
from workflow_service.intake import statements as sql
from workflow_service.intake.receiving import TELLS_THE_END, Form
from workflow_service.store.database import Database

SETTLING, LOOK = 10.0, 0.2  # seconds: how long a lost answer to a commit is asked after, and how often
UNREADABLE = 64 * 1024  # bytes that are kept of a delivery in which no alert can be told


@dataclass(frozen=True, slots=True)
class Flaw:
    """What cannot be understood of a delivery."""

    index: int | None  # among its alerts, from 0; None: the delivery itself
    reason: str
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request that brought alerts, as it came."""

    body: bytes
    route: str
    source: str | None = None
    request_id: str | None = None
    ordered: Mapping[str, Any] | None = None  # the template that is to be run, and its parameters
    start: bool = True  # False: a workflow of its alerts waits for somebody to start it
    form: Form | None = None  # None: as the route says
    headers: Mapping[str, str] = field(default_factory=dict)  # those that belong to what is in the body
    origin: str | None = None  # the delivery that this one repeats
    flaws: tuple[Flaw, ...] = ()
    id: str | None = None  # None: a new one
    trace: Trace | None = None  # the span in which it came


@dataclass(frozen=True, slots=True)
class Kept:
    """A delivery and its alerts as rows."""

    delivery: dict[str, Any]
    alerts: list[dict[str, Any]]


class Keeper:
    """Stores groups of deliveries in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, group: Sequence[Kept]) -> Sequence[None]:
        """Store all of them, in one transaction.

        Raises:
            StoreUnavailable: the database did not take them.
        """
        committing = False
        try:
            async with self._database.write() as connection:
                await _insert(connection, group)
                committing = True
        except StoreUnavailable:
            if not committing:
                raise
            # Whether it was committed nobody knows. Who is told to send it again would have it stored twice.
            await self._settle(group)
        return [None] * len(group)

    async def _settle(self, group: Sequence[Kept]) -> None:
        until = asyncio.get_running_loop().time() + SETTLING
        while True:
            try:
                async with self._database.write() as connection:
                    ids = [one.delivery["id"] for one in group]
                    there = set((await connection.execute(sql.KEPT, {"ids": ids})).scalars())
                    await _insert(connection, [one for one in group if one.delivery["id"] not in there])
            except StoreUnavailable:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(LOOK)
            else:
                return


def kept_of(delivery: Delivery, found: Sequence[Alert], now: datetime) -> Kept:
    """A delivery and the alerts found in it as rows."""
    delivery_id = delivery.id or str(uuid.uuid4())
    unreadable = any(flaw.index is None for flaw in delivery.flaws)
    row = {
        "id": delivery_id,
        "received_at": now,
        "route": delivery.route,
        "source": delivery.source,
        "request_id": delivery.request_id,
        "body": delivery.body[:UNREADABLE] if unreadable else delivery.body,
        "form": delivery.form,
        "headers": dict(delivery.headers) or None,
        "size": len(delivery.body),
        "origin": delivery.origin,
        "quarantined": len(delivery.flaws),
        "flaws": delivery.flaws or None,
        "unreadable": unreadable or None,
    }
    rows = [
        {
            "id": str(uuid.uuid4()),
            "delivery_id": delivery_id,
            "received_at": now,
            "fingerprint": fingerprint(alert),
            "namespace": alert.namespace,
            "document": alert_to_json(alert),
            "ordered": delivery.ordered,
            "waits_for_start": None if delivery.start else True,
            "tracked": delivery.form in TELLS_THE_END or None,
            "speaks_of": alert.speaks_of,
            "resolved": alert.status == "resolved" or None,
            "traceparent": delivery.trace.parent if delivery.trace else None,
            "tracestate": delivery.trace.state or None if delivery.trace else None,
        }
        for alert in found
    ]
    return Kept(row, rows)


async def _insert(connection: AsyncConnection, group: Sequence[Kept]) -> None:
    rows = [row for one in group for row in one.alerts]
    if group:
        await connection.execute(sql.KEEP_DELIVERIES, [one.delivery for one in group])
    if rows:
        await connection.execute(sql.KEEP_ALERTS, rows)
