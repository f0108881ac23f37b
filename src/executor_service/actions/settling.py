"""One effect from intention to certainty: stored, sent, and after a lost answer compared with what is there.

The order is always plan -> store -> send -> store. Whoever is killed in between starts again with the stored intent:
the object is read and compared; if the old values are still there, the same conditional write is sent again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import structlog

from executor_service.actions.changes import change_list
from executor_service.contract import ActionFailedError, ErrorClass, Json, Verb, Write
from executor_service.kubernetes import writing
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.errors import ApiError, ApiSilentError, ApiStatusError, ApiUnreachableError, failure
from executor_service.kubernetes.pointers import resolve
from executor_service.kubernetes.writing import Standing
from executor_service.ledger.audit import Audit, Outcome
from executor_service.ledger.ledger import Ledger
from executor_service.ledger.rows import Intent
from executor_service.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)
_STALE_PLANS = 5
_MOVED = "the object changed between planning and sending; planned again"
_RESENDS = 3
_DOUBT_PAUSE_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_OUTCOME_OPEN = frozenset({500, 502, 504})

T = TypeVar("T")


class StalePlanError(Exception):
    """The object changed between planning and sending, and nothing of ours was applied: plan again."""


@dataclass(frozen=True, slots=True)
class Settler:
    """Sends stored intents and finds out what became of them."""

    kube: KubeClient
    ledger: Ledger
    audit: Audit
    metrics: Metrics
    cluster: str

    async def send(self, intent: Intent, current: dict[str, Json]) -> Intent:
        """Send a fresh intent. Raises StalePlanError, or ActionFailedError when it was refused or did not arrive."""
        try:
            answer = await writing.send(self.kube, intent.write, current, dry_run=False)
        except ApiUnreachableError as error:
            raise await self._absent(intent, error) from error
        except ApiSilentError:
            return await self.resolve(intent)
        except ApiStatusError as error:
            if error.code in _OUTCOME_OPEN:
                return await self.resolve(intent)
            return await self._rejected(intent, error)
        return await self._applied(intent, answer)

    async def resolve(self, intent: Intent) -> Intent:
        """Bring an intent of unknown outcome to certainty, for as long as the API server takes to answer.

        Raises ActionFailedError: conflict (somebody else wrote), not_found (the object is gone), transient (the server
        answers, but with errors only; the effect is known to be absent).
        """
        for attempt in range(_RESENDS):
            current = await self._seen(intent)
            standing = writing.compare(intent.write, current)
            if standing is not Standing.UNTOUCHED:
                return await self._decide(intent, current, standing)
            try:
                answer = await writing.send(self.kube, intent.write, current or {}, dry_run=False)
            except ApiStatusError as error:
                if error.code not in {409, 422, *_OUTCOME_OPEN}:
                    raise await self._absent(intent, error) from error
            except ApiError:
                await asyncio.sleep(_DOUBT_PAUSE_SECONDS[attempt])
            else:
                return await self._applied(intent, answer)
        current = await self._seen(intent)
        standing = writing.compare(intent.write, current)
        if standing is Standing.UNTOUCHED:
            last = ActionFailedError(
                ErrorClass.TRANSIENT, f"{intent.write.ref}: the API server keeps failing the write"
            )
            raise await self._absent(intent, last)
        return await self._decide(intent, current, standing)

    async def _decide(self, intent: Intent, current: dict[str, Json] | None, standing: Standing) -> Intent:
        if standing is Standing.LANDED or (standing is Standing.GONE and intent.write.verb is not Verb.PATCH):
            return await self._applied(intent, current)
        if standing is Standing.GONE:
            gone = ActionFailedError(ErrorClass.NOT_FOUND, f"{intent.write.ref} is gone")
            raise await self._absent(intent, gone)
        if standing is Standing.MOVED:
            if "/metadata/generation" not in intent.write.version:
                await self._stale(intent)
                raise StalePlanError
            moved = f"{intent.write.ref} was changed by somebody else before our write arrived"
            raise await self._absent(intent, ActionFailedError(ErrorClass.CONFLICT, moved))
        if intent.write.verb is Verb.CREATE:
            raise await self._absent(intent, taken(intent.write))
        # Neither old nor new values: our write may have been there for a moment. It stays in the ledger as applied, so
        # that the change is listed and an undo meets its drift check instead of silence.
        await self.ledger.applied(intent, intent.write, outcome=Outcome.OVERTAKEN)
        await self.tell(intent.key, intent.slot)
        names = ", ".join(item.pointer for item in intent.write.fields)
        message = f"{intent.write.ref}: {names} has neither our old nor our new value; somebody else changed it"
        raise ActionFailedError(ErrorClass.CONFLICT, message)

    async def _rejected(self, intent: Intent, error: ApiStatusError) -> Intent:
        """A definite no: out of date (plan again), already gone (done), or refused for good."""
        if intent.write.verb is Verb.CREATE:
            return await self._not_created(intent, error)
        removal = intent.write.verb is not Verb.PATCH
        if error.code in ({404, 409} if removal else {409, 422}):
            current = await self._seen(intent)
            standing = writing.compare(intent.write, current)
            if removal and standing in {Standing.GONE, Standing.LANDED}:
                return await self._applied(intent, current)
            if current is not None and (removal or not writing.conditions_hold(intent.write, current)):
                await self._stale(intent)
                raise StalePlanError from error
        raise await self._absent(intent, error) from error

    async def _not_created(self, intent: Intent, error: ApiStatusError) -> Intent:
        """Refused: for good, unless it was there already because we created it before."""
        current = await self._seen(intent) if error.code == 409 else None
        if current is not None and writing.compare(intent.write, current) is Standing.LANDED:
            return await self._applied(intent, current)
        raise await self._absent(intent, taken(intent.write) if current is not None else error) from error

    async def _applied(self, intent: Intent, answer: dict[str, Json] | None) -> Intent:
        write = intent.write
        if write.verb is Verb.PATCH and answer:
            write = write.with_values_of({item.pointer: resolve(answer, item.pointer) for item in write.fields})
            write = replace(write, sealed=writing.sealed_as_stored(write, answer))
        if write.verb is Verb.CREATE and answer:
            write = replace(write, uid=answer["metadata"]["uid"])
        self.metrics.writes.labels(write.verb.value, "applied").inc()
        stored = await self.ledger.applied(intent, write, changes=change_list([write], self.cluster))
        await self.tell(intent.key, intent.slot)
        return stored

    async def tell(self, key: str, slot: str) -> None:
        """The line of an effect in the audit, as it stands, for the log."""
        line = await self.audit.line(key, slot)
        if line is not None:
            _log.info("audit", **asdict(line))

    async def _stale(self, intent: Intent) -> None:
        await self.ledger.discard(intent, Outcome.STALE, _MOVED)
        await self.tell(intent.key, intent.slot)

    async def _absent(self, intent: Intent, error: ApiError | ActionFailedError) -> ActionFailedError:
        """The effect is known to be absent: forget the intent and say why."""
        self.metrics.writes.labels(intent.write.verb.value, "refused").inc()
        told = (
            error if isinstance(error, ActionFailedError) else failure(error, f"{intent.write.verb} {intent.write.ref}")
        )
        await self.ledger.discard(intent, Outcome.REFUSED, told.message)
        await self.tell(intent.key, intent.slot)
        return told

    async def _seen(self, intent: Intent) -> dict[str, Json] | None:
        """The object as it is now. It decides over an effect: no deadline may replace the answer by a guess."""
        attempt = 0
        while True:
            try:
                return await self.kube.find(intent.write.ref)
            except ApiError as error:
                text = f"it is not known whether {intent.write.ref} was changed; asking the API server: {error}"
                _log.warning("effect in doubt", key=intent.key, object=str(intent.write.ref), error=str(error))
                await self.ledger.progress(intent.key, text)
                await asyncio.sleep(_DOUBT_PAUSE_SECONDS[min(attempt, len(_DOUBT_PAUSE_SECONDS) - 1)])
                attempt += 1


def taken(write: Write) -> ActionFailedError:
    """Why a creation cannot be: somebody else's object has its name."""
    return ActionFailedError(ErrorClass.CONFLICT, f"{write.ref} exists already and is not ours")


async def replanning(attempt: Callable[[], Awaitable[T]]) -> T:
    """Plan and send until the plan is not stale. Raises ActionFailedError (conflict) after several stale plans."""
    for _ in range(_STALE_PLANS):
        try:
            return await attempt()
        except StalePlanError:
            continue
    raise ActionFailedError(ErrorClass.CONFLICT, "the object is being changed faster than we can plan")
