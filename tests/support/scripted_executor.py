"""An executor in memory: a ledger as the contract has it, and a script that says how each action goes.

It promises what `ports.Executor` promises; `tests/contract/test_scripted_executor.py` holds it against the real one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from executor_service.actions.catalogue import Catalogue as OfferedByExecutor
from executor_service.kubernetes.surroundings import Surroundings
from workflow_service.domain.catalogue import Catalogue, catalogue_from_wire
from workflow_service.domain.errors import ErrorClass, Misunderstood, OtherLedger, Unanswered, Unreachable
from workflow_service.domain.target import Target
from workflow_service.ports import ActionOutcome, ActionRequest, NeverSeen, Observation

_OFFERED = OfferedByExecutor().offer(Surroundings())
# Three types beside the real ones: they take any parameters and name no time-out of their own.
_SIMPLE = [
    {"type": "touch", "changes": True, "reversible": True},
    {"type": "burn", "changes": True, "reversible": False, "irreversible_reason": "ashes stay ashes"},
    {"type": "look", "changes": False, "reversible": False},
]
CATALOGUE: Mapping[str, Any] = {"digest": _OFFERED.digest, "actions": [*_OFFERED.entries, *_SIMPLE]}

WEB_SERVER = {
    ("Pod", "web-server-123"): ("ReplicaSet", "web-server-6d4f"),
    ("ReplicaSet", "web-server-6d4f"): ("Deployment", "web-server"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """How one order goes. Without one it is completed at once and changes what its type changes."""

    status: str = "completed"
    message: str = "done"
    error_class: ErrorClass | None = None
    changes: tuple[Mapping[str, Any], ...] | None = None  # None: one change, when a changing type is completed
    slow: bool = False  # runs until `finish` or a cancel
    stubborn: bool = False  # a cancel does not stop it: it goes on until `finish`
    silent: bool = False  # it arrives, the answer does not
    lost: bool = False  # neither arrives
    new_ledger: bool = False  # afterwards the ledger is another one, and empty


def failing(error: ErrorClass, message: str = "it went wrong", *, changed: bool = False) -> Answer:
    """A known failure; with `changed` it had changed something by then."""
    return Answer("failed", message, error, changes=None if changed else ())


@dataclass(slots=True)
class _Row:
    request: ActionRequest | None  # None: a tombstone
    outcome: ActionOutcome
    answer: Answer = Answer()
    undone: bool = False


@dataclass(slots=True)
class ScriptedExecutor:
    """Implements `ports.Executor`. Everything that arrives is kept for the test to look at."""

    ledger: str = "ledger-1"
    away: bool = False  # nothing arrives
    mute_cancel: bool = False  # cancel-by-key is not answered
    cluster: dict[tuple[str, str], tuple[str, str]] = field(default_factory=lambda: dict(WEB_SERVER))
    facts: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # more facts about an object, by its name
    metrics: dict[str, float] = field(default_factory=dict)  # what Prometheus answers, by query
    sent: list[ActionRequest] = field(default_factory=list)  # orders that arrived, resends too
    effects: list[str] = field(default_factory=list)  # keys, in the order in which they were begun
    asked: list[str] = field(default_factory=list)  # keys asked about
    looked_at: list[str] = field(default_factory=list)  # names of objects, as often as they were
    cancelled: list[str] = field(default_factory=list)  # keys whose cancel was answered, once each
    refused_cancels: int = 0  # cancels that were not answered
    missed: int = 0  # calls of any sort while it was away
    most_at_once: int = 0
    _script: dict[str, list[Answer]] = field(default_factory=dict)
    _rows: dict[str, _Row] = field(default_factory=dict)
    _leaving: bool = False

    def script(self, step: str, *answers: Answer) -> None:
        """How the next orders of a step go; `undo <step>` are those that undo it. Later ones are completed."""
        self._script.setdefault(step, []).extend(answers)

    def running(self) -> list[str]:
        """The steps whose action runs now."""
        return [row.request.step_id for row in self._rows.values() if row.request and row.outcome.status == "running"]

    def finish(self, *steps: str, how: Answer | None = None) -> None:
        """Let what runs be done: those steps, or all; `how` None: as their script says."""
        for row in self._rows.values():
            if row.request and row.outcome.status == "running" and (not steps or row.request.step_id in steps):
                row.outcome = _outcome(row.request, how or replace(row.answer, slow=False), self.ledger)

    def leave_after_next_answer(self) -> None:
        """Be away as soon as somebody has asked about a key."""
        self._leaving = True

    def forget(self) -> None:
        """From now on the ledger is another one that has never seen anything."""
        self._rows.clear()
        number = int(self.ledger.rpartition("-")[2]) + 1
        self.ledger = f"ledger-{number}"

    def orders(self, step: str) -> list[ActionRequest]:
        """The orders of a step that arrived; `undo <step>`: those of its undo."""
        return [request for request in self.sent if _name(request) == step]

    async def ledger_id(self) -> str | None:
        """The present ledger."""
        await self._arrive()
        return self.ledger

    async def execute(self, request: ActionRequest) -> ActionOutcome:
        """Go as the script says; a known key gives its first answer."""
        await self._arrive()
        if request.ledger_id not in (None, self.ledger):
            raise OtherLedger(f"executor keeps ledger {self.ledger} now, and the order was for {request.ledger_id}")
        answer = self._next(request) if request.key not in self._rows else Answer()
        if answer.lost:
            self._turn_over(answer)
            raise Unanswered("the connection was cut")
        self.sent.append(request)
        row = self._rows.get(request.key) or self._begin(request, answer)
        if row.request and _fingerprint(row.request) != _fingerprint(request):
            raise Misunderstood(f"key {request.key!r} belongs to another order")
        self._turn_over(answer)
        if answer.silent:
            raise Unanswered("no answer in time")
        return row.outcome

    async def by_key(self, key: str) -> ActionOutcome | NeverSeen:
        """What became of that key."""
        await self._arrive()
        self.asked.append(key)
        self.away = self._leaving
        self._leaving = False
        row = self._rows.get(key)
        return row.outcome if row else NeverSeen(self.ledger)

    async def cancel(self, key: str) -> ActionOutcome:
        """A tombstone, a stop, or the result."""
        await self._arrive()
        if self.mute_cancel:
            self.refused_cancels += 1
            raise Unanswered("no answer in time")
        if key not in self.cancelled:
            self.cancelled.append(key)
        stopped = ActionOutcome("cancelled", "cancelled", ledger_id=self.ledger)
        row = self._rows.setdefault(key, _Row(None, stopped))
        if not row.outcome.final and not row.answer.stubborn:
            row.outcome = stopped
        return row.outcome

    async def catalogue(self) -> tuple[Catalogue, Mapping[str, Any]]:
        """The real executor's types and three simple ones."""
        await self._arrive()
        document = {**CATALOGUE, "ledger_id": self.ledger}
        return catalogue_from_wire(document), document

    async def observe(self, target: Target) -> Observation:
        """Every object that a test names exists; `cluster` says who owns it."""
        await self._arrive()
        self.looked_at.append(target.name)
        owners, key = [], (target.kind, target.name)
        while key in self.cluster:
            key = self.cluster[key]
            owners.append(Target(target.cluster, key[0], key[1], target.namespace))
        gone = target.name.startswith("gone-")
        facts = {"replicas": 3, "ready_replicas": 3} if target.kind == "Deployment" and not gone else {}
        facts = {**facts, **self.facts.get(target.name, {})}
        return Observation(not gone, facts, tuple(owners), datetime.now(UTC))

    async def measure(self, promql: str) -> Observation:
        """What the test says that Prometheus would answer; nothing for another query."""
        await self._arrive()
        found = promql in self.metrics
        facts = {"value": self.metrics[promql], "values": [self.metrics[promql]], "series": 1} if found else {}
        return Observation(found, facts, (), datetime.now(UTC))

    async def healthy(self) -> bool:
        """Whether it answers."""
        return not self.away

    async def _arrive(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            self.missed += 1
            raise Unreachable("nobody listens there")

    def _next(self, request: ActionRequest) -> Answer:
        left = self._script.get(_name(request))
        return left.pop(0) if left else Answer()

    def _turn_over(self, answer: Answer) -> None:
        if answer.new_ledger:
            self.forget()

    def _begin(self, request: ActionRequest, answer: Answer) -> _Row:
        row = self._rows[request.key] = _Row(request, self._first_word(request, answer), answer)
        if row.outcome.status != "refused":
            self.effects.append(request.key)
        self.most_at_once = max(self.most_at_once, len(self.running()))
        return row

    def _first_word(self, request: ActionRequest, answer: Answer) -> ActionOutcome:
        if request.remaining_seconds <= 0:
            late = ActionOutcome("refused", "no time was left", error_class=ErrorClass.TIMEOUT)
            return replace(late, ledger_id=self.ledger)
        if request.type == "undo" and answer == Answer():
            return self._undo(request)
        return _outcome(request, answer, self.ledger)

    def _undo(self, request: ActionRequest) -> ActionOutcome:
        """Take back what a key did; that of a tombstone is a successful no-op."""
        row = self._rows.get(request.parameters["key"])
        if row is None:
            return ActionOutcome("refused", "not in this ledger", error_class=ErrorClass.NOT_FOUND)
        row.undone = True
        return ActionOutcome("completed", "undone", ledger_id=self.ledger)


def _name(request: ActionRequest) -> str:
    return f"undo {request.step_id}" if request.type == "undo" else request.step_id


def _fingerprint(request: ActionRequest) -> tuple[str, str, bool]:
    return request.type, json.dumps(dict(request.parameters), sort_keys=True), request.dry_run


def _outcome(request: ActionRequest, answer: Answer, ledger: str) -> ActionOutcome:
    if answer.slow:
        return ActionOutcome("running", "still at it", ledger_id=ledger)
    nothing: Mapping[str, Any] = {}
    entry = next((one for one in CATALOGUE["actions"] if one["type"] == request.type), nothing)
    changes = answer.changes
    if changes is None:
        changes = (_change(request),) if entry.get("changes") else ()
    undoable = bool(changes) and bool(entry.get("reversible"))
    return ActionOutcome(
        status=answer.status,
        message=answer.message,
        action_id=f"action-{request.key}",
        changes=changes,
        undo_available=undoable,
        undo_reason=None if undoable else entry.get("irreversible_reason"),
        error_class=answer.error_class,
        ledger_id=ledger,
    )


def _change(request: ActionRequest) -> dict[str, Any]:
    name = request.parameters.get("resource_name", request.step_id)
    about = {"cluster": request.cluster, "kind": "Deployment", "namespace": "production", "name": name}
    return {**about, "field": "/spec/replicas", "before": 3, "after": 4}
