"""The transaction that decides about a number of stored alerts: all that follows from it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.admission import OVER_BUDGET, Choice, choose
from workflow_service.domain.admission_facts import (
    About,
    Limits,
    about,
)
from workflow_service.domain.alert import Alert, alert_from_json, severity_rank
from workflow_service.domain.queueing import turn
from workflow_service.domain.silence import Matchers
from workflow_service.domain.watchdog import which
from workflow_service.intake import admitting
from workflow_service.intake import statements as sql
from workflow_service.intake.admitting import Rows, Values, execution
from workflow_service.intake.knowing import known_of
from workflow_service.intake.starter import Starts
from workflow_service.ports import Drive, Engine
from workflow_service.store import alarms, caused, resolutions
from workflow_service.store.executions import Record, trace_from
from workflow_service.store.locks import Wake


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one alert; `domain.admission.Choice` tells the outcomes."""

    alert_id: str
    outcome: str
    reason: str
    workflow_id: str | None


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a number of alerts, by id; `news`: a workflow is to hear that its alerts have resolved."""

    outcomes: Mapping[str, Outcome]
    news: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """An alert about which nothing is decided yet."""

    row: sa.Row[Any]
    alert: Alert
    about: About


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides within a transaction of the caller's."""

    engine: Engine
    limits: Limits
    wake: Wake | None  # brings a drive to an execution that nobody drives; None: the reconciler does
    matchers: Matchers = field(default_factory=Matchers)

    async def decide(
        self, connection: AsyncConnection, alert_ids: Iterable[str], starts: Starts, *, now: datetime
    ) -> Decided:
        """The outcome of each, decided in the order given; of those decided before, the one that they have.

        Raises:
            IntegrityError: another replica has just admitted an alert about the same thing.
        """
        order = {alert_id: place for place, alert_id in enumerate(alert_ids)}
        found = sorted(await connection.execute(sql.ALERTS, {"ids": list(order)}), key=lambda row: order[row.id])
        outcomes = {
            row.id: Outcome(row.id, row.outcome, row.outcome_reason or "", row.workflow_id)
            for row in found
            if row.outcome is not None
        }
        asked = [self._asked(row) for row in found if row.outcome is None]
        if not asked:
            return Decided(outcomes)
        abouts = [one.about for one in asked]
        known = await known_of(connection, abouts, limits=self.limits, matchers=self.matchers, now=now)
        pairs, rows = [], Rows()
        for one in asked:
            choice = choose(one.alert, one.about, known, self.limits, now)
            if choice.outcome == "admitted":
                choice = replace(choice, workflow_id=str(uuid.uuid4()))
                known.begins(choice.about, str(choice.workflow_id))
                _admit(rows, one, choice, starts, now)
            rows.decided.append(_decided(one.row, choice, now))
            pairs.append((one, choice))
        await admitting.write(connection, rows)
        await self._enqueue(connection, rows.queued)
        await alarms.seen(connection, self._watchdogs(pairs))
        news = await _against(connection, pairs, now)
        news = await self._resolve(connection, pairs, now) or news
        return Decided(outcomes | {one.row.id: _outcome(one.row, choice) for one, choice in pairs}, news)

    def _asked(self, row: sa.Row[Any]) -> _Asked:
        alert = alert_from_json(row.document)
        return _Asked(row, alert, about(alert, row.fingerprint, self.limits))

    def _watchdogs(self, decided: Sequence[tuple[_Asked, Choice]]) -> dict[str, datetime]:
        """The watchdogs among them that bark, and when each came last."""
        found: dict[str, datetime] = {}
        for one, choice in decided:
            dog = which(self.limits.watchdogs, one.alert) if choice.outcome == "watchdog" else None
            if dog is not None and one.alert.status != "resolved":
                found[dog.name] = max(one.row.received_at, found.get(dog.name, one.row.received_at))
        return found

    async def _enqueue(self, connection: AsyncConnection, queued: Sequence[Record]) -> None:
        for record in queued:
            place = turn(record.priority, record.created_at)
            await self.engine.enqueue(connection, Drive(record.execution_id, 1), queue=record.queue, priority=place)

    async def _resolve(
        self, connection: AsyncConnection, decided: Sequence[tuple[_Asked, Choice]], now: datetime
    ) -> bool:
        """Workflows whose alerts have all resolved are to hear of it; whether there are any that did not know.

        Those with an alert that is on are not to hear of it, or no more.
        """
        attached = [
            (one.alert.status, choice.workflow_id)
            for one, choice in decided
            if choice.outcome in {"attached", "caused"} and choice.workflow_id is not None
        ]
        on_again = {workflow_id for status, workflow_id in attached if status != "resolved"}
        if on_again:
            await resolutions.take_back(connection, on_again)
        over = {workflow_id for status, workflow_id in attached if status == "resolved"} - on_again
        over = await resolutions.over(connection, over) if over else over
        noted = await resolutions.note(connection, over, now) if over else ()
        for row in noted:
            if row.owner is None and self.wake is not None:
                await self.wake(connection, row.id, row.enqueued)
        return bool(noted)


async def _against(connection: AsyncConnection, decided: Sequence[tuple[_Asked, Choice]], now: datetime) -> bool:
    """Alerts that speak against workflows, and the ends of such; whether somebody is to hear of any."""
    notes = [
        caused.Note(
            workflow_id=choice.workflow_id,
            fingerprint=one.row.fingerprint,
            own=one.about.own,
            alert_id=one.row.id,
            name=one.alert.name,
            severity=one.alert.severity,
            starts_at=one.alert.starts_at,
        )
        for one, choice in decided
        if choice.outcome == "caused" and choice.workflow_id is not None and one.alert.starts_at is not None
    ]
    resolved = [
        caused.Over(one.row.fingerprint, one.about.own, one.alert.speaks_of)
        for one, _ in decided
        if one.alert.status == "resolved"
    ]
    over = bool(resolved) and await caused.over(connection, resolved, now)
    if notes:
        await caused.note(connection, notes, now)
    return over or bool(notes)


def _admit(rows: Rows, one: _Asked, choice: Choice, starts: Starts, now: datetime) -> None:
    """The workflow, its identities, its execution and the start of its planning: here, or through the queue."""
    row, alert, execution_id, workflow_id = one.row, one.alert, str(uuid.uuid4()), str(choice.workflow_id)
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
        ordered=row.ordered,
        waits_for_start=bool(row.waits_for_start),
        trace=trace_from(row),
    )
    owner = starts.reserve(record)
    if owner is None:
        rows.queued.append(record)
    rows.workflows.append(
        {
            "id": workflow_id,
            "alert_id": row.id,
            "execution_id": execution_id,
            "alert_name": alert.name,
            "severity": alert.severity,
            "namespace": alert.namespace,
            "cluster": choice.about.places[-1],
            "target": choice.about.target,
            "created_at": now,
        }
    )
    rows.identities += [{"identity": name, "workflow_id": workflow_id} for name in choice.about.held]
    rows.executions.append(execution(record, owner))


def _outcome(row: sa.Row[Any], choice: Choice) -> Outcome:
    return Outcome(row.id, choice.outcome, choice.reason, choice.workflow_id)


def _decided(row: sa.Row[Any], choice: Choice, now: datetime) -> Values:
    return {
        "id": row.id,
        "own": choice.about.own,
        "outcome": choice.outcome,
        "outcome_reason": choice.reason,
        "workflow_id": choice.workflow_id,
        "decided_at": now,
        # A source that does not tell when it is over would have its alert acted on long after that.
        # What only waits for its turn has been promised one.
        "reconsider_at": choice.reconsider_at if row.tracked or choice.outcome == OVER_BUDGET else None,
        "trace": choice.trace,
    }
