"""What a drive leaves for people in the outbox, in the transaction of what causes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.addressing import NOBODY, Addressees
from workflow_service.domain.events import Event
from workflow_service.domain.notice_facts import value
from workflow_service.domain.notices import NOTHING, QUESTIONS, REMINDERS, Kind, Moved, Notice, Patience, news
from workflow_service.store import outbox
from workflow_service.store.entry import Also
from workflow_service.store.executions import Record
from workflow_service.store.outbox import Letter, Status

_NAMES = uuid.UUID("6f1d6a0e-6c1c-4e0d-9b7d-6f2f6f8f2a10")  # ours: what an id is made of is said in `_letter_id`


@dataclass(frozen=True, slots=True)
class Notifying:
    """Who is told, and how patiently."""

    addressees: Addressees = field(default_factory=Addressees)
    patience: Patience = field(default_factory=Patience)
    try_for: timedelta = timedelta(hours=24)  # since it was due
    cluster: str = ""


def with_notices(
    notifying: Notifying, record: Record, events: Sequence[Event], moved: Moved, also: Also | None, *, sqlite: bool
) -> Also | None:
    """What happens in the transaction of these events: `also`, and what people are to be told of them."""
    found = news(events, moved, notifying.patience)
    if found == NOTHING:
        return also
    letters = [one for notice in found.notices for one in _letters(notifying, record, notice)]

    async def both(connection: AsyncConnection) -> None:
        if also is not None:
            await also(connection)
        for steps, kinds in ((found.answered, QUESTIONS), (found.extended, REMINDERS)):
            if steps:
                await outbox.settle(connection, record.execution_id, steps, kinds, now=events[-1].at)
        await outbox.keep(connection, letters, sqlite=sqlite)

    return both


def _letters(notifying: Notifying, record: Record, notice: Notice) -> Iterator[Letter]:
    namespace = str(record.alert.get("namespace") or "")
    late = notice.kind is Kind.UNANSWERED
    channels = notifying.addressees.of(record.severity, namespace, escalating=late)
    reminds = notice.due_at > notice.at
    if not channels and reminds:
        return  # nobody was told to begin with
    for channel in channels or (NOBODY,):
        nobody = channel == NOBODY
        yield Letter(
            id=_letter_id(record.execution_id, notice, channel),
            channel=channel,
            kind=notice.kind,
            at=notice.at,
            workflow_id=record.workflow_id,
            execution_id=record.execution_id,
            step=notice.step,
            namespace=namespace or None,
            severity=record.severity,
            document={**_about(notifying, record), **notice.data},
            due_at=None if nobody else notice.due_at,
            give_up_at=notice.due_at + notifying.try_for,
            status=Status.UNADDRESSED if nobody else Status.PENDING,
        )


def _letter_id(execution_id: str, notice: Notice, channel: str) -> str:
    """The same whenever the same entry of the journal is written."""
    return str(uuid.uuid5(_NAMES, f"{execution_id}:{notice.seq}:{notice.kind}:{notice.step}:{channel}"))


def _about(notifying: Notifying, record: Record) -> Mapping[str, str]:
    alert = record.alert
    return {
        "workflow_id": record.workflow_id,
        "execution_id": record.execution_id,
        "alert": value(alert.get("name", "")),
        "severity": value(record.severity),
        "namespace": value(alert.get("namespace") or ""),
        "resource": value(alert.get("resource") or ""),
        "cluster": notifying.cluster,
    }
