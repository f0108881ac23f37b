"""Store first, then decide once: attached, cooled down, resolved or admitted.

The decision and all that follows from it (workflow, identities, execution, its start) is one transaction, so an alert
is either undecided, and the sweeper decides it, or decided whole. When this replica has a slot, the execution is stored
as its own and begins as soon as that is committed; should it die first, its executions are adopted as all others are.
Without a slot the start is an entry of the durable queue. Two replicas that decide about the same thing
at the same instant meet on the primary key of `active_identities`: one admits, the other looks again and attaches.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.alert import Alert, alert_from_json, alert_to_json, fingerprint, severity_rank
from workflow_service.domain.errors import StoreUnavailable
from workflow_service.domain.queueing import QUEUE_BOUND, turn
from workflow_service.domain.states import ExecutionStatus, RollbackStatus
from workflow_service.domain.target import NoTarget, resolve
from workflow_service.intake import statements as sql
from workflow_service.intake.starter import Start, Starter
from workflow_service.ports import Drive, Engine
from workflow_service.store.database import Database
from workflow_service.store.executions import Record
from workflow_service.store.tables import alerts

UNDECIDED = timedelta(seconds=5)  # after which the sweeper takes an alert that a crash left undecided
SWEPT = 500  # alerts that one sweep decides
RACES = 5  # lost races in a row, each of which means that somebody else made progress

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request that brought alerts, as it came."""

    body: bytes
    route: str
    source: str | None = None
    request_id: str | None = None
    start: bool = True  # False: a workflow of its alerts waits for somebody to start it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one alert: admitted | attached | cooled_down | resolved."""

    alert_id: str
    outcome: str
    reason: str
    workflow_id: str | None


class Intake:
    """Takes alerts in for one replica. `cooldown` follows a success during which the same thing is not done again."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        *,
        cluster: str,
        cooldown: timedelta,
        clock: Callable[[], datetime],
        starter: Starter | None = None,
    ) -> None:
        """`starter` None: every start is queued."""
        self._database, self._engine, self._starter = database, engine, starter
        self._cluster, self._cooldown, self._clock = cluster, cooldown, clock

    async def store(self, delivery: Delivery, found: Sequence[Alert]) -> list[str]:
        """Keep the delivery and its alerts, undecided; once this returns, nothing of it can be lost. The alerts' ids.

        Raises:
            StoreUnavailable: the database did not take it; nothing was kept.
        """
        now, delivery_id = self._clock(), str(uuid.uuid4())
        rows = [
            {
                "id": str(uuid.uuid4()),
                "delivery_id": delivery_id,
                "received_at": now,
                "fingerprint": fingerprint(alert),
                "document": alert_to_json(alert),
                "waits_for_start": None if delivery.start else True,
            }
            for alert in found
        ]
        async with self._database.write() as connection:
            await connection.execute(
                sql.KEEP_DELIVERY,
                {
                    "id": delivery_id,
                    "received_at": now,
                    "route": delivery.route,
                    "source": delivery.source,
                    "request_id": delivery.request_id,
                    "body": delivery.body,
                },
            )
            if rows:
                await connection.execute(sql.KEEP_ALERTS, rows)
        return [str(row["id"]) for row in rows]

    async def decide(self, alert_id: str) -> Outcome:
        """What becomes of a stored alert; the same answer however often it is asked.

        Raises:
            StoreUnavailable: the database is away; the sweeper will decide.
        """
        for _ in range(RACES):
            try:
                with Start(self._starter) as start:
                    async with self._database.write() as connection:
                        outcome = await self._decide(connection, alert_id, start)
                    start.stored()
                    return outcome
            except IntegrityError:
                log.info("another replica decided about the same thing first", alert_id=alert_id)
        raise StoreUnavailable(f"alert {alert_id} lost {RACES} races in a row")

    async def sweep(self) -> int:
        """Decide what a crash left undecided; returns how many.

        Raises:
            StoreUnavailable: the database is away.
        """
        before = self._clock() - UNDECIDED
        async with self._database.read() as connection:
            query = (
                sa.select(alerts.c.id)
                .where(alerts.c.outcome.is_(None), alerts.c.received_at < before)
                .order_by(alerts.c.received_at)
                .limit(SWEPT)
            )
            left = (await connection.execute(query)).scalars().all()
        return sum([await self._decide_late(alert_id) for alert_id in left])

    async def _decide_late(self, alert_id: str) -> bool:
        try:
            outcome = await self.decide(alert_id)
        except StoreUnavailable:
            raise
        except Exception:
            # One alert that cannot be decided must not keep all that came after it undecided.
            log.exception("an alert cannot be decided", alert_id=alert_id)
            return False
        log.warning("decided an alert that was left undecided", alert_id=alert_id, outcome=outcome.outcome)
        return True

    async def _decide(self, connection: AsyncConnection, alert_id: str, start: Start) -> Outcome:
        row = (await connection.execute(sql.ALERT, {"alert_id": alert_id})).one()
        if row.outcome is not None:
            return Outcome(alert_id, row.outcome, row.outcome_reason or "", row.workflow_id)
        alert = alert_from_json(row.document)
        target = resolve(alert, self._cluster)
        names = (
            {f"alert:{row.fingerprint}"}
            if isinstance(target, NoTarget)
            else {
                f"alert:{row.fingerprint}",
                target.identity,
            }
        )
        outcome = await self._choose(connection, row, alert, sorted(names), start)
        await connection.execute(
            sql.DECIDED,
            {
                "alert_id": alert_id,
                "b_outcome": outcome.outcome,
                "b_outcome_reason": outcome.reason,
                "b_workflow_id": outcome.workflow_id,
                "b_decided_at": self._clock(),
            },
        )
        return outcome

    async def _choose(
        self, connection: AsyncConnection, row: sa.Row[Any], alert: Alert, names: list[str], start: Start
    ) -> Outcome:
        alert_id = row.id
        active = await connection.scalar(sql.ACTIVE, {"names": names})
        if active is not None:
            return Outcome(alert_id, "attached", "a workflow about the same thing is running", active)
        if alert.status == "resolved":
            return Outcome(alert_id, "resolved", "the alert has resolved and no workflow is running for it", None)
        recent = await self._recent_success(connection, names)
        if recent is not None:
            why = f"the same thing was remediated less than {self._cooldown.total_seconds():g} s ago"
            return Outcome(alert_id, "cooled_down", why, recent)
        return Outcome(alert_id, "admitted", "", await self._admit(connection, row, alert, names, start))

    async def _recent_success(self, connection: AsyncConnection, names: list[str]) -> str | None:
        since = self._clock() - self._cooldown
        found: str | None = await connection.scalar(sql.RECENT_SUCCESS, {"names": names, "since": since})
        return found

    async def _admit(
        self, connection: AsyncConnection, row: sa.Row[Any], alert: Alert, names: list[str], start: Start
    ) -> str:
        """The workflow, its identities, its execution and the start of its planning: here, or through the queue."""
        now, workflow_id, execution_id = self._clock(), str(uuid.uuid4()), str(uuid.uuid4())
        record = Record(
            execution_id=execution_id,
            workflow_id=workflow_id,
            alert=row.document,
            severity=alert.severity,
            queue="planning",
            priority=severity_rank(alert.severity),
            created_at=now,
            seq=0,
            plan=None,
            events=(),
            waits_for_start=bool(row.waits_for_start),
        )
        target = next((name for name in names if name.startswith("target:")), None)
        await connection.execute(
            sql.ADMIT_WORKFLOW,
            {
                "id": workflow_id,
                "alert_id": row.id,
                "execution_id": execution_id,
                "alert_name": alert.name,
                "severity": alert.severity,
                "namespace": alert.namespace,
                "target": target,
                "created_at": now,
            },
        )
        rows = [{"identity": name, "workflow_id": workflow_id} for name in names]
        await connection.execute(sql.HOLD_IDENTITIES, rows)
        await connection.execute(sql.KEEP_IDENTITIES, rows)
        owner = start.reserve(record)
        await connection.execute(
            sql.ADMIT_EXECUTION,
            {
                "id": execution_id,
                "workflow_id": workflow_id,
                "kind": "run",
                "status": ExecutionStatus.CREATED,
                "queue": record.queue,
                "priority": record.priority,
                "owner": owner,
                "generation": 0 if owner is None else 1,
                "enqueued": 1,
                "enqueued_at": now,
                "seq": 0,
                "actions_total": 0,
                "actions_ended": 0,
                "reason": "",
                "cause": "",
                "rollback": RollbackStatus.NONE,
                "created_at": now,
                "updated_at": now,
                "must_end_by": now + QUEUE_BOUND,
            },
        )
        if owner is None:
            drive = Drive(execution_id, 1)
            await self._engine.enqueue(connection, drive, queue=record.queue, priority=turn(record.priority, now))
        return workflow_id
