"""What one drive appends to its execution's journal, and the rows that it becomes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.events import Event
from workflow_service.domain.plan import Plan, hash_of, plan_to_json
from workflow_service.domain.stored_events import event_to_json
from workflow_service.store.executions import plan_row
from workflow_service.store.locks import NO_GRIP, Grip
from workflow_service.store.tables import visible

Values = Mapping[str, Any]
Moment = Callable[[datetime | None], datetime | str | None]  # a time in the form in which it is written
Also = Callable[[AsyncConnection], Awaitable[None]]


class Row(NamedTuple):
    """The columns of an execution that its events decide. One shape always, so that many go in one statement."""

    status: str
    actions_total: int
    actions_ended: int
    current_action: str | None
    reason: str
    cause: str
    rollback: str
    plan_hash: str | None
    updated_at: datetime
    started_at: datetime | None
    must_end_by: datetime | None
    wake_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A plan that is kept with an entry. With `queue` its execution goes on as one of that queue, without waiting."""

    workflow_id: str
    document: Mapping[str, Any]  # the plan's stored form
    hash: str
    at: datetime
    queue: str | None


def kept_plan(workflow_id: str, plan: Plan, at: datetime, *, queue: str | None) -> KeptPlan:
    """A plan in the form in which it is kept."""
    document = plan_to_json(plan)
    return KeptPlan(workflow_id, document, hash_of(document), at, queue)


class Entry(NamedTuple):
    """Events of one execution, the first of which follows entry `seq` of its journal."""

    execution_id: str
    generation: int
    seq: int
    events: Sequence[Event]
    row: Row
    also: Also | None = None  # what must become true in the same transaction
    kept: KeptPlan | None = None
    workflow_id: str | None = None  # given with the last entry: whose identities and targets are free again
    grip: Grip = NO_GRIP


COLUMNS = Row._fields
_MOMENTS = ("updated_at", "started_at", "must_end_by", "ended_at")


def update_of(entry: Entry, moment: Moment) -> Values:
    """What the entry makes of its execution's row; the generation says which drive may."""
    values = entry.row._asdict()
    values["cause"] = visible(values["cause"])
    for name in _MOMENTS:
        values[name] = moment(values[name])
    values["queue"] = entry.kept.queue if entry.kept is not None else None
    seq = entry.seq + len(entry.events)
    return {"id": entry.execution_id, "generation": entry.generation, "seq": seq, **values}


def rows_of(entry: Entry, moment: Moment) -> list[Values]:
    """Its events as rows of the journal."""
    return [
        {
            "execution_id": entry.execution_id,
            "seq": seq,
            "generation": entry.generation,
            "at": moment(event.at),
            "kind": type(event).__name__,
            "data": orjson.dumps(event_to_json(event)).decode(),
        }
        for seq, event in enumerate(entry.events, start=entry.seq + 1)
    ]


def kept_of(entry: Entry) -> list[Values]:
    """The plan that it keeps, if any, as text."""
    kept = entry.kept
    if kept is None:
        return []
    row = plan_row(kept.workflow_id, kept.document, kept.hash, kept.at)
    document = orjson.dumps(kept.document).decode()
    return [{**row, "document": document, "execution_id": entry.execution_id, "generation": entry.generation}]


def over_of(entry: Entry) -> list[Values]:
    """Of an execution's last entry: what is free again with it."""
    if entry.workflow_id is None:
        return []
    whose = {"id": entry.execution_id, "generation": entry.generation, "workflow_id": entry.workflow_id}
    return [{**whose, "now": entry.row.updated_at}]
