"""One delivery from its bytes to one outcome per alert: read, stored whole, then decided together."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import structlog

from workflow_service.domain.alert import Alert, alert_to_json, fingerprint
from workflow_service.domain.errors import Rejected, WorkflowServiceError
from workflow_service.domain.received import Invalid, Received, Unreadable
from workflow_service.intake.inbox import Inbox
from workflow_service.intake.intake import Delivery, Flaw, Intake, Outcome
from workflow_service.intake.receiving import Form, read
from workflow_service.telemetry.intake import IntakeMetrics

# What the routes took before forms were kept.
_FORMS: Mapping[str, Form] = {"/api/v1/execute": Form.ALERT, "/api/v1/workflows": Form.WORKFLOW}
# Seconds that an answer waits for decisions: Alertmanager may give up after 10 s, and then sends again what is stored.
PATIENCE = 5.0
LARGE = 256 * 1024  # bytes from which reading a body would keep others waiting

log = structlog.get_logger(__name__)


class NotRepeatable(WorkflowServiceError):
    """A stored delivery cannot be decided again."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one alert; `undecided`: it is stored, and will be decided within seconds."""

    alert_id: str | None  # None: invalid
    fingerprint: str | None
    outcome: str
    reason: str
    workflow_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a delivery."""

    delivery_id: str
    form: Form
    alerts: tuple[Result, ...]
    truncated: int
    note: str


class Reception:
    """Takes deliveries of every form in."""

    def __init__(self, intake: Intake, inbox: Inbox, metrics: IntakeMetrics) -> None:
        self.inbox = inbox
        self._intake, self._metrics = intake, metrics
        self._late: set[asyncio.Task[Any]] = set()  # decisions whose delivery is answered already

    async def take(
        self, delivery: Delivery, form: Form, *, hindrance: Callable[[Alert], str | None] = lambda _alert: None
    ) -> Answer:
        """Store a delivery, which gets an id unless it has one, then decide its alerts.

        `hindrance` says why the sender may not have something done about an alert; that one is quarantined.

        Raises:
            Unreadable: no alert can be told in it; it is kept, quarantined.
            StoreUnavailable: nothing of it was stored; the sender is to try again.
        """
        delivery = replace(delivery, id=delivery.id or str(uuid.uuid4()))
        with ExitStack() as held:
            held.enter_context(self.inbox.place())
            try:
                received = await _read(delivery, form)
            except Unreadable as error:
                await self.quarantine(delivery, error)
                raise
            found = tuple(_held_back(one, hindrance) for one in received.found)
            received = replace(received, found=found)
            alerts = [one for one in received.found if isinstance(one, Alert)]
            alert_ids = await self._store(delivery, received, alerts)
            decided = await self._decide(alert_ids, held)
        known = iter([_result(*one) for one in zip(alert_ids, alerts, decided, strict=True)])
        results = tuple(_refused(one) if isinstance(one, Invalid) else next(known) for one in received.found)
        for result in results:
            self._metrics.decided(result.outcome)
        return Answer(delivery.id or "", form, results, received.truncated, received.note)

    async def take_one(self, delivery: Delivery, alert: Alert) -> Outcome:
        """Store and decide a delivery of one alert.

        Raises:
            StoreUnavailable: the database is away; once it is stored, the sweeper will decide.
        """
        with self.inbox.place():
            [alert_id] = await self._intake.store(delivery, [alert])
            self._metrics.delivered(delivery.form or "", quarantined=False)
            outcome = await self._intake.decide(alert_id)
            self._metrics.decided(outcome.outcome)
            return outcome

    async def weigh(self) -> None:
        """See how many alerts wait for their decision: beyond a bound nothing more is taken in.

        Raises:
            StoreUnavailable: the database is away.
        """
        if (most := self.inbox.most_undecided) is not None:
            self.inbox.undecided = await self._intake.undecided(most + 1)
            self._metrics.undecided(self.inbox.undecided)

    async def quarantine(self, delivery: Delivery, error: Rejected) -> None:
        """Keep a delivery that cannot be acted on, and why.

        Raises:
            StoreUnavailable: the database is away.
        """
        flaw = Flaw(None if isinstance(error, Unreadable) else 0, str(error)[:1000])
        delivery = replace(delivery, flaws=(flaw,), id=delivery.id or str(uuid.uuid4()))
        await self._intake.store(delivery, [])
        self._metrics.delivered(delivery.form or "", quarantined=True)
        log.warning("a delivery cannot be read and is quarantined", delivery_id=delivery.id, reason=flaw.reason)

    async def _store(self, delivery: Delivery, received: Received, alerts: Sequence[Alert]) -> list[str]:
        flaws = tuple(
            Flaw(index, one.reason, one.fingerprint)
            for index, one in enumerate(received.found)
            if isinstance(one, Invalid)
        )
        alert_ids = await self._intake.store(replace(delivery, flaws=flaws), alerts)
        self._metrics.delivered(delivery.form or "", quarantined=bool(flaws))
        if flaws:
            log.warning(
                "alerts that cannot be understood are quarantined",
                delivery_id=delivery.id,
                alerts=len(flaws),
                reason=flaws[0].reason,
            )
        return alert_ids

    async def _decide(self, alert_ids: Sequence[str], held: ExitStack) -> Sequence[Outcome | BaseException | None]:
        """What is decided in time; None for each when it takes longer, and then `held` is held until it is done."""
        deciding = asyncio.create_task(self._intake.decide_all(alert_ids))
        done, _ = await asyncio.wait({deciding}, timeout=PATIENCE)
        if done:
            return deciding.result()
        place = held.pop_all()
        self._late.add(deciding)
        deciding.add_done_callback(self._late.discard)
        deciding.add_done_callback(lambda _: place.close())
        return [None] * len(alert_ids)


def repeated(row: Mapping[str, Any]) -> tuple[Delivery, Form]:
    """A stored delivery (its row, with `waits`) as a new one that names its origin.

    Raises:
        NotRepeatable: its bytes are gone, or nobody could ever read them.
    """
    form = row["form"] or _FORMS.get(row["route"])
    if row["unreadable"] or form is None:
        raise NotRepeatable("no alert can be told in it")
    if not row["body"]:
        raise NotRepeatable("its bytes were deleted DELIVERY_RETENTION after their arrival")
    delivery = Delivery(
        body=row["body"],
        route=row["route"],
        form=Form(form),
        headers=row["headers"] or {},
        start=not row["waits"],
        origin=row["id"],
    )
    return delivery, Form(form)


def _held_back(one: Alert | Invalid, hindrance: Callable[[Alert], str | None]) -> Alert | Invalid:
    why = hindrance(one) if isinstance(one, Alert) else None
    return one if why is None or isinstance(one, Invalid) else Invalid(why, alert_to_json(one))


async def _read(delivery: Delivery, form: Form) -> Received:
    if len(delivery.body) < LARGE:
        return read(form, delivery.headers, delivery.body)
    return await asyncio.to_thread(read, form, delivery.headers, delivery.body)


def _result(alert_id: str, alert: Alert, decided: Outcome | BaseException | None) -> Result:
    name = fingerprint(alert)
    if isinstance(decided, BaseException):
        log.warning("a stored alert is left to the sweeper", alert_id=alert_id, error=str(decided))
    if decided is None or isinstance(decided, BaseException):
        return Result(alert_id, name, "undecided", "stored; it will be decided in a few seconds")
    return Result(alert_id, name, decided.outcome, decided.reason, decided.workflow_id)


def _refused(one: Invalid) -> Result:
    return Result(None, one.fingerprint, "invalid", one.reason)
