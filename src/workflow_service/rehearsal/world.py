"""The executor of a rehearsal: it does nothing, answers as the test says, and shows the cluster that this makes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import Misunderstood
from workflow_service.domain.target import Target
from workflow_service.ports import ActionOutcome, ActionRequest, NeverSeen, Observation
from workflow_service.rehearsal.cases import Answer, Case
from workflow_service.rehearsal.virtual_time import Clock

LEDGER = "rehearsal"


def undoes(request: ActionRequest) -> bool:
    """Whether it takes an earlier attempt back; a step may be called `undo` itself."""
    return ":undo" in request.key.partition(f":{request.step_id}")[2]


class World:
    """Behaves as an `Executor`."""

    def __init__(self, case: Case, offered: Catalogue, clock: Clock) -> None:
        self.sent: list[ActionRequest] = []
        self._case, self._offered, self._clock = case, offered, clock
        self._facts: dict[Target | str, dict[str, Any]] = {one: dict(it.facts) for one, it in case.cluster.items()}
        self._facts |= {query: dict(facts) for query, facts in case.metrics.items()}
        self._told: dict[str, ActionOutcome] = {}
        self._asked: dict[tuple[str, bool], int] = {}

    async def ledger_id(self) -> str | None:
        """Always the same ledger."""
        return LEDGER

    async def execute(self, request: ActionRequest) -> ActionOutcome:
        """Answer as the test says, after the time that it says; unsaid, it succeeds."""
        known = self._told.get(request.key)
        if known is not None:
            return known
        self.sent.append(request)
        undoing = undoes(request)
        answer = self._next(request.step_id, undoing=undoing)
        await asyncio.sleep(answer.takes)
        for subject, facts in answer.sees.items():
            self._facts.setdefault(subject, {}).update(facts)
        found = self._told[request.key] = self._outcome(request, answer, undoing=undoing)
        return found

    async def by_key(self, key: str) -> ActionOutcome | NeverSeen:
        """What was answered to that key."""
        return self._told.get(key) or NeverSeen(LEDGER)

    async def cancel(self, key: str) -> ActionOutcome:
        """What was answered to that key; else it is cancelled."""
        return self._told.setdefault(key, ActionOutcome("cancelled", "cancelled", ledger_id=LEDGER))

    async def catalogue(self) -> tuple[Catalogue, Mapping[str, Any]]:
        """All that executor-service can do."""
        return self._offered, {}

    async def observe(self, target: Target) -> Observation:
        """The object as it is by now."""
        thing = self._case.cluster.get(target)
        if thing is None:
            return Observation(False, self._facts.get(target, {}), (), self._clock.now())
        return Observation(not thing.gone, dict(self._facts[target]), thing.owners, self._clock.now())

    async def measure(self, promql: str) -> Observation:
        """What the test says Prometheus answers.

        Raises:
            Misunderstood: the test does not say it.
        """
        if promql not in self._facts:
            raise Misunderstood(f"the test has no metrics for {promql}")
        return Observation(True, dict(self._facts[promql]), (), self._clock.now())

    async def healthy(self) -> bool:
        """Always."""
        return True

    def _next(self, step: str, *, undoing: bool) -> Answer:
        said: Sequence[Answer] = (self._case.undos if undoing else self._case.answers).get(step, ())
        number = self._asked.get((step, undoing), 0)
        self._asked[step, undoing] = number + 1
        return said[number] if number < len(said) else Answer()

    def _outcome(self, request: ActionRequest, answer: Answer, *, undoing: bool) -> ActionOutcome:
        entry = self._offered.get(request.type)
        changes = not undoing and bool(entry and entry.changes and answer.fails is None)
        changed = changes if answer.changes is None else answer.changes
        undoable = bool(entry and entry.reversible) if answer.undoable is None else answer.undoable
        name = next(
            (request.parameters[key] for key in ("resource_name", "node_name") if key in request.parameters), "-"
        )
        return ActionOutcome(
            status="completed" if answer.fails is None else "failed",
            message=answer.message or ("done" if answer.fails is None else "the test says so"),
            result=answer.result,
            changes=({"name": name, "field": request.type},) if changed else (),
            undo_available=changed and undoable,
            error_class=answer.fails,
            ledger_id=LEDGER,
        )
