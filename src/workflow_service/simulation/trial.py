"""The executor of a simulation: the real one, asked for dry runs and for what is there, and for nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import ErrorClass, ExecutorError, Misunderstood, Unanswered, Unreachable
from workflow_service.domain.locking import touched
from workflow_service.domain.plan import Step
from workflow_service.domain.target import Target
from workflow_service.ports import ActionOutcome, ActionRequest, Executor, NeverSeen, Observation
from workflow_service.rehearsal.world import LEDGER, undoes
from workflow_service.simulation.findings import Findings, Tried
from workflow_service.simulation.outside import Outside

POLL = 0.2  # seconds between questions whether a dry run is over
# What a dry run fails with now, a real run would fail with too; the other classes may be gone by then.
_LASTING = frozenset(
    {
        ErrorClass.PERMANENT,
        ErrorClass.FORBIDDEN,
        ErrorClass.NOT_FOUND,
        ErrorClass.CONFLICT,
        ErrorClass.WRONG_CLUSTER,
    }
)
# These do not depend on what an earlier step has done.
_WHATEVER = frozenset({ErrorClass.FORBIDDEN, ErrorClass.WRONG_CLUSTER})


@dataclass(frozen=True, slots=True)
class Pace:
    """How long actions take. Seconds, by type."""

    usual: Mapping[str, float]

    def of(self, step: Step) -> tuple[float | None, str]:
        """What history says, else the plan; and which of them."""
        kind = step.action.type if step.action else ""
        if kind in self.usual:
            return self.usual[kind], "history"
        if step.estimated_duration is not None:
            return step.estimated_duration, "plan"
        return None, "nothing"


class Trial:
    """Behaves as an `Executor` in time that jumps."""

    def __init__(
        self,
        executor: Executor,
        outside: Outside,
        findings: Findings,
        *,
        pace: Pace,
        step_of: Callable[[str], Step],
        cluster: str,
    ) -> None:
        self._executor, self._outside, self._findings = executor, outside, findings
        self._pace, self._step_of, self._cluster = pace, step_of, cluster

    async def execute(self, request: ActionRequest) -> ActionOutcome:
        """What a dry run answers, after the time that the action usually takes; an undo is taken as done."""
        if undoes(request):
            return ActionOutcome("completed", "would be taken back", ledger_id=LEDGER)
        step, found = self._step_of(request.step_id), self._findings
        seconds, known_by = self._pace.of(step)
        subjects = self._subjects(step, request)
        outcome = await self._tried(request, subjects)
        found.tried[request.step_id] = Tried(request.parameters, outcome, seconds, known_by)
        await asyncio.sleep(seconds or 0.0)
        if outcome is None:
            outcome = ActionOutcome("completed", "taken as done: nobody knows")
        if outcome.success and step.changes:
            found.changes(request.step_id, subjects | _changed(outcome, self._cluster))
        undoable = bool(outcome.changes) and step.reversible is True
        return replace(outcome, undo_available=undoable, ledger_id=LEDGER)

    async def _tried(self, request: ActionRequest, subjects: frozenset[str]) -> ActionOutcome | None:
        """The answer; None: it tells nothing about a real run."""
        found, step = self._findings, request.step_id
        try:
            answer = await self._outside.ask(partial(self._dry_run, request._replace(dry_run=True)))
        except Misunderstood as error:
            return ActionOutcome("failed", str(error), error_class=ErrorClass.PERMANENT)
        except ExecutorError as error:
            found.doubt(step, "outcome", f"no dry run: {error}")
            return None
        if answer.success:
            if earlier := found.changed_before(subjects):
                found.doubt(step, "changes", f"{_named(earlier)} would have changed the same object before")
            return answer
        if answer.error_class not in _LASTING:
            found.doubt(step, "outcome", f"the dry run failed for now ({answer.error_class}): {answer.message}")
            return None
        if found.changed and answer.error_class not in _WHATEVER:
            why = f"the dry run failed ({answer.error_class}: {answer.message}), without what {_named(found.changed)}"
            found.doubt(step, "outcome", f"{why} would have changed before")
            return None
        return answer

    async def _dry_run(self, request: ActionRequest) -> ActionOutcome:
        if (ledger := await self._executor.ledger_id()) is None:
            raise Unreachable("the executor keeps no ledger, so it may not know what a dry run is, and is not asked")
        answer: ActionOutcome | NeverSeen = await self._executor.execute(request._replace(ledger_id=ledger))
        while isinstance(answer, ActionOutcome) and not answer.final:
            await asyncio.sleep(POLL)
            answer = await self._executor.by_key(request.key)
        if isinstance(answer, NeverSeen):
            raise Unanswered("the executor has forgotten the dry run")
        return answer

    def _subjects(self, step: Step, request: ActionRequest) -> frozenset[str]:
        target = touched(step.action, request.parameters, self._cluster) if step.action else None
        return frozenset({target.identity}) if target is not None else frozenset()

    async def observe(self, target: Target) -> Observation:
        """What is there now."""
        return await self._outside.ask(lambda: self._executor.observe(target))

    async def measure(self, promql: str) -> Observation:
        """What Prometheus answers now."""
        return await self._outside.ask(lambda: self._executor.measure(promql))

    async def ledger_id(self) -> str | None:
        """Always the same ledger."""
        return LEDGER

    async def by_key(self, key: str) -> ActionOutcome | NeverSeen:
        """Nothing was done by any key."""
        del key
        return NeverSeen(LEDGER)

    async def cancel(self, key: str) -> ActionOutcome:
        """Nothing was done, so nothing is left to be cancelled."""
        del key
        return ActionOutcome("cancelled", "cancelled", ledger_id=LEDGER)

    async def catalogue(self) -> tuple[Catalogue, Mapping[str, Any]]:
        """What is really offered."""
        return await self._outside.ask(self._executor.catalogue)

    async def healthy(self) -> bool:
        """Whether the real one answers."""
        return await self._outside.ask(self._executor.healthy)


def _changed(outcome: ActionOutcome, cluster: str) -> frozenset[str]:
    named = (one for one in outcome.changes if one.get("kind") and one.get("name"))
    return frozenset(
        Target(cluster, str(one["kind"]), str(one["name"]), one.get("namespace") or None).identity for one in named
    )


def _named(steps: Sequence[str]) -> str:
    return f"step {steps[0]}" if len(steps) == 1 else f"steps {', '.join(steps)}"
