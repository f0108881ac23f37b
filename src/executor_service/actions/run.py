"""What an action function may use: reads, conditional changes, deliveries, waiting, progress.

A function may be run again from its start after a crash. Therefore every effect has a slot name that is the same in
every run; what a slot has done already is not done again, and checks that look at old values belong into the plan.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from executor_service.actions.changes import audit_entry
from executor_service.actions.managed import noting_manager
from executor_service.actions.rehearsing import rehearse
from executor_service.actions.settling import StalePlanError, replanning
from executor_service.actions.world import CancelledByCallerError, StoppingError, World
from executor_service.contract import OUTSIDE, ActionFailedError, ErrorClass, Json, ObjectRef, Verb, Write
from executor_service.guards.asked import UNDO, Asked, asked_of
from executor_service.guards.guard import full
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.errors import ApiError, failure
from executor_service.ledger.rows import Intent, IntentState

__all__ = ("CancelledByCallerError", "Planned", "Run", "StoppingError", "World")

_POLL_FIRST_SECONDS, _POLL_LONGEST_SECONDS = 0.05, 1.0
_SETTLE_PATIENCE_SECONDS = 3600.0
_PLACE_POLL_SECONDS = 0.1
_HIDDEN_BELOW = ("managedFields",)

T = TypeVar("T")
Planned = tuple[Write, dict[str, Json]] | None
"""A write and the object it was planned from; None when there is nothing to do."""


@dataclass(slots=True)
class Run:
    """One action under way. `deadline_at` is in seconds since the epoch, because it must survive a restart."""

    world: World
    key: str
    type: str
    dry_run: bool
    deadline_at: float
    request: dict[str, Json]
    intents: dict[str, Intent]
    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    dry_writes: list[Write] = field(default_factory=list)
    progress_text: str = ""
    subject: ObjectRef | None = None
    """The first object that the action wanted to change: what it is about."""
    refusals: set[tuple[str, str]] = field(default_factory=set)
    """What is in the audit already: an eviction that waits is refused again and again."""

    @property
    def seconds_left(self) -> float:
        """Until the deadline; negative when it is over."""
        return self.deadline_at - time.time()

    @property
    def kube(self) -> KubeClient:
        """For reads only."""
        return self.world.kube

    @property
    def writes(self) -> list[Write]:
        """What this action has changed, in order (in a dry run: what it would change)."""
        if self.dry_run:
            return self.dry_writes
        done = [item for item in self.intents.values() if item.state is IntentState.APPLIED]
        return [item.write for item in sorted(done, key=lambda item: item.seq) if item.write.verb is not Verb.DELIVER]

    @property
    def mark(self) -> str:
        """A short text that derives from the key: for names and marks that are the same in every run."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]

    @property
    def in_doubt(self) -> list[Intent]:
        """Effects on the cluster of which nobody knows yet whether they are there."""
        pending = [item for item in self.intents.values() if item.state is IntentState.PENDING]
        return [item for item in pending if item.write.verb not in OUTSIDE]

    async def read(self, ref: ObjectRef) -> dict[str, Json]:
        """The object. Raises ActionFailedError."""
        return await self.ask(self.kube.get(ref), f"reading {ref}")

    async def find(self, ref: ObjectRef) -> dict[str, Json] | None:
        """The object, or None. Raises ActionFailedError for anything but its absence."""
        return await self.ask(self.kube.find(ref), f"reading {ref}")

    async def list(
        self, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> list[dict[str, Json]]:
        """All matching objects. Raises ActionFailedError."""
        where = f"listing {kind} in {namespace}" if namespace else f"listing {kind}"
        return await self.ask(self.kube.list(kind, namespace, labels=labels, fields=fields), where)

    async def ask(self, answer: Awaitable[T], what: str) -> T:
        """Any read, with its API error translated."""
        try:
            return await answer
        except ApiError as error:
            raise failure(error, what) from error

    async def settle_pending(self) -> None:
        """After a restart, before anything else: bring every effect in doubt to certainty, whatever the deadline.

        Raises ActionFailedError when an effect turns out to be absent for good or overtaken by somebody else.
        """
        for intent in self.in_doubt:
            async with self.world.locks.hold(intent.write.ref, self.key, patience=_SETTLE_PATIENCE_SECONDS):
                try:
                    self._remember(await self.world.settler.resolve(intent))
                except StalePlanError:
                    self.intents.pop(intent.slot)

    async def change(self, slot: str, ref: ObjectRef, plan: Callable[[], Awaitable[Planned]]) -> Write | None:
        """Have one effect on one object, once. `plan` reads the object and says which; None when nothing is to do.

        Raises ActionFailedError; its class tells whether the effect is absent for good, or somebody else was faster.
        """
        self.subject = self.subject or ref
        known = self.intents.get(slot)
        if known is not None:
            return known.write
        self.check()
        await self._enter(ref)
        async with self.world.locks.hold(ref, self.key, patience=self.seconds_left):
            if self.dry_run:
                return await replanning(lambda: self._rehearse(plan))
            settled = await replanning(lambda: self._perform(slot, plan))
        return self._remember(settled).write if settled is not None else None

    async def _enter(self, ref: ObjectRef) -> None:
        """With the first effect: a place among the actions under way, waited for, and kept until the end."""
        guard = self.world.guard
        if self.dry_run or self.type == UNDO or guard.places.held_by(self.key) is not None:
            return
        place = await guard.place(ref)
        until = min(time.time() + guard.policy.limit_wait, self.deadline_at)
        while not guard.places.enter(self.key, place.name, limit=place.limit):
            if time.time() >= until:
                raise full(place).error()
            await self.progress(f"waits for a free place: {place.name} has {place.limit} actions under way")
            await self.pause(_PLACE_POLL_SECONDS)

    async def _perform(self, slot: str, plan: Callable[[], Awaitable[Planned]]) -> Intent | None:
        prepared = await self._prepare(slot, plan)
        return await self.world.settler.send(*prepared) if prepared is not None else None

    async def _prepare(
        self, slot: str, plan: Callable[[], Awaitable[Planned]]
    ) -> tuple[Intent, dict[str, Json]] | None:
        self.check()
        planned = await plan()
        if planned is None:
            return None
        write, current = noting_manager(*planned)
        asked, world = self._asked(write.ref), self.world
        place = world.guard.places.held_by(self.key)
        entry = audit_entry(asked, slot, write, place=place, cluster=world.settler.cluster)
        snapshot = _snapshot(current) if write.verb is Verb.PATCH else None
        seq = 1 + max((item.seq for item in self.intents.values()), default=0)
        try:
            await self._permit(write, current)
            if world.guard.policy.rehearse:
                await rehearse(self.kube, write, current)
            async with world.guard.deciding(write.ref):
                await world.guard.limit(asked, write, current)
                intent = await world.ledger.plan(self.key, slot, write, seq=seq, snapshot=snapshot, entry=entry)
        except ActionFailedError as error:
            if (slot, error.message) not in self.refusals:
                self.refusals.add((slot, error.message))
                await world.ledger.refuse(entry, error.message, error.about.get("rule"))
                await world.settler.tell(self.key, slot)
            raise
        return intent, current

    async def _rehearse(self, plan: Callable[[], Awaitable[Planned]]) -> Write | None:
        planned = await plan()
        if planned is None:
            return None
        write, current = noting_manager(*planned)
        await self._permit(write, current)
        write = await rehearse(self.kube, write, current)
        await self.world.guard.limit(self._asked(write.ref), write, current)
        self.dry_writes.append(write)
        return write

    def _asked(self, ref: ObjectRef) -> Asked:
        return asked_of(
            self.key, self.type, self.request, subject=self.subject or ref, first=not (self.intents or self.dry_writes)
        )

    async def deliver(self, slot: str, send: Callable[[], Awaitable[None]]) -> None:
        """Tell somebody, recorded: repeated after a crash only while nobody knows whether it arrived."""
        write = Write(Verb.DELIVER, ObjectRef("Channel", None, slot))

        async def sent(planned: Write) -> Write:
            await send()
            return planned

        if not self.dry_run:
            await self.outside(slot, write, sent)

    async def outside(self, slot: str, write: Write, send: Callable[[Write], Awaitable[Write]]) -> Write:
        """An effect on somebody else than the API server; `send` may meet its own effect and answers what is there."""
        known = self.intents.get(slot)
        if known is not None and known.state is IntentState.APPLIED:
            return known.write
        self.check()
        if self.dry_run:
            self.dry_writes.append(write)
            return write
        if known is None:
            known = await self.world.ledger.plan(self.key, slot, write, seq=1 + len(self.intents))
            self._remember(known)
        return self._remember(await self.world.ledger.applied(known, await send(known.write))).write

    async def until(self, reached: Callable[[], Awaitable[str | None]]) -> None:
        """Poll until `reached` answers None; its texts are the progress. Raises ActionFailedError (timeout)."""
        if self.dry_run:
            return
        pause = _POLL_FIRST_SECONDS
        while (missing := await _looked(reached)) is not None:
            await self.progress(missing)
            if self.seconds_left <= 0:
                raise ActionFailedError(ErrorClass.TIMEOUT, f"not reached in time: {missing}")
            await self.pause(pause)
            pause = min(pause * 1.5, _POLL_LONGEST_SECONDS)

    async def pause(self, seconds: float) -> None:
        """Wait, but not past the deadline, a cancel or a stop of the service (which raise)."""
        self._obey()
        waits = [asyncio.ensure_future(self.cancel.wait()), asyncio.ensure_future(self.stopping.wait())]
        try:
            timeout = max(min(seconds, self.seconds_left), 0.0)
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._obey()

    async def progress(self, text: str) -> None:
        """Say what is being waited for or done; stored only when it changed."""
        if text != self.progress_text:
            self.progress_text = text
            await self.world.ledger.progress(self.key, text)

    def shorten(self, seconds: float) -> None:
        """Wait no longer than that from now on."""
        self.deadline_at = min(self.deadline_at, time.time() + seconds)

    def check(self) -> None:
        """Before every effect: neither cancelled nor out of time. Raises."""
        self._obey()
        if self.seconds_left <= 0:
            raise ActionFailedError(ErrorClass.TIMEOUT, "the time for this action is over")

    def _obey(self) -> None:
        if self.cancel.is_set():
            raise CancelledByCallerError
        if self.stopping.is_set():
            raise StoppingError

    async def _permit(self, write: Write, current: dict[str, Json]) -> None:
        named = write.ref in self.world.allowed.components.values() and self.type == "restart_network"
        await self.world.guard.permit(write, current, named=named)

    def _remember(self, intent: Intent) -> Intent:
        self.intents[intent.slot] = intent
        return intent


async def _looked(reached: Callable[[], Awaitable[str | None]]) -> str | None:
    """What is missing; an API server that is away for a moment does not fail what has been done already."""
    try:
        return await reached()
    except ActionFailedError as error:
        if error.error_class not in {ErrorClass.TRANSIENT, ErrorClass.THROTTLED}:
            raise
        return f"cannot look: {error.message}"


def _snapshot(current: dict[str, Json]) -> dict[str, Json]:
    """The raw object without what only the server writes; of a Secret its name and the names of its keys alone."""
    if current.get("kind") == "Secret":
        about = {name: current["metadata"].get(name) for name in ("name", "namespace", "uid")}
        return {"kind": "Secret", "metadata": about, "keys": sorted(current.get("data") or {})}
    metadata = {name: value for name, value in current["metadata"].items() if name not in _HIDDEN_BELOW}
    return {name: value for name, value in current.items() if name != "status"} | {"metadata": metadata}
