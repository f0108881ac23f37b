"""The transaction that decides about a number of stored alerts: what is read for it, and all that follows from it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.admission import Known, choose, identities_of
from workflow_service.domain.alert import Alert, alert_from_json, severity_rank
from workflow_service.domain.queueing import QUEUE_BOUND, turn
from workflow_service.domain.states import ExecutionStatus, RollbackStatus
from workflow_service.intake import statements as sql
from workflow_service.intake.starter import Starts
from workflow_service.ports import Drive, Engine
from workflow_service.store.executions import Record

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one alert: admitted | attached | cooled_down | resolved."""

    alert_id: str
    outcome: str
    reason: str
    workflow_id: str | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """An alert about which nothing is decided yet."""

    row: sa.Row[Any]
    alert: Alert
    identities: tuple[str, ...]


@dataclass(slots=True)
class _Admitted:
    """Rows of the workflows that the alerts of one transaction begin, and what has to be queued."""

    workflows: list[Values] = field(default_factory=list)
    identities: list[Values] = field(default_factory=list)
    executions: list[Values] = field(default_factory=list)
    queued: list[Record] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides within a transaction of the caller's."""

    engine: Engine
    cluster: str
    cooldown: timedelta

    async def decide(
        self, connection: AsyncConnection, alert_ids: Iterable[str], starts: Starts, *, now: datetime
    ) -> dict[str, Outcome]:
        """The outcome of each, by id, decided in the order given; of those decided before, the one that they have.

        Raises:
            IntegrityError: another replica has just admitted an alert about the same thing.
        """
        order = {alert_id: place for place, alert_id in enumerate(alert_ids)}
        rows = sorted(await connection.execute(sql.ALERTS, {"ids": list(order)}), key=lambda row: order[row.id])
        outcomes = {
            row.id: Outcome(row.id, row.outcome, row.outcome_reason or "", row.workflow_id)
            for row in rows
            if row.outcome is not None
        }
        asked = [self._asked(row) for row in rows if row.outcome is None]
        if not asked:
            return outcomes
        known = await self._known(connection, asked, since=now - self.cooldown)
        admitted, decided = _Admitted(), []
        for one in asked:
            choice = choose(one.alert, one.identities, known, cooldown=self.cooldown)
            workflow_id = choice.workflow_id
            if choice.outcome == "admitted":
                workflow_id = str(uuid.uuid4())
                known.begins(one.identities, workflow_id)
                _admit(admitted, one, workflow_id, starts, now)
            decided.append(Outcome(one.row.id, choice.outcome, choice.reason, workflow_id))
        await self._write(connection, admitted, decided, now)
        return outcomes | {one.alert_id: one for one in decided}

    def _asked(self, row: sa.Row[Any]) -> _Asked:
        alert = alert_from_json(row.document)
        return _Asked(row, alert, identities_of(alert, row.fingerprint, self.cluster))

    async def _known(self, connection: AsyncConnection, asked: Sequence[_Asked], *, since: datetime) -> Known:
        names = sorted({name for one in asked for name in one.identities})
        running = await connection.execute(sql.ACTIVE, {"names": names})
        active = {row.identity: row.workflow_id for row in running}
        succeeded = await connection.execute(sql.RECENT_SUCCESSES, {"names": names, "since": since})
        return Known(active, {row.identity: row.workflow_id for row in succeeded})

    async def _write(
        self, connection: AsyncConnection, admitted: _Admitted, decided: Sequence[Outcome], now: datetime
    ) -> None:
        if admitted.workflows:
            # Sorted, so that replicas that decide about the same things wait for each other in one order.
            identities = sorted(admitted.identities, key=lambda row: str(row["identity"]))
            await connection.execute(sql.ADMIT_WORKFLOWS, admitted.workflows)
            await connection.execute(sql.HOLD_IDENTITIES, identities)
            await connection.execute(sql.KEEP_IDENTITIES, identities)
            await connection.execute(sql.ADMIT_EXECUTIONS, admitted.executions)
        for record in admitted.queued:
            place = turn(record.priority, record.created_at)
            await self.engine.enqueue(connection, Drive(record.execution_id, 1), queue=record.queue, priority=place)
        await connection.execute(sql.DECIDED, [_decided(one, now) for one in decided])


def _admit(admitted: _Admitted, one: _Asked, workflow_id: str, starts: Starts, now: datetime) -> None:
    """The workflow, its identities, its execution and the start of its planning: here, or through the queue."""
    row, alert, execution_id = one.row, one.alert, str(uuid.uuid4())
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
    owner = starts.reserve(record)
    if owner is None:
        admitted.queued.append(record)
    admitted.workflows.append(
        {
            "id": workflow_id,
            "alert_id": row.id,
            "execution_id": execution_id,
            "alert_name": alert.name,
            "severity": alert.severity,
            "namespace": alert.namespace,
            "target": next((name for name in one.identities if name.startswith("target:")), None),
            "created_at": now,
        }
    )
    admitted.identities += [{"identity": name, "workflow_id": workflow_id} for name in one.identities]
    admitted.executions.append(_execution(record, owner))


def _execution(record: Record, owner: str | None) -> Values:
    return {
        "id": record.execution_id,
        "workflow_id": record.workflow_id,
        "kind": "run",
        "status": ExecutionStatus.CREATED,
        "queue": record.queue,
        "priority": record.priority,
        "owner": owner,
        "generation": 0 if owner is None else 1,
        "enqueued": 1,
        "enqueued_at": record.created_at,
        "seq": 0,
        "actions_total": 0,
        "actions_ended": 0,
        "reason": "",
        "cause": "",
        "rollback": RollbackStatus.NONE,
        "created_at": record.created_at,
        "updated_at": record.created_at,
        "must_end_by": record.created_at + QUEUE_BOUND,
    }


def _decided(one: Outcome, now: datetime) -> Values:
    return {
        "alert_id": one.alert_id,
        "b_outcome": one.outcome,
        "b_outcome_reason": one.reason,
        "b_workflow_id": one.workflow_id,
        "b_decided_at": now,
    }
